// Levels 0 to 2: a float model becomes int8 with Q/DQ, stage by stage.
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/trace.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "pipeline/baseline.h"
#include "pipeline/branches.h"
#include "pipeline/dry_run.h"
#include "pipeline/first_sample.h"
#include "pipeline/float_model.h"
#include "pipeline/manifest.h"
#include "pipeline/modes.h"
#include "pipeline/naming_samples.h"
#include "pipeline/plan_int8.h"
#include "pipeline/precision.h"
#include "pipeline/progress.h"
#include "pipeline/provider_lines.h"
#include "pipeline/static_report.h"
#include "pipeline/statistics_source.h"
#include "quant/coarse_scales.h"
#include "quant/left_list.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "report/markdown.h"
#include "report/measure.h"
#include "report/summary.h"
#include "report/verdict.h"
#include "simplify/macs.h"

namespace xslim {
namespace {

constexpr char kNotInSensitivity[] = "operators in branches of If are not in the table of sensitivity";

void WarnOfOutputs(const std::vector<OutputMeasure>& outputs) {
  for (const OutputMeasure& output : outputs) {
    for (const std::string& line : Collapses(output)) LogWarning(line);
    for (const std::string& line : Lost(output)) LogWarning(line);
    if (output.undefined > 0)
      LogWarning("output ", output.name, ": ",
                 Counted(output.undefined, "sample of the report tells", "samples of the report tell"),
                 " nothing: NaN or infinity in the data and in the float model's output");
    if (output.samples == 0 || (std::isfinite(output.snr) && std::isfinite(output.cosine))) continue;
    LogWarning("output ", output.name,
               " holds NaN or infinity on samples of the report; its SNR says nothing");
  }
}

EarlierVerdict ReadBaseline(const std::string& path) {
  try {
    return ReadVerdict(path);
  } catch (const Error& error) {
    throw Error(error.what(), "baseline");
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
  LogWarning(
      "numbers too small for int8, whose scales are at least 2^-23: ", FirstOf(tensors, kNamed),
      "; leave the operators that read them float by ignore_op_names, or scale the model's numbers up");
}

class StaticRun {
 public:
  StaticRun(Graph original, Config config, const RunOptions& options, const OutputPaths& paths,
            FloatModel model, const ValueFacts& facts, FirstSample first,
            std::optional<EarlierVerdict> baseline, ThreadPool& pool, TraceStage* stage)
      : original_(std::move(original)),
        config_(std::move(config)),
        options_(options),
        paths_(paths),
        float_(std::move(model)),
        facts_(facts),
        first_(std::move(first)),
        baseline_(std::move(baseline)),
        pool_(pool),
        stage_(*stage) {}

  RunResult DryRun() {
    NamingSamples(float_, pool_, [&] { Place(); });
    result_.plan = DescribePlan(float_.graph, plan_, facts_);
    return std::move(result_);
  }

  RunResult Run() {
    NamingSamples(float_, pool_, [&] { Stages(); });
    Save();
    return std::move(result_);
  }

 private:
  void Stages() {
    Place();
    Plan();
    TakeBranches();
    if (settings_.sensitivity || PrecisionTarget(settings_)) MakePrecise();
    Export();
    if (IsMeasured(settings_)) MeasureExported();
    if (settings_.int8_io) CodeIo();
    provider_ = CheckProvider(exported_);
    if (IsMeasured(settings_)) Report();
  }

  const std::vector<int64_t>& calibration() const { return float_.choice.calibration; }

  // Which operators are int8, as far as the graph tells.
  void Place() {
    ReportUnknown(facts_.unknown(), settings_.strict);
    plan_ = PlacePlan(float_.graph, facts_, settings_, float_.choices);
    float_.choices.placed = plan_.nodes;
    WarnOfOtherFloats(LeftFloat(float_.graph, plan_), paths_.input);
    LogInfo("quantizing ", plan_.nodes.size(), " of ", Counted(float_.graph.Order().size(), "operator"));
    parts_ = FindOutputParts(float_.graph, facts_, pool_);
    SettlePrecision(facts_, parts_, !plan_.nodes.empty() || HasBranches(float_.graph), &settings_);
  }

  // Tuning asks what settings do to the outputs.
  int Level() const { return facts_.unknown().empty() ? settings_.finetune_level : 0; }

  // Ranges, codes and biases, by the data.
  void Plan() {
    graph_ = float_.graph;
    if (plan_.nodes.empty() && options_.save_stats.empty()) return;
    LogInfo("calibrating on ", calibration().size(), " of ", float_.samples->Describe());
    const Percentiles percentiles = PercentilesOf(graph_, float_.choices, settings_.max_percentile);
    const auto observe = [&](const QuantPlan& of) {
      Observations found =
          ObtainStatistics(float_.graph, facts_, of, *float_.samples, calibration(), percentiles,
                           float_.loaded ? &*float_.loaded : nullptr, float_.preparation, options_, pool_);
      float_.loaded.reset();
      return found;
    };
    if (Level() < settings_.finetune_level)
      LogWarning("finetune_level 0 is used: outputs depend on operators that cannot be computed");
    PlanTask task{config_, options_, *float_.samples, calibration(), Level(), pool_, float_.meaningful};
    task.spare = settings_.sensitivity || PrecisionTarget(settings_);
    task.drawn = std::move(float_.drawn);
    PlannedInt8 planned = PlanInt8(&graph_, facts_, parts_, std::move(task), observe, &float_.choices,
                                   std::move(plan_), &stage_);
    plan_ = std::move(planned.plan);
    spare_ = std::move(planned.spare);
    account_ = std::move(planned.account);
    notes_ = std::move(planned.notes);
  }

  void TakeBranches() {
    stage_.Next("branches");
    branches_ = QuantizeBranches(
        float_.graph, facts_,
        {config_, options_, *float_.samples, calibration(), float_.choices, float_.meaningful, pool_});
    SettlePrecision(facts_, parts_, !plan_.nodes.empty() || Together(branches_).operators > 0, &settings_);
  }

  Measures MeasureWritten(const Graph& exported, const QuantPlan& plan) const {
    const std::vector<int64_t>& measured = float_.choice.report;
    LogInfo("measuring the int8 model on ", Counted(measured.size(), "sample"));
    return Measure(original_, float_.graph, exported, plan, parts_, *float_.samples, measured, pool_,
                   StageProgress(options_)("report"), MemoryCeiling(options_.max_memory));
  }

  Measures MeasureWith(const Graph& graph, const QuantPlan& plan,
                       const std::vector<const QuantizedBranch*>& branches) const {
    Graph exported = ExportQdq(graph, plan);
    PutBranches(branches, &exported);
    return MeasureWritten(exported, plan);
  }

  // Sensitivity, and what auto_precision leaves float.
  void MakePrecise() {
    stage_.Next("precision");
    if (const std::optional<double> target = PrecisionTarget(settings_)) {
      LeaveNoisy(
          *target,
          [&](const std::vector<const QuantizedBranch*>& with) {
            return MeasureWith(float_.graph, {}, with);
          },
          &branches_);
    }
    const MeasurePlan measure = [&](const Graph& graph, const QuantPlan& plan) {
      return MeasureWith(graph, plan, AllOf(branches_));
    };
    PrecisionRun run =
        RunPrecision(settings_, {float_.graph, facts_, parts_, *float_.samples, calibration()},
                     std::move(spare_), measure, pool_, StageProgress(options_), &graph_, &plan_);
    result_.sensitivity = std::move(run.lines);
    sensitivity_markdown_ = std::move(run.markdown);
    sections_ = std::move(run.sections);
    measures_ = std::move(run.measures);
  }

  void Export() {
    stage_.Next("export");
    in_branches_ = Together(branches_);
    std::vector<std::string> coarse = CoarseTensors(graph_, plan_);
    coarse.insert(coarse.end(), in_branches_.coarse.begin(), in_branches_.coarse.end());
    WarnOfCoarse(coarse);
    DropUnusedFunctions(&graph_);
    exported_ = ExportQdq(graph_, plan_);
    PutBranches(AllOf(branches_), &exported_);
    figures_ = FiguresOf(graph_, plan_, facts_, in_branches_);
    if (plan_.nodes.empty() && in_branches_.operators == 0)
      LogWarning(paths_.input, ": no operator can be quantized, the output stays float");
  }

  void MeasureExported() {
    stage_.Next("report");
    ReleaseFreedMemory();
    if (!measures_) measures_ = MeasureWritten(exported_, plan_);
  }

  // Behind measuring, which compares floats: the codes stand for the same numbers.
  void CodeIo() {
    std::vector<CodedTensor> coded = MakeIoInt8(&exported_);
    if (coded.empty()) LogWarning("int8_io: no input or output has a Q/DQ pair, all stay float");
    std::vector<std::string> lines;
    for (const CodedTensor& tensor : coded) lines.push_back(Describe(tensor));
    if (!coded.empty()) {
      for (const std::string& line : FloatEnds(exported_)) lines.push_back(line);
    }
    for (const std::string& line : lines) LogInfo(line);
    notes_.insert(notes_.end(), lines.begin(), lines.end());
    sections_.push_back({"int8_io", CodedJson(coded)});
  }

  void Report() {
    for (const OutputMeasure& output : measures_->outputs)
      result_.outputs.push_back({output.name, output.snr, output.cosine, output.samples, output.note});
    WarnOfOutputs(measures_->outputs);
    const std::string model = std::filesystem::path(paths_.input).filename().string();
    stage_.Next("manifest");
    manifest_ = ManifestOfInputs(config_, options_, paths_, original_.data_files, *float_.samples,
                                 float_.choice, pool_);
    verdict_ = StaticVerdictHead(figures_, facts_, model);
    gates_ = JudgeGates(measures_->outputs, settings_);
    if (baseline_) Compare();
    if (settings_.analysis_enable) WriteMarkdown(model);
    for (GateResult& gate : gates_) {
      if (!float_.meaningful) gate.missed.push_back(gate.gate + ": " + kOnZeros);
      result_.missed.insert(result_.missed.end(), gate.missed.begin(), gate.missed.end());
    }
    if (!branches_.empty()) sections_.push_back({"branches", BranchesJson(branches_)});
    sections_.push_back({"provider", ProviderJson(provider_)});
    result_.verdict_path = paths_.verdict;
  }

  void Compare() {
    const BaselineComparison comparison = CompareWithBaseline(*baseline_, settings_.baseline_tolerance,
                                                              measures_->outputs, verdict_, manifest_);
    gates_.push_back(comparison.gate);
    result_.baseline = comparison.lines;
    sections_.push_back({"baseline", BaselineJson(comparison)});
    report_sections_ = BaselineMarkdown(comparison);
  }

  void WriteMarkdown(const std::string& model) {
    const SampleChoice& choice = float_.choice;
    ReportHead head =
        StaticReportHead(graph_, plan_, facts_, figures_, in_branches_, config_, model,
                         float_.samples->Describe(), choice.calibration.size(), choice.report.size());
    head.tuning = account_;
    head.tuning.insert(head.tuning.end(), in_branches_.account.begin(), in_branches_.account.end());
    for (const auto& notes : {notes_, in_branches_.notes})
      head.notes.insert(head.notes.end(), notes.begin(), notes.end());
    if (!float_.meaningful) head.notes.insert(head.notes.begin(), kOnZeros);
    head.sections = report_sections_ + FirstSampleMarkdown(first_);
    head.provider = ProviderLines(provider_);
    if (settings_.sensitivity && in_branches_.operators > 0) head.notes.push_back(kNotInSensitivity);
    report_ = MarkdownReport(graph_, head, *measures_) + sensitivity_markdown_;
    result_.report_path = paths_.report;
  }

  void Save() {
    stage_.Next("save");
    MemoryCeiling(options_.max_memory).Check("the run");
    OutputFiles files(IsMeasured(settings_));
    WriteModel(exported_, paths_.model, SaveOptionsFor(config_), &files);
    if (IsMeasured(settings_)) {
      AddOutputs(files, paths_, &manifest_);
      if (baseline_ && OnlyOutputDiffers(*baseline_, manifest_))
        LogWarning(
            "the inputs are the baseline's, and the model's bytes are not: another build of xslim made it");
      sections_.push_back({"manifest", ManifestJson(manifest_)});
      files.Add(paths_.verdict)->Write(VerdictJson(verdict_, *measures_, gates_, sections_));
    }
    if (!report_.empty()) files.Add(paths_.report)->Write(report_);
    files.Commit();
    LeftList left;
    for (const FloatOperator& item : figures_.left) left.push_back({item.title, item.why});
    result_.model_path = paths_.model;
    Summarize(CountModel(original_, CountMacs(original_)), CountModel(exported_, CountMacs(graph_)),
              paths_.input, left, &result_);
    LogInfo("wrote ", paths_.model);
    LogProvider(provider_);
  }

  const Graph original_;
  Config config_;
  QuantizationParameters& settings_ = config_.quantization;
  const RunOptions& options_;
  const OutputPaths& paths_;
  FloatModel float_;  // its graph is what the int8 model is compared with
  const ValueFacts& facts_;
  const FirstSample first_;
  const std::optional<EarlierVerdict> baseline_;
  ThreadPool& pool_;
  TraceStage& stage_;
  std::vector<OutputParts> parts_;
  Graph graph_;  // its biases move; constants are shared with the float one until then
  QuantPlan plan_, spare_;
  std::vector<std::string> account_, notes_;  // of tuning; of placement by the data
  std::vector<QuantizedBranch> branches_;
  BranchFigures in_branches_;
  StaticFigures figures_;
  ProviderCheck provider_;  // of the exported graph
  std::optional<Measures> measures_;
  std::string sensitivity_markdown_;
  Sections sections_;
  Manifest manifest_;
  VerdictHead verdict_;
  std::vector<GateResult> gates_;
  std::string report_sections_, report_;
  Graph exported_;
  RunResult result_;
};

}  // namespace

RunResult QuantizeStatic(Graph original, Config config, const RunOptions& options, const OutputPaths& paths,
                         ThreadPool& pool) {
  TraceStage stage("simplify");
  std::optional<EarlierVerdict> baseline;  // read first: a wrong file is said before the work
  if (const std::string& path = config.quantization.baseline; !path.empty() && !options.dry_run)
    baseline = ReadBaseline(path);
  // Neither changes which operators there are, and both read data.
  if (options.dry_run) config.quantization.centering = config.quantization.equalization = false;
  FloatModel model = PrepareFloatModel(original, config, options, paths.input, pool, &stage);
  stage.Next("place");
  FirstSample first;
  const ValueFacts facts = NamingSamples(model, pool, [&] {
    const int64_t index = model.choice.calibration.front();
    const Sample sample = model.samples->at(index);
    first = ShowFirstSample(original, sample, model.samples->TitleOf(index), options.preview);
    return ValueFacts(model.graph, sample, pool);
  });
  StaticRun run(std::move(original), std::move(config), options, paths, std::move(model), facts,
                std::move(first), std::move(baseline), pool, &stage);
  return options.dry_run ? run.DryRun() : run.Run();
}

}  // namespace xslim
