// Before: Mul(Reciprocal(x) | Div(1, x), y)        After: Div(y, x)
// Not of Reciprocal before quantization: the Mul can be int8, a Div cannot.
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// x when `id` is 1 / x and nothing else needs that.
ValueId Inverted(const Graph& graph, const ShapeFacts& facts, ValueId id, bool legalize) {
  if (const Node* reciprocal = ProducerOfType(graph, id, "Reciprocal"))
    return legalize || graph.SoleUser(id) == kNone ? kNone : reciprocal->input(0);
  const Node* div = ProducerOfType(graph, id, "Div");
  if (div == nullptr || ScalarOf(graph, div->input(0)) != 1.0f) return kNone;
  const bool widens = graph.Constant(div->input(0))->rank() > 0 && !facts.SameShape(div->input(1), id);
  return widens || graph.SoleUser(id) == kNone ? kNone : div->input(1);
}

}  // namespace

int ReciprocalToDiv(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Mul") || node.inputs.size() != 2 || node.inputs[0] == node.inputs[1]) continue;
    for (size_t side = 0; side < 2; ++side) {
      const ValueId x = Inverted(*graph, facts, node.inputs[side], options.legalize),
                    y = node.inputs[1 - side];
      if (x == kNone) continue;
      ReplaceWith(graph, id, "Div", {y, x}, {});
      ++count;
      break;
    }
  }
  return count;
}

}  // namespace xslim
