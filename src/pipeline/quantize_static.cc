#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/trace.h"
#include "calibrate/calibrate.h"
#include "data/samples.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "pipeline/model_inputs.h"
#include "pipeline/modes.h"
#include "pipeline/static_report.h"
#include "pipeline/statistics_source.h"
#include "quant/inline.h"
#include "quant/plan.h"
#include "report/markdown.h"
#include "report/measure.h"
#include "report/summary.h"
#include "tune/equalize.h"
#include "tune/tune.h"

namespace xslim {
namespace {

constexpr int kQdqOpset = 13;  // per-axis QuantizeLinear and DequantizeLinear
constexpr int64_t kReportSamples = 16;
constexpr int kEqualizationIterations = 10;

void RefuseQuantized(const Graph& graph, const std::string& path) {
  std::string names;
  int count = 0;
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (!node.Is("QuantizeLinear") && !node.Is("DequantizeLinear")) continue;
    if (count++ < 5) names += (names.empty() ? "" : ", ") + node.name;
  }
  if (count > 5) names += ", ... (" + std::to_string(count) + " in all)";
  if (count > 0)
    throw Error("the model already holds QuantizeLinear/DequantizeLinear nodes: " + names, path,
                "give the float model");
}

// Samples that calibration uses, and those that the report measures: ones that calibration did not use where
// the list has more than it needs.
struct SampleChoice {
  std::vector<int64_t> calibration, report;
};

SampleChoice ChooseSamples(int64_t available, const CalibrationParameters& parameters) {
  SampleChoice choice;
  const int64_t batch = std::max(parameters.calibration_batch_size, 1);
  const int64_t wanted = std::max<int64_t>(parameters.calibration_step / batch, 1);
  for (int64_t i = 0; i < std::min(available, wanted); ++i) choice.calibration.push_back(i);
  const int64_t used = static_cast<int64_t>(choice.calibration.size()), unused = available - used;
  Random random(20260101);
  const bool fresh = unused >= 4;
  for (int64_t i : Choose(random, fresh ? unused : used, kReportSamples))
    choice.report.push_back(fresh ? used + i : i);
  return choice;
}

// Model and report, both or none; no report when `report` is "".
void SaveOutputs(const Graph& graph, const OutputPaths& paths, const SaveOptions& options,
                 const std::string& report) {
  if (report.empty()) return SaveModel(graph, paths.model, options);
  OutputFile file(paths.report);
  file.Write(report);
  SaveModel(graph, paths.model, options);
  try {
    file.Commit();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(paths.model, ignored);
    throw;
  }
}

void WarnNonFinite(const std::vector<OutputMeasure>& outputs) {
  for (const OutputMeasure& output : outputs) {
    if (output.samples == 0 || (std::isfinite(output.snr) && std::isfinite(output.cosine))) continue;
    LogWarning("output ", output.name,
               " holds NaN or infinity on samples of the report; its SNR says nothing");
  }
}

}  // namespace

RunResult QuantizeStatic(Graph original, const Config& config, const RunOptions& options,
                         const OutputPaths& paths, ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  const auto progress = [&](const char* stage) {
    return [&options, stage](int64_t done, int64_t total) {
      if (options.progress) options.progress(stage, done, total);
    };
  };
  TraceStage stage("simplify");
  RefuseQuantized(original, paths.input);
  if (config.model.opset && *config.model.opset < kQdqOpset) {
    throw Error("int8 with scales per channel needs opset 13, and " + std::to_string(*config.model.opset) +
                    " is asked for",
                "--opset or model_parameters.opset", "ask for 13 or more");
  }
  const std::unique_ptr<SampleSource> samples = OpenSamples(config, InputsOf(original), 0);
  const SampleChoice choice = ChooseSamples(samples->size(), config.calibration);

  Graph graph = original;
  if (const int calls = InlineForInt8(&graph)) LogInfo("inlined ", calls, " calls of the model's functions");
  PinOpset(&graph, config, paths.input);
  if (const auto obstacle = RaiseOpset(&graph, kQdqOpset)) {
    throw Error("int8 needs opset 13 and the model cannot be raised to it: " + *obstacle, paths.input);
  }
  SimplifyModel(&graph, config, true, pool);
  stage.Next("equalize");
  if (settings.equalization) {
    const int pairs = EqualizeByWeights(&graph, kEqualizationIterations);
    LogInfo("equalized ", pairs, " pairs of layers");
  }

  stage.Next("place");
  const ValueFacts facts(graph, samples->at(choice.calibration.front()), pool);
  ReportUnknown(facts.unknown(), settings.strict);
  QuantPlan plan = PlacePlan(graph, facts, settings);
  if (plan.nodes.empty()) LogWarning(paths.input, ": no operator can be quantized, the output stays float");
  LogInfo("quantizing ", plan.nodes.size(), " of ", graph.Order().size(), " operators");

  std::vector<ValueId> observed;
  for (const auto& [value, quant] : plan.activations) observed.push_back(value);
  LogInfo("calibrating on ", choice.calibration.size(), " of ", samples->Describe());
  stage.Next("calibrate");
  RangeProposals proposals;
  {  // the histograms are gone again before tuning and the report
    const StatisticsMap statistics = ObtainStatistics(graph, facts, observed, *samples, choice.calibration,
                                                      settings.max_percentile, options, pool);
    stage.Next("choose ranges");
    ChooseRanges(graph, statistics, config.calibration.calibration_type, pool, &plan);
    if (settings.finetune_level > 0) proposals = ProposeRanges(statistics, plan, pool);
  }

  if (settings.finetune_level > 0) {
    stage.Next("tune");
    LogInfo("tuning");
    TuneOptions tuning;
    tuning.level = settings.finetune_level;
    tuning.ceiling = MemoryCeiling(options.max_memory);
    Tune(&graph, &plan, facts, proposals, *samples, choice.calibration, tuning, pool,
         [&](const char* part, int64_t done, int64_t total) { progress(part)(done, total); });
  }

  stage.Next("export");
  DropUnusedFunctions(&graph);
  const Graph exported = ExportQdq(graph, plan);
  RunResult result{paths.model, "", {}};
  std::string report;
  if (settings.analysis_enable) {
    stage.Next("report");
    LogInfo("measuring the int8 model on ", choice.report.size(), " samples");
    const Measures measures = Measure(original, graph, exported, plan, *samples, choice.report, pool,
                                      progress("report"), MemoryCeiling(options.max_memory));
    const ReportHead head =
        StaticReportHead(graph, plan, facts, config, std::filesystem::path(paths.input).filename().string(),
                         samples->Describe(), choice.calibration.size(), choice.report.size());
    report = MarkdownReport(graph, head, measures);
    for (const OutputMeasure& output : measures.outputs)
      result.outputs.push_back({output.name, output.snr, output.cosine, output.samples, output.note});
    WarnNonFinite(measures.outputs);
    result.report_path = paths.report;
  }
  stage.Next("save");
  MemoryCeiling(options.max_memory).Check("the run");
  SaveOutputs(exported, paths, SaveOptionsFor(config), report);
  LeftList left;
  for (const auto& [id, why] : plan.left_float) left.push_back({graph.node(id).Title(), why});
  Summarize(CountModel(original), CountModel(exported), paths.input, left, &result);
  LogInfo("wrote ", paths.model);
  return result;
}

}  // namespace xslim
