#include "pipeline/statistics_source.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/hash.h"
#include "base/log.h"
#include "graph/reach.h"
#include "onnx/model_io.h"
#include "pipeline/progress.h"

namespace xslim {
namespace {

// One of all samples: any change of a list, a file or its preprocessing shows.
std::string FingerprintOf(const SampleSource& samples, const std::vector<int64_t>& indices,
                          ThreadPool& pool) {
  std::vector<std::string> prints(indices.size());
  pool.ParallelFor(static_cast<int64_t>(indices.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      prints[static_cast<size_t>(i)] = samples.Fingerprint(indices[static_cast<size_t>(i)]);
  });
  Hasher hasher;
  for (const std::string& print : prints) hasher.Add(print);
  return hasher.Hex();
}

// The graph without the operators that no operator of the plan depends on; ids are kept.
Graph QuantizedPart(const Graph& graph, const QuantPlan& plan) {
  std::vector<ValueId> made;
  for (NodeId id : plan.nodes) {
    for (ValueId output : graph.node(id).outputs) {
      if (output != kNone) made.push_back(output);
    }
  }
  const std::set<NodeId> needed = Reach(graph).Above(made);
  Graph part = graph;
  std::vector<NodeId> order = graph.Order();
  std::reverse(order.begin(), order.end());
  for (NodeId id : order) {
    if (needed.count(id)) continue;
    for (ValueId output : graph.node(id).outputs) {
      if (output != kNone) part.RemoveOutput(output);
    }
    part.RemoveNode(id);
  }
  return part;
}

}  // namespace

Percentiles PercentilesOf(const Graph& graph, const Choices& choices, double max_percentile) {
  Percentiles percentiles{max_percentile, {}};
  if (choices.settings.empty()) return percentiles;
  for (size_t i = 0; i < graph.value_slots(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (graph.value(id).id == kNone) continue;
    if (const auto own = choices.OfTensor(graph, id, choices.placed).max_percentile)
      percentiles.own[id] = *own;
  }
  return percentiles;
}

Observations ObtainStatistics(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                              const SampleSource& samples, const std::vector<int64_t>& indices,
                              const Percentiles& percentiles, const LoadedStatistics* loaded,
                              const Preparation& preparation, const RunOptions& options, ThreadPool& pool) {
  const ProgressCall progress = StageProgress(options)("calibrate");
  const MemoryCeiling ceiling(options.max_memory);
  std::vector<ValueId> observed;
  for (const auto& [value, quant] : plan.activations) observed.push_back(value);
  if (loaded == nullptr && options.save_stats.empty()) {
    const Graph part = QuantizedPart(graph, plan);
    return CollectStatistics(part, observed, InputChannels(part), samples, indices, percentiles, pool,
                             progress, ceiling);
  }

  const StatisticsKey key{HashModel(graph), FingerprintOf(samples, indices, pool)};
  if (loaded != nullptr) {
    StatisticsFile file = loaded->Read(graph, key);
    for (ValueId id : observed) {
      if (!file.observed.statistics.count(id))
        throw Error("holds nothing of tensor " + graph.value(id).name, loaded->path(),
                    "make the file anew with --save-stats");
    }
    LogInfo("statistics of ", Counted(file.observed.statistics.size(), "tensor"), " from ", loaded->path());
    size_t others = 0;
    for (auto& [id, statistics] : file.observed.statistics) {  // a later placement may ask for any of them
      if (file.percentiles.at(id) == percentiles.Of(id)) continue;
      statistics.UsePercentileOfHistogram(percentiles.Of(id));
      ++others;
    }
    if (others > 0) {
      LogInfo("the statistics of ", Counted(others, "tensor"),
              " are for another max_percentile; it is read from the histograms of all samples together");
    }
    return std::move(file.observed);
  }
  std::vector<ValueId> all = observed;
  for (size_t i = 0; i < graph.value_slots(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (value.id != kNone && !value.constant.defined() && facts.is_float(value.id)) all.push_back(value.id);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  StatisticsFile file;
  file.preparation = preparation;
  for (ValueId id : all) file.percentiles[id] = percentiles.Of(id);
  file.observed = CollectStatistics(graph, all, InputChannels(graph), samples, indices, percentiles, pool,
                                    progress, ceiling);
  SaveStatistics(options.save_stats, graph, key, file);
  LogInfo("wrote the statistics of ", Counted(file.observed.statistics.size(), "tensor"), " to ",
          options.save_stats);
  return std::move(file.observed);
}

}  // namespace xslim
