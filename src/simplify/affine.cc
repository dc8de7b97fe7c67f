#include "simplify/affine.h"

#include <cmath>

namespace xslim {
namespace {

// Channel of element `at` of the weight, for `channels` output channels.
struct Layout {
  int64_t inner, per_group, group, outer_stride;
  int64_t Channel(int64_t at) const {
    const int64_t within = (at / inner) % per_group;
    return outer_stride == 0 ? within : (at / outer_stride) * per_group + within;
  }
};

Layout LayoutOf(const Node& node, const Tensor& weight) {
  if (node.Is("Gemm") || node.Is("MatMul")) {
    if (node.Int("transB", 0)) return {weight.dim(1), weight.dim(0), 1, 0};
    return {1, weight.dim(1), 1, 0};
  }
  int64_t spatial = 1;
  for (int64_t i = 2; i < weight.rank(); ++i) spatial *= weight.dim(i);
  if (node.Is("Conv")) return {weight.dim(1) * spatial, weight.dim(0), 1, 0};
  const int64_t group = node.Int("group", 1);  // ConvTranspose: [in, out / group, ...]
  return {spatial, weight.dim(1), group, group == 1 ? 0 : weight.size() / group};
}

// Constants that others read, too, stay theirs.
void Put(Graph* graph, NodeId id, size_t slot, const std::string& name, Tensor tensor) {
  const ValueId old = graph->node(id).input(slot);
  if (graph->SoleUser(old) == id) {
    graph->SetConstant(old, std::move(tensor));
  } else {
    graph->SetInput(id, slot, graph->AddConstant(name, std::move(tensor)));
  }
}

}  // namespace

int64_t FoldableChannels(const Graph& graph, const Node& node) {
  if (!node.Is("Conv") && !node.Is("ConvTranspose") && !node.Is("Gemm")) return 0;
  if (node.IsScaledGemm()) return 0;
  const Tensor* weight = node.input(1) == kNone ? nullptr : graph.Constant(node.input(1));
  if (weight == nullptr || weight->dtype() != DType::kFloat || weight->rank() < 2) return 0;
  int64_t channels = weight->dim(0);
  if (node.Is("ConvTranspose")) channels = weight->dim(1) * node.Int("group", 1);
  if (node.Is("Gemm")) channels = weight->dim(node.Int("transB", 0) ? 0 : 1);
  if (node.input(2) != kNone) {
    const Tensor* bias = graph.Constant(node.input(2));
    if (bias == nullptr || bias->dtype() != DType::kFloat || bias->size() != channels) return 0;
  }
  return channels;
}

void ScaleWeights(Graph* graph, NodeId id, const std::vector<float>& scale) {
  const Node& node = graph->node(id);
  const Layout layout = LayoutOf(node, *graph->Constant(node.input(1)));
  Tensor weight = graph->Constant(node.input(1))->Clone();
  float* w = weight.data<float>();
  for (int64_t run = 0; run < weight.size(); run += layout.inner) {  // of one channel
    const float factor = scale[static_cast<size_t>(layout.Channel(run))];
    for (int64_t at = run; at < run + layout.inner; ++at) w[at] *= factor;
  }
  Put(graph, id, 1, graph->value(node.input(1)).name, std::move(weight));
}

void FoldIntoWeights(Graph* graph, NodeId id, const std::vector<float>& scale,
                     const std::vector<float>& shift) {
  ScaleWeights(graph, id, scale);
  const Node& node = graph->node(id);
  std::vector<float> bias(shift);
  if (node.input(2) != kNone) {
    const float* old = graph->Constant(node.input(2))->data<float>();
    for (size_t c = 0; c < bias.size(); ++c) bias[c] = std::fma(old[c], scale[c], shift[c]);
  }
  const std::string name = node.input(2) != kNone ? graph->value(node.input(2)).name : node.name + "_bias";
  Put(graph, id, 2, name, Tensor::Of<float>({static_cast<int64_t>(bias.size())}, bias));
}

void Bypass(Graph* graph, NodeId removed, ValueId before, ValueId after) {
  const NodeId producer = graph->value(before).producer;
  const size_t slot = static_cast<size_t>(graph->value(before).producer_slot);
  graph->RemoveNode(removed);
  graph->SetOutput(producer, slot, after);
}

}  // namespace xslim
