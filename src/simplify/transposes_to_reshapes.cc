// Before: Transpose that moves only axes of size 1        After: Reshape
//
// A Reshape moves no numbers. Runs after all merging: a Transpose merges with others, a Reshape does not.
// Besides, ONNX Runtime 1.24 crashes on some such Transposes in front of a MatMul in float16.
#include <algorithm>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {

int TransposesToReshapes(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Transpose")) continue;
    const TensorFacts &from = facts.of(node.input(0)), &to = facts.of(node.outputs[0]);
    if (!from.dims || !to.dims) continue;
    const std::vector<int64_t> perm = node.Ints("perm");
    if (perm.size() != from.dims->size() || !MovesOnlyOnes(*from.dims, perm)) continue;
    const auto target = ReshapeTarget(*from.dims, *to.dims);
    if (!target) continue;
    // A size of 0 that is kept leaves nothing to tell an open size by.
    const auto has = [&](int64_t number) { return std::count(target->begin(), target->end(), number) > 0; };
    if (has(0) && has(-1)) continue;
    const ValueId x = node.input(0),
                  shape = AddInts(graph, graph->value(node.outputs[0]).name + "_shape", *target);
    ReplaceWith(graph, id, "Reshape", {x, shape}, {});
    ++count;
  }
  return count;
}

}  // namespace xslim
