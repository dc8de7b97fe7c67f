// Which ranges tuning chooses from.
#ifndef XSLIM_TUNE_RANGE_CANDIDATES_H_
#define XSLIM_TUNE_RANGE_CANDIDATES_H_

#include "quant/facts.h"
#include "quant/plan.h"
#include "tune/range_costs.h"

namespace xslim {

// By activation: the plan's range first, then the proposed ones, then parts of the widest of these. Inputs
// and outputs of the graph and ranges that are fixed keep what they have; so does an end that the output
// shows (FindShownEnds), and all of a tensor that the tuning samples hold too few numbers of.
RangeProposals RangeCandidates(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                               const RangeProposals& proposals);

}  // namespace xslim

#endif  // XSLIM_TUNE_RANGE_CANDIDATES_H_
