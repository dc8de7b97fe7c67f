// Multiply-adds of a model without running it.
#ifndef XSLIM_SIMPLIFY_MACS_H_
#define XSLIM_SIMPLIFY_MACS_H_

#include <cstdint>

#include "graph/graph.h"

namespace xslim {

// Of Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU and RNN in the outermost graph, for one sample: where the batch (axis 0 of
// an input) is open, it counts as 1. -1 when a size that matters is open or does not follow from the inputs'
// shapes.
int64_t CountMacs(const Graph& graph);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_MACS_H_
