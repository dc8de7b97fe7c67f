// What is known of the channels of tensors between layers, from a few samples.
#ifndef XSLIM_TUNE_CHANNEL_STATISTICS_H_
#define XSLIM_TUNE_CHANNEL_STATISTICS_H_

#include <map>
#include <vector>

#include "data/samples.h"
#include "graph/graph.h"
#include "runtime/sample_lanes.h"

namespace xslim {

// Of one tensor, by channel; empty where it was never seen to hold float32 numbers.
struct ChannelStatistics {
  std::vector<float> lo, hi;
  std::vector<double> sums, squares;  // of the elements, and of their squares
  double count = 0;                   // elements of a channel

  double Mean(size_t channel) const { return sums[channel] / count; }
  bool IsFinite() const;
  // As if `center` had been subtracted from the elements of each channel.
  void Subtract(const std::vector<double>& center);
};

using StatisticsByValue = std::map<ValueId, ChannelStatistics>;

// channels_first: the tensors to look at, and whether their channels are axis 1 (else the last one).
StatisticsByValue ObserveChannels(const Graph& graph, const std::vector<Sample>& samples,
                                  const std::map<ValueId, bool>& channels_first, const SampleLanes& lanes);

}  // namespace xslim

#endif  // XSLIM_TUNE_CHANNEL_STATISTICS_H_
