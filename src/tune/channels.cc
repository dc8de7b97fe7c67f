#include "tune/channels.h"

namespace xslim {

bool IsSum(const Graph& graph, const Node& node) {
  return node.Is("Add") && graph.Constant(node.input(0)) == nullptr &&
         graph.Constant(node.input(1)) == nullptr;
}

WeightChannels::WeightChannels(const Node& node, const Tensor& weight)
    : rows_(weight.dim(0)),
      columns_(weight.dim(1)),
      row_is_output_(node.Is("Conv") || (node.Is("Gemm") && node.Int("transB", 0) != 0)),
      groups_(node.Is("Conv") ? node.Int("group", 1) : 1),
      rows_per_group_(rows_ / groups_) {
  for (int64_t i = 2; i < weight.rank(); ++i) taps_ *= weight.dim(i);
}

ChannelAxis ChannelAxisOf(const Graph& graph, const Node& node) {
  if (!node.Is("Conv") && !node.Is("ConvTranspose")) return {};
  return {true, graph.Constant(node.input(1))->rank()};
}

size_t ChannelsOf(const Graph& graph, const Node& node, bool output) {
  const Tensor& weight = *graph.Constant(node.input(1));
  const WeightChannels channels(node, weight);
  return static_cast<size_t>(output ? channels.outputs() : channels.inputs());
}

int AddedVector(const Graph& graph, const Node& node) {
  if (!node.Is("Add")) return -1;
  int slot = -1;
  for (const int at : {0, 1}) {
    const Tensor* constant = graph.Constant(node.input(static_cast<size_t>(at)));
    if (constant == nullptr || constant->dtype() != DType::kFloat || constant->rank() != 1) continue;
    if (slot >= 0) return -1;
    slot = at;
  }
  return slot;
}

bool KeepsLastAxis(const Graph& graph, const Node& node, size_t channels) {
  const Tensor* shape = node.Is("Reshape") ? graph.Constant(node.input(1)) : nullptr;
  return shape != nullptr && shape->size() > 0 && shape->ToInts().back() == static_cast<int64_t>(channels);
}

}  // namespace xslim
