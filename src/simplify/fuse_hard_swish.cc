// Before: a = Clip(x + 3, 0, 6); y = (x * a) / 6, or x * (a / 6)        After: y = HardSwish(x)
#include "base/log.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

bool IsRelu6(const Graph& graph, const Node& node) {
  if (!node.Is("Clip")) return false;
  if (node.inputs.size() >= 3) {
    const std::optional<float> lo = ScalarOf(graph, node.input(1)), hi = ScalarOf(graph, node.input(2));
    return lo && hi && *lo == 0.0f && *hi == 6.0f;
  }
  return node.inputs.size() == 1 && node.Float("min", -1.0f) == 0.0f && node.Float("max", 0.0f) == 6.0f;
}

// node divides by six: Div(v, 6) or Mul(v, 1/6) in either order.
bool DividesBySix(const Graph& graph, const Node& node, ValueId v) {
  if (node.Is("Div")) return node.input(0) == v && ScalarIs(graph, node.input(1), 6.0f);
  return node.Is("Mul") && ScalarIs(graph, OtherInput(node, v), 1.0f / 6.0f);
}

// The end of the pattern that starts at Clip output `a` over x; kNone when it does not fit.
NodeId EndOf(const Graph& graph, ValueId a, ValueId x) {
  const NodeId first = graph.SoleUser(a);
  if (first == kNone) return kNone;
  const Node& one = graph.node(first);
  const NodeId second = graph.SoleUser(one.outputs[0]);
  if (second == kNone) return kNone;
  const Node& two = graph.node(second);
  if (one.Is("Mul") && OtherInput(one, a) == x && DividesBySix(graph, two, one.outputs[0])) return second;
  if (DividesBySix(graph, one, a) && two.Is("Mul") && OtherInput(two, one.outputs[0]) == x) return second;
  return kNone;
}

}  // namespace

int FuseHardSwish(Graph* graph, const SimplifyOptions& options) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !IsRelu6(*graph, graph->node(id))) continue;
    const Node& clip = graph->node(id);
    const Node* add = ProducerOfType(*graph, clip.input(0), "Add");
    if (add == nullptr || graph->SoleUser(clip.input(0)) != id) continue;
    for (int side = 0; side < 2; ++side) {
      const ValueId x = add->input(static_cast<size_t>(side));
      if (!ScalarIs(*graph, add->input(static_cast<size_t>(1 - side)), 3.0f)) continue;
      const NodeId end = EndOf(*graph, clip.outputs[0], x);
      if (end == kNone) continue;
      if (graph->opset() < 14) {
        if (options.highest_opset < 14) return count;
        if (const auto obstacle = RaiseOpset(graph, 14)) {
          LogDebug("HardSwish not fused: ", *obstacle);
          return count;
        }
      }
      ReplaceWith(graph, end, "HardSwish", {x}, {});
      ++count;
      break;
    }
  }
  return count;
}

}  // namespace xslim
