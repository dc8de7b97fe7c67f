#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "noise.h"
#include "quant/output_parts.h"
#include "runtime/executor.h"
#include "tune/sensitivity.h"

namespace xslim {
namespace {

// Four layers of 16 x 16: Gemm + Relu, Gemm + Relu, Gemm, Gemm. The range of the tensor behind the third is
// far too wide, so that its pair makes nearly all of the noise.
class PrecisionSearchTest : public testing::Test {
 protected:
  PrecisionSearchTest() {
    graph_.opset_imports[""] = 13;
    ValueId x = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x);
    for (int layer = 0; layer < 4; ++layer) {
      const std::string name = "layer" + std::to_string(layer);
      x = Layer(name, x);
      if (layer < 2) {
        const ValueId out = graph_.AddValue(name + "_relu", DType::kFloat);
        graph_.AddNode("Relu", name + "_act", {x}, {out});
        x = out;
      }
    }
    graph_.AddOutput(x);
    for (uint64_t s = 0; s < 4; ++s) samples_.push_back({Noise({2, 16}, s + 1)});
    facts_ = std::make_unique<ValueFacts>(graph_, samples_[0], pool_);
    plan_ = PlacePlan(graph_, *facts_, options_);
    spare_ = SpareActivations(graph_, *facts_, plan_);
    SetRanges(&plan_);
    SetRanges(&spare_);
    SetRange(&plan_, graph_.Find("layer2"), -100, 100, "test");
    plans_ = std::make_unique<PartialPlans>(graph_, biases_, plan_, *facts_, options_, spare_);
    noise_ = std::make_unique<OutputNoise>(graph_, FindOutputParts(graph_, *facts_, pool_), samples_, pool_);
  }

  ValueId Layer(const std::string& name, ValueId x) {
    const ValueId weight = graph_.AddConstant(name + "_w", Noise({16, 16}, 100 + graph_.value_slots()));
    const ValueId bias = graph_.AddConstant(name + "_b", Noise({16}, 200 + graph_.value_slots()));
    const ValueId out = graph_.AddValue(name, DType::kFloat);
    graph_.AddNode("Gemm", name + "_gemm", {x, weight, bias}, {out});
    return out;
  }

  static void SetRanges(QuantPlan* plan) {
    std::vector<ValueId> ids;
    for (const auto& [id, quant] : plan->activations) ids.push_back(id);
    for (ValueId id : ids) SetRange(plan, id, -2, 2, "test");
  }

  std::vector<double> RatiosOf(const QuantPlan& plan) {
    const Graph written = plans_->Written(plan);
    return VariantRunner(written, *noise_, samples_, pool_).base();
  }

  Graph graph_;
  ThreadPool pool_{2};
  std::vector<Sample> samples_;
  QuantizationParameters options_;
  std::unique_ptr<ValueFacts> facts_;
  QuantPlan plan_, spare_;
  std::map<NodeId, Tensor> biases_;
  std::unique_ptr<PartialPlans> plans_;
  std::unique_ptr<OutputNoise> noise_;
  ProgressCall quiet_ = [](int64_t, int64_t) {};
};

TEST_F(PrecisionSearchTest, UnitsHoldTheirFoldedActivation) {
  ASSERT_EQ(plans_->units().size(), 4u);
  EXPECT_EQ(plans_->units()[0].nodes.size(), 2u);
  EXPECT_EQ(plans_->units()[3].nodes.size(), 1u);
  EXPECT_EQ(plans_->units()[0].macs, 2 * 16 * 16);
  EXPECT_EQ(plans_->holders().at(graph_.Find("layer2")), (std::vector<size_t>{2, 3}));
  EXPECT_EQ(plans_->holders().at(graph_.Find("x")), std::vector<size_t>{0});
}

TEST_F(PrecisionSearchTest, NothingInt8IsTheFloatModel) {
  const QuantPlan nothing = plans_->Without({0, 1, 2, 3});
  EXPECT_TRUE(nothing.activations.empty());
  EXPECT_EQ(RatiosOf(nothing), std::vector<double>{0.0});
}

TEST_F(PrecisionSearchTest, BiasesOfFloatOperatorsAreTheOriginalOnes) {
  const NodeId third = plans_->units()[2].node;
  biases_[third] = Tensor::Of<float>({16}, std::vector<float>(16, 7.0f));
  const auto bias_of = [&](const std::set<size_t>& float_units) {
    const Graph graph = plans_->WithBiases(plans_->Without(float_units));
    return graph.Constant(graph.node(third).input(2))->data<float>()[0];
  };
  EXPECT_NE(bias_of({}), 7.0f);
  EXPECT_EQ(bias_of({2}), 7.0f);
}

// A variant that is run from its first change on gives what a whole run gives.
TEST_F(PrecisionSearchTest, VariantsAgreeWithWholeRuns) {
  const Graph whole = plans_->Written(plan_);
  VariantRunner runner(whole, *noise_, samples_, pool_);
  int64_t reported = 0;
  const std::vector<NoiseRatios> ratios = runner.Run(
      4, [&](size_t u) { return plans_->Written(plans_->Without({u})); },
      [&](int64_t done) { reported = done; });
  EXPECT_EQ(reported, 4);
  for (size_t u = 0; u < 4; ++u) EXPECT_EQ(ratios[u], RatiosOf(plans_->Without({u}))) << u;
  const Graph reference = graph_;
  VariantRunner from_float(reference, *noise_, samples_, pool_);
  EXPECT_EQ(from_float.base(), std::vector<double>{0.0});
  const std::vector<NoiseRatios> alone = from_float.Run(
      4, [&](size_t u) { return plans_->Written(plans_->Alone(u)); }, nullptr);
  for (size_t u = 0; u < 4; ++u) EXPECT_EQ(alone[u], RatiosOf(plans_->Alone(u))) << u;
}

TEST_F(PrecisionSearchTest, SensitivityNamesTheOperatorsAtTheBadRange) {
  const SensitivityResult result = MeasureSensitivity(*plans_, *noise_, samples_, pool_, quiet_);
  ASSERT_EQ(result.operators.size(), 4u);
  EXPECT_EQ(result.all_int8, RatiosOf(plan_));
  const std::set<NodeId> first = {result.operators[0].node, result.operators[1].node};
  EXPECT_EQ(first, (std::set<NodeId>{plans_->units()[2].node, plans_->units()[3].node}));
  EXPECT_GT(result.operators[1].alone_int8[0], 100 * result.operators[2].alone_int8[0]);
}

TEST_F(PrecisionSearchTest, LeavesTheHoldersOfTheBadRangeFloat) {
  const double target = 0.01;
  ASSERT_GT(RatiosOf(plan_)[0], target);
  PrecisionSearch search(*plans_, *noise_, samples_, pool_, quiet_);
  EXPECT_TRUE(search.Reach(target, true));
  EXPECT_EQ(search.float_units(), (std::set<size_t>{2, 3}));
  EXPECT_LE(search.noise()[0], target);
  EXPECT_EQ(search.noise(), RatiosOf(plans_->Without({2, 3})));
  EXPECT_EQ(search.int8_macs(), 2 * 2 * 16 * 16);
}

TEST_F(PrecisionSearchTest, LeavesNothingFloatWhereTheTargetIsMet) {
  PrecisionSearch search(*plans_, *noise_, samples_, pool_, quiet_);
  EXPECT_TRUE(search.Reach(RatiosOf(plan_)[0], true));
  EXPECT_TRUE(search.float_units().empty());
  EXPECT_TRUE(search.steps().empty());
}

TEST_F(PrecisionSearchTest, SaysThatATargetIsOutOfReach) {
  PrecisionSearch search(*plans_, *noise_, samples_, pool_, quiet_);
  EXPECT_FALSE(search.Reach(1e-12, true));
  EXPECT_GE(search.int8_macs() * 10, plans_->macs());
}

TEST_F(PrecisionSearchTest, TheSameForAnyNumberOfThreads) {
  std::vector<std::vector<double>> all;
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    const OutputNoise noise(graph_, FindOutputParts(graph_, *facts_, pool), samples_, pool);
    PrecisionSearch search(*plans_, noise, samples_, pool, quiet_);
    search.Reach(1e-4, true);
    all.push_back(search.noise());
  }
  EXPECT_EQ(all[0], all[1]);
}

TEST_F(PrecisionSearchTest, ACurveLeavesMoreAndMoreFloat) {
  PrecisionSearch search(*plans_, *noise_, samples_, pool_, quiet_);
  const CurvePoint whole = search.Point(1, 100), half = search.Point(0.5, 100);
  EXPECT_EQ(whole.float_operators, 0u);
  EXPECT_EQ(whole.noise, RatiosOf(plan_));
  EXPECT_LE(half.int8_macs * 2, plans_->macs());
  EXPECT_LT(half.noise[0], whole.noise[0]);
}

TEST_F(PrecisionSearchTest, ACurveStopsAfterSoManyOperators) {
  PrecisionSearch search(*plans_, *noise_, samples_, pool_, quiet_);
  const CurvePoint first = search.Point(0.1, 1), second = search.Point(0.1, 1);
  EXPECT_GE(first.float_operators, 1u);
  EXPECT_GT(second.float_operators, first.float_operators);
  EXPECT_GT(second.int8_macs * 10, plans_->macs());
}

// What a move brings is set against what was foretold, not against what its last disappointment left of that:
// a move that always brings a tenth must not be trusted fully every other time.
TEST(MoveTrust, IsTheShareOfWhatWasForetold) {
  MoveTrust trust;
  EXPECT_EQ(trust.In({1, 2}), 1);
  for (int round = 0; round < 3; ++round) {
    trust.Learn({1, 2}, 10, 1);
    EXPECT_DOUBLE_EQ(trust.In({1, 2}), 0.1);
  }
  EXPECT_EQ(trust.In({1}), 1);
  trust.Learn({1, 2}, 10, 30);
  EXPECT_EQ(trust.In({1, 2}), 1);
  trust.Learn({1, 2}, 10, -3);
  EXPECT_GT(trust.In({1, 2}), 0);  // what has disappointed is tried again when nothing better is left
  EXPECT_LT(trust.In({1, 2}), 0.1);
}

}  // namespace
}  // namespace xslim
