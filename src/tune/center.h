// Centering: a constant per channel is taken from tensors between layers, so that their channels lie around
// zero and one scale has less to reach. The layers behind get it back in their biases. Exact up to float
// rounding, and weights stay as they are.
//
// After Wei et al. 2023, "Outlier Suppression+: Accurate quantization of large language models by equivalent
// and optimal shifting and scaling" (which shifts what normalizations hand to linear layers).
#ifndef XSLIM_TUNE_CENTER_H_
#define XSLIM_TUNE_CENTER_H_

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tune/channel_statistics.h"

namespace xslim {

// What is taken from the channels of a front's output, by its name; empty for one that was left alone.
using ChannelCenters = std::map<std::string, std::vector<double>>;

struct CenterResult {
  int groups = 0;   // of tensors that could be centered
  int changed = 0;  // of them, those for which it pays
  ChannelCenters centers;
};

// The tensors that Center has to know of, and whether their channels are axis 1 (else the last one).
std::map<ValueId, bool> TensorsToCenter(const Graph& graph, const std::map<NodeId, std::string>& untouched);

// A group has in front what adds a vector to its output (the biases of Conv, ConvTranspose and Gemm, that of
// LayerNormalization, an Add), and behind it Conv without padding, Gemm, MatMul with an Add of a vector, or
// such an Add; in between Identity, pools, Reshapes that keep the last axis, and Adds of two tensors, whose
// sum then has what was taken from both. Of each front's channel the middle of its range is taken, or its
// mean (means fit sums, too), or what lies halfway: by the least sum of squares of the ranges of all tensors
// of the group that layers and sums read. The group is left alone when that is not half of what it was, or
// when an operator of it is `untouched`. `statistics` become those of the new graph.
CenterResult Center(Graph* graph, StatisticsByValue* statistics,
                    const std::map<NodeId, std::string>& untouched);

// Centers as Center did in an equal graph. False for a group that it did not look at.
bool Recenter(Graph* graph, const ChannelCenters& centers, const std::map<NodeId, std::string>& untouched);

}  // namespace xslim

#endif  // XSLIM_TUNE_CENTER_H_
