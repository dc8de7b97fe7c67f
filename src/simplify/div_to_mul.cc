// Before: Div(x, constant)        After: Mul(x, 1 / constant)
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {

int DivToMul(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Div") || graph->Constant(node.input(0)) != nullptr) continue;
    const Tensor* constant = graph->Constant(node.input(1));
    if (constant == nullptr || constant->dtype() != DType::kFloat) continue;
    Tensor inverse = constant->Clone();
    bool finite = true;
    for (int64_t i = 0; i < inverse.size(); ++i) {
      float& value = inverse.data<float>()[i];
      value = 1.0f / value;
      finite = finite && std::isfinite(value);
    }
    if (!finite) continue;
    const ValueId x = node.input(0);
    const ValueId factor =
        graph->AddConstant(graph->value(node.input(1)).name + "_reciprocal", std::move(inverse));
    ReplaceWith(graph, id, "Mul", {x, factor}, {});
    ++count;
  }
  return count;
}

}  // namespace xslim
