// The order of the stages and nothing else: the page to read first.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "calibrate/calibrate.h"
#include "data/samples.h"
#include "kernels/kernels.h"
#include "onnx/model_io.h"
#include "pipeline/output_paths.h"
#include "quant/plan.h"
#include "report/markdown.h"
#include "report/measure.h"
#include "simplify/simplify.h"
#include "tune/equalize.h"

namespace xslim {
namespace {

constexpr int kQdqOpset = 13;  // per-axis QuantizeLinear and DequantizeLinear
constexpr int64_t kReportSamples = 16;
constexpr int kEqualizationIterations = 10;

std::vector<ModelInput> InputsOf(const Graph& graph) {
  std::vector<ModelInput> inputs;
  for (ValueId id : graph.FreeInputs()) {
    const Value& value = graph.value(id);
    ModelInput input{value.name, value.dtype, {}, value.has_shape};
    for (const Dim& dim : value.dims) input.dims.push_back(dim.size);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

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

void PinOpset(Graph* graph, const Config& config, const std::string& path) {
  if (!config.model.opset) return;
  const int wanted = *config.model.opset;
  if (wanted < graph->opset()) {
    throw Error(
        "cannot lower the opset from " + std::to_string(graph->opset()) + " to " + std::to_string(wanted),
        path, "lowering is not built into this version");
  }
  if (const auto obstacle = RaiseOpset(graph, wanted))
    throw Error("cannot raise the opset: " + *obstacle, path);
}

SimplifyOptions OptionsFor(const Graph& graph, const Config& config, bool legalize) {
  SimplifyOptions options;
  options.legalize = legalize;
  options.highest_opset = config.model.opset ? *config.model.opset : legalize ? 24 : graph.opset();
  return options;
}

std::string Percent(int64_t part, int64_t whole) {
  const int64_t tenths = whole > 0 ? (part * 1000 + whole / 2) / whole : 0;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

const char* NameOf(CalibrationType type) {
  switch (type) {
    case CalibrationType::kDefault:
      return "default";
    case CalibrationType::kKl:
      return "kl";
    case CalibrationType::kMinMax:
      return "minmax";
    case CalibrationType::kPercentile:
      return "percentile";
    case CalibrationType::kMse:
      return "mse";
  }
  return "";
}

ReportHead HeadOf(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts, const Config& config,
                  const OutputPaths& paths, const SampleSource& samples, const SampleChoice& choice) {
  int64_t macs = 0, int8_macs = 0, compute = 0, int8_compute = 0;
  for (NodeId id : graph.Order()) {
    const int64_t work = MacsOf(graph, graph.node(id), facts);
    if (work == 0) continue;
    macs += work;
    ++compute;
    if (!plan.nodes.count(id)) continue;
    int8_macs += work;
    ++int8_compute;
  }
  ReportHead head;
  head.lines = {
      {"Model", std::filesystem::path(paths.input).filename().string() + " (opset " +
                    std::to_string(graph.opset()) + ")"},
      {"Data", samples.Describe() + ", " + std::to_string(choice.calibration.size()) +
                   " used for calibration, " + std::to_string(choice.report.size()) + " for this report"},
      {"Settings", std::string("calibration_type ") + NameOf(config.calibration.calibration_type) +
                       ", precision_level " + std::to_string(config.quantization.precision_level) +
                       ", finetune_level " + std::to_string(config.quantization.finetune_level) +
                       (config.quantization.finetune_level > 0 ? " (runs as 0)" : "") + ", equalization " +
                       (config.quantization.equalization ? "on" : "off")},
      {"Multiply-adds in int8", Percent(int8_macs, macs) + " of " + std::to_string(macs)},
      {"Computing operators in int8", std::to_string(int8_compute) + " of " + std::to_string(compute)},
      {"Tensors with Q/DQ", std::to_string(plan.activations.size()) + " activations, " +
                                std::to_string(plan.weights.size()) + " constants"},
      {"xslim", Version()},
  };
  for (const auto& [id, why] : plan.left_float)
    head.notes.push_back(graph.node(id).Title() + " stays float: " + why);
  return head;
}

RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths) {
  PinOpset(&graph, config, paths.input);
  const size_t before = graph.Order().size();
  if (!config.model.skip_onnxsim) Simplify(&graph, OptionsFor(graph, config, false));
  LogInfo("slimmed: ", before, " -> ", graph.Order().size(), " operators");
  SaveModel(graph, paths.model);
  return {paths.model, "", {}};
}

// Model and report, both or none; no report when `report` is "".
void SaveOutputs(const Graph& graph, const OutputPaths& paths, const std::string& report) {
  if (report.empty()) return SaveModel(graph, paths.model);
  OutputFile file(paths.report);
  file.Write(report);
  SaveModel(graph, paths.model);
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
    if (std::isfinite(output.snr) && std::isfinite(output.cosine)) continue;
    LogWarning("output ", output.name,
               " holds NaN or infinity on samples of the report; its SNR says nothing");
  }
}

RunResult QuantizeStatic(Graph original, const Config& config, const RunOptions& options,
                         const OutputPaths& paths, ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  const auto progress = [&](const char* stage) {
    return [&options, stage](int64_t done, int64_t total) {
      if (options.progress) options.progress(stage, done, total);
    };
  };
  RefuseQuantized(original, paths.input);
  const std::unique_ptr<SampleSource> samples = OpenSamples(config, InputsOf(original), 0);
  const SampleChoice choice = ChooseSamples(samples->size(), config.calibration);

  Graph graph = original;
  PinOpset(&graph, config, paths.input);
  if (const auto obstacle = RaiseOpset(&graph, kQdqOpset)) {
    throw Error("int8 needs opset 13 and the model cannot be raised to it: " + *obstacle, paths.input);
  }
  if (!config.model.skip_onnxsim) {
    LogInfo("simplifying");
    Simplify(&graph, OptionsFor(graph, config, true));
  }
  if (settings.equalization) {
    const int pairs = EqualizeByWeights(&graph, kEqualizationIterations);
    LogInfo("equalized ", pairs, " pairs of layers");
  }

  const ValueFacts facts(graph, samples->at(choice.calibration.front()), pool);
  QuantPlan plan = PlacePlan(graph, facts, settings);
  if (plan.nodes.empty()) LogWarning(paths.input, ": no operator can be quantized, the output stays float");
  LogInfo("quantizing ", plan.nodes.size(), " of ", graph.Order().size(), " operators");

  std::vector<ValueId> observed;
  for (const auto& [value, quant] : plan.activations) observed.push_back(value);
  LogInfo("calibrating on ", choice.calibration.size(), " of ", samples->Describe());
  const StatisticsMap statistics = CollectStatistics(graph, observed, *samples, choice.calibration,
                                                     settings.max_percentile, pool, progress("calibrate"));
  ChooseRanges(graph, statistics, config.calibration.calibration_type, pool, &plan);

  const Graph exported = ExportQdq(graph, plan);
  RunResult result{paths.model, "", {}};
  std::string report;
  if (settings.analysis_enable) {
    LogInfo("measuring the int8 model on ", choice.report.size(), " samples");
    const Measures measures =
        Measure(original, graph, exported, plan, *samples, choice.report, pool, progress("report"));
    report = MarkdownReport(graph, HeadOf(graph, plan, facts, config, paths, *samples, choice), measures);
    for (const OutputMeasure& output : measures.outputs)
      result.outputs.push_back({output.name, output.snr, output.cosine});
    WarnNonFinite(measures.outputs);
    result.report_path = paths.report;
  }
  SaveOutputs(exported, paths, report);
  LogInfo("wrote ", paths.model);
  return result;
}

}  // namespace

RunResult Run(Config config, const RunOptions& options) {
  const char* isa_error = nullptr;
  if (kernels::Select(&isa_error) == nullptr) {
    throw Error(isa_error, StrCat("environment XSLIM_ISA=", std::getenv("XSLIM_ISA")));
  }
  const OutputPaths paths = ResolveOutputPaths(config, options);
  const int threads = options.threads > 0
                          ? options.threads
                          : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  ThreadPool pool(threads);
  LogDebug("kernels: ", kernels::Active().name, ", threads: ", pool.size());
  try {
    LogInfo("loading ", paths.input);
    Graph graph = LoadModel(paths.input);
    if (config.quantization.precision_level == kPrecisionSlimOnly)
      return Slim(std::move(graph), config, paths);
    return QuantizeStatic(std::move(graph), config, options, paths, pool);
  } catch (...) {
    RemoveEmptyFolders(paths);
    throw;
  }
}

}  // namespace xslim
