#include "quant/interest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/operator.h"
#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WaysToLogarithms, AreThoseOnWhichSmallNumbersAreKept) {
  SmallGraph model;
  model.graph.AddConstant("two", Tensor::Scalar<float>(2));
  model.graph.AddConstant("epsilon", Tensor::Scalar<float>(1e-6f));
  model.Op("Mul", "twice", {"x", "two"});
  model.Op("Relu", "aside", {"twice"});
  model.Op("Add", "above", {"twice", "epsilon"});
  model.Op("Transpose", "moved", {"above"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Op("Log", "y", {"moved"});
  model.Op("Add", "far", {"x", "two"});
  model.Op("Log", "z", {"far"});
  for (const char* output : {"aside", "y", "z"}) model.Output(output);
  const auto id = [&](const char* name) { return model.graph.Find(name); };
  EXPECT_THAT(WaysToLogarithms(model.graph, id("x")),
              ElementsAre(id("x"), id("twice"), id("above"), id("moved")));
  EXPECT_THAT(WaysToLogarithms(model.graph, id("far")), ElementsAre(id("far")));
  EXPECT_THAT(WaysToLogarithms(model.graph, id("aside")), IsEmpty());
}

// Both branches of an If read the value.
void ReadInBody(SmallGraph* model, const std::string& name) {
  auto body = std::make_shared<Graph>();
  const ValueId x = body->AddValue(name), y = body->AddValue("inner");
  body->AddNode("Neg", "neg", {x}, {y});
  body->AddOutput(y);
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = body;
  model->graph.AddConstant("flag", Tensor(DType::kBool, {}));
  model->Op("If", "branch", {"flag"}, {{"then_branch", branch}, {"else_branch", branch}});
  model->Output("branch");
}

TEST(VisibleRange, IsUnlimitedWhereABodyReadsTheValue) {
  SmallGraph model;
  model.Op("Neg", "a", {"x"});
  model.Op("Sigmoid", "y", {"a"});
  model.Output("y");
  const ValueId a = model.graph.Find("a");
  EXPECT_EQ(VisibleRange(model.graph, a).lo, -10);
  ReadInBody(&model, "a");
  EXPECT_EQ(VisibleRange(model.graph, a).lo, InterestRange{}.lo);
  EXPECT_FALSE(VisibleRange(model.graph, a).fades);
}

// Relu sees nothing of a product that lies below the negative of the largest bias.
TEST(VisibleRange, MovesByWhatIsAdded) {
  SmallGraph model;
  model.graph.AddConstant("bias", Tensor::Of<float>({4}, {-3, 0.5f, 2, 1}));
  const auto range_of = [&](const char* name) { return VisibleRange(model.graph, model.graph.Find(name)); };
  model.Op("Neg", "a", {"x"});
  model.Op("Add", "sa", {"a", "bias"});
  model.Op("Relu", "ra", {"sa"});
  model.Output("ra");
  // Half a step of the bias's own codes besides.
  EXPECT_NEAR(range_of("a").lo, -2 - 3.0 / 254, 1e-6);
  EXPECT_EQ(range_of("a").hi, InterestRange{}.hi);
  model.Op("Neg", "b", {"x"});
  model.Op("Sub", "sb", {"b", "bias"});
  model.Op("HardSigmoid", "hb", {"sb"});
  model.Output("hb");
  EXPECT_NEAR(range_of("b").lo, -2.5 - 3 - 3.0 / 254, 1e-6);
  EXPECT_NEAR(range_of("b").hi, 2.5 + 2 + 3.0 / 254, 1e-6);
  // What is taken from a constant, limits that move with the largest number, and sums of two tensors.
  model.Op("Neg", "c", {"x"});
  model.Op("Sub", "sc", {"bias", "c"});
  model.Op("Relu", "rc", {"sc"});
  model.Output("rc");
  model.Op("Neg", "d", {"x"});
  model.Op("Add", "sd", {"d", "bias"});
  model.Op("Sigmoid", "gd", {"sd"});
  model.Output("gd");
  model.Op("Neg", "e", {"x"});
  model.Op("Add", "se", {"e", "x"});
  model.Op("Relu", "re", {"se"});
  model.Output("re");
  for (const char* name : {"c", "d", "e"}) EXPECT_EQ(range_of(name).lo, InterestRange{}.lo) << name;
}

TEST(EndsGraph, NotWhereABodyReadsTheResult) {
  SmallGraph model;
  model.Op("Neg", "y", {"x"});
  model.Output("y");
  const auto ends = [&model] {
    const Node& node = *model.graph.Producer(model.graph.Find("y"));
    return EndsGraph(model.graph, node, {}, std::vector<bool>(model.graph.node_slots(), true));
  };
  EXPECT_TRUE(ends());
  ReadInBody(&model, "y");
  EXPECT_FALSE(ends());
}

TEST(WaysToLogarithms, MayBeLong) {
  constexpr int kMany = 100000;
  SmallGraph model;
  for (int i = 0; i < kMany; ++i) model.Op("Relu", std::to_string(i), {i > 0 ? std::to_string(i - 1) : "x"});
  model.Op("Log", "y", {std::to_string(kMany - 1)});
  EXPECT_EQ(WaysToLogarithms(model.graph, model.graph.Find("x")).size(), size_t{kMany} + 1);
}

}  // namespace
}  // namespace xslim
