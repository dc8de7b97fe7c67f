// Which calls of model-local functions int8 and 16-bit floats look into.
#ifndef XSLIM_QUANT_INLINE_H_
#define XSLIM_QUANT_INLINE_H_

#include "graph/graph.h"
#include "quant/ignore_list.h"

namespace xslim {

// Replaces the calls in which something may become int8 by what their functions do: those that hold a
// computing operator, and those downstream of one that hold an operator of the quantizable table. Calls of
// the target's own functions (domain spacemit_functions), of functions without such operators and calls in
// bodies stay; to quantization they are float operators. Returns the number of calls replaced.
int InlineForInt8(Graph* graph);

// Replaces all calls, in bodies, too, but those of the target's own functions and those that `ignored` keeps
// as they are.
void InlineForHalf(Graph* graph, IgnoreList* ignored);

}  // namespace xslim

#endif  // XSLIM_QUANT_INLINE_H_
