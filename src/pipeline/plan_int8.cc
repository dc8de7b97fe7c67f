#include "pipeline/plan_int8.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/memory.h"
#include "calibrate/uneven.h"
#include "pipeline/data_placement.h"
#include "quant/work.h"
#include "tune/keep_means.h"
#include "tune/tune.h"

namespace xslim {
namespace {

constexpr int64_t kChannelSamples = 8;
constexpr uint64_t kChannelSeed = 20260303, kNoiseSeed = 20260505;
// To see whether the noise is too large: samples, and WorkOf() that this may take, about.
constexpr int64_t kFewestNoiseSamples = 2, kMostNoiseSamples = 32;
constexpr int64_t kNoiseWork = 6'000'000'000, kQuickNoiseWork = 800'000'000;

std::vector<Sample> DrawForNoise(const PlanTask& task, int64_t work) {
  const int64_t most = task.level == 0 ? kQuickNoiseWork : kNoiseWork;
  return DrawSamples(task.samples, task.indices,
                     std::clamp(most / std::max<int64_t>(work, 1), kFewestNoiseSamples, kMostNoiseSamples),
                     kNoiseSeed, task.pool);
}

}  // namespace

std::vector<Sample> DrawForChannels(const SampleSource& source, const std::vector<int64_t>& indices,
                                    ThreadPool& pool) {
  return DrawSamples(source, indices, kChannelSamples, kChannelSeed, pool);
}

PlannedInt8 PlanInt8(Graph* graph, const ValueFacts& facts, const std::vector<OutputParts>& parts,
                     PlanTask task, const std::function<Observations(const QuantPlan&)>& observe,
                     Choices* choices, QuantPlan plan, TraceStage* stage) {
  const QuantizationParameters& settings = task.config.quantization;
  const auto progress = [&](const char* part) {
    return [&task, part](int64_t done, int64_t total) {
      if (task.options.progress) task.options.progress(part, done, total);
    };
  };
  PlannedInt8 planned;
  stage->Next("calibrate");
  RangeProposals proposals;
  {  // the histograms are gone again before tuning and the report
    QuantPlan observed = plan;
    if (task.spare) {
      QuantPlan spare = SpareActivations(*graph, facts, plan, settings.visible_ranges, *choices);
      observed.activations.merge(spare.activations);
    }
    for (ValueId id : MaskOperands(*graph, plan)) observed.activations[id];
    Observations found = observe(observed);
    stage->Next("choose ranges");
    DataPlacement placement(
        *graph, facts, task.config, &found.statistics,
        [&](const QuantPlan& missing) { return observe(missing).statistics; }, task.pool, choices, &plan);
    placement.LeaveUneven();
    WarnOfStrayInputs(*graph, found.statistics);
    placement.WidenSoftmax();
    placement.SetRanges();
    if (settings.protect_fragile && task.meaningful && facts.unknown().empty()) {
      stage->Next("look for fragile operators");
      placement.LeaveFragile(parts, DrawForNoise(task, WorkOf(*graph, facts)), progress("fragile operators"));
      stage->Next("choose ranges");
    }
    WarnOfOddTensors(*graph, found.statistics, plan);
    if (task.spare) planned.spare = placement.Spare();
    if (task.level > 0) {
      proposals = ProposeRanges(found.statistics, plan, task.pool);
    } else if (settings.keep_means) {
      if (task.drawn.empty()) task.drawn = DrawForChannels(task.samples, task.indices, task.pool);
      LogInfo("kept the mean of ",
              KeepMeans(graph, plan, found.means,
                        RoundingMeans(*graph, plan, task.drawn,
                                      {task.pool, MemoryCeiling(task.options.max_memory)})),
              " operators' outputs by their biases");
    }
  }
  task.drawn.clear();
  ReleaseFreedMemory();

  if (task.level > 0) {
    stage->Next("tune");
    LogInfo("tuning");
    TuneOptions tuning;
    tuning.level = task.level;
    tuning.range_costs = settings.range_costs;
    tuning.weight_rounding = settings.weight_rounding;
    tuning.bias_correction = settings.bias_correction;
    tuning.learning = settings.learning;
    tuning.ceiling = MemoryCeiling(task.options.max_memory);
    planned.account =
        Tune(graph, &plan, facts, proposals, task.samples, task.indices, tuning, task.pool,
             [&](const char* part, int64_t done, int64_t total) { progress(part)(done, total); });
  }
  planned.plan = std::move(plan);
  return planned;
}

}  // namespace xslim
