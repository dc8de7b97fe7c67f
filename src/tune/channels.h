// Where the channels of tensors and weights are, and what operators do with them.
#ifndef XSLIM_TUNE_CHANNELS_H_
#define XSLIM_TUNE_CHANNELS_H_

#include <cstddef>
#include <cstdint>

#include "graph/graph.h"

namespace xslim {

// An operator's input.
struct Slot {
  NodeId node = kNone;
  size_t slot = 0;
};

// An Add of two tensors, none of which is a constant.
bool IsSum(const Graph& graph, const Node& node);

// Output (or input) channel of every element of a weight.
class ChannelMap {
 public:
  ChannelMap(const Node& node, const Tensor& weight, bool output);
  int64_t channels() const { return count_ * group_; }
  int64_t operator()(int64_t at) const {
    const int64_t within = (at / inner_) % count_;
    return group_ == 1 ? within : (at / row_size_ / rows_per_group_) * count_ + within;
  }

 private:
  int64_t inner_ = 1, count_ = 1, group_, rows_per_group_ = 1, row_size_ = 1;
};

// Where the channels of an operator's tensors are. Sums align axes from the last one on: axis 1 of tensors of
// different ranks is not the same axis.
struct ChannelAxis {
  bool first = false;  // axis 1, else the last one
  int64_t rank = 0;    // of the tensors, where it is axis 1
  bool operator==(const ChannelAxis&) const = default;
};

// Axis 1 of Conv and ConvTranspose with constant weights, the last one of all others.
ChannelAxis ChannelAxisOf(const Graph& graph, const Node& node);

// Output (or input) channels of an operator with constant weights.
size_t ChannelsOf(const Graph& graph, const Node& node, bool output);

// The slot of a constant vector along the last axis that an Add adds to a tensor; -1 where there is none.
int AddedVector(const Graph& graph, const Node& node);

// A Reshape that leaves the last axis as it is.
bool KeepsLastAxis(const Graph& graph, const Node& node, size_t channels);

}  // namespace xslim

#endif  // XSLIM_TUNE_CHANNELS_H_
