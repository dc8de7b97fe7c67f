#include "pipeline/precision.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "noise.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Source : public SampleSource {
 public:
  int64_t size() const override { return 8; }
  Sample at(int64_t index) const override { return {Noise({2, 16}, static_cast<uint64_t>(index) + 1)}; }
  std::string Describe() const override { return "noise"; }
};

// Three layers; the pair behind the second has a range that erases nearly all it carries.
class RunPrecisionTest : public testing::Test {
 protected:
  RunPrecisionTest() {
    graph_.opset_imports[""] = 13;
    ValueId x = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x);
    for (int layer = 0; layer < 3; ++layer) {
      const std::string name = "layer" + std::to_string(layer);
      const ValueId out = graph_.AddValue(name, DType::kFloat);
      graph_.AddNode(
          "Gemm", name + "_gemm",
          {x, graph_.AddConstant(name + "_w", Noise({16, 16}, 100 + static_cast<uint64_t>(layer)))}, {out});
      x = out;
    }
    graph_.AddOutput(x);
    facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
    plan_ = PlacePlan(graph_, *facts_, settings_);
    spare_ = SpareActivations(graph_, *facts_, plan_);
    for (QuantPlan* plan : {&plan_, &spare_}) {
      std::vector<ValueId> ids;
      for (const auto& [id, quant] : plan->activations) ids.push_back(id);
      for (ValueId id : ids) SetRange(plan, id, -2, 2, "test");
    }
    SetRange(&plan_, graph_.Find("layer1"), -100, 100, "test");
    parts_ = FindOutputParts(graph_, *facts_, pool_);
  }

  PrecisionRun Run() {
    const Graph original = graph_;
    return Run([&](const Graph& reference, const QuantPlan& plan) {
      return Measure(original, reference, ExportQdq(reference, plan), plan, parts_, source_, {6, 7}, pool_,
                     [](int64_t, int64_t) {});
    });
  }
  PrecisionRun Run(const MeasurePlan& on_report) {
    const Graph original = graph_;
    const std::vector<int64_t> indices = {0, 1, 2, 3, 4, 5};
    const MeasurePlan measure = [&](const Graph& reference, const QuantPlan& plan) {
      ++measured_;
      return on_report(reference, plan);
    };
    const auto progress = [](const char*) { return [](int64_t, int64_t) {}; };
    return RunPrecision(settings_, {original, *facts_, parts_, source_, indices}, spare_, measure, pool_,
                        progress, &graph_, &plan_);
  }
  std::vector<std::string> Titles(const std::set<NodeId>& nodes) const {
    std::vector<std::string> titles;
    for (NodeId id : nodes) titles.push_back(graph_.node(id).name);
    return titles;
  }

  Graph graph_;
  ThreadPool pool_{2};
  Source source_;
  QuantizationParameters settings_;
  std::unique_ptr<ValueFacts> facts_;
  QuantPlan plan_, spare_;
  std::vector<OutputParts> parts_;
  int measured_ = 0;
};

TEST_F(RunPrecisionTest, AutoPrecisionLeavesWhatHoldsTheBadPairFloat) {
  settings_.auto_precision = 0.01;
  const PrecisionRun run = Run();
  EXPECT_THAT(Titles(plan_.nodes), ElementsAre("layer0_gemm"));
  for (NodeId id : graph_.Order()) {
    if (!plan_.nodes.count(id)) {
      EXPECT_THAT(plan_.left_float.at(id), HasSubstr("auto_precision"));
    }
  }
  ASSERT_TRUE(run.measures);  // on the samples of the report, of the plan as it is now
  EXPECT_LE(run.measures->outputs[0].snr, 0.01);
  EXPECT_GE(measured_, 1);
  ASSERT_EQ(run.sections.size(), 1u);
  EXPECT_EQ(run.sections[0].first, "auto_precision");
  EXPECT_THAT(run.lines, IsEmpty());
}

// No bound on the noise makes a number of it: what is good enough otherwise stays int8.
TEST_F(RunPrecisionTest, AnOutputThatIsNoNumberMissesTheTargetWhereverItStands) {
  settings_.auto_precision = 0.01;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& ratios :
       {std::vector<double>{nan, 0.001}, {0.001, nan}, {0.5, nan, 0.001}}) {
    QuantPlan kept = plan_;
    const Graph before = graph_;
    measured_ = 0;
    const PrecisionRun run = Run([&](const Graph&, const QuantPlan&) {
      Measures measures;
      for (double ratio : ratios) {
        OutputMeasure output;
        output.name = "y" + std::to_string(measures.outputs.size());
        output.samples = 2;
        output.snr = ratio;
        measures.outputs.push_back(output);
      }
      return measures;
    });
    EXPECT_EQ(measured_, 1);
    ASSERT_EQ(run.sections.size(), 1u);
    EXPECT_THAT(run.sections[0].second, HasSubstr("\"met\": false"));
    EXPECT_THAT(Titles(plan_.nodes), ElementsAre("layer0_gemm"));
    plan_ = std::move(kept);
    graph_ = before;
  }
}

TEST_F(RunPrecisionTest, LevelOneIsATargetToo) {
  settings_.precision_level = kPrecisionAuto;
  ASSERT_EQ(PrecisionTarget(settings_), kAutoPrecisionTarget);
  EXPECT_LE(Run().measures->outputs[0].snr, kAutoPrecisionTarget);
}

TEST_F(RunPrecisionTest, SensitivityChangesNothing) {
  settings_.sensitivity = true;
  const QuantPlan before = plan_;
  const PrecisionRun run = Run();
  EXPECT_EQ(plan_.nodes, before.nodes);
  EXPECT_EQ(measured_, 0);
  EXPECT_FALSE(run.measures);
  ASSERT_EQ(run.sections.size(), 1u);
  EXPECT_EQ(run.sections[0].first, "sensitivity");
  std::string text;
  for (const std::string& line : run.lines) text += line + "\n";
  EXPECT_THAT(text, AllOf(HasSubstr("layer1_gemm"), HasSubstr("layer0_gemm")));
  EXPECT_LT(text.find("layer1_gemm"), text.find("layer0_gemm"));  // what costs most comes first
  EXPECT_THAT(run.markdown, HasSubstr("layer2_gemm"));
}

TEST_F(RunPrecisionTest, NeedsOperatorsAndAFloatOutput) {
  settings_.sensitivity = true;
  EXPECT_THROW(SettlePrecision(*facts_, parts_, false, &settings_), Error);
  SettlePrecision(*facts_, parts_, true, &settings_);
  parts_[0].is_float = false;
  EXPECT_THROW(SettlePrecision(*facts_, parts_, true, &settings_), Error);
  parts_[0].rounded = true;
  SettlePrecision(*facts_, parts_, true, &settings_);
}

TEST_F(RunPrecisionTest, LevelOneAloneBecomesZeroWhereNothingCanBeMeasured) {
  settings_ = {};
  settings_.precision_level = kPrecisionAuto;
  SettlePrecision(*facts_, parts_, true, &settings_);
  EXPECT_EQ(settings_.precision_level, kPrecisionAuto);
  QuantizationParameters wanted = settings_;
  wanted.sensitivity = true;
  EXPECT_THROW(SettlePrecision(*facts_, parts_, false, &wanted), Error);
  SettlePrecision(*facts_, parts_, false, &settings_);
  EXPECT_EQ(settings_.precision_level, 0);
}

}  // namespace
}  // namespace xslim
