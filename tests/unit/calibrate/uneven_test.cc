#include "calibrate/uneven.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Seen = std::map<std::string, std::vector<float>>;  // by tensor: elements that calibration saw

std::map<NodeId, std::string> Uneven(const SmallGraph& model, const Seen& seen,
                                     ProtectOutputs protect = ProtectOutputs::kAuto,
                                     const std::set<std::string>& without_pairs = {}) {
  QuantPlan plan = model.Plan();
  for (const std::string& name : without_pairs) plan.activations.erase(model.graph.Find(name));
  StatisticsMap statistics;
  for (const auto& [id, quant] : plan.activations)
    statistics[id].AddSample(std::vector<float>{-1, 1}.data(), 2, 1);
  for (const auto& [name, elements] : seen) {
    const ValueId id = model.graph.Find(name);
    EXPECT_TRUE(plan.activations.count(id) || MaskOperands(model.graph, plan).count(id)) << name;
    statistics[id] = {};
    statistics[id].AddSample(elements.data(), static_cast<int64_t>(elements.size()), 1);
  }
  return FindUneven(model.graph, plan, statistics, protect);
}

// boxes and scores come from Convs, so nothing in the graph tells their sizes.
SmallGraph Detector() {
  SmallGraph model;
  model.Conv("boxes", "x");
  model.Conv("scores", "x");
  model.Op("Concat", "joined", {"boxes", "scores"}, {{"axis", Attribute::Int(1)}});
  return model;
}

TEST(Uneven, AJoinedOutputOfDifferentSizes) {
  SmallGraph model = Detector();
  model.Op("Transpose", "y", {"joined"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Output("y");
  const auto found = Uneven(model, {{"boxes", {0, 640}}, {"scores", {0, 1}}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found.at(model.Node("joined")), HasSubstr("ranges differ 640 times"));
  EXPECT_THAT(Uneven(model, {{"boxes", {0, 15}}, {"scores", {0, 1}}}), IsEmpty());
  EXPECT_THAT(Uneven(model, {{"boxes", {0, 640}}, {"scores", {0, 0}}}), IsEmpty());  // nothing to erase
  EXPECT_THAT(Uneven(model, {{"boxes", {0, 640}}, {"scores", {0, 1}}}, ProtectOutputs::kNever), IsEmpty());
}

TEST(Uneven, AlsoWithArithmeticBehindIt) {
  SmallGraph model = Detector();
  model.Op("Mul", "y", {"joined", model.Constant({1, 8, 1, 1})});
  model.Output("y");
  const auto found = Uneven(model, {{"boxes", {0, 640}}, {"scores", {0, 1}}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.count(model.Node("joined")), 1u);
}

TEST(Uneven, NotWithinTheGraph) {
  SmallGraph model = Detector();
  model.Op("Conv", "y", {"joined", model.Constant({4, 8, 1, 1})},
           {{"kernel_shape", Attribute::Ints({1, 1})}});
  model.Output("y");
  EXPECT_THAT(Uneven(model, {{"boxes", {0, 640}}, {"scores", {0, 1}}}), IsEmpty());
}

TEST(Uneven, AnOutputTimesUnevenConstants) {
  SmallGraph model;
  model.Conv("c", "x");
  Tensor sizes(DType::kFloat, {1, 4, 1, 1});
  std::fill_n(sizes.data<float>(), 4, 1.0f);
  model.graph.AddConstant("even", sizes.Clone());
  sizes.data<float>()[0] = 640;
  model.graph.AddConstant("uneven", sizes);
  model.Op("Mul", "y", {"c", "uneven"});
  model.Op("Mul", "z", {"c", "even"});
  model.Output("y");
  model.Output("z");
  const auto found = Uneven(model, {});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found.at(model.Node("y")), HasSubstr("its constants differ 640 times"));
}

// scores + mask -> Softmax, the mask an input.
SmallGraph Attention(const char* type) {
  SmallGraph model;
  model.Input("mask", {1, 1, 6, 6});
  model.Conv("scores", "x");
  model.Op(type, "masked", {"scores", "mask"});
  model.Op("Reshape", "rows",
           {"masked",
            model.graph.value(model.graph.AddConstant("shape", Tensor::Of<int64_t>({2}, {24, 6}))).name});
  model.Op("Softmax", "y", {"rows"});
  model.Output("y");
  return model;
}

// A detector calibrated on pictures without what it looks for.
TEST(Uneven, SmallScores) {
  SmallGraph model;
  model.Conv("logits", "x");
  model.Op("Sigmoid", "scores", {"logits"});
  model.Op("Flatten", "y", {"scores"});
  model.Output("y");
  const auto found = Uneven(model, {{"scores", {0.001f, 0.25f}}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found.at(model.Node("scores")), HasSubstr("calibration saw no scores above 0.25"));
  EXPECT_THAT(Uneven(model, {{"scores", {0.001f, 0.5f}}}), IsEmpty());
  EXPECT_THAT(Uneven(model, {{"scores", {0.001f, 0.25f}}}, ProtectOutputs::kNever), IsEmpty());
  model.Conv("further", "scores");
  model.Output("further");
  EXPECT_THAT(Uneven(model, {{"scores", {0.001f, 0.25f}}}), IsEmpty());
}

// That something is there, and what it is.
TEST(Uneven, ProductsOfSmallScores) {
  SmallGraph model;
  model.Conv("logits", "x");
  model.Op("Sigmoid", "there", {"logits"});
  model.Conv("of classes", "x");
  model.Op("Sigmoid", "class", {"of classes"});
  model.Op("Flatten", "moved", {"class"});
  model.Op("Flatten", "there moved", {"there"});
  model.Op("Mul", "y", {"there moved", "moved"});
  model.Output("y");
  const auto found = Uneven(model, {{"there", {0.001f, 0.25f}}, {"class", {0.1f, 0.9f}}, {"y", {0, 0.2f}}});
  EXPECT_EQ(found.size(), 2u);
  EXPECT_TRUE(found.count(model.Node("there")));
  EXPECT_TRUE(found.count(model.Node("y")));
  EXPECT_THAT(Uneven(model, {{"there", {0, 0.8f}}, {"class", {0.1f, 0.9f}}, {"y", {0, 0.7f}}}), IsEmpty());
}

TEST(Uneven, AMaskThatIsAnInput) {
  const SmallGraph model = Attention("Add");
  for (float low : {-100.0f, -10000.0f, -INFINITY}) {
    const auto found = Uneven(model, {{"scores", {-4, 4}}, {"mask", {0, low}}});
    ASSERT_EQ(found.size(), 1u) << low;
    EXPECT_THAT(found.at(model.Node("masked")), HasSubstr("attention mask"));
  }
  EXPECT_THAT(Uneven(model, {{"scores", {-4, 4}}, {"mask", {3, -100}}}), IsEmpty());  // numbers of both signs
  EXPECT_THAT(Uneven(model, {{"scores", {-4, 4}}, {"mask", {0, -10}}}), IsEmpty());   // a bias
  EXPECT_THAT(Uneven(model, {{"scores", {-40, 40}}, {"mask", {0, -100}}}), IsEmpty());  // of the scores' size
  EXPECT_EQ(Uneven(Attention("Sub"), {{"scores", {-4, 4}}, {"mask", {0, 100}}}).size(), 1u);
}

TEST(Uneven, AMaskBesideScoresInsideAFusedUnit) {
  const SmallGraph model = Attention("Add");
  const std::set<std::string> inside = {"scores"};
  EXPECT_EQ(Uneven(model, {{"scores", {-4, 4}}, {"mask", {0, -100}}}, ProtectOutputs::kAuto, inside).size(),
            1u);
  EXPECT_THAT(Uneven(model, {{"scores", {-40, 40}}, {"mask", {0, -100}}}, ProtectOutputs::kAuto, inside),
              IsEmpty());
}

TEST(Uneven, WhatALogarithmReads) {
  SmallGraph model;
  model.Conv("c", "x");
  model.Op("Sigmoid", "power", {"c"});
  model.Op("Add", "above", {"power", model.Constant({1})});
  model.Op("Log", "y", {"above"});
  model.Output("y");
  const auto found = Uneven(model, {{"above", {1e-6f, 5}}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.at(model.Node("above")), kIntoLogarithm);
  EXPECT_THAT(Uneven(model, {{"above", {0.1f, 5}}}), IsEmpty());  // each has a code of its own above zero
  EXPECT_THAT(Uneven(model, {{"above", {0, 5}}}), IsEmpty());     // infinite in the float model, too
}

TEST(Uneven, WhatSomethingIsDividedBy) {
  for (const bool root : {false, true}) {
    SmallGraph model;
    model.Conv("c", "x");
    model.Op("Sigmoid", "disparity", {"c"});
    model.Op("Add", "above", {"disparity", model.Constant({1})});
    if (root) model.Op("Sqrt", "root", {"above"});
    model.Op("Div", "y", {model.Constant({1}), root ? "root" : "above"});
    model.Output("y");
    const auto found = Uneven(model, {{"above", {0.2f, 10}}});
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found.at(model.Node("above")), kIntoDivisor);
    EXPECT_THAT(Uneven(model, {{"above", {0.5f, 10}}}), IsEmpty());
    EXPECT_EQ(Uneven(model, {{"above", {-3, 10}}}).size(), 1u);   // passes zero
    EXPECT_THAT(Uneven(model, {{"above", {0, 10}}}), IsEmpty());  // infinite in the float model, too
    EXPECT_THAT(Uneven(model, {{"above", {-10, 0}}}), IsEmpty());
    EXPECT_EQ(Uneven(model, {{"above", {-10, -0.2f}}}).size(), 1u);
    EXPECT_THAT(Uneven(model, {{"above", {-10, -0.5f}}}), IsEmpty());
  }
  for (const float exponent : {-0.5f, 0.5f}) {
    SmallGraph model;
    model.Conv("c", "x");
    model.Op("Sigmoid", "above", {"c"});
    model.graph.AddConstant("exponent", Tensor::Scalar<float>(exponent));
    model.Op("Pow", "y", {"above", "exponent"});
    model.Output("y");
    EXPECT_EQ(Uneven(model, {{"above", {0.01f, 1}}}).size(), exponent < 0 ? 1u : 0u);
  }
  SmallGraph whole;
  whole.Conv("c", "x");
  whole.Op("Sigmoid", "above", {"c"});
  whole.graph.AddConstant("exponent", Tensor::Scalar<int64_t>(-1));
  whole.Op("Pow", "y", {"above", "exponent"});
  whole.Output("y");
  EXPECT_EQ(Uneven(whole, {{"above", {0.01f, 1}}}).size(), 1u);

  SmallGraph divided;
  divided.Conv("c", "x");
  divided.Op("Sigmoid", "s", {"c"});
  divided.Op("Div", "y", {"s", "x"});
  divided.Output("y");
  EXPECT_THAT(Uneven(divided, {{"s", {1e-6f, 1}}}), IsEmpty());
}

TEST(Uneven, ManyRootsInARow) {
  SmallGraph model;
  model.Op("Sigmoid", "0", {"x"});
  constexpr int kMany = 100000;
  for (int i = 1; i <= kMany; ++i) model.Op("Sqrt", std::to_string(i), {std::to_string(i - 1)});
  model.Op("Reciprocal", "y", {std::to_string(kMany)});
  model.Output("y");
  QuantPlan plan;
  plan.nodes.insert(model.Node("0"));
  plan.activations[model.graph.Find("0")] = {};
  StatisticsMap statistics;
  statistics[model.graph.Find("0")].AddSample(std::vector<float>{1e-6f, 1}.data(), 2, 1);
  const auto found = FindUneven(model.graph, plan, statistics, ProtectOutputs::kAuto);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.at(model.Node("0")), kIntoDivisor);
}

TEST(Uneven, AFilterBankInFrontOfALogarithm) {
  SmallGraph model;
  model.Op("Transpose", "spectra", {"x"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Op("MatMul", "energies", {"spectra", model.Constant({4, 8})});
  model.Op("Add", "above", {"energies", model.Constant({1})});
  model.Op("Transpose", "moved", {"above"}, {{"perm", Attribute::Ints({0, 3, 1, 2})}});
  model.Op("Log", "y", {"moved"});
  model.Output("y");
  const auto found = Uneven(model, {{"energies", {0, 5}}, {"above", {1e-6f, 5}}});
  EXPECT_EQ(found.at(model.Node("energies")), kIntoLogarithm);
  EXPECT_THAT(Uneven(model, {{"energies", {0.1f, 5}}, {"above", {0.2f, 5}}}), IsEmpty());
  EXPECT_THAT(Uneven(model, {{"energies", {-5, 5}}, {"above", {-5, 5}}}), IsEmpty());

  SmallGraph apart;  // a Sigmoid has lost what was small already
  apart.Conv("c", "x");
  apart.Op("Sigmoid", "s", {"c"});
  apart.Op("Log", "y", {"s"});
  apart.Output("y");
  EXPECT_EQ(Uneven(apart, {{"c", {0, 5}}, {"s", {1e-6f, 1}}}).count(apart.Node("c")), 0u);
}

}  // namespace
}  // namespace xslim
