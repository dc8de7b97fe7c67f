// Where a run's statistics come from: a pass over the data, or the file of an earlier run.
#ifndef XSLIM_PIPELINE_STATISTICS_SOURCE_H_
#define XSLIM_PIPELINE_STATISTICS_SOURCE_H_

#include <vector>

#include "calibrate/statistics_file.h"
#include "quant/facts.h"
#include "xslim/xslim.h"

namespace xslim {

// The percentile of each tensor. It does not hang on the plan at hand: what is observed for one placement
// serves the next. choices: with `placed`.
Percentiles PercentilesOf(const Graph& graph, const Choices& choices, double max_percentile);

// Statistics of at least the plan's activations, and means of the inputs of computing operators. `loaded`:
// from that file, without a float forward; the fingerprints of the samples are what it is checked against.
// options.save_stats: of all float tensors, which are also written there, with `preparation`. Otherwise only
// what the plan's operators need is run. Throws Error when the file is of another model or other data.
Observations ObtainStatistics(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                              const SampleSource& samples, const std::vector<int64_t>& indices,
                              const Percentiles& percentiles, const LoadedStatistics* loaded,
                              const Preparation& preparation, const RunOptions& options, ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_STATISTICS_SOURCE_H_
