// Before: d = x - ReduceMean(x); y = d / Sqrt(ReduceMean(d^2) + epsilon) * scale [+ bias], over the last axes
// After:  y = LayerNormalization(x, scale, bias) (opset 17)
#include "base/log.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// The axes of a ReduceMean that keeps its dimensions; empty when they are not known.
std::vector<int64_t> Axes(const Graph& graph, const Node& node) {
  if (node.Int("keepdims", 1) != 1) return {};
  if (node.input(1) != kNone) {
    const Tensor* axes = graph.Constant(node.input(1));
    return axes == nullptr ? std::vector<int64_t>{} : axes->ToInts();
  }
  return node.Ints("axes");
}

bool Squares(const Graph& graph, const Node& node, ValueId d) {
  if (node.Is("Pow")) return node.input(0) == d && ScalarIs(graph, node.input(1), 2.0f);
  return node.Is("Mul") && node.input(0) == d && node.input(1) == d;
}

struct Match {
  ValueId x, scale, bias = kNone;
  float epsilon;
  NodeId end;
};

std::optional<Match> MatchFrom(const Graph& graph, const Node& mean) {
  const std::vector<int64_t> axes = Axes(graph, mean);
  if (axes != std::vector<int64_t>{-1}) {
    const Value& input = graph.value(mean.input(0));  // a positive axis needs the rank
    if (axes.size() != 1 || !input.has_shape || axes[0] != static_cast<int64_t>(input.dims.size()) - 1)
      return std::nullopt;
  }
  Match match;
  match.x = mean.input(0);
  const Node* sub = SoleUserOfType(graph, mean.outputs[0], "Sub");
  if (sub == nullptr || sub->input(0) != match.x || sub->input(1) != mean.outputs[0]) return std::nullopt;
  const ValueId d = sub->outputs[0];
  const Node *square = nullptr, *div = nullptr;
  for (const Use& use : graph.value(d).uses) {
    const Node& user = graph.node(use.node);
    if (Squares(graph, user, d))
      square = &user;
    else if (user.Is("Div") && user.input(0) == d)
      div = &user;
    else
      return std::nullopt;
  }
  if (square == nullptr || div == nullptr || graph.value(d).is_output) return std::nullopt;
  const Node* variance = SoleUserOfType(graph, square->outputs[0], "ReduceMean");
  if (variance == nullptr || Axes(graph, *variance) != axes) return std::nullopt;
  const Node* add = SoleUserOfType(graph, variance->outputs[0], "Add");
  if (add == nullptr) return std::nullopt;
  const std::optional<float> epsilon = ScalarOf(graph, OtherInput(*add, variance->outputs[0]));
  const Node* root = SoleUserOfType(graph, add->outputs[0], "Sqrt");
  if (!epsilon || root == nullptr || graph.SoleUser(root->outputs[0]) != div->id ||
      div->input(1) != root->outputs[0]) {
    return std::nullopt;
  }
  match.epsilon = *epsilon;
  const Node* mul = SoleUserOfType(graph, div->outputs[0], "Mul");
  if (mul == nullptr) return std::nullopt;
  match.scale = OtherInput(*mul, div->outputs[0]);
  const Tensor* scale = match.scale == kNone ? nullptr : graph.Constant(match.scale);
  if (scale == nullptr || scale->rank() != 1 || scale->size() < 2) return std::nullopt;
  match.end = mul->id;
  if (const Node* last = SoleUserOfType(graph, mul->outputs[0], "Add")) {
    const ValueId bias = OtherInput(*last, mul->outputs[0]);
    const Tensor* constant = bias == kNone ? nullptr : graph.Constant(bias);
    if (constant != nullptr && constant->shape() == scale->shape()) {
      match.bias = bias;
      match.end = last->id;
    }
  }
  return match;
}

}  // namespace

int FuseLayerNorm(Graph* graph, const SimplifyOptions& options) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !graph->node(id).Is("ReduceMean")) continue;
    const std::optional<Match> match = MatchFrom(*graph, graph->node(id));
    if (!match) continue;
    if (graph->opset() < 17) {
      if (options.highest_opset < 17) return count;
      if (const auto obstacle = RaiseOpset(graph, 17)) {
        LogDebug("LayerNormalization not fused: ", *obstacle);
        return count;
      }
    }
    std::vector<ValueId> inputs{match->x, match->scale};
    if (match->bias != kNone) inputs.push_back(match->bias);
    ReplaceWith(graph, match->end, "LayerNormalization", inputs,
                {{"axis", Attribute::Int(-1)}, {"epsilon", Attribute::Float(match->epsilon)}});
    graph->RemoveDead();
    ++count;
  }
  return count;
}

}  // namespace xslim
