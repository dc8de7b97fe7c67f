// How long a forward takes, as a number that is the same on every machine: stages bound by it what they try.
#ifndef XSLIM_QUANT_WORK_H_
#define XSLIM_QUANT_WORK_H_

#include <cstdint>

#include "quant/facts.h"

namespace xslim {

// Multiply-adds that take as long as one forward of the graph, about: those of products and of recurrent
// operators, and some for every node and every element that one makes. Of bodies only nodes and constant
// weights are known; they count once for each step of a Loop or Scan that is known.
int64_t WorkOf(const Graph& graph, const ValueFacts& facts);

}  // namespace xslim

#endif  // XSLIM_QUANT_WORK_H_
