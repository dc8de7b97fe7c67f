// PrecisionSearch of sensitivity.h.
#include <algorithm>

#include "graph/subgraph.h"
#include "ops/precise_math.h"
#include "tune/sensitivity.h"

namespace xslim {
namespace {

constexpr double kMostFloat = 0.9;    // share of the multiply-adds
constexpr double kMoveCost = 0.01;    // of any move, as a share of the multiply-adds
constexpr double kUnitCost = 0.001;   // of any unit: also one without multiply-adds leaves int8 code
constexpr double kBelowTarget = 0.5;  // what goes further below the target than this gains nothing
constexpr size_t kMeasured = 12;      // candidates of a step that are measured, at most
constexpr size_t kFailures = 4;       // rounds without any gain, one after the other
constexpr double kLeastTrust = 0.05;  // in a candidate that has disappointed
constexpr size_t kMostSteps = 60;
constexpr size_t kMostMeasured = 200;  // candidates in all, over every call of Reach
constexpr size_t kPruned = 12;         // units that pruning tries to make int8 again
constexpr double kLeastNoise = 1e-15;

}  // namespace

double MoveTrust::In(const std::vector<size_t>& units) const {
  const auto found = shares_.find(units);
  return found == shares_.end() ? 1.0 : found->second;
}

void MoveTrust::Learn(const std::vector<size_t>& units, double foretold, double measured) {
  shares_[units] = std::clamp(measured / foretold, kLeastTrust, 1.0);
}

PrecisionSearch::PrecisionSearch(const PartialPlans& plans, const OutputNoise& noise,
                                 const std::vector<Sample>& samples, ThreadPool& pool,
                                 const ProgressCall& progress)
    : plans_(plans), measure_(noise), samples_(samples), pool_(pool) {
  MeasureSources(progress);
  ListMoves();
  now_ = Measure(float_);
}

void PrecisionSearch::MeasureSources(const ProgressCall& progress) {
  const Graph reference = plans_.WithBiases({});
  VariantRunner runner(reference, measure_, samples_, pool_);
  // Pairs by the place of their tensor in the graph, so that neighbours share a run.
  std::vector<ValueId> pairs;
  const auto add = [&](ValueId id) {
    if (plans_.whole().activations.count(id)) pairs.push_back(id);
  };
  for (ValueId id : reference.FreeInputs()) add(id);
  for (NodeId id : reference.Order()) {
    for (ValueId output : reference.node(id).outputs) add(output);
  }
  const size_t units = plans_.units().size();
  const auto total = static_cast<int64_t>(units + pairs.size());
  constants_ = runner.Run(
      units,
      [&](size_t u) {
        // Biases as they were: a moved mean is no noise of the constants.
        return ExportQdq(reference, plans_.ConstantsAlone(u));
      },
      [&](int64_t done) { progress(done, total); });
  const std::vector<NoiseRatios> alone = runner.Run(
      pairs.size(), [&](size_t p) { return ExportQdq(reference, plans_.PairAlone(pairs[p])); },
      [&](int64_t done) { progress(static_cast<int64_t>(units) + done, total); });
  for (size_t p = 0; p < pairs.size(); ++p) pairs_[pairs[p]] = alone[p];
}

// Single units, all holders of a pair, and everything before or behind a unit.
void PrecisionSearch::ListMoves() {
  const Graph& graph = plans_.graph();
  const std::vector<Unit>& units = plans_.units();
  std::map<NodeId, size_t> unit_of;
  for (size_t u = 0; u < units.size(); ++u) {
    for (NodeId id : units[u].nodes) unit_of[id] = u;
    moves_.push_back({u});
  }
  for (const auto& [value, holders] : plans_.holders()) moves_.push_back(holders);
  const std::vector<NodeId> order = graph.Order();
  const auto cone = [&](size_t u, bool behind) {
    std::set<ValueId> values;
    std::vector<size_t> reached;
    const auto visit = [&](NodeId id) {
      const Node& node = graph.node(id);
      const std::vector<ValueId> reads = ReadsOf(graph, node);
      const std::vector<ValueId>& from = behind ? reads : node.outputs;
      const auto unit = unit_of.find(id);
      const bool own = unit != unit_of.end() && unit->second == u;
      if (!own && std::none_of(from.begin(), from.end(), [&](ValueId v) { return values.count(v) != 0; }))
        return;
      if (unit != unit_of.end()) reached.push_back(unit->second);
      const std::vector<ValueId>& to = behind ? node.outputs : reads;
      values.insert(to.begin(), to.end());
    };
    if (behind) {
      std::for_each(order.begin(), order.end(), visit);
    } else {
      std::for_each(order.rbegin(), order.rend(), visit);
    }
    std::sort(reached.begin(), reached.end());
    reached.erase(std::unique(reached.begin(), reached.end()), reached.end());
    return reached;
  };
  for (size_t u = 0; u < units.size(); ++u) {
    moves_.push_back(cone(u, true));
    moves_.push_back(cone(u, false));
  }
  std::sort(moves_.begin(), moves_.end());
  moves_.erase(std::unique(moves_.begin(), moves_.end()), moves_.end());
}

// As if the noise of all sources that are left added up.
NoiseRatios PrecisionSearch::Foretell(const std::set<size_t>& float_units) const {
  NoiseRatios sum(measure_.rows().size(), kLeastNoise);
  const auto add = [&sum](const NoiseRatios& noise) {
    for (size_t r = 0; r < sum.size(); ++r) sum[r] += noise[r];
  };
  for (size_t u = 0; u < constants_.size(); ++u) {
    if (!float_units.count(u)) add(constants_[u]);
  }
  for (const auto& [value, holders] : plans_.holders()) {
    const auto pair = pairs_.find(value);
    if (pair != pairs_.end() &&
        !std::all_of(holders.begin(), holders.end(), [&](size_t u) { return float_units.count(u) != 0; }))
      add(pair->second);
  }
  return sum;
}

NoiseRatios PrecisionSearch::Measure(const std::set<size_t>& float_units) {
  ++measured_;
  const Graph written = plans_.Written(plans_.Without(float_units));
  return NoiseOf(written, measure_, samples_, pool_);
}

// Sum over the rows of ln(before / after), as far as they are over the target.
double PrecisionSearch::Gain(const NoiseRatios& before, const NoiseRatios& after, double target) const {
  const double floor = std::max(target * kBelowTarget, kLeastNoise);
  double gain = 0;
  for (size_t r = 0; r < before.size(); ++r) {
    if (before[r] <= target) continue;
    gain += precise::Log(before[r] / std::max(after[r], floor));
  }
  return gain;
}

double PrecisionSearch::Cost(const std::set<size_t>& float_units, const std::vector<size_t>& more) const {
  double cost = kMoveCost;
  for (size_t u : more) {
    if (float_units.count(u)) continue;
    cost += kUnitCost + static_cast<double>(plans_.units()[u].macs) /
                            static_cast<double>(std::max<int64_t>(plans_.macs(), 1));
  }
  return cost;
}

int64_t PrecisionSearch::Int8Macs(const std::set<size_t>& float_units) const {
  int64_t macs = 0;
  for (size_t u = 0; u < plans_.units().size(); ++u) {
    if (!float_units.count(u)) macs += plans_.units()[u].macs;
  }
  return macs;
}

std::vector<PrecisionSearch::Move> PrecisionSearch::Ranked(double target) const {
  const NoiseRatios foretold = Foretell(float_);
  std::vector<Move> ranked;
  std::set<std::vector<size_t>> seen;
  for (const std::vector<size_t>& units : moves_) {
    Move move;
    for (size_t u : units) {
      if (!float_.count(u)) move.units.push_back(u);
    }
    if (move.units.empty() || !seen.insert(move.units).second) continue;
    std::set<size_t> all = float_;
    all.insert(move.units.begin(), move.units.end());
    if (static_cast<double>(Int8Macs(all)) < (1 - kMostFloat) * static_cast<double>(plans_.macs())) continue;
    NoiseRatios after = Foretell(all);
    for (size_t r = 0; r < after.size(); ++r) after[r] *= now_[r] / foretold[r];
    move.foretold = Gain(now_, after, target) / Cost(float_, move.units);
    move.score = move.foretold * trust_.In(move.units);
    if (move.score > 0) ranked.push_back(std::move(move));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Move& a, const Move& b) { return a.score > b.score; });
  return ranked;
}

bool PrecisionSearch::Met(const NoiseRatios& noise, double target) const {
  return std::all_of(noise.begin(), noise.end(), [target](double ratio) { return ratio <= target; });
}

bool PrecisionSearch::Reach(double target, bool prune) {
  size_t failures = 0;
  while (!Met(now_, target)) {
    if (steps_.size() >= kMostSteps || measured_ >= kMostMeasured) return false;
    const std::vector<Move> ranked = Ranked(target);
    const Move* best = nullptr;
    NoiseRatios noise;
    double best_score = 0;
    for (size_t i = 0; i < std::min(ranked.size(), kMeasured); ++i) {
      if (ranked[i].score <= best_score) break;  // what is foretold is mostly more than what comes
      std::set<size_t> all = float_;
      all.insert(ranked[i].units.begin(), ranked[i].units.end());
      const NoiseRatios measured = Measure(all);
      const double score = Gain(now_, measured, target) / Cost(float_, ranked[i].units);
      trust_.Learn(ranked[i].units, ranked[i].foretold, score);
      if (score <= best_score) continue;
      best_score = score;
      best = &ranked[i];
      noise = measured;
    }
    if (best == nullptr) {  // what has disappointed is trusted less in the next round
      if (ranked.empty() || ++failures >= kFailures) return false;
      continue;
    }
    failures = 0;
    const size_t row = static_cast<size_t>(std::max_element(now_.begin(), now_.end()) - now_.begin());
    steps_.push_back({best->units, row, now_[row], noise[row]});
    float_.insert(best->units.begin(), best->units.end());
    now_ = noise;
  }
  if (prune) Prune(target);
  return true;
}

// Whole steps first, the dearest first, then single units.
void PrecisionSearch::Prune(double target) {
  std::vector<std::vector<size_t>> groups;
  for (const PrecisionStep& step : steps_) groups.push_back(step.units);
  const auto dearest_first = [this](const std::vector<size_t>& a, const std::vector<size_t>& b) {
    return Cost({}, a) > Cost({}, b);
  };
  std::stable_sort(groups.begin(), groups.end(), dearest_first);
  std::vector<std::vector<size_t>> single;
  for (size_t u : float_) single.push_back({u});
  std::stable_sort(single.begin(), single.end(), dearest_first);
  if (single.size() > kPruned) single.resize(kPruned);
  groups.insert(groups.end(), single.begin(), single.end());
  for (const std::vector<size_t>& group : groups) {
    std::set<size_t> fewer = float_;
    for (size_t u : group) fewer.erase(u);
    if (fewer.size() == float_.size()) continue;
    if (measured_ >= kMostMeasured) return;
    const NoiseRatios measured = Measure(fewer);
    if (!Met(measured, target)) continue;
    float_ = std::move(fewer);
    now_ = measured;
  }
}

CurvePoint PrecisionSearch::Point(double share, size_t operators) {
  const auto most = static_cast<int64_t>(share * static_cast<double>(plans_.macs()));
  const size_t enough = float_.size() + operators;
  while (Int8Macs(float_) > most && float_.size() < enough) {
    now_ = Foretell(float_);
    const std::vector<Move> ranked = Ranked(0);
    if (ranked.empty()) break;
    float_.insert(ranked[0].units.begin(), ranked[0].units.end());
  }
  now_ = Measure(float_);
  return {Int8Macs(float_), float_.size(), now_};
}

}  // namespace xslim
