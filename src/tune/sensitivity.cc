#include "tune/sensitivity.h"

#include <algorithm>

namespace xslim {
namespace {

constexpr int64_t kMacs = 300'000'000'000;  // that measuring may take, about
constexpr int64_t kFewestSamples = 4, kMostSamples = 16;
constexpr int64_t kCandidates = 4;  // times as many samples to choose from

// The largest share of a row's noise.
double Share(const NoiseRatios& part, const NoiseRatios& all) {
  double share = 0;
  for (size_t r = 0; r < all.size(); ++r) share = std::max(share, part[r] / (all[r] + 1e-12));
  return share;
}

}  // namespace

std::vector<Sample> SensitivitySamples(const PartialPlans& plans, const std::vector<OutputParts>& parts,
                                       const SampleSource& source, const std::vector<int64_t>& indices,
                                       ThreadPool& pool) {
  const auto runs = static_cast<int64_t>(plans.units().size() * 2 + plans.whole().activations.size());
  const int64_t count =
      std::clamp(kMacs / std::max<int64_t>(plans.macs(), 1) / std::max<int64_t>(runs / 2, 1), kFewestSamples,
                 kMostSamples);
  std::vector<Sample> drawn = DrawSamples(source, indices, count * kCandidates, 20260404, pool, kDrawnBytes);
  if (static_cast<int64_t>(drawn.size()) <= count) return drawn;
  const Graph reference = plans.WithBiases({});
  const OutputNoise measure(reference, parts, drawn, pool);
  const std::vector<std::vector<double>> signals = measure.Signals();
  if (signals.empty()) {
    drawn.resize(static_cast<size_t>(count));
    return drawn;
  }
  // In turns the row's best that is left.
  std::set<size_t> chosen;
  for (size_t turn = 0; static_cast<int64_t>(chosen.size()) < count; ++turn) {
    const std::vector<double>& signal = signals[turn % signals.size()];
    size_t best = drawn.size();
    for (size_t s = 0; s < drawn.size(); ++s) {
      if (!chosen.count(s) && (best == drawn.size() || signal[s] > signal[best])) best = s;
    }
    chosen.insert(best);
  }
  std::vector<Sample> samples;
  for (size_t s : chosen) samples.push_back(drawn[s]);
  return samples;
}

SensitivityResult MeasureSensitivity(const PartialPlans& plans, const OutputNoise& noise,
                                     const std::vector<Sample>& samples, ThreadPool& pool,
                                     const ProgressCall& progress) {
  SensitivityResult result;
  result.rows = noise.rows();
  result.samples = static_cast<int64_t>(samples.size());
  result.macs = plans.macs();
  const std::vector<Unit>& units = plans.units();
  const auto count = static_cast<int64_t>(units.size());
  const Graph reference = plans.WithBiases({}), all_int8 = plans.Written(plans.whole());
  VariantRunner from_float(reference, noise, samples, pool), from_int8(all_int8, noise, samples, pool);
  result.all_int8 = from_int8.base();
  const std::vector<NoiseRatios> alone = from_float.Run(
      units.size(), [&](size_t u) { return plans.Written(plans.Alone(u)); },
      [&](int64_t done) { progress(done, 2 * count); });
  const std::vector<NoiseRatios> without = from_int8.Run(
      units.size(), [&](size_t u) { return plans.Written(plans.Without({u})); },
      [&](int64_t done) { progress(count + done, 2 * count); });
  for (size_t u = 0; u < units.size(); ++u)
    result.operators.push_back({units[u].node, units[u].macs, alone[u], without[u]});
  std::stable_sort(result.operators.begin(), result.operators.end(),
                   [&](const OperatorSensitivity& a, const OperatorSensitivity& b) {
                     return Share(a.alone_int8, result.all_int8) > Share(b.alone_int8, result.all_int8);
                   });
  return result;
}

}  // namespace xslim
