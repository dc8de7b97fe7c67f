// What a static run would make int8, as far as it is known before calibration.
#ifndef XSLIM_PIPELINE_DRY_RUN_H_
#define XSLIM_PIPELINE_DRY_RUN_H_

#include <string>
#include <vector>

#include "quant/facts.h"
#include "quant/plan.h"

namespace xslim {

// A line for each operator in the graph's order: int8 or float, its title, the tensors that get a Q/DQ pair
// behind it, or the reason; inputs of the model with a pair before them, sums behind them.
std::vector<std::string> DescribePlan(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_DRY_RUN_H_
