// Before: Conv | ConvTranspose | Gemm -> Add | Sub | Mul | Div a constant (one number, or one per channel)
// After:  the same with other weights and bias
#include "simplify/affine.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// The constant as one number per channel; empty when its shape says anything else. channel_axis_from_end: 2
// more spatial axes for a 2-D Conv, 0 for Gemm.
std::vector<float> PerChannel(const Tensor& tensor, int64_t channels, int64_t axes_behind_channel,
                              int64_t rank) {
  if (tensor.dtype() != DType::kFloat || tensor.rank() > rank) return {};
  const float* x = tensor.data<float>();
  if (tensor.size() == 1) return std::vector<float>(static_cast<size_t>(channels), x[0]);
  if (tensor.size() != channels || tensor.rank() <= axes_behind_channel) return {};
  if (tensor.dim(tensor.rank() - 1 - axes_behind_channel) != channels) return {};
  return std::vector<float>(x, x + channels);
}

}  // namespace

int FoldAffine(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    const bool add = node.Is("Add"), sub = node.Is("Sub"), mul = node.Is("Mul"), div = node.Is("Div");
    if (!(add || sub || mul || div) || node.inputs.size() != 2) continue;
    const bool first_is_data = graph->Constant(node.inputs[1]) != nullptr;
    const ValueId data = node.inputs[first_is_data ? 0 : 1], other = node.inputs[first_is_data ? 1 : 0];
    const Tensor* constant = graph->Constant(other);
    if (constant == nullptr || (div && !first_is_data)) continue;
    const Node* producer = graph->Producer(data);
    const int64_t channels = producer == nullptr ? 0 : FoldableChannels(*graph, *producer);
    if (channels == 0 || graph->SoleUser(data) != id) continue;
    const int64_t rank = graph->Constant(producer->input(1))->rank();
    const std::vector<float> values =
        PerChannel(*constant, channels, producer->Is("Gemm") ? 0 : rank - 2, rank);
    if (values.empty()) continue;
    std::vector<float> scale(values.size(), 1.0f), shift(values.size(), 0.0f);
    bool exact = true;
    for (size_t c = 0; c < values.size(); ++c) {
      if (add) shift[c] = values[c];
      if (sub) shift[c] = first_is_data ? -values[c] : values[c];
      if (sub && !first_is_data) scale[c] = -1.0f;
      if (mul) scale[c] = values[c];
      if (div) {
        exact = exact && values[c] != 0.0f;
        scale[c] = 1.0f / values[c];
      }
    }
    if (!exact) continue;
    const ValueId output = node.outputs[0];
    FoldIntoWeights(graph, producer->id, scale, shift);
    Bypass(graph, id, data, output);
    ++count;
  }
  return count;
}

}  // namespace xslim
