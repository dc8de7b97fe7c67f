#include "tune/fragile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "noise.h"

namespace xslim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

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
    choices.float_by_data = fragile.nodes;
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

  static std::vector<NodeId> NodesOf(const Fragile& fragile) {
    std::vector<NodeId> nodes;
    for (const auto& [id, why] : fragile.nodes) nodes.push_back(id);
    return nodes;
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
  const Fragile fragile = finder_->Find(plan_, spare_, 0.01, quiet_);
  EXPECT_THAT(NodesOf(fragile), ElementsAre(add_));  // behind it scale_ is no more reached
  EXPECT_THAT(fragile.bare, IsEmpty());
  EXPECT_LT(finder_->Noise(Planned(fragile)), 0.01);
}

TEST_F(FragileTest, NoMoreIsFoundThanTheRestAllows) {
  EXPECT_THAT(NodesOf(finder_->Find(plan_, spare_, 10, quiet_)), IsEmpty());
}

TEST_F(FragileTest, AllAreTheOperatorsWithoutProducts) {
  const Fragile all = finder_->AllOf(plan_);
  EXPECT_THAT(NodesOf(all), ElementsAre(double_, add_, scale_));
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
  EXPECT_THAT(NodesOf(finder.Find(plan_, spare_, 0.01, quiet_)), ElementsAre(add_));
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
  EXPECT_THAT(NodesOf(finder.AllOf(plan)), IsEmpty());
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
  EXPECT_THAT(NodesOf(all), ElementsAre(add_, scale_));
  EXPECT_THAT(all.bare, ElementsAre(graph_.Find("doubled")));
}

}  // namespace
}  // namespace xslim
