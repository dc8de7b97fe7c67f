// Layer-wise equalization by weights (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization
// and Bias Correction", section 4.1): channels between two computing operators are rescaled so that both
// sides' weights use their int8 range alike. Exact up to float rounding.
#ifndef XSLIM_TUNE_EQUALIZE_H_
#define XSLIM_TUNE_EQUALIZE_H_

#include <map>
#include <string>

#include "graph/graph.h"

namespace xslim {

// Rescales pairs joined through Relu, LeakyRelu, PRelu, MaxPool, AveragePool, Global pools and Identity;
// returns the number of pairs. Depthwise convolutions take part on both sides. scale = sqrt(down / up), in
// [0.1, 10]; channels whose largest weights sum to less than 0.5 are left alone, as in XSlim; `up` counts
// half the bias. Pairs that hold an operator of `untouched` (what stays float, with the reason) are left
// alone.
int EqualizeByWeights(Graph* graph, int iterations, const std::map<NodeId, std::string>& untouched = {});

}  // namespace xslim

#endif  // XSLIM_TUNE_EQUALIZE_H_
