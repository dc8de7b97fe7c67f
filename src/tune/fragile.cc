#include "tune/fragile.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>
#include <utility>

#include "base/log.h"
#include "quant/interest.h"
#include "quant/work.h"

namespace xslim {
namespace {

// WorkOf() that the search may take, about, and the samples and measurements that it gets all the same.
constexpr int64_t kWork = 60'000'000'000;
constexpr int64_t kFewestSamples = 2, kFewestMeasurements = 96;
constexpr double kChance = 1.02;  // a rise of the noise that says nothing

// Those that are not silent at any output: others would be all that a mean of ratios tells of.
std::vector<Sample> WithSignal(const OutputNoise& noise, const std::vector<Sample>& samples) {
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

// What of a fused unit may become float: all of it where no product is in it, else from the sum with another
// activation on. A product with its bias and activation is not taken apart.
std::vector<size_t> TailOf(const PartialPlans& plans, const std::vector<size_t>& units) {
  const Graph& graph = plans.graph();
  const auto node = [&](size_t unit) -> const Node& { return graph.node(plans.units()[unit].node); };
  const auto computes = [&](size_t unit) { return RoleOf(graph, node(unit)) == QuantRole::kCompute; };
  auto first = units.begin();
  if (std::any_of(units.begin(), units.end(), computes)) {
    first = std::find_if(units.begin(), units.end(), [&](size_t unit) {
      return node(unit).Is("Add") && ConstantOperand(graph, node(unit)) == nullptr;
    });
  }
  if (std::any_of(first, units.end(), computes)) return {};
  return {first, units.end()};
}

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

NoiseRatios FragileFinder::Ratios(const QuantPlan& plan) const {
  if (noise_->rows().empty()) return {};
  return NoiseOf(ExportQdq(graph_, plan), *noise_, samples_, pool_);
}

double FragileFinder::Worst(const NoiseRatios& ratios, const OutputNoise& noise) const {
  double worst = 0;
  for (size_t row = 0; row < ratios.size(); ++row) {
    if (hopeless_.count(noise.rows()[row].Name())) continue;
    worst = std::max(worst, std::isnan(ratios[row]) ? std::numeric_limits<double>::infinity() : ratios[row]);
  }
  return worst;
}

bool FragileFinder::LeaveOutHopeless(const NoiseRatios& now, const NoiseRatios& best) {
  std::set<std::string> hopeless;
  bool helped = false;
  for (size_t row = 0; row < best.size(); ++row) {
    const bool gains = best[row] <= kFragileGain * now[row];
    if (!gains && !(best[row] <= kFragileNoise)) hopeless.insert(noise_->rows()[row].Name());
    helped |= gains && now[row] > kFragileNoise;
  }
  if (hopeless.empty() || !helped) return false;
  hopeless_ = std::move(hopeless);
  return true;
}

std::vector<FragileFinder::Units> FragileFinder::Candidates(const PartialPlans& plans) const {
  // protect_outputs has the say at the graph's end.
  const bool keep_ends = options_.protect_outputs == ProtectOutputs::kNever;
  std::vector<bool> ends(graph_.node_slots(), false);
  const std::vector<NodeId> order = graph_.Order();
  for (auto it = order.rbegin(); keep_ends && it != order.rend(); ++it)
    ends[static_cast<size_t>(*it)] = EndsGraph(graph_, graph_.node(*it), plans.whole().nodes, ends);
  std::map<NodeId, Units> fused;
  for (size_t u = 0; u < plans.units().size(); ++u)
    fused[HeadOfUnit(graph_, plans.whole(), graph_.node(plans.units()[u].node)).id].push_back(u);
  std::vector<Units> candidates;
  for (const auto& [head, units] : fused) {
    Units tail = TailOf(plans, units);
    const bool ends_graph = std::any_of(tail.begin(), tail.end(), [&](size_t unit) {
      return ends[static_cast<size_t>(plans.units()[unit].node)];
    });
    if (!tail.empty() && !ends_graph) candidates.push_back(std::move(tail));
  }
  std::sort(candidates.begin(), candidates.end());
  return candidates;
}

Fragile FragileFinder::Of(const PartialPlans& plans, const std::vector<Units>& candidates) const {
  Fragile fragile;
  for (const Units& units : candidates) {
    for (size_t unit : units)
      fragile.nodes.insert(plans.units()[unit].nodes.begin(), plans.units()[unit].nodes.end());
  }
  const auto only_fragile_read = [&](const Value& value) {
    return !value.is_output && !value.uses.empty() &&
           std::all_of(value.uses.begin(), value.uses.end(),
                       [&](const Use& use) { return fragile.nodes.count(use.node) != 0; }) &&
           !graph_.CapturedBySubgraph(value.name);
  };
  for (NodeId id : plans.whole().nodes) {
    const Node& node = graph_.node(id);
    if (fragile.nodes.count(id) || !GivesFloat(HeadOfUnit(graph_, plans.whole(), node))) continue;
    for (ValueId output : node.outputs) {
      if (output != kNone && only_fragile_read(graph_.value(output))) fragile.bare.insert(output);
    }
  }
  return fragile;
}

Fragile FragileFinder::AllOf(const QuantPlan& plan) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, {});
  return Of(plans, Candidates(plans));
}

FragileFinder::State FragileFinder::Without(const PartialPlans& plans, const std::vector<Units>& candidates,
                                            std::vector<bool> is_float) const {
  std::vector<Units> left;
  std::set<size_t> units;
  for (size_t c = 0; c < candidates.size(); ++c) {
    if (!is_float[c]) continue;
    left.push_back(candidates[c]);
    units.insert(candidates[c].begin(), candidates[c].end());
  }
  Fragile fragile = Of(plans, left);
  QuantPlan plan = plans.Without(units, fragile.bare);
  return {std::move(is_float), std::move(fragile), std::move(plan)};
}

Fragile FragileFinder::Find(const QuantPlan& plan, QuantPlan spare, const ProgressCall& progress,
                            AllowedRise allowed) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, std::move(spare));
  const std::vector<Units> candidates = Candidates(plans);
  if (candidates.empty()) return {};
  const int64_t count = std::ssize(candidates), work = std::max<int64_t>(WorkOf(graph_, facts_), 1);
  const int64_t runs = std::max(kWork / work, kFewestSamples * kFewestMeasurements);
  const std::vector<Sample> samples(
      samples_.begin(),
      samples_.begin() + std::min(std::max(runs / std::min(2 * count, kFewestMeasurements), kFewestSamples),
                                  std::ssize(samples_)));
  int64_t measurements = runs / std::ssize(samples);
  const OutputNoise noise(graph_, parts_, samples, pool_);
  const auto measure = [&](const QuantPlan& of) {
    return Worst(NoiseOf(ExportQdq(graph_, of), noise, samples, pool_), noise);
  };
  State now = Without(plans, candidates, std::vector<bool>(candidates.size(), true));
  const double start = measure(now.plan);
  const double each = std::max(allowed.share * start, allowed.least) / static_cast<double>(count);
  double most = kChance * start;  // noise that may be, with what is int8 again by now
  // Larger groups before smaller ones: where measurements run out, they do so for the whole graph alike.
  std::deque<std::pair<size_t, size_t>> groups = {{0, candidates.size()}};
  int64_t decided = 0;
  while (!groups.empty() && measurements > 0) {
    const auto [begin, end] = groups.front();
    groups.pop_front();
    std::vector<bool> is_float = now.is_float;
    for (size_t c = begin; c < end; ++c) is_float[c] = false;
    State next = Without(plans, candidates, std::move(is_float));
    // They may stay float all the same, behind others that are.
    const bool same = next.plan.nodes == now.plan.nodes && next.plan.bare == now.plan.bare;
    if (!same) --measurements;
    const double with_these = most + each * static_cast<double>(end - begin);
    if (same || measure(next.plan) <= with_these) {
      now = std::move(next);
      most = with_these;
    } else if (end - begin > 1) {
      const size_t middle = begin + (end - begin) / 2;
      groups.emplace_back(begin, middle);
      groups.emplace_back(middle, end);
      continue;
    }
    decided += static_cast<int64_t>(end - begin);
    progress(decided, count);
  }
  if (!groups.empty()) {
    LogDebug(count - decided, " operators without weights stay float in groups of up to ",
             groups.back().second - groups.back().first, ": there is no time to try them one by one");
    progress(count, count);
  }
  return std::move(now.fragile);
}

}  // namespace xslim
