#include "tune/bias.h"

#include <string>
#include <vector>

#include "quant/facts.h"

namespace xslim {

bool HasOwnConstant(const Graph& graph, const Node& node, size_t slot) {
  const ValueId id = node.input(slot);
  return id != kNone && graph.Constant(id) != nullptr && graph.Constant(id)->dtype() == DType::kFloat &&
         graph.SoleUser(id) != kNone;
}

bool GiveBias(Graph* graph, NodeId id) {
  const Node& node = graph->node(id);
  if (!TakesBias(node)) return false;
  const Tensor& weight = *graph->Constant(node.input(1));
  int64_t channels = weight.dim(0);
  if (node.Is("ConvTranspose")) channels = weight.dim(1) * node.Int("group", 1);
  if (node.Is("Gemm")) {
    if (node.Float("alpha", 1) != 1.0f || node.Float("beta", 1) != 1.0f) return false;
    channels = weight.dim(node.Int("transB", 0) ? 0 : 1);
  }
  if (node.input(2) == kNone) {
    const std::string name = node.name + "_bias";
    graph->SetInput(
        id, 2,
        graph->AddConstant(
            name, Tensor::Of<float>({channels}, std::vector<float>(static_cast<size_t>(channels), 0.0f))));
    return true;
  }
  if (!HasOwnConstant(*graph, node, 2)) {
    const Tensor* shared = graph->Constant(node.input(2));
    if (shared == nullptr || shared->dtype() != DType::kFloat) return false;
    graph->SetInput(id, 2, graph->AddConstant(graph->value(node.input(2)).name + "_own", shared->Clone()));
  }
  const Tensor& bias = *graph->Constant(graph->node(id).input(2));
  return bias.rank() == 1 && bias.size() == channels;
}

}  // namespace xslim
