#include "pipeline/plan_int8.h"

#include <utility>

#include "base/log.h"
#include "base/memory.h"
#include "calibrate/uneven.h"
#include "pipeline/data_placement.h"
#include "pipeline/progress.h"
#include "pipeline/sample_choice.h"
#include "quant/work.h"
#include "tune/keep_means.h"
#include "tune/tune.h"

namespace xslim {

PlannedInt8 PlanInt8(Graph* graph, const ValueFacts& facts, const std::vector<OutputParts>& parts,
                     PlanTask task, const std::function<Observations(const QuantPlan&)>& observe,
                     Choices* choices, QuantPlan plan, TraceStage* stage) {
  const QuantizationParameters& settings = task.config.quantization;
  const auto progress = StageProgress(task.options);
  PlannedInt8 planned;
  stage->Next("calibrate");
  RangeProposals proposals;
  ChannelMeans means;
  bool tunes_ranges = false;  // at level 0, of a model that is ruined otherwise
  {                           // the histograms are gone again before tuning and the report
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
        [&](const QuantPlan& missing) { return observe(missing).statistics; }, task.pool, choices, &plan,
        MemoryCeiling(task.options.max_memory));
    placement.LeaveUneven();
    WarnOfStrayInputs(*graph, found.statistics);
    placement.SetRanges();
    if (settings.protect_fragile && task.meaningful && facts.unknown().empty()) {
      stage->Next("look for fragile operators");
      const int64_t work = WorkOf(*graph, facts), few = NoiseSamples(work, true),
                    most = NoiseSamples(work, false), all = task.level == 0 ? few : most;
      const auto draw = [&](int64_t count) {
        return DrawForNoise(task.samples, task.indices, count, task.pool);
      };
      using Signs = DataPlacement::Signs;
      const Signs signs = placement.LookForSigns(parts, draw(few));
      if (signs != Signs::kNone)
        placement.LeaveFragile(parts, draw(signs == Signs::kHidden ? most : all),
                               progress("fragile operators"));
      stage->Next("choose ranges");
    }
    planned.notes = placement.notes();
    WarnOfOddTensors(*graph, found.statistics, plan);
    means = std::move(found.means);
    if (task.spare) planned.spare = placement.Spare();
    tunes_ranges = task.level == 0 && settings.range_costs && placement.noise_left() > kFragileNoise;
    if (task.level > 0 || tunes_ranges) proposals = ProposeRanges(found.statistics, plan, task.pool);
  }
  const auto tune = [&](TuneOptions tuning) {
    stage->Next("tune");
    tuning.range_costs = settings.range_costs;
    tuning.ceiling = MemoryCeiling(task.options.max_memory);
    planned.account =
        Tune(graph, &plan, facts, proposals, task.samples, task.indices, tuning, task.pool,
             [&](const char* part, int64_t done, int64_t total) { progress(part)(done, total); });
  };
  if (tunes_ranges) {
    LogInfo("tuning ranges, as at finetune_level 1, for an output is noisier than a tenth of its signal");
    TuneOptions ranges;
    ranges.weight_rounding = ranges.bias_correction = ranges.learning = false;
    tune(ranges);
  }
  const auto keep_means = [&](Graph* of, QuantPlan* by) {
    if (task.drawn.empty()) task.drawn = DrawForChannels(task.samples, task.indices, task.pool);
    return KeepMeans(
        of, by, means,
        RoundingMeans(*of, *by, task.drawn, {task.pool, MemoryCeiling(task.options.max_memory)}));
  };
  if (task.level == 0 && settings.keep_means)
    LogInfo("kept the mean of the outputs of ", Counted(keep_means(graph, &plan), "operator"), " by biases");
  task.drawn.clear();
  ReleaseFreedMemory();

  if (task.level > 0) {
    LogInfo("tuning");
    TuneOptions tuning;
    tuning.level = task.level;
    tuning.weight_rounding = settings.weight_rounding;
    tuning.bias_correction = settings.bias_correction;
    tuning.learning = settings.learning;
    if (settings.keep_means) tuning.level_zero = keep_means;
    tune(tuning);
  }
  planned.plan = std::move(plan);
  return planned;
}

}  // namespace xslim
