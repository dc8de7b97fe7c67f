// Vectors of an operator that tuning may change: biases above all.
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

// Whether GiveBias would find or make one.
bool MayHaveBias(const Graph& graph, const Node& node);

// Replaces the operator's constant at the slot. One that others read, too (exporters merge equal ones: all
// the zero biases, say), stays theirs, and the operator gets one of its own.
void SetOwnConstant(Graph* graph, NodeId id, size_t slot, Tensor constant);

}  // namespace xslim

#endif  // XSLIM_TUNE_BIAS_H_
