// Vectors of an operator that tuning may change: biases above all.
#ifndef XSLIM_TUNE_BIAS_H_
#define XSLIM_TUNE_BIAS_H_

#include <cstddef>
#include <vector>

#include "graph/graph.h"
#include "quant/plan.h"

namespace xslim {

// Whether the input is a float constant that nothing else reads.
bool HasOwnConstant(const Graph& graph, const Node& node, size_t slot);

// Makes sure that the operator has a constant bias of its own, one number per output channel; a missing one
// is zero. False for other operators, and for a Gemm with alpha or beta.
bool GiveBias(Graph* graph, NodeId id);

// Whether GiveBias would find or make one.
bool MayHaveBias(const Graph& graph, const Node& node);

// Where an operator's bias is: its own, as by GiveBias, or the vector of the Add behind a MatMul
// (BiasBehind), which nothing else reads then.
struct BiasSite {
  NodeId node = kNone;  // kNone: there is none
  size_t slot = 0;
};
BiasSite BiasOf(Graph* graph, NodeId id);

// Adds `shift` to it, channel by channel; one that an Add adds gets new codes in the plan, which are
// returned.
const WeightQuant* ShiftBias(Graph* graph, QuantPlan* plan, const BiasSite& site,
                             const std::vector<double>& shift);

// Replaces the operator's constant at the slot. One that others read, too (exporters merge equal ones: all
// the zero biases, say), stays theirs, and the operator gets one of its own.
void SetOwnConstant(Graph* graph, NodeId id, size_t slot, Tensor constant);

}  // namespace xslim

#endif  // XSLIM_TUNE_BIAS_H_
