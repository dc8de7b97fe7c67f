// Operators whose output 0 has the element type and shape of input 0, in every opset.
#ifndef XSLIM_SIMPLIFY_SAME_SHAPE_H_
#define XSLIM_SIMPLIFY_SAME_SHAPE_H_

#include <set>
#include <string>

#include "graph/graph.h"

namespace xslim {

const std::set<std::string>& SameTypeAndShape();

// An operator whose elements follow from those of input 0 at the same place.
bool IsUnary(const Node& node);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_SAME_SHAPE_H_
