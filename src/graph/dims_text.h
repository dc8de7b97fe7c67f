// How declared shapes are said in messages.
#ifndef XSLIM_GRAPH_DIMS_TEXT_H_
#define XSLIM_GRAPH_DIMS_TEXT_H_

#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// "batch,3,?"
std::string DimsText(const std::vector<Dim>& dims);

}  // namespace xslim

#endif  // XSLIM_GRAPH_DIMS_TEXT_H_
