#ifndef XSLIM_SIMPLIFY_BATCH_NORM_H_
#define XSLIM_SIMPLIFY_BATCH_NORM_H_

#include <vector>

#include "graph/graph.h"

namespace xslim {

// A BatchNormalization in inference as y = x * scale + shift per channel; false when its parameters are not
// constant.
bool BatchNormAffine(const Graph& graph, const Node& node, std::vector<float>* scale,
                     std::vector<float>* shift);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_BATCH_NORM_H_
