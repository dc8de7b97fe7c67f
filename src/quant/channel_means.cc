#include "quant/channel_means.h"

namespace xslim {

ChannelAxis InputChannels(const Graph& graph, const Node& node) {
  const ChannelAxis none{kNone, 0};
  const bool convolution = node.Is("Conv") || node.Is("ConvTranspose");
  if (!convolution && !(node.Is("Gemm") && node.Int("transA", 0) == 0)) return none;
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

}  // namespace xslim
