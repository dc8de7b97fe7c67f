#include "calibrate/calibrate.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>

#include "base/log.h"
#include "graph/subgraph.h"
#include "kernels/kernels.h"
#include "runtime/executor.h"
#include "runtime/sample_lanes.h"

namespace xslim {

namespace {

constexpr int64_t kMeanSamples = 64;  // that channel means are taken over, spread evenly over the data

// The statistics of all threads: one histogram per tensor, not one per tensor and thread.
class Collector {
 public:
  Collector(const std::vector<ValueId>& values, const std::set<ChannelAxis>& channels, int64_t samples,
            const Percentiles& percentiles)
      : mean_step_((samples + kMeanSamples - 1) / kMeanSamples) {
    for (ValueId id : values) {
      entries_[id].counted = true;
      entries_[id].percentile = percentiles.Of(id);
    }
    for (const ChannelAxis& channel : channels) entries_[channel.first].axes[channel.second];
  }

  std::vector<ValueId> Watched() const {
    std::vector<ValueId> watched;
    for (const auto& [id, entry] : entries_) watched.push_back(id);
    return watched;
  }

  // A tap that adds what it sees as sample `*index`. Counting is done by each thread on its own.
  TapFn Tap(const int64_t* index) {
    return [this, index, summary = std::make_shared<SampleSummary>()](ValueId id, const Tensor& tensor) {
      if (tensor.dtype() != DType::kFloat) return;
      Entry& entry = entries_.at(id);
      if (*index % mean_step_ == 0) AddMeans(tensor, *index, &entry);
      if (!entry.counted) return;
      int top;
      {
        std::lock_guard<std::mutex> lock(entry.mutex);
        top = entry.statistics.top();
      }
      summary->Count(tensor.data<float>(), tensor.size(), entry.percentile, top);
      std::lock_guard<std::mutex> lock(entry.mutex);
      entry.statistics.Add(*summary, *index);
      entry.seen = true;
    };
  }

  Observations Take() {
    Observations all;
    for (auto& [id, entry] : entries_) {
      if (entry.seen) all.statistics.emplace(id, std::move(entry.statistics));
      for (const auto& [axis, samples] : entry.axes) {
        if (!samples.empty()) all.means[{id, axis}] = Mean(samples);
      }
    }
    return all;
  }

 private:
  using MeansBySample = std::map<int64_t, std::vector<double>>;
  struct Entry {
    std::mutex mutex;
    double percentile = 1;
    TensorStatistics statistics;
    bool counted = false, seen = false;
    std::map<int, MeansBySample> axes;
  };

  static void AddMeans(const Tensor& tensor, int64_t index, Entry* entry) {
    for (auto& [axis, samples] : entry->axes) {
      const int64_t at = axis < 0 ? axis + tensor.rank() : axis;
      if (at < 0 || at >= tensor.rank()) continue;
      std::vector<double> means = MeansAlong(tensor, at);
      if (!AllFinite(means)) continue;
      std::lock_guard<std::mutex> lock(entry->mutex);
      samples[index] = std::move(means);
    }
  }

  // In the order of the data, whoever saw what first.
  static std::vector<double> Mean(const MeansBySample& samples) {
    std::vector<double> mean = samples.begin()->second;
    std::fill(mean.begin(), mean.end(), 0.0);
    for (const auto& [index, means] : samples) {
      if (means.size() != mean.size()) return {};
      for (size_t c = 0; c < mean.size(); ++c) mean[c] += means[c];
    }
    for (double& m : mean) m /= static_cast<double>(samples.size());
    return mean;
  }

  const int64_t mean_step_;
  std::map<ValueId, Entry> entries_;
};

RangeLimits LimitsOf(const InterestRange& interest, const TensorStatistics& seen) {
  const float lo = interest.fades && seen.max() < 0 ? interest.lo + seen.max() : interest.lo;
  return {lo, interest.hi};
}

}  // namespace

double Percentiles::Of(ValueId id) const {
  const auto found = own.find(id);
  return found == own.end() ? of_run : found->second;
}

Observations CollectStatistics(const Graph& graph, const std::vector<ValueId>& values,
                               const std::set<ChannelAxis>& channels, const SampleSource& source,
                               const std::vector<int64_t>& indices, const Percentiles& percentiles,
                               ThreadPool& pool, const std::function<void(int64_t, int64_t)>& progress,
                               const MemoryCeiling& ceiling) {
  if (indices.empty()) return {};
  const int64_t total = static_cast<int64_t>(indices.size());
  Collector collector(values, channels, total, percentiles);
  struct Lane {
    std::unique_ptr<Executor> executor;
    std::unique_ptr<int64_t> index;  // of the sample that it is at
  };
  int64_t done = 0;
  std::mutex mutex;
  const auto run = [&](const Lane& lane, int64_t index, const Sample& sample) {
    *lane.index = index;
    lane.executor->Run(sample);
    std::lock_guard<std::mutex> lock(mutex);
    ++done;
    if (progress) progress(done, total);
  };
  Lane first = {std::make_unique<Executor>(graph, pool), std::make_unique<int64_t>()};
  first.executor->SetTaps(collector.Watched(), collector.Tap(first.index.get()));
  run(first, 0, source.at(indices[0]));
  SampleLanes(pool, ceiling)
      .Run(
          "calibration", 1, total, first.executor->buffer_bytes(), &first,
          [&](const Lane& from, ThreadPool& one, size_t) {
            auto index = std::make_unique<int64_t>();
            return Lane{from.executor->Clone(one, collector.Tap(index.get())), std::move(index)};
          },
          [&](const Lane& lane, int64_t begin, int64_t end) {
            SampleStream stream(source, {indices.begin() + begin, indices.begin() + end});
            Sample sample;
            for (int64_t index = begin; stream.Next(&sample); ++index) run(lane, index, sample);
          });
  return collector.Take();
}

void ChooseRanges(const Graph& graph, const StatisticsMap& statistics, CalibrationType type, ThreadPool& pool,
                  QuantPlan* plan) {
  std::vector<ValueId> ids;
  for (const auto& [id, quant] : plan->activations) {
    if (!quant.params.set()) ids.push_back(id);
  }
  std::vector<ChosenRange> chosen(ids.size());
  pool.ParallelFor(static_cast<int64_t>(ids.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto found = statistics.find(ids[static_cast<size_t>(i)]);
      const ActivationQuant& quant = plan->activations.at(ids[static_cast<size_t>(i)]);
      const TensorStatistics none;
      const TensorStatistics& seen = found == statistics.end() ? none : found->second;
      chosen[static_cast<size_t>(i)] =
          ChooseRange(seen, quant.calibration_type.value_or(type), LimitsOf(quant.interest, seen));
    }
  });
  for (size_t i = 0; i < ids.size(); ++i) {
    SetRange(plan, ids[i], chosen[i].lo, chosen[i].hi, chosen[i].why);
    LogDebug("range of ", graph.value(ids[i]).name, ": ", chosen[i].lo, " .. ", chosen[i].hi, " (",
             chosen[i].why, ")");
  }
}

void WarnOfOddTensors(const Graph& graph, const StatisticsMap& statistics, const QuantPlan& plan) {
  // What an operator makes of NaN is as odd as its input: the first tensors on each way tell where to look.
  std::set<ValueId> odd;
  int behind = 0;
  const auto look_at = [&](ValueId id, bool behind_odd) {
    if (plan.activations.count(id) == 0) {  // nobody knows
      if (behind_odd) odd.insert(id);
      return;
    }
    const std::string& name = graph.value(id).name;
    const auto found = statistics.find(id);
    const bool seen = found != statistics.end();
    const int64_t left_out = seen ? found->second.nan_count() + found->second.infinite_count() : 0;
    const bool nothing = !seen || found->second.count() == 0;
    if (!nothing && left_out == 0) return;
    odd.insert(id);
    if (behind_odd) {
      ++behind;
      LogDebug("tensor ", name, nothing ? " had no finite element" : " held NaN or infinite elements",
               ", too");
    } else if (nothing) {
      LogWarning(
          "tensor ", name,
          seen && left_out == 0 ? " was empty in all samples" : " had no finite element during calibration",
          "; its range is a placeholder");
    } else {
      LogWarning("tensor ", name, " held ", found->second.nan_count(), " NaN and ",
                 found->second.infinite_count(), " infinite elements; they were left out of its range");
    }
  };
  for (ValueId id : graph.FreeInputs()) look_at(id, false);
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    const std::vector<ValueId> reads = ReadsOf(graph, node);
    const bool behind_odd =
        std::any_of(reads.begin(), reads.end(), [&](ValueId input) { return odd.count(input) != 0; });
    for (ValueId output : node.outputs) {
      if (output != kNone) look_at(output, behind_odd);
    }
  }
  if (behind > 0)
    LogWarning("so it was with ", behind, behind == 1 ? " tensor" : " tensors", " behind (-v names them)");
}

void WarnOfStrayInputs(const Graph& graph, const StatisticsMap& statistics) {
  constexpr double kMiddle = 0.999;  // the percentile at each end
  constexpr float kFar = 100;
  for (ValueId id : graph.FreeInputs()) {
    const auto found = statistics.find(id);
    if (found == statistics.end() || found->second.count() == 0) continue;
    TensorStatistics pooled = found->second;
    pooled.UsePercentileOfHistogram(kMiddle);
    const float low = pooled.percentile_low(), high = pooled.percentile_high();
    if (!(high > low) || pooled.max() - pooled.min() <= kFar * (high - low)) continue;
    LogWarning("input ", graph.value(id).name, ": 99.8 % of its elements lie in ", low, " .. ", high,
               ", but stray ones reach from ", pooled.min(), " to ", pooled.max(),
               "; they can cost every tensor behind them its accuracy (check the data)");
  }
}

std::map<ValueId, std::vector<ChosenRange>> ProposeRanges(const StatisticsMap& statistics,
                                                          const QuantPlan& plan, ThreadPool& pool) {
  constexpr CalibrationType kTypes[] = {CalibrationType::kDefault, CalibrationType::kMinMax,
                                        CalibrationType::kPercentile, CalibrationType::kMse};
  std::map<ValueId, std::vector<ChosenRange>> proposals;
  for (const auto& [id, quant] : plan.activations) {
    if (statistics.count(id)) proposals[id];
  }
  std::vector<std::pair<ValueId, std::vector<ChosenRange>*>> all;
  for (auto& [id, ranges] : proposals) all.emplace_back(id, &ranges);
  pool.ParallelFor(static_cast<int64_t>(all.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto& [id, ranges] = all[static_cast<size_t>(i)];
      const InterestRange& interest = plan.activations.at(id).interest;
      for (CalibrationType type : kTypes)
        ranges->push_back(ChooseRange(statistics.at(id), type, LimitsOf(interest, statistics.at(id))));
    }
  });
  return proposals;
}

}  // namespace xslim
