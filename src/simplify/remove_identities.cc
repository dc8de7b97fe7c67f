// Before: x -> Identity | Dropout (inference) -> y        After: readers of y read x
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {

int RemoveIdentities(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Identity") && !node.Is("Dropout")) continue;
    if (node.input(0) == kNone) continue;
    if (node.Is("Dropout")) {
      if (node.outputs.size() > 1 && node.outputs[1] != kNone) continue;  // the mask is asked for
      if (node.input(2) != kNone) {                                       // training_mode
        const Tensor* training = graph->Constant(node.input(2));
        if (training == nullptr || training->ToInts() != std::vector<int64_t>{0}) continue;
      }
    }
    const ValueId input = node.input(0), output = node.outputs[0];
    if (graph->CapturedBySubgraph(graph->value(output).name)) continue;
    if (!graph->value(output).is_output) {
      graph->ReplaceUses(output, input);
      graph->RemoveNode(id);
      ++count;
    } else if (graph->SoleUser(input) == id && graph->value(input).producer != kNone) {
      const NodeId producer = graph->value(input).producer;  // it writes the output under the output's name
      const size_t slot = static_cast<size_t>(graph->value(input).producer_slot);
      graph->RemoveNode(id);
      graph->SetOutput(producer, slot, output);
      ++count;
    }
  }
  return count;
}

}  // namespace xslim
