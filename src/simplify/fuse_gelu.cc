// Before: y = 0.5 * x * (1 + Erf(x / sqrt(2))), the factor 0.5 anywhere        After: y = Gelu(x) (opset 20)
#include "base/log.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// x when `v` is x / sqrt(2).
ValueId RootOf(const Graph& graph, ValueId v) {
  if (const Node* div = ProducerOfType(graph, v, "Div")) {
    return ScalarIs(graph, div->input(1), 1.41421356f) ? div->input(0) : kNone;
  }
  if (const Node* mul = ProducerOfType(graph, v, "Mul")) {
    for (size_t side = 0; side < 2; ++side) {
      if (ScalarIs(graph, mul->input(side), 0.707106781f)) return mul->input(1 - side);
    }
  }
  return kNone;
}

// `v` is x * 0.5.
bool HalfOf(const Graph& graph, ValueId v, ValueId x) {
  const Node* mul = ProducerOfType(graph, v, "Mul");
  return mul != nullptr && ScalarIs(graph, OtherInput(*mul, x), 0.5f);
}

NodeId EndOf(const Graph& graph, ValueId sum, ValueId x) {
  const Node* mul = SoleUserOfType(graph, sum, "Mul");
  if (mul == nullptr) return kNone;
  const ValueId other = OtherInput(*mul, sum);
  if (other != kNone && HalfOf(graph, other, x)) return mul->id;  // (0.5 x) * sum
  const Node* end = SoleUserOfType(graph, mul->outputs[0], "Mul");
  if (end == nullptr) return kNone;
  const ValueId rest = OtherInput(*end, mul->outputs[0]);
  if (other == x && ScalarIs(graph, rest, 0.5f)) return end->id;  // (x * sum) * 0.5
  if (ScalarIs(graph, other, 0.5f) && rest == x) return end->id;  // x * (0.5 sum)
  return kNone;
}

}  // namespace

int FuseGelu(Graph* graph, const SimplifyOptions& options) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !graph->node(id).Is("Erf")) continue;
    const Node& erf = graph->node(id);
    const ValueId x = RootOf(*graph, erf.input(0));
    if (x == kNone || graph->SoleUser(erf.input(0)) != id) continue;
    const Node* add = SoleUserOfType(*graph, erf.outputs[0], "Add");
    if (add == nullptr || !ScalarIs(*graph, OtherInput(*add, erf.outputs[0]), 1.0f)) continue;
    const NodeId end = EndOf(*graph, add->outputs[0], x);
    if (end == kNone) continue;
    if (graph->opset() < 20) {
      if (options.highest_opset < 20) return count;
      if (const auto obstacle = RaiseOpset(graph, 20)) {
        LogDebug("Gelu not fused: ", *obstacle);
        return count;
      }
    }
    ReplaceWith(graph, end, "Gelu", {x}, {});
    ++count;
  }
  return count;
}

}  // namespace xslim
