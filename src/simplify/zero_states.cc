// Before: LSTM | GRU | RNN whose initial states are zero everywhere, whatever the batch
// After:  without these
#include "simplify/simplify.h"
#include "simplify/uniform.h"

namespace xslim {
namespace {

constexpr size_t kStates[] = {5, 6};  // initial_h, initial_c

bool IsZero(const Graph& graph, ValueId id) {
  const std::optional<Tensor> number = id == kNone ? std::nullopt : UniformOf(graph, id);
  return number && number->dtype() == DType::kFloat && number->data<float>()[0] == 0.0f;
}

}  // namespace

int ZeroStates(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.IsRecurrent()) continue;
    for (size_t slot : kStates) {
      if (!IsZero(*graph, node.input(slot))) continue;
      graph->SetInput(id, slot, kNone);
      ++count;
    }
  }
  return count;
}

}  // namespace xslim
