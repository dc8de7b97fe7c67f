// Operators that a runtime computes together, on float numbers, before it rounds once: with `placement:
// fused` the tensors between them carry no Q/DQ, and the constants of those that follow stay float.
#ifndef XSLIM_QUANT_FUSED_UNITS_H_
#define XSLIM_QUANT_FUSED_UNITS_H_

#include <set>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// One kind of unit: `finds` inserts the tensors inside the unit that ends with `last`, if that is one.
struct FusedUnit {
  const char* what;
  void (*finds)(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                std::set<ValueId>* inside);
};
const std::vector<FusedUnit>& FusedUnits();

// What ONNX Runtime's CPU provider takes for an operator in 8 bits between DequantizeLinear and
// QuantizeLinear, and has none of, so that it refuses the model or fails in its first run: its name; null for
// all else. (A cubic Resize in 8 bits it has only for its own channels-last layout and not for shrinking; its
// AveragePool in 8 bits knows no dilations, not even those of 1.)
const char* LacksInt8Form(const Node& node);

// Adds to `inside` a tensor beside each of these that would stand between two pairs: what it reads where it
// alone does, else its result where one product alone reads that. Returns those that still stand between two
// pairs.
std::vector<NodeId> OpenFloatForms(const Graph& graph, const std::set<NodeId>& quantized,
                                   std::set<ValueId>* inside);

// All tensors inside units of the quantized operators (a unit may end in a float Softmax). Units that share
// an operator make one larger unit.
std::set<ValueId> InsideFusedUnits(const Graph& graph, const std::set<NodeId>& quantized);

}  // namespace xslim

#endif  // XSLIM_QUANT_FUSED_UNITS_H_
