#include "tune/fragile.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "quant/interest.h"

namespace xslim {
namespace {

constexpr int64_t kMacs = 60'000'000'000;  // that measuring may take, about
constexpr int64_t kFewestSamples = 2;
constexpr double kChance = 1.02;  // a rise of the noise that says nothing

// Those with at least a thousandth of the mean signal at every output: others would be all that a mean of
// ratios tells of.
std::vector<Sample> WithSignal(const OutputNoise& noise, const std::vector<Sample>& samples) {
  constexpr double kLeastSignal = 1e-3;
  const std::vector<std::vector<double>> signals = noise.Signals();
  std::vector<Sample> loud;
  for (size_t s = 0; s < samples.size(); ++s) {
    bool silent = false;
    for (size_t r = 0; r < signals.size(); ++r) {
      const double mean =
          std::accumulate(signals[r].begin(), signals[r].end(), 0.0) / static_cast<double>(samples.size());
      silent |= noise.rows()[r].part.empty() && !(signals[r][s] >= kLeastSignal * mean);
    }
    if (!silent) loud.push_back(samples[s]);
  }
  return loud;
}

double Worst(const NoiseRatios& noise) {
  double worst = 0;
  for (double ratio : noise)
    worst = std::max(worst, std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio);
  return worst;
}

// The first operator of the fused unit that the node is in (QuantizationParameters::placement): itself, where
// all its data inputs have pairs.
const Node& HeadOfUnit(const Graph& graph, const QuantPlan& plan, const Node& node) {
  for (ValueId input : node.inputs) {
    const Node* producer = input == kNone ? nullptr : graph.Producer(input);
    if (producer != nullptr && plan.nodes.count(producer->id) && !plan.activations.count(input) &&
        RoleOf(graph, *producer) != QuantRole::kPassive)
      return HeadOfUnit(graph, plan, *producer);
  }
  return node;
}

// A runtime computes these in int8 also when their results go on as float32.
bool GivesFloat(const Node& product) { return product.Is("MatMul") || product.Is("Gemm"); }

}  // namespace

FragileFinder::FragileFinder(const Graph& graph, const ValueFacts& facts,
                             const QuantizationParameters& options, const std::vector<OutputParts>& parts,
                             std::vector<Sample> samples, ThreadPool& pool)
    : graph_(graph),
      facts_(facts),
      options_(options),
      parts_(parts),
      samples_(std::move(samples)),
      pool_(pool),
      noise_(std::make_unique<OutputNoise>(graph, parts, samples_, pool)) {
  std::vector<Sample> loud = WithSignal(*noise_, samples_);
  if (loud.empty() || loud.size() == samples_.size()) return;
  samples_ = std::move(loud);
  noise_ = std::make_unique<OutputNoise>(graph, parts, samples_, pool);
}

double FragileFinder::Noise(const QuantPlan& plan) const {
  if (noise_->rows().empty()) return 0;
  const Graph written = ExportQdq(graph_, plan);
  return Worst(VariantRunner(written, *noise_, samples_, pool_).base());
}

std::vector<size_t> FragileFinder::Candidates(const PartialPlans& plans) const {
  // protect_outputs has the say at the graph's end.
  const bool keep_ends = options_.protect_outputs == ProtectOutputs::kNever;
  std::vector<bool> ends(graph_.node_slots(), false);
  const std::vector<NodeId> order = graph_.Order();
  for (auto it = order.rbegin(); keep_ends && it != order.rend(); ++it)
    ends[static_cast<size_t>(*it)] = EndsGraph(graph_, graph_.node(*it), plans.whole().nodes, ends);
  // A fused unit of several operators is not taken apart.
  std::map<NodeId, int> in_unit;
  for (const Unit& unit : plans.units())
    ++in_unit[HeadOfUnit(graph_, plans.whole(), graph_.node(unit.node)).id];
  std::vector<size_t> candidates;
  for (size_t u = 0; u < plans.units().size(); ++u) {
    const Unit& unit = plans.units()[u];
    const Node& node = graph_.node(unit.node);
    if (unit.macs == 0 && RoleOf(graph_, node) != QuantRole::kCompute &&
        HeadOfUnit(graph_, plans.whole(), node).id == node.id && in_unit[node.id] == 1 &&
        !ends[static_cast<size_t>(node.id)])
      candidates.push_back(u);
  }
  return candidates;
}

Fragile FragileFinder::Of(const PartialPlans& plans, const std::set<size_t>& units) const {
  Fragile fragile;
  for (size_t unit : units) {
    for (NodeId id : plans.units()[unit].nodes) fragile.nodes[id] = "fragile in int8";
  }
  for (const auto& [id, quant] : plans.whole().activations) {
    const Value& value = graph_.value(id);
    const Node* producer = graph_.Producer(id);
    if (producer != nullptr && !value.is_output && !graph_.CapturedBySubgraph(value.name) &&
        GivesFloat(HeadOfUnit(graph_, plans.whole(), *producer)) && !value.uses.empty() &&
        std::all_of(value.uses.begin(), value.uses.end(),
                    [&](const Use& use) { return fragile.nodes.count(use.node) != 0; }))
      fragile.bare.insert(id);
  }
  return fragile;
}

Fragile FragileFinder::AllOf(const QuantPlan& plan) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, {});
  const std::vector<size_t> candidates = Candidates(plans);
  return Of(plans, {candidates.begin(), candidates.end()});
}

Fragile FragileFinder::Find(const QuantPlan& plan, QuantPlan spare, double rest,
                            const ProgressCall& progress) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, std::move(spare));
  const std::vector<size_t> candidates = Candidates(plans);
  std::set<size_t> floats(candidates.begin(), candidates.end());
  if (candidates.empty()) return {};
  const int64_t affordable = kMacs / std::max<int64_t>(plans.macs() * std::ssize(candidates), 1);
  const std::vector<Sample> samples(
      samples_.begin(),
      samples_.begin() + std::min(std::max(affordable, kFewestSamples), std::ssize(samples_)));
  const OutputNoise noise(graph_, parts_, samples, pool_);
  const auto measure = [&](const std::set<size_t>& units) {
    const Graph written = ExportQdq(graph_, plans.Without(units, Of(plans, units).bare));
    return Worst(VariantRunner(written, noise, samples, pool_).base());
  };
  double now = measure(floats);
  const double each = rest / static_cast<double>(candidates.size());
  int64_t decided = 0;
  const std::function<void(size_t, size_t)> put_back = [&](size_t begin, size_t end) {
    std::set<size_t> fewer = floats;
    for (size_t i = begin; i < end; ++i) fewer.erase(candidates[i]);
    const double after = measure(fewer);
    if (after <= kChance * now + each * static_cast<double>(end - begin)) {
      floats = std::move(fewer);
      now = after;
    } else if (end - begin > 1) {
      const size_t middle = begin + (end - begin) / 2;
      put_back(begin, middle);
      put_back(middle, end);
      return;
    }
    decided += static_cast<int64_t>(end - begin);
    progress(decided, std::ssize(candidates));
  };
  put_back(0, candidates.size());
  return Of(plans, floats);
}

}  // namespace xslim
