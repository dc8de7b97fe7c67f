#include "quant/channel_means.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace xslim {

std::pair<NodeId, size_t> BiasBehind(const Graph& graph, const Node& product) {
  const std::pair<NodeId, size_t> none{kNone, 0};
  if (!product.Is("MatMul")) return none;
  const Tensor* matrix = graph.Constant(product.input(1));
  const NodeId sole = graph.SoleUser(product.outputs[0]);
  if (matrix == nullptr || matrix->rank() != 2 || sole == kNone || !graph.node(sole).Is("Add")) return none;
  const Node& add = graph.node(sole);
  const size_t slot = add.input(0) == product.outputs[0] ? 1 : 0;
  const Tensor* vector = graph.Constant(add.input(slot));
  if (vector == nullptr || vector->dtype() != DType::kFloat || vector->rank() != 1) return none;
  return vector->size() == matrix->dim(1) ? std::pair(sole, slot) : none;
}

ChannelAxis InputChannels(const Graph& graph, const Node& node) {
  const ChannelAxis none{kNone, 0};
  const bool convolution = node.Is("Conv") || node.Is("ConvTranspose");
  const bool product = node.Is("Gemm") ? node.Int("transA", 0) == 0 : BiasBehind(graph, node).first != kNone;
  if (!convolution && !product) return none;
  const Tensor* weight = graph.Constant(node.input(1));
  if (weight == nullptr || weight->dtype() != DType::kFloat) return none;
  return {node.input(0), convolution ? 1 : -1};
}

std::set<ChannelAxis> InputChannels(const Graph& graph) {
  std::set<ChannelAxis> all;
  for (NodeId id : graph.Order()) {
    const ChannelAxis channels = InputChannels(graph, graph.node(id));
    if (channels.first != kNone) all.insert(channels);
  }
  return all;
}

bool AllFinite(const std::vector<double>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
}

std::vector<double> MeansAlong(const Tensor& tensor, int64_t axis) {
  const int64_t channels = tensor.dim(axis), inner = InnerCount(tensor.shape(), axis);
  std::vector<double> sums(static_cast<size_t>(channels), 0.0);
  if (tensor.size() == 0) return sums;
  const int64_t outer = tensor.size() / (channels * inner);
  const float* x = tensor.data<float>();
  for (int64_t o = 0; o < outer; ++o) {
    for (double& sum : sums) {
      sum += inner == 1 ? *x : kernels::Active().sum(x, inner);
      x += inner;
    }
  }
  for (double& sum : sums) sum /= static_cast<double>(outer * inner);
  return sums;
}

}  // namespace xslim
