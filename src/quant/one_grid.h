// Pairs with nothing but one number added or multiplied in between: on one grid the second rounds nothing.
#ifndef XSLIM_QUANT_ONE_GRID_H_
#define XSLIM_QUANT_ONE_GRID_H_

#include "quant/plan.h"

namespace xslim {

// Codes stand for multiples of their scale. Where an int8 Add, Sub or Mul has a constant of one element
// and pairs on both sides, what it makes of such multiples is multiples again, if the scales are alike (up to
// the factor) and what is added is a multiple, too: then the second pair rounds nothing that the first has
// not rounded. Gives tensors that follow each other so the largest of the scales that their ranges (`lo`,
// `hi`) ask for, and up to a quarter more where it takes that to make what is added a multiple; leaves them
// alone where that would make more noise than both roundings do. Tensors whose range is fixed are not
// touched. Ranges stay; call it again when one has changed.
void PutOnOneGrid(const Graph& graph, QuantPlan* plan);

}  // namespace xslim

#endif  // XSLIM_QUANT_ONE_GRID_H_
