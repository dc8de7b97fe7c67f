// Before: Conv | ConvTranspose | Gemm -> BatchNormalization        After: the same with other weights and
// bias y = gamma * (x - mean) / sqrt(var + epsilon) + beta.
// Before: MatMul -> Reshape to rank 2 -> BatchNormalization        After: MatMul -> Add -> Reshape
#include <cmath>
#include <string>
#include <utility>

#include "simplify/affine.h"
#include "simplify/batch_norm.h"
#include "simplify/match.h"
#include "simplify/shape_facts.h"
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

namespace {

// LeViT normalizes the channels of tokens like that. Of rank 2 the channels are the last axis, where the
// product has them.
bool FuseIntoProduct(Graph* graph, const ShapeFacts& facts, NodeId id) {
  const Node& node = graph->node(id);
  const ValueId normed = node.input(0), after = node.outputs[0];
  const Node* reshape = ProducerOfType(*graph, normed, "Reshape");
  if (reshape == nullptr || facts.RankOf(normed) != 2 || graph->SoleUser(normed) != id) return false;
  const ValueId x = reshape->input(0);
  const Node* product = ProducerOfType(*graph, x, "MatMul");
  if (product == nullptr || graph->SoleUser(x) != reshape->id) return false;
  const Tensor* weight = graph->Constant(product->input(1));
  if (weight == nullptr || weight->dtype() != DType::kFloat || weight->rank() != 2) return false;
  const int64_t channels = weight->dim(1);
  std::vector<float> scale, shift;
  if (facts.DimOf(normed, 1) != channels || !BatchNormAffine(*graph, node, &scale, &shift) ||
      std::ssize(scale) != channels)
    return false;
  ScaleWeights(graph, product->id, scale);
  const ValueId vector = graph->AddConstant(node.name + "_bias", Tensor::Of<float>({channels}, shift)),
                sum = graph->AddValue(graph->value(x).name + "_normalized", DType::kFloat);
  graph->AddNode("Add", graph->UniqueNodeName(node.name + "_add"), {x, vector}, {sum});
  graph->SetInput(reshape->id, 0, sum);
  Bypass(graph, id, normed, after);
  return true;
}

}  // namespace

int FuseBatchNorm(Graph* graph, const SimplifyOptions& options) {
  if (!HasAny(*graph, {"BatchNormalization"})) return 0;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("BatchNormalization")) continue;
    if (FuseIntoProduct(graph, facts, id)) {
      ++count;
      continue;
    }
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
