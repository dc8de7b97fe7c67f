#include "tune/fragile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>

#include "noise.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::UnorderedElementsAre;

// y = ((x w1) * 2 + big) * small w2, where one channel of big is a thousand times larger than all others and
// small makes up for it: of the sum's 255 steps the other channels get none.
class FragileTest : public testing::Test {
 protected:
  FragileTest() {
    graph_.opset_imports[""] = 13;
    std::vector<float> big(16, 0.5f), small(16, 1.0f);
    big[3] = 1000;
    small[3] = 0.001f;
    const ValueId x = Value("x"), out = Value("y");
    graph_.AddInput(x);
    product_ = Value("product");
    graph_.AddNode("MatMul", "first", {x, graph_.AddConstant("w1", Noise({16, 16}, 1))}, {product_});
    const ValueId doubled = Value("doubled"), sum = Value("sum"), scaled = Value("scaled");
    double_ = graph_.AddNode(
        "Mul", "double", {product_, graph_.AddConstant("two", Tensor::Of<float>({1}, {2.0f}))}, {doubled});
    add_ = graph_.AddNode("Add", "add", {doubled, graph_.AddConstant("big", Tensor::Of<float>({16}, big))},
                          {sum});
    scale_ = graph_.AddNode("Mul", "scale",
                            {sum, graph_.AddConstant("small", Tensor::Of<float>({16}, small))}, {scaled});
    graph_.AddNode("MatMul", "second", {scaled, graph_.AddConstant("w2", Noise({16, 16}, 2))}, {out});
    graph_.AddOutput(out);
    for (uint64_t s = 0; s < 3; ++s) samples_.push_back({Noise({4, 16}, s + 1)});
    facts_ = std::make_unique<ValueFacts>(graph_, samples_[0], pool_);
    parts_ = FindOutputParts(graph_, *facts_, pool_);
    plan_ = Planned({});
    spare_ = SpareActivations(graph_, *facts_, plan_);
    SetRanges(&spare_);
    finder_ = std::make_unique<FragileFinder>(graph_, *facts_, options_, parts_, samples_, pool_);
  }

  ValueId Value(const char* name) { return graph_.AddValue(name, DType::kFloat); }

  QuantPlan Planned(const Fragile& fragile) const {
    Choices choices;
    for (NodeId id : fragile.nodes) choices.float_by_data[id] = "fragile";
    choices.bare = fragile.bare;
    QuantPlan plan = PlacePlan(graph_, *facts_, options_, choices);
    SetRanges(&plan);
    return plan;
  }

  void SetRanges(QuantPlan* plan) const {
    std::vector<ValueId> ids;
    for (const auto& [id, quant] : plan->activations) ids.push_back(id);
    for (ValueId id : ids) SetRange(plan, id, -4, graph_.value(id).name == "sum" ? 1004.0f : 4.0f, "test");
  }

  Graph graph_;
  ThreadPool pool_{2};
  NodeId double_ = kNone, add_ = kNone, scale_ = kNone;
  ValueId product_ = kNone;
  std::vector<Sample> samples_;
  QuantizationParameters options_;
  std::unique_ptr<ValueFacts> facts_;
  std::vector<OutputParts> parts_;
  QuantPlan plan_, spare_;
  std::unique_ptr<FragileFinder> finder_;
  const ProgressCall quiet_ = [](int64_t, int64_t) {};
};

TEST_F(FragileTest, OperatorsAroundTheTensorAreFound) {
  EXPECT_GT(finder_->Noise(plan_), 0.2);
  const Fragile fragile = finder_->Find(plan_, spare_, quiet_, {0, 0.01});
  EXPECT_THAT(fragile.nodes, ElementsAre(add_));  // behind it scale_ is no more reached
  EXPECT_THAT(fragile.bare, IsEmpty());
  EXPECT_LT(finder_->Noise(Planned(fragile)), 0.01);
}

TEST_F(FragileTest, NoMoreIsFoundThanTheRestAllows) {
  EXPECT_THAT(finder_->Find(plan_, spare_, quiet_, {0, 10}).nodes, IsEmpty());
}

TEST_F(FragileTest, AllAreTheOperatorsWithoutProducts) {
  const Fragile all = finder_->AllOf(plan_);
  EXPECT_THAT(all.nodes, ElementsAre(double_, add_, scale_));
  // What only they read goes on as float32.
  EXPECT_THAT(all.bare, ElementsAre(product_));
  const QuantPlan plan = Planned(all);
  EXPECT_EQ(plan.activations.count(product_), 0u);
  EXPECT_EQ(plan.nodes.size(), 2u);
  EXPECT_LE(finder_->Noise(plan), finder_->Noise(plan_));
}

// One sample is fewer than the search would take.
TEST_F(FragileTest, OneSampleWillDo) {
  const FragileFinder finder(graph_, *facts_, options_, parts_, {samples_[0]}, pool_);
  EXPECT_THAT(finder.Find(plan_, spare_, quiet_, {0, 0.01}).nodes, ElementsAre(add_));
}

TEST_F(FragileTest, MaskedLogitsBesideItHideNothing) {
  Tensor hidden(DType::kBool, {16});
  std::fill_n(hidden.data<bool>(), 16, false);
  hidden.data<bool>()[5] = true;
  const float least = -std::numeric_limits<float>::infinity();
  const ValueId masked = Value("masked");
  graph_.AddNode("Where", "mask",
                 {graph_.AddConstant("hidden", hidden),
                  graph_.AddConstant("least", Tensor::Of<float>({1}, {least})), graph_.Find("y")},
                 {masked});
  graph_.AddOutput(masked);
  const ValueFacts facts(graph_, samples_[0], pool_);
  const std::vector<OutputParts> parts = FindOutputParts(graph_, facts, pool_);
  const FragileFinder finder(graph_, facts, options_, parts, samples_, pool_);
  EXPECT_GT(finder.Noise(plan_), 0.2);
  EXPECT_LT(finder.Noise(plan_), 10);
  EXPECT_THAT(finder.Find(plan_, spare_, quiet_, {0, 0.01}).nodes, ElementsAre(add_));
}

// Compress by what lies close to zero: in int8 another number of elements every time.
TEST_F(FragileTest, AnOutputThatNothingHelpsDoesNotJudgeTheOthers) {
  const ValueId near = Value("near"), some = Value("some"), flat = Value("flat");
  const ValueId where = graph_.AddValue("where", DType::kBool);
  graph_.AddNode("Reshape", "flatten", {product_, graph_.AddConstant("all", Tensor::Of<int64_t>({1}, {-1}))},
                 {flat});
  graph_.AddNode("Abs", "abs", {flat}, {near});
  graph_.AddNode("Less", "less", {near, graph_.AddConstant("bound", Tensor::Of<float>({1}, {0.3f}))},
                 {where});
  graph_.AddNode("Compress", "compress", {flat, where}, {some});
  graph_.AddOutput(some);
  const ValueFacts facts(graph_, samples_[0], pool_);
  const std::vector<OutputParts> parts = FindOutputParts(graph_, facts, pool_);
  FragileFinder finder(graph_, facts, options_, parts, samples_, pool_);
  const QuantPlan best = Planned({{add_}, {}});
  ASSERT_GT(finder.Noise(plan_), 0.5);
  ASSERT_GT(finder.Noise(best), 0.5);
  EXPECT_TRUE(finder.LeaveOutHopeless(finder.Ratios(plan_), finder.Ratios(best)));
  EXPECT_LT(finder.Noise(best), 0.01);
  EXPECT_GT(finder.Noise(plan_), 0.2);
  EXPECT_FALSE(finder.LeaveOutHopeless(finder.Ratios(best), finder.Ratios(best)));
}

TEST_F(FragileTest, OperatorsAtTheEndStayWhereTheyAreNotProtected) {
  graph_.RemoveNode(graph_.value(graph_.Find("y")).producer);
  graph_.RemoveOutput(graph_.Find("y"));
  graph_.AddOutput(graph_.Find("scaled"));
  options_.protect_outputs = ProtectOutputs::kNever;
  const ValueFacts facts(graph_, samples_[0], pool_);
  const std::vector<OutputParts> parts = FindOutputParts(graph_, facts, pool_);
  const FragileFinder finder(graph_, facts, options_, parts, samples_, pool_);
  const QuantPlan plan = PlacePlan(graph_, facts, options_);
  EXPECT_THAT(finder.AllOf(plan).nodes, IsEmpty());
}

// What a body or an output reads, too, keeps its pair.
TEST_F(FragileTest, OutputsKeepTheirPairs) {
  graph_.AddOutput(product_);
  EXPECT_THAT(finder_->AllOf(plan_).bare, IsEmpty());
}

// A convolution without a pair behind it would run in float.
TEST_F(FragileTest, ResultsOfConvolutionsKeepTheirPairs) {
  graph_.node(graph_.value(product_).producer).op_type = "Conv";
  EXPECT_THAT(finder_->AllOf(plan_).bare, IsEmpty());
}

// A unit that is one operator for the runtime (placement: fused) is not taken apart.
TEST_F(FragileTest, EpiloguesOfProductsStay) {
  plan_.activations.erase(product_);
  const Fragile all = finder_->AllOf(plan_);
  EXPECT_THAT(all.nodes, ElementsAre(add_, scale_));
  EXPECT_THAT(all.bare, ElementsAre(graph_.Find("doubled")));
}

// A sample without signal would be most of a mean of ratios, or nothing.
TEST_F(FragileTest, SilentSamplesAreLeftOut) {
  const ValueId loud = graph_.Find("scaled"), out = Value("gated");  // y times the sign of x, 0 for zeros
  const ValueId sign = Value("sign");
  graph_.AddNode("Sign", "sign", {graph_.Find("x")}, {sign});
  graph_.AddNode("Mul", "gate", {loud, sign}, {out});
  graph_.RemoveOutput(graph_.Find("y"));
  graph_.AddOutput(out);
  const auto noise = [&](const std::vector<Sample>& samples) {
    const ValueFacts facts(graph_, samples_[0], pool_);
    const std::vector<OutputParts> parts = FindOutputParts(graph_, facts, pool_);
    return FragileFinder(graph_, facts, options_, parts, samples, pool_).Noise(plan_);
  };
  Sample silent = {samples_[0][0].Clone()};
  std::fill_n(silent[0].data<float>(), silent[0].size(), 0.0f);
  const double alone = noise({samples_[0]});
  EXPECT_GT(alone, 0.1);
  EXPECT_EQ(noise({silent, samples_[0]}), alone);
  EXPECT_EQ(noise({silent}), 0);  // all are: nothing is left out
}

// Layers in a row, as a test puts them together.
class FragileChainTest : public testing::Test {
 protected:
  FragileChainTest() {
    graph_.opset_imports[""] = 13;
    at_ = Value("x");
    graph_.AddInput(at_);
    for (uint64_t s = 0; s < 3; ++s) samples_.push_back({Noise({4, 16}, s + 1)});
  }

  ValueId Value(const std::string& name) { return graph_.AddValue(name, DType::kFloat); }
  ValueId Vector(float most) {
    std::vector<float> elements(16, 1.0f);
    elements[3] = most;
    return graph_.AddConstant("vector", Tensor::Of<float>({16}, elements));
  }
  ValueId Op(const char* type, const std::string& name, std::vector<ValueId> inputs) {
    const ValueId out = Value(name);
    graph_.AddNode(type, name, std::move(inputs), {out});
    return out;
  }
  ValueId Product(const std::string& name, ValueId x, uint64_t seed) {
    return Op("MatMul", name, {x, graph_.AddConstant(name + "_w", Noise({16, 16}, seed))});
  }

  void Finish() {
    graph_.AddOutput(at_);
    facts_ = std::make_unique<ValueFacts>(graph_, samples_[0], pool_);
    parts_ = FindOutputParts(graph_, *facts_, pool_);
    plan_ = PlacePlan(graph_, *facts_, options_);
    spare_ = SpareActivations(graph_, *facts_, plan_);
    for (QuantPlan* plan : {&plan_, &spare_}) SetRanges(plan);
    finder_ = std::make_unique<FragileFinder>(graph_, *facts_, options_, parts_, samples_, pool_);
  }
  // By the extremes on the samples.
  void SetRanges(QuantPlan* plan) {
    std::vector<ValueId> taps;
    for (const auto& [id, quant] : plan->activations) taps.push_back(id);
    std::map<ValueId, std::pair<float, float>> seen;
    Executor executor(graph_, pool_);
    executor.SetTaps(taps, [&](ValueId id, const Tensor& tensor) {
      const auto [lo, hi] = std::minmax_element(tensor.data<float>(), tensor.data<float>() + tensor.size());
      seen[id].first = std::min(seen[id].first, *lo);
      seen[id].second = std::max(seen[id].second, *hi);
    });
    for (const Sample& sample : samples_) executor.Run(sample);
    for (ValueId id : taps) {
      const float wider = graph_.value(id).name == "x" ? coarse_ : 1;
      SetRange(plan, id, wider * seen[id].first, wider * seen[id].second, "test");
    }
  }
  QuantPlan Placed(const Fragile& fragile) {
    Choices choices;
    for (NodeId id : fragile.nodes) choices.float_by_data[id] = "fragile";
    choices.bare = fragile.bare;
    QuantPlan plan = PlacePlan(graph_, *facts_, options_, choices);
    SetRanges(&plan);
    return plan;
  }
  std::set<std::string> Names(const std::set<NodeId>& nodes) const {
    std::set<std::string> names;
    for (NodeId id : nodes) names.insert(graph_.node(id).name);
    return names;
  }

  Graph graph_;
  ThreadPool pool_{2};
  ValueId at_ = kNone;
  float coarse_ = 1;  // the input's range is as much too wide
  std::vector<Sample> samples_;
  QuantizationParameters options_;
  std::unique_ptr<ValueFacts> facts_;
  std::vector<OutputParts> parts_;
  QuantPlan plan_, spare_;
  std::unique_ptr<FragileFinder> finder_;
  const ProgressCall quiet_ = [](int64_t, int64_t) {};
};

// A product and the sum behind it are one unit; the sum is left float and the product goes on as float32.
TEST_F(FragileChainTest, ResidualSumsOfFusedUnitsAreFound) {
  options_.placement = Placement::kFused;
  ValueId stream = Op("Add", "first", {Product("in", at_, 1), Vector(3000)});
  for (const char* layer : {"a", "b"}) {
    const ValueId scaled = Op("Mul", std::string(layer) + "_scale", {stream, Vector(1 / 3000.0f)});
    const ValueId product = Product(std::string(layer) + "_product", scaled, 7);
    const ValueId biased = Op("Add", std::string(layer) + "_bias", {product, Vector(2)});
    stream = Op("Add", std::string(layer) + "_sum", {stream, biased});
  }
  at_ = Product("out", Op("Mul", "last", {stream, Vector(1 / 3000.0f)}), 9);
  Finish();
  ASSERT_FALSE(plan_.activations.count(graph_.Find("a_bias")));  // inside the unit
  ASSERT_GT(finder_->Noise(plan_), 0.2);
  const Fragile all = finder_->AllOf(plan_);
  EXPECT_THAT(Names(all.nodes), ElementsAre("a_scale", "a_sum", "b_scale", "b_sum", "last"));
  EXPECT_THAT(all.bare,
              UnorderedElementsAre(graph_.Find("first"), graph_.Find("a_bias"), graph_.Find("b_bias")));
  const Fragile found = finder_->Find(plan_, spare_, quiet_);
  EXPECT_THAT(Names(found.nodes), IsSupersetOf({"a_sum", "b_sum"}));
  const QuantPlan plan = Placed(found);
  EXPECT_LT(finder_->Noise(plan), 0.01);
  for (const char* product : {"in", "a_product", "b_product", "out"})
    EXPECT_TRUE(plan.nodes.count(graph_.value(graph_.Find(product)).producer)) << product;
}

// However many little rises there are, together they are no more than what is allowed.
TEST_F(FragileChainTest, TheRiseOfAllIsBounded) {
  at_ = Product("in", at_, 1);
  for (uint64_t i = 0; i < 24; ++i) {
    const ValueId vector = graph_.AddConstant("v", Noise({16}, 10 + i, 0.6f, 1.2f));
    at_ = Product("p" + std::to_string(i), Op("Mul", "m" + std::to_string(i), {at_, vector}), 50 + i);
  }
  samples_ = {{Noise({2000, 16}, 1)}};
  coarse_ = 40;  // so that each of the Muls is next to nothing beside it
  Finish();
  const double least = finder_->Noise(Placed(finder_->AllOf(plan_))), all = finder_->Noise(plan_);
  ASSERT_GT(all, 1.15 * least);
  ASSERT_LT(all, 2 * least);
  const Fragile found = finder_->Find(plan_, spare_, quiet_, {0.02, 0});
  EXPECT_LT(found.nodes.size(), 24u);
  EXPECT_LE(finder_->Noise(Placed(found)), (1.02 + 0.02) * least);
}

// Products of weights. Neighbouring channels of the input are nearly alike, and what counts is their
// difference.
class FragileProductTest : public FragileChainTest {
 protected:
  FragileProductTest() {
    for (Sample& sample : samples_) MakePairsAlike(&sample[0]);
  }
  ValueId Difference(const std::string& name) {  // 512 multiply-adds
    return Op("MatMul", name, {graph_.Find("x"), graph_.AddConstant(name + "_w", DifferenceWeights(1))});
  }
  ValueId Wide(ValueId x, int64_t width) {  // 32 multiply-adds for each
    return Op("MatMul", "wide", {x, graph_.AddConstant("wide_w", Noise({8, width}, 2))});
  }
};

TEST_F(FragileProductTest, TheOneThatRuinsTheOutputIsFound) {
  const ValueId harmless =
      Op("MatMul", "harmless", {Difference("difference"), graph_.AddConstant("w", Noise({8, 8}, 3))});
  at_ = Wide(harmless, 2000);
  Finish();
  EXPECT_GT(finder_->Noise(plan_), 0.5);
  EXPECT_THAT(finder_->AllOf(plan_).nodes, IsEmpty());
  EXPECT_THAT(Names(finder_->SmallProducts(plan_).nodes), ElementsAre("difference", "harmless"));
  const Fragile found = finder_->FindProducts(plan_, spare_, quiet_);
  EXPECT_THAT(Names(found.nodes), ElementsAre("difference"));
  EXPECT_LT(finder_->Noise(Placed(found)), 0.01);
}

TEST_F(FragileProductTest, LargeOnesStay) {
  at_ = Wide(Difference("difference"), 380);
  Finish();
  EXPECT_THAT(finder_->SmallProducts(plan_).nodes, IsEmpty());
  EXPECT_THAT(finder_->FindProducts(plan_, spare_, quiet_).nodes, IsEmpty());
}

TEST_F(FragileProductTest, AllTogetherHaveFewMultiplyAdds) {
  at_ = Wide(Op("Add", "sum", {Difference("a"), Difference("b")}), 500);
  Finish();
  EXPECT_EQ(finder_->SmallProducts(plan_).nodes.size(), 2u);
  EXPECT_EQ(finder_->FindProducts(plan_, spare_, quiet_).nodes.size(), 1u);
}

TEST_F(FragileProductTest, ProductsOfActivationsStay) {
  const ValueId turned = graph_.AddValue("turned", DType::kFloat);
  const ValueId difference = Difference("difference");
  graph_.AddNode("Transpose", "turn", {difference}, {turned});
  graph_.AddOutput(Op("MatMul", "square", {difference, turned}));
  at_ = Wide(difference, 2000);
  Finish();
  EXPECT_THAT(Names(finder_->SmallProducts(plan_).nodes), ElementsAre("difference"));
}

TEST_F(FragileProductTest, ThoseAtTheEndStayWhereItIsNotProtected) {
  at_ = Wide(Difference("difference"), 2000);
  graph_.AddOutput(Difference("last"));
  options_.protect_outputs = ProtectOutputs::kNever;
  Finish();
  EXPECT_THAT(Names(finder_->SmallProducts(plan_).nodes), ElementsAre("difference"));
}

// With its bias and activation it is one operator for the runtime.
TEST_F(FragileProductTest, FusedUnitsStayWhole) {
  options_.placement = Placement::kFused;
  const ValueId bias = graph_.AddConstant("b", Noise({8}, 4, 0.001f));
  at_ = Wide(Op("Relu", "relu", {Op("Add", "bias", {Difference("difference"), bias})}), 2000);
  Finish();
  EXPECT_THAT(Names(finder_->SmallProducts(plan_).nodes), ElementsAre("bias", "difference", "relu"));
}

TEST_F(FragileProductTest, OfManyNeighboursGoTogether) {
  at_ = Difference("difference");
  for (uint64_t i = 0; i < 100; ++i)
    at_ = Op("MatMul", "p" + std::to_string(i), {at_, graph_.AddConstant("w", Noise({8, 8}, 10 + i, 2))});
  Finish();
  int64_t measured = 0;
  const Fragile found = finder_->FindProducts(plan_, spare_, [&](int64_t done, int64_t) { measured = done; });
  EXPECT_LE(measured, 96);
  EXPECT_TRUE(found.nodes.count(graph_.value(graph_.Find("difference")).producer));
}

// Where a forward takes long, groups are not taken apart to the last operator.
TEST(Gains, ComingBackToNothingIsNone) {
  EXPECT_TRUE(Gains(0.3, 0.1));
  EXPECT_FALSE(Gains(0.3, 0.25));
  EXPECT_TRUE(Gains(1.9, 0.5));
  EXPECT_FALSE(Gains(1.9, 0.95));
  EXPECT_TRUE(Gains(std::numeric_limits<double>::infinity(), 0.2));
}

TEST_F(FragileChainTest, TheNumberOfMeasurementsIsBounded) {
  constexpr int kLayers = 100;
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = std::to_string(i);
    const ValueId large =
        Op("Mul", layer + "_large", {Product(layer, at_, 1 + static_cast<uint64_t>(i)), Vector(3000)});
    at_ = Op("Mul", layer + "_small", {large, Vector(1 / 3000.0f)});
  }
  at_ = Product("out", at_, 200);
  Attribute taken, not_taken;
  for (Attribute* body : {&taken, &not_taken}) {
    body->kind = Attribute::Kind::kGraph;
    body->graph = std::make_shared<Graph>();
    body->graph->opset_imports = graph_.opset_imports;
    ValueId in = body->graph->AddConstant("one", Tensor::Scalar(1.0f));
    for (int i = 0; i < (body == &taken ? 1 : 6000); ++i) {
      const ValueId out = body->graph->AddValue("body" + std::to_string(i), DType::kFloat);
      body->graph->AddNode("Neg", "neg" + std::to_string(i), {in}, {out});
      in = out;
    }
    body->graph->AddOutput(in);
  }
  const ValueId other = Value("other");
  graph_.AddNode("If", "if", {graph_.AddConstant("yes", Tensor::Scalar(true))}, {other},
                 {{"then_branch", taken}, {"else_branch", not_taken}});
  graph_.AddOutput(other);
  Finish();
  int calls = 0;
  int64_t last = 0;
  const Fragile found = finder_->Find(plan_, spare_, [&](int64_t done, int64_t total) {
    ++calls;
    last = done;
    EXPECT_EQ(total, 2 * kLayers);
  });
  EXPECT_LT(calls, 20);
  EXPECT_EQ(last, 2 * kLayers);
  EXPECT_GT(found.nodes.size(), 2 * kLayers - 20);
}

}  // namespace
}  // namespace xslim
