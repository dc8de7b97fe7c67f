// Values that hold one number everywhere, whatever their size.
#ifndef XSLIM_SIMPLIFY_UNIFORM_H_
#define XSLIM_SIMPLIFY_UNIFORM_H_

#include <optional>

#include "graph/graph.h"

namespace xslim {

// That number, as a tensor of rank 0: of a constant, of what only moves or repeats one, and of
// ConstantOfShape. None where elements differ, where there are none, and of strings.
std::optional<Tensor> UniformOf(const Graph& graph, ValueId id);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_UNIFORM_H_
