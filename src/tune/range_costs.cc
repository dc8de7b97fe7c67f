#include "tune/range_costs.h"

#include <algorithm>
#include <cmath>

#include "base/vector_clones.h"
#include "kernels/kernels.h"
#include "quant/scale.h"

namespace xslim {
namespace {

// Sum of g (rounded - x).
XSLIM_VECTOR_CLONES double SumOfErrors(const float* x, const float* rounded, const float* g, int64_t n) {
  constexpr int64_t kLanes = 8;
  Float8 sums = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Float8 from, to, feel;
    Load(x + i, &from);
    Load(rounded + i, &to);
    Load(g + i, &feel);
    sums += feel * (to - from);
  }
  double sum = 0;
  for (; i < n; ++i) sum += static_cast<double>(g[i]) * (rounded[i] - x[i]);
  for (int64_t l = 0; l < kLanes; ++l) sum += sums[l];
  return sum;
}

// What rounding x to the range costs: the sum over runs of elements of (sum g n)^2, n the rounding error.
double CostOf(const RunsOf& x, const RunsOf& g, const ScaleZero& to) {
  const kernels::Table& table = kernels::Active();
  double cost = 0;
  constexpr int64_t kAtOnce = 32 * kRunElements;  // one call for many runs, in the nearest cache
  float rounded[kAtOnce];
  const int64_t size = static_cast<int64_t>(x.elements.size());
  for (int64_t begin = 0; begin < size; begin += kAtOnce) {
    const int64_t end = std::min(begin + kAtOnce, size);
    table.fake_quantize(x.elements.data() + begin, to.scale, to.zero_point, -128, 127, rounded, end - begin);
    for (int64_t run = begin; run < end; run += kRunElements) {
      const double sum = SumOfErrors(x.elements.data() + run, rounded + (run - begin),
                                     g.elements.data() + run, std::min(kRunElements, end - run));
      if (std::isfinite(sum)) cost += sum * sum;
    }
  }
  return cost * static_cast<double>(x.every);
}

}  // namespace

RangeCosts MeasureRangeCosts(const Graph& graph, const ValueFacts& facts,
                             const std::vector<WeightedPoint>& points, const RangeProposals& proposals,
                             const std::vector<Sample>& samples, const SampleLanes& lanes,
                             const std::set<ValueId>& seen, const SeeValue& see) {
  std::set<ValueId> felt;
  std::map<ValueId, std::vector<ScaleZero>> scales;
  for (const auto& [id, ranges] : proposals) {
    for (const ChosenRange& range : ranges)
      scales[id].push_back(AsymmetricInt8(std::min(range.lo, 0.0f), std::max(range.hi, 0.0f)));
    felt.insert(id);
  }
  std::vector<std::map<ValueId, std::vector<double>>> by_sample(samples.size());
  const Visit visit = VisitSensitivities(graph, facts, points, samples, lanes, seen, see, felt,
                                         [&](size_t sample, ValueId id, const RunsOf& x, const RunsOf& g) {
                                           std::vector<double>& costs = by_sample[sample][id];
                                           for (const ScaleZero& scale : scales.at(id))
                                             costs.push_back(CostOf(x, g, scale));
                                         });
  for (size_t sample : visit.only_seen) by_sample[sample].clear();
  RangeCosts result;
  result.stopped = visit.stopped;
  for (const auto& costs : by_sample) {
    for (const auto& [id, of] : costs) {
      std::vector<double>& sums = result.of[id];
      sums.resize(of.size());
      for (size_t i = 0; i < of.size(); ++i) sums[i] += of[i];
    }
  }
  return result;
}

}  // namespace xslim
