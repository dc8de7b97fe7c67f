#include "pipeline/plan_int8.h"

#include <gmock/gmock.h>

#include "fragile_model.h"

namespace xslim {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class PlanInt8Test : public FragileModel {
 protected:
  PlanInt8Test() : FragileModel(false) {}

  PlannedInt8 Planned(int level, bool spare = false, bool meaningful = true) {
    Graph graph = graph_;
    choices_ = {};
    QuantPlan plan = PlacePlan(graph, *facts_, config_.quantization, choices_);
    choices_.placed = plan.nodes;
    PlanTask task{config_, options_, source_, indices_, level, pool_, meaningful};
    task.spare = spare;
    TraceStage stage("test");
    passes_ = 0;
    return PlanInt8(
        &graph, *facts_, parts_, std::move(task), [this](const QuantPlan& of) { return Observe(of); },
        &choices_, std::move(plan), &stage);
  }

  RunOptions options_;
  Choices choices_;
};

TEST_F(PlanInt8Test, EveryPairHasARange) {
  for (int level : {0, 1}) {
    const PlannedInt8 planned = Planned(level);
    EXPECT_EQ(planned.plan.nodes.count(NodeOf("sum")), 0u);
    EXPECT_EQ(choices_.float_by_data.count(NodeOf("sum")), 1u);
    for (const auto& [id, quant] : planned.plan.activations) EXPECT_TRUE(quant.params.set());
    EXPECT_THAT(planned.spare.activations, IsEmpty());
    EXPECT_EQ(planned.account.empty(), level == 0);
  }
}

TEST_F(PlanInt8Test, FragileOperatorsAreLookedForWhereDataTellOfThem) {
  EXPECT_EQ(Planned(0, false, false).plan.nodes.count(NodeOf("sum")), 1u);
  config_.quantization.protect_fragile = false;
  EXPECT_EQ(Planned(0).plan.nodes.count(NodeOf("sum")), 1u);
  EXPECT_EQ(passes_, 1);
}

// The same ranges, whether tensors without a pair are observed or not.
TEST_F(PlanInt8Test, SpareTensorsChangeNothing) {
  for (Placement placement : {Placement::kXslim, Placement::kFused}) {
    config_.quantization.placement = placement;
    const PlannedInt8 plain = Planned(0), with = Planned(0, true);
    EXPECT_EQ(passes_, 1);
    EXPECT_THAT(with.spare.activations, Not(IsEmpty()));
    EXPECT_EQ(plain.plan.nodes, with.plan.nodes);
    ASSERT_EQ(plain.plan.activations.size(), with.plan.activations.size());
    for (const auto& [id, quant] : plain.plan.activations) {
      EXPECT_EQ(quant.params.scale, with.plan.activations.at(id).params.scale);
      EXPECT_EQ(with.spare.activations.count(id), 0u);
    }
    for (const auto& [id, quant] : with.spare.activations) EXPECT_TRUE(quant.params.set());
  }
}

// A channel three hundred times larger than the others, which counts for nothing behind it: two products that
// are too large to become float.
TEST_F(PlanInt8Test, RangesOfARuinedModelAreChosenByTheirCost) {
  Tensor wide = Noise({16, 512}, 1), square = Noise({512, 512}, 2);
  for (int64_t i = 0; i < 16; ++i) wide.data<float>()[i * 512] *= 300;
  for (int64_t i = 0; i < 512; ++i) square.data<float>()[i] = 0;
  graph_ = Graph();
  graph_.opset_imports[""] = 13;
  const ValueId x = graph_.AddValue("x", DType::kFloat);
  graph_.AddInput(x);
  const ValueId first = Op("MatMul", "first", {x, graph_.AddConstant("w1", std::move(wide))});
  graph_.AddOutput(Op("MatMul", "second", {first, graph_.AddConstant("w2", std::move(square))}));
  facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
  parts_ = FindOutputParts(graph_, *facts_, pool_);
  config_.quantization.range_costs = false;
  const PlannedInt8 kept = Planned(0);
  EXPECT_THAT(kept.account, IsEmpty());
  config_.quantization.range_costs = true;
  const PlannedInt8 chosen = Planned(0);
  ASSERT_FALSE(chosen.account.empty());
  EXPECT_THAT(chosen.account.back(), HasSubstr("chosen by what they cost"));
  EXPECT_LT(chosen.plan.activations.at(first).hi, 0.3f * kept.plan.activations.at(first).hi);
}

}  // namespace
}  // namespace xslim
