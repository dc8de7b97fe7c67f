// Before: x -> Reshape | Flatten | Squeeze | Unsqueeze -> another of them -> y
// After:  x -> Reshape -> y, or y = x where the shapes are equal
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// A target that does not look at the shape of what it reshapes.
bool StandsAlone(const Graph& graph, const Node& node) {
  const Tensor* target =
      node.Is("Reshape") && node.input(1) != kNone ? graph.Constant(node.input(1)) : nullptr;
  if (target == nullptr || node.Int("allowzero", 0) != 0) return false;
  for (int64_t size : target->ToInts()) {
    if (size == 0) return false;
  }
  return true;
}

}  // namespace

int MergeReshapes(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!Reshapes(graph->node(id))) continue;
    const ValueId middle = graph->node(id).input(0), output = graph->node(id).outputs[0];
    const Node* first = graph->Producer(middle);
    if (first == nullptr || !Reshapes(*first)) continue;
    const ValueId x = first->input(0);
    if (facts.SameShape(x, output) && RemoveNoOp(graph, id, x)) {
      ++count;
      continue;
    }
    if (graph->SoleUser(middle) != id) continue;
    const TensorFacts &from = facts.of(x), &to = facts.of(output);
    const auto target = from.dims && to.dims ? ReshapeTarget(*from.dims, *to.dims) : std::nullopt;
    if (target) {
      const ValueId shape = AddInts(graph, graph->value(output).name + "_shape", *target);
      ReplaceWith(graph, id, "Reshape", {x, shape}, {});
    } else if (StandsAlone(*graph, graph->node(id))) {
      graph->SetInput(id, 0, x);
    } else {
      continue;
    }
    ++count;
  }
  return count;
}

}  // namespace xslim
