// What the least scale of int8 does to small numbers.
#ifndef XSLIM_QUANT_COARSE_SCALES_H_
#define XSLIM_QUANT_COARSE_SCALES_H_

#include <string>
#include <vector>

#include "quant/plan.h"

namespace xslim {

// Names of the plan's tensors, in its order, that keep less than five bits because their scale would have to
// be under kMinScale. Of constants with a scale per channel such channels count that are not small beside the
// others: over 2^-11 of the largest element. What an Add or Sub adds in less than half a step of its result
// does not count.
std::vector<std::string> CoarseTensors(const Graph& graph, const QuantPlan& plan);

}  // namespace xslim

#endif  // XSLIM_QUANT_COARSE_SCALES_H_
