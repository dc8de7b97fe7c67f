// Before: Clip(x, lo, none) | Clip(x, none, hi)        After: Clip(x, lo, hi), the largest or lowest float
// for a bound that was left out (opset 11 and up)
#include <limits>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {

int ExplicitClipBounds(Graph* graph, const SimplifyOptions& options) {
  if (graph->opset() < 11) return 0;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Clip") || facts.DTypeOf(node.input(0)) != DType::kFloat) continue;
    for (size_t slot : {size_t{1}, size_t{2}}) {
      if (graph->node(id).input(slot) != kNone) continue;
      const float bound =
          slot == 1 ? std::numeric_limits<float>::lowest() : std::numeric_limits<float>::max();
      const std::string name = graph->node(id).name + (slot == 1 ? "_min" : "_max");
      graph->SetInput(id, slot, graph->AddConstant(name, Tensor::Scalar(bound)));
      ++count;
    }
  }
  return count;
}

}  // namespace xslim
