#include "calibrate/calibrate.h"

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "runtime/executor.h"

namespace xslim {

// Each thread runs whole samples on one-thread executors of its own: no thread waits for another at every
// operator. Thread t takes the t-th contiguous piece of the samples and pieces are merged in order, so that
// the lists of per-sample percentiles come out in the order of the samples for any number of threads.
StatisticsMap CollectStatistics(const Graph& graph, const std::vector<ValueId>& values,
                                const SampleSource& source, const std::vector<int64_t>& indices,
                                double percentile, ThreadPool& pool,
                                const std::function<void(int64_t, int64_t)>& progress) {
  const int64_t total = static_cast<int64_t>(indices.size());
  const int64_t pieces = std::clamp<int64_t>(pool.size(), 1, std::max<int64_t>(total, 1));
  std::vector<StatisticsMap> collected(static_cast<size_t>(pieces));
  std::mutex mutex;
  int64_t done = 0;
  pool.ParallelFor(pieces, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = begin; p < end; ++p) {
      StatisticsMap& mine = collected[static_cast<size_t>(p)];
      ThreadPool one(1);
      Executor executor(graph, one);
      executor.SetTaps(values, [&mine, percentile](ValueId id, const Tensor& tensor) {
        if (tensor.dtype() == DType::kFloat)
          mine[id].AddSample(tensor.data<float>(), tensor.size(), percentile);
      });
      SampleStream stream(source,
                          {indices.begin() + total * p / pieces, indices.begin() + total * (p + 1) / pieces});
      Sample sample;
      while (stream.Next(&sample)) {
        executor.Run(sample);
        std::lock_guard<std::mutex> lock(mutex);
        ++done;
        if (progress) progress(done, total);
      }
    }
  });
  StatisticsMap merged = std::move(collected[0]);
  for (size_t p = 1; p < collected.size(); ++p) {
    for (auto& [id, statistics] : collected[p]) merged[id].Merge(statistics);
  }
  return merged;
}

void ChooseRanges(const Graph& graph, const StatisticsMap& statistics, CalibrationType type, ThreadPool& pool,
                  QuantPlan* plan) {
  std::vector<ValueId> ids;
  for (const auto& [id, quant] : plan->activations) ids.push_back(id);
  std::vector<ChosenRange> chosen(ids.size());
  pool.ParallelFor(static_cast<int64_t>(ids.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto found = statistics.find(ids[static_cast<size_t>(i)]);
      const InterestRange& interest = plan->activations.at(ids[static_cast<size_t>(i)]).interest;
      const TensorStatistics none;
      chosen[static_cast<size_t>(i)] =
          ChooseRange(found == statistics.end() ? none : found->second, type, {interest.lo, interest.hi});
    }
  });
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string& name = graph.value(ids[i]).name;
    const auto found = statistics.find(ids[i]);
    if (found == statistics.end() || found->second.count() == 0) {
      LogWarning("tensor ", name, " had no finite element during calibration; its range is a placeholder");
    } else if (found->second.nan_count() + found->second.infinite_count() > 0) {
      LogWarning("tensor ", name, " held ", found->second.nan_count(), " NaN and ",
                 found->second.infinite_count(), " infinite elements; they were left out of its range");
    }
    SetRange(plan, ids[i], chosen[i].lo, chosen[i].hi, chosen[i].why);
    LogDebug("range of ", name, ": ", chosen[i].lo, " .. ", chosen[i].hi, " (", chosen[i].why, ")");
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
        ranges->push_back(ChooseRange(statistics.at(id), type, {interest.lo, interest.hi}));
    }
  });
  return proposals;
}

}  // namespace xslim
