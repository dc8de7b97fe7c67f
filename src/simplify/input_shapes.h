// Fixed sizes for model inputs that leave them open.
#ifndef XSLIM_SIMPLIFY_INPUT_SHAPES_H_
#define XSLIM_SIMPLIFY_INPUT_SHAPES_H_

#include <vector>

#include "graph/graph.h"
#include "xslim/config.h"

namespace xslim {

// Gives the inputs these sizes (-1: as it was), and every tensor of the model the sizes of the symbols that
// they settle. Throws Error naming the input when there is none of that name, its rank or a known size is
// another, an open size would become 0, or two inputs settle a symbol differently.
void FixInputShapes(Graph* graph, const std::vector<InputShape>& shapes);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_INPUT_SHAPES_H_
