// Placement once more, with what calibration has seen: operators whose int8 tensors would erase or ruin an
// output stay float.
#ifndef XSLIM_PIPELINE_DATA_PLACEMENT_H_
#define XSLIM_PIPELINE_DATA_PLACEMENT_H_

#include <functional>
#include <vector>

#include "calibrate/calibrate.h"
#include "quant/choices.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "tune/sensitivity.h"

namespace xslim {

// Statistics of a plan's activations.
using ObserveCall = std::function<StatisticsMap(const QuantPlan& plan)>;

class DataPlacement {
 public:
  // All must outlive this object. statistics: of the plan's activations; grows by what a placement made anew
  // needs, which `observe` gives.
  DataPlacement(const Graph& graph, const ValueFacts& facts, const Config& config, StatisticsMap* statistics,
                ObserveCall observe, ThreadPool& pool, Choices* choices, QuantPlan* plan);

  // Leaves float what FindUneven() finds, and says so.
  void LeaveUneven();

  // Ranges of all activations of the plan.
  void ChooseRanges();

  // The tensors that may carry a pair when not all operators of the plan are int8 (SpareActivations), with
  // ranges.
  QuantPlan Spare();

  // Where an output is worse than a signal ten times its noise: leaves float what FragileFinder finds, if
  // that takes a third of the noise away, and says so. The plan has ranges before and after it.
  void LeaveFragile(const std::vector<OutputParts>& parts, const std::vector<Sample>& samples,
                    const ProgressCall& progress);

 private:
  void Observe(const QuantPlan& plan);
  QuantPlan Place(const Choices& choices);
  void ChooseRanges(QuantPlan* plan);

  const Graph& graph_;
  const ValueFacts& facts_;
  const Config& config_;
  StatisticsMap& statistics_;
  const ObserveCall observe_;
  ThreadPool& pool_;
  Choices& choices_;
  QuantPlan& plan_;
};

}  // namespace xslim

#endif  // XSLIM_PIPELINE_DATA_PLACEMENT_H_
