#include "tune/fragile.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "quant/interest.h"

namespace xslim {
namespace {

constexpr int64_t kMacs = 60'000'000'000;  // that measuring may take, about
constexpr int64_t kFewestSamples = 2;

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

bool MadeBy(const Unit& unit, const Node& node) {
  return std::find(unit.nodes.begin(), unit.nodes.end(), node.id) != unit.nodes.end();
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

std::vector<bool> FragileFinder::Removable(const PartialPlans& plans) const {
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
  std::vector<bool> removable;
  for (const Unit& unit : plans.units()) {
    const Node& node = graph_.node(unit.node);
    removable.push_back(unit.macs == 0 && RoleOf(graph_, node) != QuantRole::kCompute &&
                        HeadOfUnit(graph_, plans.whole(), node).id == node.id && in_unit[node.id] == 1 &&
                        !ends[static_cast<size_t>(node.id)]);
  }
  return removable;
}

void FragileFinder::AddBare(const QuantPlan& plan, const std::set<ValueId>& of, Fragile* fragile) const {
  for (ValueId id : of) {
    const Value& value = graph_.value(id);
    const Node* producer = graph_.Producer(id);
    if (plan.activations.count(id) && producer != nullptr && !value.is_output &&
        !graph_.CapturedBySubgraph(value.name) && GivesFloat(HeadOfUnit(graph_, plan, *producer)) &&
        !value.uses.empty() && std::all_of(value.uses.begin(), value.uses.end(), [&](const Use& use) {
          return fragile->nodes.count(use.node) != 0;
        }))
      fragile->bare.insert(id);
  }
}

Fragile FragileFinder::AllOf(const QuantPlan& plan) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, {});
  const std::vector<bool> removable = Removable(plans);
  Fragile all;
  for (size_t u = 0; u < removable.size(); ++u) {
    if (!removable[u]) continue;
    for (NodeId id : plans.units()[u].nodes) all.nodes[id] = "tried as float";
  }
  std::set<ValueId> pairs;
  for (const auto& [id, quant] : plan.activations) pairs.insert(id);
  AddBare(plan, pairs, &all);
  return all;
}

Fragile FragileFinder::Find(const QuantPlan& plan, double rest, const ProgressCall& progress) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, {});
  const std::vector<bool> removable = Removable(plans);
  // Pairs that operators around them do not see any more when those are float: all of them, behind a product
  // (if that gives float32), or else at least one reader. What then still reads the pair makes less noise
  // than is measured, at most.
  std::vector<ValueId> pairs;
  for (NodeId id : graph_.Order()) {
    for (ValueId output : graph_.node(id).outputs) {
      const auto holders = plans.holders().find(output);
      if (holders == plans.holders().end()) continue;
      const Node& head = HeadOfUnit(graph_, plan, graph_.node(id));
      const bool product = RoleOf(graph_, head) == QuantRole::kCompute;
      if (product && !GivesFloat(head)) continue;
      std::vector<size_t> readers = holders->second;
      std::erase_if(readers, [&](size_t unit) { return MadeBy(plans.units()[unit], graph_.node(id)); });
      const auto may = [&](size_t unit) { return removable[unit]; };
      if (product ? !readers.empty() && std::all_of(readers.begin(), readers.end(), may)
                  : std::any_of(readers.begin(), readers.end(), may))
        pairs.push_back(output);
    }
  }
  // A variant runs about half of the graph.
  const int64_t affordable = kMacs / std::max<int64_t>(plans.macs() * std::ssize(pairs) / 2, 1);
  const auto count = std::min(std::max(affordable, kFewestSamples), std::ssize(samples_));
  const std::vector<Sample> samples(samples_.begin(), samples_.begin() + count);
  const OutputNoise noise(graph_, parts_, samples, pool_);
  VariantRunner runner(graph_, noise, samples, pool_);
  const std::vector<NoiseRatios> alone = runner.Run(
      pairs.size(), [&](size_t p) { return ExportQdq(graph_, plans.PairAlone(pairs[p])); },
      [&](int64_t done) { progress(done, static_cast<int64_t>(pairs.size())); });
  std::vector<std::pair<double, ValueId>> costs;
  double sum = 0;
  for (size_t p = 0; p < pairs.size(); ++p) {
    costs.push_back({Worst(alone[p]), pairs[p]});
    sum += costs.back().first;
  }
  std::stable_sort(costs.begin(), costs.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  Fragile fragile;
  std::set<ValueId> costly;
  for (const auto& [cost, pair] : costs) {
    if (sum <= rest) break;
    sum -= cost;
    costly.insert(pair);
    for (size_t unit : plans.holders().at(pair)) {
      if (!removable[unit]) continue;
      for (NodeId id : plans.units()[unit].nodes)
        fragile.nodes.emplace(id, StrCat("fragile: int8 of ", graph_.value(pair).name,
                                         " alone would make the noise/signal ", cost, " at an output"));
    }
  }
  AddBare(plan, costly, &fragile);
  return fragile;
}

}  // namespace xslim
