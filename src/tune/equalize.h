// Equalization: channels between layers are rescaled so that the int8 codes of the tensors between them and
// of the weights behind are used better. Exact up to float rounding.
//
// After Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction" (pairs
// through operators that commute with a scale) and Xiao et al. 2022, "SmoothQuant" (factors from the ranges
// of activations, normalizations in front of products).
#ifndef XSLIM_TUNE_EQUALIZE_H_
#define XSLIM_TUNE_EQUALIZE_H_

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tune/channel_statistics.h"

namespace xslim {

// The factors of a group's channels, by the name of its first front's output; none for a group left alone.
using ChannelFactors = std::map<std::string, std::vector<double>>;

struct EqualizeResult {
  int groups = 0;          // of layers that could be rescaled
  int changed = 0;         // of them, those for which it pays
  ChannelFactors factors;  // of all groups, also those that were never seen to hold numbers
};

// The tensors that Equalize has to know of, and whether their channels are axis 1 (else the last one).
std::map<ValueId, bool> TensorsToEqualize(const Graph& graph, const std::map<NodeId, std::string>& untouched);

// A group (channel_groups.h) has Conv, ConvTranspose, Gemm, MatMul, LayerNormalization, RMSNormalization or
// Muls by a vector along the last axis in front, and Conv, ConvTranspose, Gemm or MatMul behind, joined
// through Relu, LeakyRelu, PRelu, pools, Identity, Adds of a vector or of each other, and Reshapes that keep
// the last axis. Vectors that others read, too (biases that an exporter has merged, say) become the
// operator's own where they change. Weights are quantized per output channel, so the fronts' do not care;
// channel c is multiplied by
//   s_c = A_c^-a * D_c^d, in [1/64, 64],
// A_c: its range as a share of the tensor's widest (of several tensors the largest share),
// D_c: its largest weight behind, as a share of the largest of that output channel. The exponents a and d are
// those (0 among them) of the least predicted noise behind, in which each layer counts by P, 1 or, where
// tensors are added and layers of different depths read them, its outputs' power sum_c |w_c|^2 E[x_c^2]:
//   for each tensor: sum_c (range / 255 / s_c)^2 / 12 * (|w_c|^2 / P of all layers that it reaches),
//   for each layer: sum_o (max_c |w_oc / s_c| / 127)^2 / 12 * sum_c s_c^2 E[x_c^2] / P,
// with range that of the rescaled tensor. What a vector is added to (the product in front of a bias) counts
// as a tensor of its own; where a Relu follows, without what lies below the negative of the vector's largest
// number. The group is left alone when that is not at least 3 % below the noise without (30 % where tensors
// are added), or when an operator of it is `untouched` (what stays float, with the reason).
EqualizeResult Equalize(Graph* graph, const StatisticsByValue& statistics,
                        const std::map<NodeId, std::string>& untouched);

// Rescales with the factors that Equalize found in an equal graph. False for a group that it did not look at.
bool Rescale(Graph* graph, const ChannelFactors& factors, const std::map<NodeId, std::string>& untouched);

}  // namespace xslim

#endif  // XSLIM_TUNE_EQUALIZE_H_
