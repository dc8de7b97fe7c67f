// Which ends of a tensor's range show in the outputs of the graph: a detector's best scores, say, are the
// upper end of what its last Sigmoid reads.
#ifndef XSLIM_QUANT_SHOWN_ENDS_H_
#define XSLIM_QUANT_SHOWN_ENDS_H_

#include <map>

#include "quant/facts.h"

namespace xslim {

struct ShownEnds {
  bool lo = false, hi = false;
  bool score = false;  // the upper end only shows as what a Sigmoid makes of it
  bool operator==(const ShownEnds&) const = default;
};

// Whether the operator makes scores in 0..1: a Sigmoid, or a Mul of what two of them make (that something is
// there, and that it is of a class).
bool MakesScores(const Graph& graph, const Node& node);

// Tensors whose numbers the outputs show one by one: the outputs, those that operators select them from
// (selected.h), and what data movement, interpolation, products of two, arithmetic with constants and
// functions of one number make them of, or branches of If hand on. Samples hold few numbers at such an end,
// and it is these that users look at. An end is not shown where a function levels off there (the lower one of
// Sigmoid and Softmax).
std::map<ValueId, ShownEnds> FindShownEnds(const Graph& graph, const ValueFacts& facts);

}  // namespace xslim

#endif  // XSLIM_QUANT_SHOWN_ENDS_H_
