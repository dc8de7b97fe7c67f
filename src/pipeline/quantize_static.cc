#include <algorithm>
#include <cmath>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/trace.h"
#include "data/samples.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "pipeline/branches.h"
#include "pipeline/model_inputs.h"
#include "pipeline/modes.h"
#include "pipeline/plan_int8.h"
#include "pipeline/precision.h"
#include "pipeline/progress.h"
#include "pipeline/static_report.h"
#include "pipeline/statistics_source.h"
#include "quant/choices.h"
#include "quant/coarse_scales.h"
#include "quant/inline.h"
#include "quant/left_list.h"
#include "quant/named_tensors.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "report/markdown.h"
#include "report/measure.h"
#include "report/summary.h"
#include "report/verdict.h"
#include "simplify/macs.h"
#include "tune/equalize.h"

namespace xslim {
namespace {

constexpr int kQdqOpset = 13;  // per-axis QuantizeLinear and DequantizeLinear
constexpr int64_t kReportSamples = 16;
constexpr size_t kKeptBytes = size_t{16} << 20;  // of samples that wait for a later stage

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

size_t BytesOf(const std::vector<Sample>& samples) {
  size_t bytes = 0;
  for (const Sample& sample : samples)
    for (const Tensor& tensor : sample) bytes += tensor.bytes();
  return bytes;
}

constexpr char kNotInSensitivity[] = "operators in branches of If are not in the table of sensitivity";
constexpr char kOnZeros[] = "calibrated on zeros: ranges mean nothing";

void WarnOfOutputs(const std::vector<OutputMeasure>& outputs) {
  for (const OutputMeasure& output : outputs) {
    for (const std::string& line : Collapses(output)) LogWarning(line);
    for (const std::string& line : Lost(output)) LogWarning(line);
    if (output.samples == 0 || (std::isfinite(output.snr) && std::isfinite(output.cosine))) continue;
    LogWarning("output ", output.name,
               " holds NaN or infinity on samples of the report; its SNR says nothing");
  }
}

LeftList LeftFloat(const Graph& graph, const QuantPlan& plan) {
  LeftList left;
  for (const auto& [id, why] : plan.left_float) left.push_back({graph.node(id).Title(), why});
  return left;
}

void WarnOfCoarse(const std::vector<std::string>& tensors) {
  if (tensors.empty()) return;
  constexpr size_t kNamed = 5;
  std::string names;
  for (size_t i = 0; i < std::min(tensors.size(), kNamed); ++i) names += (i == 0 ? "" : ", ") + tensors[i];
  if (tensors.size() > kNamed) names += StrCat(" and ", tensors.size() - kNamed, " more");
  LogWarning(
      "numbers too small for int8, whose scales are at least 2^-23: ", names,
      "; leave the operators that read them float by ignore_op_names, or scale the model's numbers up");
}

}  // namespace

RunResult QuantizeStatic(Graph original, Config config, const RunOptions& options, const OutputPaths& paths,
                         ThreadPool& pool) {
  QuantizationParameters& settings = config.quantization;
  const auto progress = StageProgress(options);
  TraceStage stage("simplify");
  RefuseQuantized(original, paths.input);
  if (config.model.opset && *config.model.opset < kQdqOpset) {
    throw Error("int8 with scales per channel needs opset 13, and " + std::to_string(*config.model.opset) +
                    " is asked for",
                config.source + ": model_parameters.opset (or --opset)", "ask for 13 or more");
  }
  const std::vector<ModelInput> inputs = InputsOf(original);
  const std::unique_ptr<SampleSource> samples = OpenSamples(config, inputs, 0);
  const SampleChoice choice = ChooseSamples(samples->size(), config.calibration);
  // Reading the first samples takes as long as simplification does, and neither needs the other.
  constexpr std::launch kWhileSimplifying = std::launch::async | std::launch::deferred;
  std::future<bool> hold_values = std::async(kWhileSimplifying, [&] {
    return inputs.empty() || (HasData(config) && HoldValues(*samples, choice.calibration, inputs));
  });
  std::future<std::vector<Sample>> for_channels;
  if (settings.equalization && options.load_stats.empty()) {
    for_channels = std::async(kWhileSimplifying, [&] {
      ThreadPool one(1);
      return DrawForChannels(*samples, choice.calibration, one);
    });
  }

  Graph graph = original;
  if (const int fixed = graph.FixDefaults())
    LogInfo(fixed, " inputs have default values (initializers); those are taken for constants");
  if (const int calls = InlineForInt8(&graph)) LogInfo("inlined ", calls, " calls of the model's functions");
  NamedTensors named(config, &graph);
  PinOpset(&graph, config, paths.input);
  if (const auto obstacle = RaiseOpset(&graph, kQdqOpset)) {
    throw Error("int8 needs opset 13 and the model cannot be raised to it: " + *obstacle, paths.input);
  }
  // The file's graph is compared with this one when its statistics are read: what led to it once does again.
  std::optional<LoadedStatistics> loaded;
  if (!options.load_stats.empty()) loaded.emplace(options.load_stats);
  Preparation preparation;
  preparation.compared = SimplifyModel(&graph, config, true, pool, loaded && loaded->preparation().compared);
  named.Release(&graph);
  Choices choices = MakeChoices(graph, named, config);
  const bool meaningful = hold_values.get();
  if (!meaningful) LogWarning(kOnZeros, "; give real data in calibration_parameters.input_parameters");
  ReleaseFreedMemory();
  stage.Next("equalize");
  std::vector<Sample> drawn;  // for the means, too, where they are small; else those are decoded anew
  if (settings.equalization && loaded) {
    if (!Rescale(&graph, loaded->preparation().factors, choices.stay_float)) {
      throw Error(
          "the statistics are of another model, of a run with another --opset or without equalization, or of "
          "one that left more layers alone",
          options.load_stats, "make the file anew with --save-stats");
    }
  } else if (settings.equalization) {
    drawn = for_channels.get();
    EqualizeResult equalized =
        Equalize(&graph, drawn, choices.stay_float, {pool, MemoryCeiling(options.max_memory)});
    LogInfo("equalized ", equalized.changed, " of ", equalized.pairs, " pairs of layers");
    preparation.factors = std::move(equalized.factors);
    if (settings.finetune_level > 0 || !settings.keep_means || BytesOf(drawn) > kKeptBytes) drawn.clear();
  }

  stage.Next("place");
  const ValueFacts facts(graph, samples->at(choice.calibration.front()), pool);
  ReportUnknown(facts.unknown(), settings.strict);
  // Tuning asks what settings do to the outputs.
  const int level = facts.unknown().empty() ? settings.finetune_level : 0;
  if (level != settings.finetune_level)
    LogWarning("finetune_level 0 is used: outputs depend on operators that cannot be computed");
  QuantPlan plan = PlacePlan(graph, facts, settings, choices);
  choices.placed = plan.nodes;
  const Percentiles percentiles = PercentilesOf(graph, choices, settings.max_percentile);
  WarnOfOtherFloats(LeftFloat(graph, plan), paths.input);
  LogInfo("quantizing ", plan.nodes.size(), " of ", graph.Order().size(), " operators");

  const std::vector<OutputParts> parts = FindOutputParts(graph, facts, pool);
  SettlePrecision(graph, facts, !plan.nodes.empty() || HasBranches(graph), &settings);
  LogInfo("calibrating on ", choice.calibration.size(), " of ", samples->Describe());
  const Graph untuned = graph;  // biases move; constants are shared until then
  const auto observe = [&](const QuantPlan& of) {
    Observations found = ObtainStatistics(graph, facts, of, *samples, choice.calibration, percentiles,
                                          loaded ? &*loaded : nullptr, preparation, options, pool);
    loaded.reset();
    return found;
  };
  PlanTask task{config, options, *samples, choice.calibration, level, pool, meaningful};
  task.spare = settings.sensitivity || PrecisionTarget(settings);
  task.drawn = std::move(drawn);
  PlannedInt8 planned =
      PlanInt8(&graph, facts, parts, std::move(task), observe, &choices, std::move(plan), &stage);
  plan = std::move(planned.plan);
  std::vector<std::string>& account = planned.account;

  stage.Next("branches");
  std::vector<QuantizedBranch> branches = QuantizeBranches(
      untuned, facts, {config, options, *samples, choice.calibration, choices, meaningful, pool});
  SettlePrecision(graph, facts, !plan.nodes.empty() || Together(branches).operators > 0, &settings);
  const auto measure_written = [&](const Graph& exported, const QuantPlan& of) {
    LogInfo("measuring the int8 model on ", choice.report.size(), " samples");
    return Measure(original, untuned, exported, of, parts, *samples, choice.report, pool, progress("report"),
                   MemoryCeiling(options.max_memory));
  };
  const auto measure_with = [&](const Graph& reference, const QuantPlan& of,
                                const std::vector<const QuantizedBranch*>& with) {
    Graph exported = ExportQdq(reference, of);
    PutBranches(with, &exported);
    return measure_written(exported, of);
  };
  std::optional<Measures> measures;
  std::string sensitivity_markdown;
  RunResult result{paths.model, "", {}};
  Sections sections;
  if (settings.sensitivity || PrecisionTarget(settings)) {
    stage.Next("precision");
    if (const std::optional<double> target = PrecisionTarget(settings)) {
      LeaveNoisy(
          *target,
          [&](const std::vector<const QuantizedBranch*>& with) { return measure_with(untuned, {}, with); },
          &branches);
    }
    const MeasurePlan measure = [&](const Graph& reference, const QuantPlan& of) {
      return measure_with(reference, of, AllOf(branches));
    };
    PrecisionRun run = RunPrecision(settings, {untuned, facts, parts, *samples, choice.calibration},
                                    std::move(planned.spare), measure, pool, progress, &graph, &plan);
    result.sensitivity = std::move(run.lines);
    sensitivity_markdown = std::move(run.markdown);
    sections = std::move(run.sections);
    measures = std::move(run.measures);
  }

  const BranchFigures in_branches = Together(branches);
  if (!branches.empty()) sections.push_back({"branches", BranchesJson(branches)});
  account.insert(account.end(), in_branches.account.begin(), in_branches.account.end());
  std::vector<std::string> coarse = CoarseTensors(graph, plan);
  coarse.insert(coarse.end(), in_branches.coarse.begin(), in_branches.coarse.end());
  WarnOfCoarse(coarse);
  LeftList left = LeftFloat(graph, plan);
  for (const FloatOperator& item : in_branches.left) left.push_back({item.title, item.why});
  stage.Next("export");
  DropUnusedFunctions(&graph);
  Graph exported = ExportQdq(graph, plan);
  PutBranches(AllOf(branches), &exported);
  if (plan.nodes.empty() && in_branches.operators == 0)
    LogWarning(paths.input, ": no operator can be quantized, the output stays float");
  std::vector<std::pair<std::string, std::string>> texts;  // further files: path and content
  if (IsMeasured(settings)) {
    stage.Next("report");
    ReleaseFreedMemory();
    if (!measures) measures = measure_written(exported, plan);
    for (const OutputMeasure& output : measures->outputs)
      result.outputs.push_back({output.name, output.snr, output.cosine, output.samples, output.note});
    WarnOfOutputs(measures->outputs);
    const std::string model = std::filesystem::path(paths.input).filename().string();
    if (settings.analysis_enable) {
      ReportHead head = StaticReportHead(graph, plan, facts, in_branches, config, model, samples->Describe(),
                                         choice.calibration.size(), choice.report.size());
      head.tuning = account;
      if (settings.sensitivity && in_branches.operators > 0) head.notes.push_back(kNotInSensitivity);
      if (!meaningful) head.notes.insert(head.notes.begin(), kOnZeros);
      texts.push_back({paths.report, MarkdownReport(graph, head, *measures) + sensitivity_markdown});
      result.report_path = paths.report;
    }
    std::vector<GateResult> gates = JudgeGates(measures->outputs, settings);
    if (!meaningful) {
      for (GateResult& gate : gates) gate.missed.push_back(gate.gate + ": " + kOnZeros);
    }
    for (const GateResult& gate : gates)
      result.missed.insert(result.missed.end(), gate.missed.begin(), gate.missed.end());
    texts.push_back({paths.verdict, VerdictJson(StaticVerdictHead(graph, plan, facts, in_branches, model),
                                                *measures, gates, sections)});
    result.verdict_path = paths.verdict;
  }
  stage.Next("save");
  MemoryCeiling(options.max_memory).Check("the run");
  OutputFiles files;
  WriteModel(exported, paths.model, SaveOptionsFor(config), &files);
  for (const auto& [path, text] : texts) files.Add(path)->Write(text);
  files.Commit();
  Summarize(CountModel(original, CountMacs(original)), CountModel(exported, CountMacs(graph)), paths.input,
            left, &result);
  LogInfo("wrote ", paths.model);
  return result;
}

}  // namespace xslim
