#include "tune/channel_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "runtime/tapped_samples.h"

namespace xslim {
namespace {

ChannelStatistics Observe(const Tensor& tensor, bool channels_first) {
  ChannelStatistics seen;
  const int64_t axis = channels_first ? 1 : tensor.rank() - 1;
  if (tensor.rank() < 2 || tensor.size() == 0) return seen;
  const size_t channels = static_cast<size_t>(tensor.dim(axis));
  const int64_t inner = InnerCount(tensor.shape(), axis);
  seen.sums.resize(channels, 0.0);
  seen.squares.resize(channels, 0.0);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  seen.lo.resize(channels, kInfinity);
  seen.hi.resize(channels, -kInfinity);
  const float* x = tensor.data<float>();
  const int64_t outer = tensor.size() / (tensor.dim(axis) * inner);
  for (int64_t o = 0; o < outer; ++o) {
    for (size_t c = 0; c < channels; ++c, x += inner) {
      kernels::MinMax range;
      kernels::Active().min_max(x, inner, &range);
      seen.lo[c] = std::min(seen.lo[c], range.min);
      seen.hi[c] = std::max(seen.hi[c], range.max);
      seen.sums[c] += kernels::Active().sum(x, inner);
      seen.squares[c] += kernels::Active().sum_of_squares(x, 0.0f, inner);
    }
  }
  seen.count = static_cast<double>(outer * inner);
  return seen;
}

void Add(const ChannelStatistics& one, ChannelStatistics* all) {
  if (one.count == 0 || !one.IsFinite()) return;
  if (all->count == 0) {
    *all = one;
    return;
  }
  if (one.lo.size() != all->lo.size()) return;  // no weights can read both
  for (size_t c = 0; c < one.lo.size(); ++c) {
    all->lo[c] = std::min(all->lo[c], one.lo[c]);
    all->hi[c] = std::max(all->hi[c], one.hi[c]);
    all->sums[c] += one.sums[c];
    all->squares[c] += one.squares[c];
  }
  all->count += one.count;
}

}  // namespace

bool ChannelStatistics::IsFinite() const {
  return std::all_of(squares.begin(), squares.end(), [](double s) { return std::isfinite(s); });
}

void ChannelStatistics::Subtract(const std::vector<double>& center) {
  for (size_t c = 0; c < lo.size(); ++c) {
    lo[c] = static_cast<float>(lo[c] - center[c]);
    hi[c] = static_cast<float>(hi[c] - center[c]);
    squares[c] = std::max(0.0, squares[c] - center[c] * (2 * sums[c] - center[c] * count));
    sums[c] -= center[c] * count;
  }
}

StatisticsByValue ObserveChannels(const Graph& graph, const std::vector<Sample>& samples,
                                  const std::map<ValueId, bool>& channels_first, const SampleLanes& lanes) {
  std::vector<ValueId> taps;
  for (const auto& [id, first] : channels_first) taps.push_back(id);
  std::vector<StatisticsByValue> by_sample(samples.size());
  const auto observe = [&](size_t sample, ValueId id, const Tensor& tensor) {
    if (tensor.dtype() == DType::kFloat)
      by_sample[sample].emplace(id, Observe(tensor, channels_first.at(id)));
  };
  RunTapped("equalization", graph, samples, taps, observe, nullptr, lanes);
  StatisticsByValue statistics;
  for (const StatisticsByValue& seen : by_sample) {
    for (const auto& [id, one] : seen) Add(one, &statistics[id]);
  }
  return statistics;
}

}  // namespace xslim
