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

// Which channels the elements of a layer's weight belong to.
class WeightChannels {
 public:
  WeightChannels(const Node& node, const Tensor& weight);
  int64_t outputs() const { return row_is_output_ ? rows_ : columns_; }
  int64_t inputs() const { return row_is_output_ ? columns_ * groups_ : rows_; }

  // visit(begin, end, input, output): the elements [begin, end) take that input channel to that output
  // channel. In the order of the elements.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (int64_t row = 0, begin = 0; row < rows_; ++row) {
      const int64_t first = row / rows_per_group_ * columns_;
      for (int64_t column = 0; column < columns_; ++column, begin += taps_) {
        if (row_is_output_)
          visit(begin, begin + taps_, first + column, row);
        else
          visit(begin, begin + taps_, row, column);
      }
    }
  }

 private:
  const int64_t rows_, columns_;
  const bool row_is_output_;
  const int64_t groups_, rows_per_group_;
  int64_t taps_ = 1;
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
