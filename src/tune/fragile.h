// Operators without weights whose int8 tensors ruin the outputs: tensors in which a few numbers are hundreds
// of times larger than those that matter (the residual stream of a transformer, sums of squares, roots of
// variances), so that 255 steps are too few for them. What it costs is measured.
#ifndef XSLIM_TUNE_FRAGILE_H_
#define XSLIM_TUNE_FRAGILE_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tune/sensitivity.h"

namespace xslim {

struct Fragile {
  std::map<NodeId, std::string> nodes;  // that had better stay float, with the reason
  // Results of a MatMul or Gemm that only these read: they go on as float32, without a pair.
  std::set<ValueId> bare;
};

class FragileFinder {
 public:
  // graph: float, before tuning; parts: of its outputs. All but the samples must outlive this
  // object. Samples that give no signal are left out.
  FragileFinder(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
                const std::vector<OutputParts>& parts, std::vector<Sample> samples, ThreadPool& pool);

  // Noise-to-signal ratio of the worst output, or part of one, with the plan (with ranges) written into the
  // graph; 0 where there is none.
  double Noise(const QuantPlan& plan) const;

  // All operators that could stay float without a product of weights becoming float, nor one at the graph's
  // end where protect_outputs is never: what leaving some of them can reach at best.
  Fragile AllOf(const QuantPlan& plan) const;

  // Of these the ones that had better stay float. Groups of neighbours are made int8 again, half by half, as
  // long as the noise rises by no more than their part of `rest`: what one costs shows only where the others
  // do no harm. spare: SpareActivations() of the plan, with ranges.
  Fragile Find(const QuantPlan& plan, QuantPlan spare, double rest, const ProgressCall& progress) const;

 private:
  Fragile Of(const PartialPlans& plans, const std::set<size_t>& units) const;
  std::vector<size_t> Candidates(const PartialPlans& plans) const;

  const Graph& graph_;
  const ValueFacts& facts_;
  const QuantizationParameters& options_;
  const std::vector<OutputParts>& parts_;
  std::vector<Sample> samples_;
  ThreadPool& pool_;
  std::unique_ptr<OutputNoise> noise_;
};

}  // namespace xslim

#endif  // XSLIM_TUNE_FRAGILE_H_
