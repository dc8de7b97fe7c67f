// Before: Conv | ConvTranspose | Gemm -> BatchNormalization        After: the same with other weights and
// bias y = gamma * (x - mean) / sqrt(var + epsilon) + beta.
#include <cmath>

#include "simplify/affine.h"
#include "simplify/batch_norm.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {

bool BatchNormAffine(const Graph& graph, const Node& node, std::vector<float>* scale,
                     std::vector<float>* shift) {
  if (node.Int("training_mode", 0) != 0 || node.outputs.size() > 1 || node.inputs.size() < 5) return false;
  const Tensor* parameters[4];
  for (size_t i = 0; i < 4; ++i) {
    parameters[i] = graph.Constant(node.inputs[i + 1]);
    if (parameters[i] == nullptr || parameters[i]->dtype() != DType::kFloat) return false;
    if (parameters[i]->size() != parameters[0]->size()) return false;
  }
  const double epsilon = node.Float("epsilon", 1e-5f);
  for (int64_t c = 0; c < parameters[0]->size(); ++c) {
    const double gamma = parameters[0]->data<float>()[c], beta = parameters[1]->data<float>()[c];
    const double mean = parameters[2]->data<float>()[c], variance = parameters[3]->data<float>()[c];
    const double factor = gamma / std::sqrt(variance + epsilon);
    scale->push_back(static_cast<float>(factor));
    shift->push_back(static_cast<float>(beta - mean * factor));
  }
  return true;
}

int FuseBatchNorm(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("BatchNormalization")) continue;
    const ValueId before = node.input(0), after = node.outputs[0];
    const Node* producer = graph->Producer(before);
    if (producer == nullptr || graph->SoleUser(before) != id) continue;
    std::vector<float> scale, shift;
    if (!BatchNormAffine(*graph, node, &scale, &shift)) continue;
    if (FoldableChannels(*graph, *producer) != static_cast<int64_t>(scale.size())) continue;
    FoldIntoWeights(graph, producer->id, scale, shift);
    Bypass(graph, id, before, after);
    ++count;
  }
  return count;
}

}  // namespace xslim
