// What the consumers of a tensor can see of it: nothing outside needs to be represented.
#ifndef XSLIM_QUANT_INTEREST_H_
#define XSLIM_QUANT_INTEREST_H_

#include <set>
#include <vector>

#include "graph/graph.h"
#include "ops/operator.h"

namespace xslim {

// The operator's role; kNone outside ai.onnx and for unknown ones.
QuantRole RoleOf(const Graph& graph, const Node& node);

// Whether the operator only moves the elements of its input 0 (Concat: of all inputs) about.
bool MovesData(const Node& node);

// The passive operator (QuantRole::kPassive) that makes the value of its input 0; null where another one
// does.
const Node* PassiveProducer(const Graph& graph, ValueId value);

// The value whose numbers these are, before passive operators moved them about.
ValueId BeforeMoves(const Graph& graph, ValueId value);

// The constant that an Add, Sub or Mul adds, takes or multiplies by, or a Div divides by; null for two
// tensors and other operators.
const Tensor* ConstantOperand(const Graph& graph, const Node& node);

// The values on the ways from this one to Logs, itself among them, through data movement, Relu, products with
// constants, and constants under 0.5 that are added or are lower bounds; empty where none leads to a Log.
std::vector<ValueId> WaysToLogarithms(const Graph& graph, ValueId value);

// Whether only outputs lie behind the operator, but for data movement, arithmetic with constants and
// operators outside `quantized`. ends: the same of its users, by id.
bool EndsGraph(const Graph& graph, const Node& node, const std::set<NodeId>& quantized,
               const std::vector<bool>& ends);

// The union of what all consumers see, through data movement; a graph output is seen whole.
InterestRange VisibleRange(const Graph& graph, ValueId value);

}  // namespace xslim

#endif  // XSLIM_QUANT_INTEREST_H_
