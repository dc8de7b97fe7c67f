// One pass over the calibration data: statistics of every quantized activation, then its range.
#ifndef XSLIM_CALIBRATE_CALIBRATE_H_
#define XSLIM_CALIBRATE_CALIBRATE_H_

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "calibrate/statistics.h"
#include "data/samples.h"
#include "quant/channel_means.h"
#include "quant/plan.h"

namespace xslim {

using StatisticsMap = std::map<ValueId, TensorStatistics>;

// Which percentile of a tensor is collected: its own, or that of the run.
struct Percentiles {
  double of_run;
  std::map<ValueId, double> own;
  double Of(ValueId id) const;
};

struct Observations {
  StatisticsMap statistics;
  ChannelMeans means;  // over at most 64 of the samples, evenly spread
};

// Runs the graph on the chosen samples and collects the statistics of `values` and the means of `channels`.
// Samples are shared out over the pool's threads, as many at once as `ceiling` allows; the result does not
// depend on how. progress(done, total) is called after each sample.
Observations CollectStatistics(const Graph& graph, const std::vector<ValueId>& values,
                               const std::set<ChannelAxis>& channels, const SampleSource& source,
                               const std::vector<int64_t>& indices, const Percentiles& percentiles,
                               ThreadPool& pool, const std::function<void(int64_t, int64_t)>& progress,
                               const MemoryCeiling& ceiling = MemoryCeiling());

// Chooses the range of every activation of the plan that has none, by `type` where the tensor has no type of
// its own.
void ChooseRanges(const Graph& graph, const StatisticsMap& statistics, CalibrationType type, ThreadPool& pool,
                  QuantPlan* plan);

// Warns of tensors that held NaN or infinities, or no element at all: by name of those that nothing of the
// kind is in front of.
void WarnOfOddTensors(const Graph& graph, const StatisticsMap& statistics, const QuantPlan& plan);

// Warns of model inputs in which a few elements are far from all others: more than 100 times as far apart as
// the middle 99.8 %. Their range, and those behind them, may leave next to no codes for the rest.
void WarnOfStrayInputs(const Graph& graph, const StatisticsMap& statistics);

// What all types would choose for every activation of the plan, for a stage that can tell which serves best.
std::map<ValueId, std::vector<ChosenRange>> ProposeRanges(const StatisticsMap& statistics,
                                                          const QuantPlan& plan, ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_CALIBRATE_H_
