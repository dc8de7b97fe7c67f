// Before: BatchNormalization that no computing operator precedes, of an input of known rank
// After:  Mul, Add with constants of [C,1,1], as many 1s as the rank asks for
#include "simplify/batch_norm.h"
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {

int BatchNormToAffine(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("BatchNormalization")) continue;
    std::vector<float> scale, shift;
    if (!BatchNormAffine(*graph, node, &scale, &shift)) continue;
    const int64_t rank = facts.RankOf(node.input(0));
    if (rank < 2) continue;
    Shape shape(static_cast<size_t>(rank - 1), 1);
    shape[0] = static_cast<int64_t>(scale.size());
    const std::string name = graph->value(node.outputs[0]).name;
    const ValueId factor = graph->AddConstant(name + "_mul_factor", Tensor::Of<float>(shape, scale));
    const ValueId offset = graph->AddConstant(name + "_add_offset", Tensor::Of<float>(shape, shift));
    const ValueId middle = graph->AddValue(name + "_mul_out", DType::kFloat);
    const ValueId x = graph->node(id).input(0);
    graph->AddNode("Mul", graph->node(id).name + "_mul", {x, factor}, {middle});
    ReplaceWith(graph, id, "Add", {middle, offset}, {});
    ++count;
  }
  return count;
}

}  // namespace xslim
