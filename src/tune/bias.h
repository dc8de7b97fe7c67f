// Biases that tuning may move.
#ifndef XSLIM_TUNE_BIAS_H_
#define XSLIM_TUNE_BIAS_H_

#include <cstddef>

#include "graph/graph.h"

namespace xslim {

// Whether the input is a float constant that nothing else reads.
bool HasOwnConstant(const Graph& graph, const Node& node, size_t slot);

// Makes sure that the operator has a constant bias of its own, one number per output channel; a missing one
// is zero. False for other operators, and for a Gemm with alpha or beta.
bool GiveBias(Graph* graph, NodeId id);

}  // namespace xslim

#endif  // XSLIM_TUNE_BIAS_H_
