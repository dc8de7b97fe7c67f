#include "tune/channels.h"

namespace xslim {

bool IsSum(const Graph& graph, const Node& node) {
  return node.Is("Add") && graph.Constant(node.input(0)) == nullptr &&
         graph.Constant(node.input(1)) == nullptr;
}

ChannelMap::ChannelMap(const Node& node, const Tensor& weight, bool output) : group_(1) {
  int64_t spatial = 1;
  for (int64_t i = 2; i < weight.rank(); ++i) spatial *= weight.dim(i);
  const int64_t rows = weight.dim(0), columns = weight.dim(1);
  const bool row_is_output = node.Is("Conv") || (node.Is("Gemm") && node.Int("transB", 0));
  if (output == row_is_output) {
    inner_ = columns * spatial;
    count_ = rows;
  } else {
    inner_ = spatial;
    count_ = columns;
    if (node.Is("Conv")) {
      group_ = node.Int("group", 1);
      rows_per_group_ = rows / group_;
      row_size_ = columns * spatial;
    }
  }
}

ChannelAxis ChannelAxisOf(const Graph& graph, const Node& node) {
  if (!node.Is("Conv") && !node.Is("ConvTranspose")) return {};
  return {true, graph.Constant(node.input(1))->rank()};
}

size_t ChannelsOf(const Graph& graph, const Node& node, bool output) {
  const Tensor& weight = *graph.Constant(node.input(1));
  return static_cast<size_t>(ChannelMap(node, weight, output).channels());
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
