#include "tune/range_costs.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"
#include "quant/scale.h"

namespace xslim {
namespace {

constexpr int64_t kFewElements = 1024;

// What rounding x to the range costs: the sum over runs of elements of (sum g n)^2, n the rounding error.
double CostOf(const RunsOf& x, const RunsOf& g, const ScaleZero& to) {
  const kernels::Table& table = kernels::Active();
  double cost = 0;
  float rounded[kRunElements];
  const int64_t size = static_cast<int64_t>(x.elements.size());
  for (int64_t begin = 0; begin < size; begin += kRunElements) {
    const int64_t n = std::min(kRunElements, size - begin);
    const float *from = x.elements.data() + begin, *feel = g.elements.data() + begin;
    table.fake_quantize(from, to.scale, to.zero_point, -128, 127, rounded, n);
    float sums[8] = {};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
      for (int64_t l = 0; l < 8; ++l) sums[l] += feel[i + l] * (rounded[i + l] - from[i + l]);
    }
    double sum = 0;
    for (; i < n; ++i) sum += static_cast<double>(feel[i]) * (rounded[i] - from[i]);
    for (float part : sums) sum += part;
    if (std::isfinite(sum)) cost += sum * sum;
  }
  return cost * static_cast<double>(x.every);
}

}  // namespace

bool MayTake(const ChosenRange& range, const ActivationQuant& present, int64_t elements) {
  return elements >= kFewElements || (range.lo <= present.lo && range.hi >= present.hi);
}

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
