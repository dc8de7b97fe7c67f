// Before: Constant -> c        After: initializer c
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {

Tensor HeldBy(const Node& node) {
  if (const Tensor* tensor = node.TensorOf("value")) return *tensor;
  if (node.Has("value_float")) return Tensor::Scalar<float>(node.Float("value_float", 0));
  if (node.Has("value_int")) return Tensor::Scalar<int64_t>(node.Int("value_int", 0));
  if (node.Has("value_floats")) {
    const std::vector<float> values = node.Floats("value_floats");
    return Tensor::Of<float>({static_cast<int64_t>(values.size())}, values);
  }
  if (node.Has("value_ints")) {
    const std::vector<int64_t> values = node.Ints("value_ints");
    return Tensor::Of<int64_t>({static_cast<int64_t>(values.size())}, values);
  }
  return {};
}

int ConstantsToInitializers(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    const ValueId output = node.outputs[0];
    if (!node.Is("Constant") || output == kNone || graph->value(output).is_output) continue;
    Tensor value = HeldBy(node);
    if (!value.defined()) continue;  // strings stay
    graph->RemoveNode(id);
    graph->SetConstant(output, std::move(value));
    ++count;
  }
  return count;
}

}  // namespace xslim
