// Operators whose int8 tensors ruin the outputs: tensors in which a few numbers are hundreds of times larger
// than those that matter (the residual stream of a transformer, sums of squares, roots of variances,
// spectra), so that 255 steps are too few for them. What it costs is measured. Those without weights come
// first; products of weights are looked at where that is not enough, and only few of the multiply-adds become
// float.
#ifndef XSLIM_TUNE_FRAGILE_H_
#define XSLIM_TUNE_FRAGILE_H_

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/memory.h"
#include "tune/sensitivity.h"

namespace xslim {

struct Fragile {
  std::set<NodeId> nodes;  // that had better stay float
  // Results of a MatMul or Gemm that only these read: they go on as float32, without a pair.
  std::set<ValueId> bare;

  void Add(const Fragile& more) {
    nodes.insert(more.nodes.begin(), more.nodes.end());
    bare.insert(more.bare.begin(), more.bare.end());
  }
};

// Noise that operators which are float for no more than it may stay int8 for: as a part of what there is with
// all of them float, and at least.
struct AllowedRise {
  double share = 0.25, least = 0.0025;
};

// Of a signal: with more noise than that at an output fragile operators are looked for.
inline constexpr double kFragileNoise = 0.1;
// What is left of the noise, at most, where it is worth while to leave operators float. Noise as large as the
// signal leaves nothing of it: more is no worse, and to come back to that much is no gain.
inline constexpr double kFragileGain = 2.0 / 3;
inline bool Gains(double before, double after) { return after <= kFragileGain * std::min(before, 1.0); }
// Of the multiply-adds: products of weights that may become float, in all.
inline constexpr double kFragileMacs = 0.04;

class FragileFinder {
 public:
  // graph: float, before tuning; parts: of its outputs. All but the samples must outlive this
  // object. Samples that give no signal are left out. ceiling: results do not depend on it.
  FragileFinder(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
                const std::vector<OutputParts>& parts, std::vector<Sample> samples, ThreadPool& pool,
                const MemoryCeiling& ceiling = MemoryCeiling());

  // Noise-to-signal ratios of the outputs and their parts with the plan (with ranges) written into the graph.
  NoiseRatios Ratios(const QuantPlan& plan) const;

  // The largest of them that judges; 0 where there is none.
  double Worst(const NoiseRatios& ratios) const;
  double Noise(const QuantPlan& plan) const { return Worst(Ratios(plan)); }

  // From now on outputs and parts whose ratio is over a tenth at best, and no third less than now, do not
  // judge: what ruins them is something else (a shape that hangs on the data, say). False where there are
  // none, or no others that are helped.
  bool LeaveOutHopeless(const NoiseRatios& now, const NoiseRatios& best);
  void JudgeByAll() { hopeless_.clear(); }

  // All operators that could stay float without a product of weights becoming float, nor one at the graph's
  // end where protect_outputs is never: what leaving some of them can reach at best.
  Fragile AllOf(const QuantPlan& plan) const;

  // Of these the ones that had better stay float. Groups of neighbours are made int8 again, half by half, as
  // long as the noise of all that are int8 by then rises by no more than their part of what is allowed: what
  // one costs shows only where the others do no harm. The number of measurements is bounded; what is not
  // decided by then stays float, in groups as small as it has come to everywhere. spare: SpareActivations()
  // of the plan, with ranges.
  Fragile Find(const QuantPlan& plan, QuantPlan spare, const ProgressCall& progress,
               AllowedRise allowed = {}) const;

  // Products of weights, with all that is one operator with them for a runtime, each of which is no more than
  // kFragileMacs: what leaving some of them float, besides AllOf(), can reach at best.
  Fragile SmallProducts(const QuantPlan& plan) const;

  // Of these the ones that had better stay float, kFragileMacs together at most: first those that, alone
  // int8, make most noise for their multiply-adds (all of AllOf() and of SmallProducts() float besides). Of
  // these such as turn out not to be needed stay int8. Of many, neighbours go together: the number of
  // measurements is bounded.
  Fragile FindProducts(const QuantPlan& plan, QuantPlan spare, const ProgressCall& progress,
                       AllowedRise allowed = {}) const;

 private:
  using Units = std::vector<size_t>;  // of a PartialPlans
  struct State {
    std::vector<bool> is_float;  // by candidate
    Fragile fragile;
    QuantPlan plan;
  };
  // What it gets to measure `count` plans.
  struct Budget {
    std::vector<Sample> samples;
    int64_t measurements;
  };
  Budget BudgetFor(int64_t count) const;
  double Measure(const QuantPlan& plan, const std::vector<Sample>& samples) const;
  // In the order of the graph: units that are one for a runtime, each as `part` takes them; none of the
  // graph's end where protect_outputs is never.
  std::vector<Units> Fused(const PartialPlans& plans,
                           Units (*part)(const PartialPlans& plans, const Units& units)) const;
  // Units without products, and with one of weights, that may become float.
  std::vector<Units> Candidates(const PartialPlans& plans) const;
  std::vector<Units> Products(const PartialPlans& plans) const;
  Fragile Of(const PartialPlans& plans, const std::vector<Units>& candidates) const;
  State Without(const PartialPlans& plans, const std::vector<Units>& candidates,
                std::vector<bool> is_float) const;

  const Graph& graph_;
  const ValueFacts& facts_;
  const QuantizationParameters& options_;
  std::vector<Sample> samples_;
  ThreadPool& pool_;
  std::unique_ptr<OutputNoise> noise_;
  std::set<std::string> hopeless_;  // names of rows
};

}  // namespace xslim

#endif  // XSLIM_TUNE_FRAGILE_H_
