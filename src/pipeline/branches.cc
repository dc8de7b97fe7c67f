#include "pipeline/branches.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "calibrate/calibrate.h"
#include "pipeline/branch_model.h"
#include "pipeline/plan_int8.h"
#include "pipeline/precision.h"
#include "pipeline/progress.h"
#include "pipeline/sample_choice.h"
#include "pipeline/static_report.h"
#include "pipeline/statistics_source.h"
#include "quant/coarse_scales.h"
#include "quant/ignore_list.h"
#include "quant/output_parts.h"
#include "tune/prepare_channels.h"

namespace xslim {
namespace {

// Of the target of auto_precision: for branches, each at its own outputs and all at those of the model. The
// rest is for the graph around them.
constexpr double kBranchShare = 0.5;

// Samples that are at hand.
class HeldSamples : public SampleSource {
 public:
  HeldSamples(std::vector<Sample> samples, std::string what)
      : samples_(std::move(samples)), what_(std::move(what)) {}
  int64_t size() const override { return std::ssize(samples_); }
  Sample at(int64_t index) const override { return samples_[static_cast<size_t>(index)]; }
  std::string Describe() const override { return Counted(samples_.size(), "sample") + " of " + what_; }

 private:
  const std::vector<Sample> samples_;
  const std::string what_;
};

// Why the config keeps all that the If holds float; "" when it does not.
std::string ChosenFloat(const Node& node, const BranchTask& task) {
  if (const char* list = IgnoreList(task.config.quantization).Reason(node)) return list;
  const auto found = task.choices.stay_float.find(node.id);
  return found == task.choices.stay_float.end() ? "" : found->second;
}

void Say(const QuantizedBranch& branch, const std::string& why, bool chosen) {
  if (chosen) {
    LogInfo(branch.title, " stays float: ", why);
  } else {
    LogWarning(branch.title, " stays float: ", why);
  }
}

// chosen: by the config.
void LeaveFloat(QuantizedBranch* branch, const std::string& why, bool chosen) {
  Say(*branch, why, chosen);
  BranchFigures& figures = branch->figures;
  BranchFigures none;
  none.share.macs = figures.share.macs;
  none.share.compute = figures.share.compute;
  none.left.push_back({branch->title, why, 0});
  figures = std::move(none);
  branch->int8.reset();
  branch->inner.clear();
}

Choices ChoicesInside(const Graph& graph, const OperatorSettings& settings) {
  Choices choices;
  choices.quiet = true;
  for (NodeId id : graph.Order()) choices.settings[id] = settings;
  return choices;
}

BranchFigures FiguresOf(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                        const std::string& title, const PlannedInt8& planned) {
  BranchFigures figures;
  figures.operators = std::ssize(plan.nodes);
  figures.activations = std::ssize(plan.activations);
  figures.constants = std::ssize(plan.weights);
  figures.share = ShareOfInt8(graph, plan, facts);
  figures.coarse = CoarseTensors(graph, plan);
  for (const FloatOperator& item : FloatOperators(graph, plan, facts))
    figures.left.push_back({title + ": " + item.title, item.why, item.macs});
  for (const std::string& sentence : planned.account) figures.account.push_back(title + ": " + sentence);
  for (const std::string& note : planned.notes) figures.notes.push_back(title + ": " + note);
  return figures;
}

// result: its model and names are set.
void Quantize(const Branch& branch, const BranchTask& task, QuantizedBranch* result) {
  const QuantizationParameters& settings = task.config.quantization;
  const HeldSamples samples(branch.samples, branch.title);
  std::vector<int64_t> indices(branch.samples.size());
  std::iota(indices.begin(), indices.end(), 0);
  Graph graph = result->model;
  if (const ChannelStages stages{settings.centering, settings.equalization}; stages.any())
    PrepareChannels(&graph, stages, DrawForChannels(samples, indices, task.pool), {},
                    {task.pool, MemoryCeiling(task.options.max_memory)});
  const ValueFacts facts(graph, samples.at(0), task.pool);
  if (!facts.unknown().empty()) {
    const UnknownOperator& unknown = facts.unknown().front();
    return LeaveFloat(result, "it holds operator " + unknown.name + " that " + unknown.why, false);
  }
  Choices choices = ChoicesInside(graph, task.choices.Of(branch.node));
  QuantPlan plan = PlacePlan(graph, facts, settings, choices);
  choices.placed = plan.nodes;
  const Percentiles percentiles = PercentilesOf(graph, choices, settings.max_percentile);
  LogInfo(branch.title, ": quantizing ", plan.nodes.size(), " of ", Counted(graph.Order().size(), "operator"),
          " on ", samples.Describe());
  const MemoryCeiling ceiling(task.options.max_memory);
  const auto observe = [&](const QuantPlan& of) {
    std::vector<ValueId> values;
    for (const auto& [value, quant] : of.activations) values.push_back(value);
    return CollectStatistics(graph, values, InputChannels(graph), samples, indices, percentiles, task.pool,
                             {}, ceiling);
  };
  const Graph untuned = graph;
  result->inner = QuantizeBranches(
      untuned, facts, {task.config, task.options, samples, indices, choices, task.meaningful, task.pool});
  const std::optional<double> target = PrecisionTarget(settings);
  const std::vector<OutputParts> parts = FindOutputParts(graph, facts, task.pool);
  const bool partial =
      target && !plan.nodes.empty() &&
      std::any_of(parts.begin(), parts.end(), [](const OutputParts& of) { return of.IsMeasured(); });
  TraceStage stage("quantize a branch");
  PlanTask planning{task.config, task.options,   samples, indices, settings.finetune_level,
                    task.pool,   task.meaningful};
  planning.spare = partial;
  PlannedInt8 planned =
      PlanInt8(&graph, facts, parts, std::move(planning), observe, &choices, std::move(plan), &stage);
  plan = std::move(planned.plan);
  const auto exported = [&](const Graph& of, const QuantPlan& by) {
    Graph written = ExportQdq(of, by);
    PutBranches(AllOf(result->inner), &written);
    return written;
  };
  if (partial) {
    stage.Next("precision");
    QuantizationParameters precise = settings;
    precise.sensitivity = false;
    precise.auto_precision = *target * kBranchShare;
    const std::vector<int64_t> measured = ChooseForBranch(samples.size());
    const MeasurePlan measure = [&](const Graph& reference, const QuantPlan& of) {
      return Measure(result->model, untuned, exported(reference, of), of, parts, samples, measured, task.pool,
                     {}, ceiling);
    };
    RunPrecision(precise, {untuned, facts, parts, samples, indices, branch.title + ": "},
                 std::move(planned.spare), measure, task.pool, StageProgress(task.options), &graph, &plan);
  }
  result->figures = FiguresOf(graph, facts, plan, branch.title, planned);
  result->figures.Add(Together(result->inner));
  if (result->figures.operators > 0) {
    // Bodies in it are put in with those of the whole model, whose names they must not hide.
    result->int8 = ExportQdq(graph, plan);
  } else {
    const std::string why = "no operator in it can be quantized";
    result->figures.left.push_back({branch.title, why, 0});
    Say(*result, why, true);  // the operators' own reasons are in `left`
  }
}

void Put(const std::vector<const QuantizedBranch*>& branches, TensorNames* taken, Graph* exported) {
  for (const QuantizedBranch* branch : branches) {
    if (!branch->int8) continue;
    Graph body = *branch->int8;
    Put(AllOf(branch->inner), taken, &body);
    std::map<std::string, Attribute> attributes = exported->node(branch->node).attributes;
    Attribute& attribute = attributes.at(branch->key);
    attribute.graph = std::make_shared<Graph>(AsBody(std::move(body), branch->model, *exported, taken));
    attribute.source.clear();
    exported->SetAttributes(branch->node, std::move(attributes));
  }
  exported->RemoveDead();  // float weights that branches have read from outside
}

}  // namespace

void BranchFigures::Add(const BranchFigures& other) {
  operators += other.operators;
  activations += other.activations;
  constants += other.constants;
  share += other.share;
  left.insert(left.end(), other.left.begin(), other.left.end());
  account.insert(account.end(), other.account.begin(), other.account.end());
  coarse.insert(coarse.end(), other.coarse.begin(), other.coarse.end());
  notes.insert(notes.end(), other.notes.begin(), other.notes.end());
}

bool HasBranches(const Graph& graph) {
  for (NodeId id : graph.Order()) {
    if (!BranchesOf(graph, id).empty()) return true;
  }
  return false;
}

std::vector<QuantizedBranch> QuantizeBranches(const Graph& graph, const ValueFacts& facts,
                                              const BranchTask& task) {
  std::vector<QuantizedBranch> all;
  for (NodeId id : graph.Order()) {
    std::vector<Branch> branches = BranchesOf(graph, id);
    if (branches.empty()) continue;
    const std::string chosen = ChosenFloat(graph.node(id), task);
    if (chosen.empty()) {
      HoldSamples(graph, facts, task.samples, task.indices, task.pool, MemoryCeiling(task.options.max_memory),
                  &branches);
    }
    for (Branch& branch : branches) {
      QuantizedBranch& result = all.emplace_back();
      result.node = id;
      result.key = branch.key;
      result.title = branch.title;
      result.figures.share.compute = ProductsIn(*branch.body);
      if (!chosen.empty()) {
        LeaveFloat(&result, chosen, true);
      } else if (!branch.why_float.empty()) {
        LeaveFloat(&result, branch.why_float, false);
      } else {
        result.model = AsModel(graph, branch);
        Quantize(branch, task, &result);
        branch.samples.clear();
      }
    }
  }
  return all;
}

void LeaveNoisy(double target,
                const std::function<Measures(const std::vector<const QuantizedBranch*>&)>& measure,
                std::vector<QuantizedBranch>* branches) {
  const double bound = target * kBranchShare;
  std::vector<QuantizedBranch*> candidates;
  for (QuantizedBranch& branch : *branches) {
    if (branch.int8) candidates.push_back(&branch);
  }
  if (candidates.empty()) return;
  std::string name;
  double worst = WorstOf(measure(AllOf(*branches)), bound, &name);
  if (worst <= 1) return;
  std::vector<const QuantizedBranch*> kept;
  for (QuantizedBranch* branch : candidates) {
    kept.push_back(branch);
    if (candidates.size() > 1) worst = WorstOf(measure(kept), bound, &name);
    if (worst <= 1) continue;
    kept.pop_back();
    LeaveFloat(branch,
               StrCat("auto_precision: with it in int8 and the graph around it float, ", name,
                      " has the SNR ", worst * bound),
               false);
  }
}

void PutBranches(const std::vector<const QuantizedBranch*>& branches, Graph* exported) {
  TensorNames taken(*exported);
  Put(branches, &taken, exported);
}

std::vector<const QuantizedBranch*> AllOf(const std::vector<QuantizedBranch>& branches) {
  std::vector<const QuantizedBranch*> all;
  for (const QuantizedBranch& branch : branches) all.push_back(&branch);
  return all;
}

BranchFigures Together(const std::vector<QuantizedBranch>& branches) {
  BranchFigures all;
  for (const QuantizedBranch& branch : branches) all.Add(branch.figures);
  return all;
}

}  // namespace xslim
