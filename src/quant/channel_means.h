// Means of the inputs of computing operators, channel by channel: what a weight's rounding error is
// multiplied with, on average.
#ifndef XSLIM_QUANT_CHANNEL_MEANS_H_
#define XSLIM_QUANT_CHANNEL_MEANS_H_

#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// A tensor and the axis whose indices are its channels; -1: the last one.
using ChannelAxis = std::pair<ValueId, int>;

// By tensor and axis: the mean of each channel over the samples seen, in float64.
using ChannelMeans = std::map<ChannelAxis, std::vector<double>>;

// Where the vector is that an Add adds to the product of a MatMul with a constant matrix, and that nothing
// else reads the product without: the Add and the vector's slot. kNone where there is none.
std::pair<NodeId, size_t> BiasBehind(const Graph& graph, const Node& product);

// Where the computing operator's input channels are, when its weight (slot 1) is a float constant and it has
// a bias or can be given one: Conv, ConvTranspose, Gemm without transA, and MatMul with an Add of a vector
// behind it. kNone otherwise.
ChannelAxis InputChannels(const Graph& graph, const Node& node);

// Those of all operators of the graph.
std::set<ChannelAxis> InputChannels(const Graph& graph);

// Whether all are finite: means of a sample with NaN or infinity in it say nothing of the others.
bool AllFinite(const std::vector<double>& numbers);

// The mean of each channel of a float tensor; axis counted from the front. Zeros where it has no elements.
std::vector<double> MeansAlong(const Tensor& tensor, int64_t axis);

}  // namespace xslim

#endif  // XSLIM_QUANT_CHANNEL_MEANS_H_
