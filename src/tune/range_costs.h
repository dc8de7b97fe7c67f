// What the outputs say about each proposed range of each activation.
#ifndef XSLIM_TUNE_RANGE_COSTS_H_
#define XSLIM_TUNE_RANGE_COSTS_H_

#include <map>
#include <vector>

#include "quant/plan.h"
#include "tune/derivatives.h"

namespace xslim {

using RangeProposals = std::map<ValueId, std::vector<ChosenRange>>;

struct RangeCosts {
  // By activation and proposed range: the error that rounding to it makes at the points, to first order,
  // summed over the samples. Activations that no derivative arrives at are not there.
  std::map<ValueId, std::vector<double>> of;
  std::vector<NodeId> stopped;  // operators that derivatives cannot pass
};

// graph: float. Errors of elements more than a few apart are taken as independent. see: called with each of
// `seen` as it is in the forward pass, from several threads, for one sample from one.
RangeCosts MeasureRangeCosts(const Graph& graph, const ValueFacts& facts,
                             const std::vector<WeightedPoint>& points, const RangeProposals& proposals,
                             const std::vector<Sample>& samples, const SampleLanes& lanes,
                             const std::set<ValueId>& seen, const SeeValue& see);

}  // namespace xslim

#endif  // XSLIM_TUNE_RANGE_COSTS_H_
