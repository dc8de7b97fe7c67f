#include "tune/fragile.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <utility>

#include "base/log.h"
#include "quant/interest.h"
#include "quant/work.h"

namespace xslim {
namespace {

// WorkOf() that the search may take, about, and the samples and measurements that it gets all the same.
constexpr int64_t kWork = 60'000'000'000;
constexpr int64_t kFewestSamples = 2, kFewestMeasurements = 96;
constexpr double kChance = 1.02;          // a rise of the noise that says nothing
constexpr size_t kMostProducts = 48;      // or groups of them that are tried one by one
constexpr int64_t kKeptBytes = 96 << 20;  // of the float graph's outputs

// Those that are not silent at any output: others would be all that a mean of ratios tells of.
std::vector<Sample> WithSignal(const OutputNoise& noise, const std::vector<Sample>& samples) {
  const std::vector<std::vector<double>> signals = noise.Signals();
  std::vector<bool> silent(samples.size(), false);
  for (size_t r = 0; r < signals.size(); ++r) {
    if (!noise.rows()[r].part.empty()) continue;
    const double least = SilentBelow(signals[r]);
    for (size_t s = 0; s < samples.size(); ++s) silent[s] = silent[s] || !(signals[r][s] >= least);
  }
  std::vector<Sample> loud;
  for (size_t s = 0; s < samples.size(); ++s) {
    if (!silent[s]) loud.push_back(samples[s]);
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

int64_t MacsOf(const PartialPlans& plans, const std::vector<size_t>& units) {
  int64_t macs = 0;
  for (size_t unit : units) macs += plans.units()[unit].macs;
  return macs;
}

int64_t MostMacs(const PartialPlans& plans) {
  return static_cast<int64_t>(kFragileMacs * static_cast<double>(plans.macs()));
}

// A whole fused unit, where what it multiplies is weights, and its multiply-adds are known and few.
std::vector<size_t> SmallProductOf(const PartialPlans& plans, const std::vector<size_t>& units) {
  const Graph& graph = plans.graph();
  for (size_t unit : units) {
    const Node& node = graph.node(plans.units()[unit].node);
    if (RoleOf(graph, node) != QuantRole::kCompute) continue;
    if (graph.Constant(node.input(0)) == nullptr && graph.Constant(node.input(1)) == nullptr) return {};
  }
  const int64_t macs = MacsOf(plans, units);
  return macs > 0 && macs <= MostMacs(plans) ? units : std::vector<size_t>();
}

// So that there are no more than `most`: neighbours together.
std::vector<std::vector<size_t>> Merge(std::vector<std::vector<size_t>> groups, size_t most) {
  const size_t each = (groups.size() + most - 1) / most;
  if (each < 2) return groups;
  std::vector<std::vector<size_t>> merged;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (g % each == 0) merged.emplace_back();
    merged.back().insert(merged.back().end(), groups[g].begin(), groups[g].end());
  }
  return merged;
}

}  // namespace

FragileFinder::FragileFinder(const Graph& graph, const ValueFacts& facts,
                             const QuantizationParameters& options, const std::vector<OutputParts>& parts,
                             std::vector<Sample> samples, ThreadPool& pool, const MemoryCeiling& ceiling)
    : graph_(graph), facts_(facts), options_(options), samples_(std::move(samples)), pool_(pool) {
  const auto listen = [&] {
    noise_.reset();  // before the next one keeps outputs
    noise_ =
        std::make_unique<OutputNoise>(graph, parts, samples_, pool, std::min(kKeptBytes, ceiling.Room() / 2));
  };
  listen();
  std::vector<Sample> loud = WithSignal(*noise_, samples_);
  if (loud.empty() || loud.size() == samples_.size()) return;
  samples_ = std::move(loud);
  listen();
}

NoiseRatios FragileFinder::Ratios(const QuantPlan& plan) const {
  if (noise_->rows().empty()) return {};
  return NoiseOf(ExportQdq(graph_, plan), *noise_, samples_, pool_);
}

double FragileFinder::Worst(const NoiseRatios& ratios) const {
  double worst = 0;
  for (size_t row = 0; row < ratios.size(); ++row) {
    if (hopeless_.count(noise_->rows()[row].Name())) continue;
    worst = std::max(worst, std::isnan(ratios[row]) ? std::numeric_limits<double>::infinity() : ratios[row]);
  }
  return worst;
}

bool FragileFinder::LeaveOutHopeless(const NoiseRatios& now, const NoiseRatios& best) {
  std::set<std::string> hopeless;
  bool helped = false;
  for (size_t row = 0; row < best.size(); ++row) {
    const bool gains = Gains(now[row], best[row]);
    if (!gains && !(best[row] <= kFragileNoise)) hopeless.insert(noise_->rows()[row].Name());
    helped |= gains && now[row] > kFragileNoise;
  }
  if (hopeless.empty() || !helped) return false;
  hopeless_ = std::move(hopeless);
  return true;
}

std::vector<FragileFinder::Units> FragileFinder::Fused(const PartialPlans& plans,
                                                       Units (*part)(const PartialPlans& plans,
                                                                     const Units& units)) const {
  // protect_outputs has the say at the graph's end.
  const bool keep_ends = options_.protect_outputs == ProtectOutputs::kNever;
  std::vector<bool> ends(graph_.node_slots(), false);
  const std::vector<NodeId> order = graph_.Order();
  for (auto it = order.rbegin(); keep_ends && it != order.rend(); ++it)
    ends[static_cast<size_t>(*it)] = EndsGraph(graph_, graph_.node(*it), plans.whole().nodes, ends);
  std::map<NodeId, Units> fused;
  for (size_t u = 0; u < plans.units().size(); ++u)
    fused[HeadOfUnit(graph_, plans.whole(), graph_.node(plans.units()[u].node)).id].push_back(u);
  std::vector<Units> parts;
  for (const auto& [head, units] : fused) {
    Units taken = part(plans, units);
    const bool ends_graph = std::any_of(taken.begin(), taken.end(), [&](size_t unit) {
      return ends[static_cast<size_t>(plans.units()[unit].node)];
    });
    if (!taken.empty() && !ends_graph) parts.push_back(std::move(taken));
  }
  std::sort(parts.begin(), parts.end());
  return parts;
}

std::vector<FragileFinder::Units> FragileFinder::Candidates(const PartialPlans& plans) const {
  return Fused(plans, TailOf);
}

std::vector<FragileFinder::Units> FragileFinder::Products(const PartialPlans& plans) const {
  return Fused(plans, SmallProductOf);
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

Fragile FragileFinder::SmallProducts(const QuantPlan& plan) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, {});
  return Of(plans, Products(plans));
}

FragileFinder::Budget FragileFinder::BudgetFor(int64_t count) const {
  const int64_t work = std::max<int64_t>(WorkOf(graph_, facts_), 1);
  const int64_t runs = std::max(kWork / work, kFewestSamples * kFewestMeasurements);
  const int64_t samples =
      std::min(std::max(runs / std::min(count, kFewestMeasurements), kFewestSamples), std::ssize(samples_));
  return {{samples_.begin(), samples_.begin() + samples}, runs / samples};
}

double FragileFinder::Measure(const QuantPlan& plan, const std::vector<Sample>& samples) const {
  return Worst(NoiseOf(ExportQdq(graph_, plan), *noise_, samples, pool_));
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
  const int64_t count = std::ssize(candidates);
  auto [samples, measurements] = BudgetFor(2 * count);
  State now = Without(plans, candidates, std::vector<bool>(candidates.size(), true));
  const double start = Measure(now.plan, samples);
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
    if (same || Measure(next.plan, samples) <= with_these) {
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
    LogDebug(Counted(count - decided, "operator"), " without weights left float in groups of up to ",
             groups.back().second - groups.back().first, ": there is no time to try them one by one");
    progress(count, count);
  }
  return std::move(now.fragile);
}

Fragile FragileFinder::FindProducts(const QuantPlan& plan, QuantPlan spare, const ProgressCall& progress,
                                    AllowedRise allowed) const {
  const std::map<NodeId, Tensor> no_biases;
  const PartialPlans plans(graph_, no_biases, plan, facts_, options_, std::move(spare));
  const std::vector<Units> products = Merge(Products(plans), kMostProducts), others = Candidates(plans);
  std::vector<Units> candidates = products;
  candidates.insert(candidates.end(), others.begin(), others.end());
  const size_t count = products.size();
  const int64_t total = 2 * std::ssize(products);
  const std::vector<Sample> samples = BudgetFor(std::max<int64_t>(total, 1)).samples;
  int64_t done = 0;
  const auto measure = [&](std::vector<bool> is_float) {
    is_float.resize(candidates.size(), true);
    return Measure(Without(plans, candidates, std::move(is_float)).plan, samples);
  };
  const double least = measure(std::vector<bool>(count, true));
  std::vector<int64_t> macs(count);
  std::vector<std::pair<double, size_t>> by_gain;  // noise by multiply-add
  for (size_t p = 0; p < count; ++p) {
    std::vector<bool> is_float(count, true);
    is_float[p] = false;
    const double rise = measure(std::move(is_float)) - least;
    macs[p] = MacsOf(plans, products[p]);
    by_gain.emplace_back(std::isnan(rise) ? 0 : rise / static_cast<double>(macs[p]), p);
    progress(++done, total);
  }
  std::stable_sort(by_gain.begin(), by_gain.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<bool> chosen(count, false);
  int64_t room = MostMacs(plans);
  for (const auto& [gain, p] : by_gain) {
    if (macs[p] > room) continue;
    chosen[p] = true;
    room -= macs[p];
  }
  const double now = measure(chosen);
  // Noise that is too large as it is must not grow.
  const double most = now > kFragileNoise
                          ? kChance * now
                          : std::min(now + std::max(allowed.share * now, allowed.least), kFragileNoise);
  for (auto it = by_gain.rbegin(); it != by_gain.rend(); ++it) {
    progress(++done, total);
    if (!chosen[it->second]) continue;
    chosen[it->second] = false;
    chosen[it->second] = !(measure(chosen) <= most);
  }
  std::vector<Units> taken;
  for (size_t p = 0; p < count; ++p) {
    if (chosen[p]) taken.push_back(products[p]);
  }
  return Of(plans, taken);
}

}  // namespace xslim
