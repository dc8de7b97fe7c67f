// What a run writes, what its verdict says, and what its errors name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_run.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
namespace fs = std::filesystem;

TEST_F(SmallRun, WritesModelReportAndVerdict) {
  const RunResult result = xslim::Run(config_, options_);
  EXPECT_THAT(Outputs(), ElementsAre("out.onnx", "out_report.md", "out_verdict.json"));
  EXPECT_EQ(result.model_path, At("out.onnx"));
  EXPECT_THAT(result.missed, IsEmpty());
  EXPECT_EQ(result.outputs.size(), 1u);
  EXPECT_THAT(ReadFile(At("out_verdict.json")), HasSubstr("\"pass\": true"));
}

// Old exporters list every initializer as an input; a few listed ones are there to be overridden.
TEST_F(SmallRun, InitializersAmongTheInputsAreConstantsWhereMostAreListed) {
  config_.calibration = {};
  for (const int level : {3, 4, 100}) {
    config_.quantization.precision_level = level;
    for (const bool all : {true, false}) {
      Graph graph = MakeGraph();
      for (size_t i = 0; i < graph.value_slots(); ++i) {
        const ValueId id = static_cast<ValueId>(i);
        if (graph.value(id).is_constant() && (all || graph.value(id).name == "w1")) graph.AddInput(id);
      }
      graph.ir_version = 6;
      SaveModel(graph, At("m.onnx"));
      xslim::Run(config_, options_);
      EXPECT_EQ(LoadModel(At("out.onnx")).inputs().size(), all ? 1u : 2u) << level;
    }
  }
}

TEST_F(SmallRun, WritesNoVerdictWhereNothingIsMeasured) {
  config_.quantization.analysis_enable = false;
  EXPECT_EQ(xslim::Run(config_, options_).verdict_path, "");
  EXPECT_THAT(Outputs(), ElementsAre("out.onnx"));
}

TEST_F(SmallRun, AGateThatIsMissedIsNamedAndTheFilesAreThere) {
  config_.quantization.analysis_enable = false;  // a gate measures all the same
  config_.quantization.min_cosine = 1.0;
  config_.quantization.max_snr = 0.5;
  const RunResult result = xslim::Run(config_, options_);
  ASSERT_EQ(result.missed.size(), 1u);
  EXPECT_THAT(result.missed[0], AllOf(HasSubstr("y"), HasSubstr("cosine")));
  EXPECT_THAT(Outputs(), ElementsAre("out.onnx", "out_verdict.json"));
  const std::string verdict = ReadFile(result.verdict_path);
  EXPECT_THAT(verdict, AllOf(HasSubstr("\"pass\": false"), HasSubstr("min_cosine"), HasSubstr("max_snr")));
}

TEST_F(SmallRun, GatesAreMissedOnZeros) {
  config_.calibration.input_parameters[0] = InputParameters();
  config_.quantization.max_snr = 1000;
  const RunResult result = xslim::Run(config_, options_);
  ASSERT_EQ(result.missed.size(), 1u);
  EXPECT_THAT(result.missed[0], HasSubstr("calibrated on zeros"));
}

TEST_F(SmallRun, AllFilesOrNone) {
  Write("out.onnx", "of an earlier run");
  // The report's name becomes a folder's while the run goes on: the model, which has taken its place by then,
  // must not stay there.
  options_.progress = [&](const std::string&, int64_t, int64_t) {
    fs::create_directories(At("out_report.md/inside"));
  };
  EXPECT_THAT(ErrorOf(), HasSubstr("out_report.md"));
  EXPECT_EQ(ReadFile(At("out.onnx")), "of an earlier run");
  EXPECT_FALSE(fs::exists(At("out_verdict.json")));
}

TEST_F(SmallRun, TheReportSaysWhatIsNotTheDefault) {
  QuantizationParameters& settings = config_.quantization;
  xslim::Run(config_, options_);
  const auto line = [&] {
    const std::string report = ReadFile(At("out_report.md"));
    const size_t at = report.find("- Settings:");
    return report.substr(at, report.find('\n', at) - at);
  };
  EXPECT_THAT(line(), AllOf(Not(HasSubstr("bias")), Not(HasSubstr("protect_outputs"))));
  settings.matrix_weights = MatrixWeights::kPowerOfTwoPerTensor;
  settings.bias = BiasType::kInt32;
  settings.protect_outputs = ProtectOutputs::kNever;
  settings.ignore_op_types = {"Relu", "Softmax"};
  settings.ignore_op_names = {"third"};
  settings.auto_precision = 0.25;
  xslim::Run(config_, options_);
  EXPECT_THAT(line(), AllOf(HasSubstr("matrix_weights power_of_two_per_tensor"), HasSubstr("bias int32"),
                            HasSubstr("protect_outputs never"), HasSubstr("ignore_op_types Relu, Softmax"),
                            HasSubstr("ignore_op_names third"), HasSubstr("auto_precision 0.25")));
}

// The model's file stands in every error of its nodes; files and settings are said as they are.
TEST_F(SmallRun, ErrorsNameTheModelTheDataOrTheSetting) {
  Graph graph = MakeGraph();
  graph.node(2).op_type = "NoSuchOperator";
  SaveModel(graph, At("m.onnx"));
  config_.quantization.strict = true;
  EXPECT_THAT(ErrorOf(), AllOf(StartsWith(At("m.onnx") + ": "), HasSubstr("NoSuchOperator")));
  SaveModel(MakeGraph(), At("m.onnx"));
  Write("3.raw", "short");
  EXPECT_THAT(ErrorOf(), StartsWith(At("list.txt") + ":4: " + At("3.raw") + ": "));
  config_.calibration.input_parameters[0].input_name = "z";
  EXPECT_THAT(ErrorOf(), StartsWith(At("c.json") + ": calibration_parameters.input_parameters[0]"));
}

TEST_F(SmallRun, WrongOptionsAreErrorsOfUsage) {
  options_.save_stats = At("s.stats");
  options_.load_stats = At("t.stats");
  EXPECT_THROW(xslim::Run(config_, options_), UsageError);
  options_ = RunOptions();
  config_.model.skip_passes = {"fuse-pat"};
  EXPECT_THROW(xslim::Run(config_, options_), UsageError);
  EXPECT_THAT(ErrorOf(), HasSubstr("did you mean fuse-pad?"));
  EXPECT_THAT(Outputs(), IsEmpty());
}

// One channel of the sum is a thousand times larger than the others, and as much smaller behind it.
Graph FragileGraph(Graph graph) {
  std::vector<float> big(8, 0.5f), small(8, 1.0f);
  big[3] = 1000;
  small[3] = 0.001f;
  const NodeId second = graph.value(graph.Find("y")).producer;
  const ValueId sum = graph.AddValue("sum", DType::kFloat), scaled = graph.AddValue("scaled", DType::kFloat);
  graph.AddNode("Add", "add", {graph.Find("r"), graph.AddConstant("big", Tensor::Of<float>({8}, big))},
                {sum});
  graph.AddNode("Mul", "scale", {sum, graph.AddConstant("small", Tensor::Of<float>({8}, small))}, {scaled});
  graph.SetInput(second, 0, scaled);
  return graph;
}

TEST_F(SmallRun, FragileOperatorsStayFloat) {
  SaveModel(FragileGraph(MakeGraph()), At("m.onnx"));
  for (int level : {0, 1}) {
    config_.quantization.finetune_level = level;
    config_.quantization.protect_fragile = true;
    const RunResult kept = xslim::Run(config_, options_);
    EXPECT_LT(kept.outputs.at(0).snr, 0.01);
    EXPECT_THAT(ReadFile(kept.report_path), HasSubstr("fragile: in int8 it takes an output"));
    config_.quantization.protect_fragile = false;
    EXPECT_GT(xslim::Run(config_, options_).outputs.at(0).snr, 2 * kept.outputs.at(0).snr);
  }
}

// Tensors that get a pair only when others stay float (here: behind a Reshape instead of before it) have the
// percentile of their part of the graph, whoever has observed them before.
TEST_F(SmallRun, StatisticsAndSensitivityChangeNothingOfASetting) {
  Graph graph = FragileGraph(MakeGraph());
  const ValueId moved = graph.AddValue("moved", DType::kFloat), y = graph.Find("y");
  graph.AddNode("Reshape", "move",
                {graph.Find("scaled"), graph.AddConstant("shape", Tensor::Of<int64_t>({3}, {2, 20, 8}))},
                {moved});
  graph.RemoveNode(graph.value(y).producer);
  graph.AddNode("MatMul", "second", {moved, graph.Find("w2")}, {y});
  for (const char* name : {"x", "a", "r"}) graph.value(graph.Find(name)).dims = {{40, ""}, {8, ""}};
  graph.value(y).dims = {{2, ""}, {20, ""}, {8, ""}};
  SaveModel(graph, At("m.onnx"));
  for (uint64_t i = 0; i < 6; ++i) {
    const Tensor sample = Noise({40, 8}, 10 + i);
    Write(std::to_string(i) + ".raw", {reinterpret_cast<const char*>(sample.raw()), sample.bytes()});
  }
  CustomSetting setting;
  setting.input_names = {"x"};
  setting.output_names = {"y"};
  setting.max_percentile = 0.99;
  config_.calibration.calibration_type = CalibrationType::kPercentile;
  const auto run = [&] {
    const RunResult result = xslim::Run(config_, options_);
    EXPECT_THAT(ReadFile(result.report_path), HasSubstr("fragile: in int8"));
    return ReadFile(result.model_path);
  };
  const std::string of_run = run();
  config_.quantization.custom_setting = {setting};
  const std::string own = run();
  EXPECT_TRUE(own != of_run);
  config_.quantization.sensitivity = true;
  EXPECT_TRUE(run() == own);
  config_.quantization.sensitivity = false;
  options_.save_stats = At("s.stats");
  EXPECT_TRUE(run() == own);
  options_.save_stats.clear();
  options_.load_stats = At("s.stats");
  EXPECT_TRUE(run() == own);
}

}  // namespace
}  // namespace xslim
