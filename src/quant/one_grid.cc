#include "quant/one_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include "quant/interest.h"
#include "quant/scale.h"

namespace xslim {
namespace {

constexpr double kMostWider = 1.25;
// Of the noise that the roundings make each on its own: what one of them may make to be taken instead.
constexpr double kWorthwhile = 0.95;

// to = factor * from + shift
struct Link {
  ValueId from, to;
  double factor, shift;
};

std::optional<Link> LinkOf(const Graph& graph, const QuantPlan& plan, const Node& node) {
  const Tensor* constant = ConstantOperand(graph, node);
  if (constant == nullptr || constant->dtype() != DType::kFloat || constant->size() != 1) return std::nullopt;
  const int slot = graph.Constant(node.input(1)) == nullptr ? 1 : 0;
  const double number = constant->data<float>()[0];
  Link link{node.input(static_cast<size_t>(slot)), node.outputs[0], 1, 0};
  if (node.Is("Add")) link.shift = number;
  if (node.Is("Sub")) link.factor = slot == 1 ? -1 : 1, link.shift = slot == 1 ? number : -number;
  if (node.Is("Mul")) link.factor = number;
  if (!std::isfinite(link.shift) || !std::isfinite(link.factor) || link.factor == 0) return std::nullopt;
  // An input has the scale of its data, which may be whole numbers.
  if (graph.value(link.from).producer == kNone) return std::nullopt;
  for (ValueId id : {link.from, link.to}) {
    const auto found = plan.activations.find(id);
    if (found == plan.activations.end() || found->second.fixed) return std::nullopt;
  }
  return link;
}

// Tensors that follow each other: by tensor, how many times as large its numbers are as those of the first.
struct Chain {
  std::map<ValueId, double> factors;
  double shift = 0;  // what is added on the way, in the first tensor's unit; 0: nothing
};

ScaleZero OwnScale(const ActivationQuant& quant) { return AsymmetricInt8(quant.lo, quant.hi); }

// The first tensor's scale; nullopt where each is better off with its own.
std::optional<double> CommonScale(const Chain& chain, const QuantPlan& plan) {
  double scale = 0, noise = 0;
  for (const auto& [id, factor] : chain.factors) {
    const double own = OwnScale(plan.activations.at(id)).scale / std::fabs(factor);
    scale = std::max(scale, own);
    noise += own * own;
  }
  if (chain.shift != 0) {
    const double steps = std::floor(std::fabs(chain.shift) / scale * (1 + 1e-6));
    if (steps < 1) return std::nullopt;
    const double wider = std::fabs(chain.shift) / steps;
    if (wider > kMostWider * scale) return std::nullopt;
    scale = std::max(scale, wider);
  }
  if (scale * scale > kWorthwhile * noise) return std::nullopt;
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (const auto& [id, factor] : chain.factors) {
    const double own = scale * std::fabs(factor);
    if (!(own >= kMinScale && own <= kLargest)) return std::nullopt;
  }
  return scale;
}

std::vector<Chain> FindChains(const Graph& graph, const QuantPlan& plan) {
  std::vector<Chain> chains;
  std::map<ValueId, size_t> of;
  for (NodeId id : graph.Order()) {
    if (!plan.nodes.count(id)) continue;
    const std::optional<Link> link = LinkOf(graph, plan, graph.node(id));
    if (!link) continue;
    const auto [found, is_new] = of.emplace(link->from, chains.size());
    if (is_new) chains.push_back({{{link->from, 1.0}}});
    Chain& chain = chains[found->second];
    if (link->shift != 0 && chain.shift != 0) continue;  // one scale can make one shift a multiple
    const double factor = chain.factors.at(link->from);
    if (link->shift != 0) chain.shift = link->shift / factor;
    chain.factors[link->to] = factor * link->factor;
    of[link->to] = found->second;
  }
  return chains;
}

}  // namespace

void PutOnOneGrid(const Graph& graph, QuantPlan* plan) {
  if (!plan->one_grid) return;
  for (const Chain& chain : FindChains(graph, *plan)) {
    const std::optional<double> common = CommonScale(chain, *plan);
    for (const auto& [id, factor] : chain.factors) {
      ActivationQuant& quant = plan->activations.at(id);
      ScaleZero chosen = OwnScale(quant);
      if (common) {
        chosen.scale = static_cast<float>(*common * std::fabs(factor));
        const double zero = -128 - std::nearbyint(static_cast<double>(quant.lo / chosen.scale));
        chosen.zero_point = static_cast<int32_t>(std::clamp(zero, -128.0, 127.0));
      }
      quant.params = {-1, {chosen.scale}, {chosen.zero_point}};
    }
  }
}

}  // namespace xslim
