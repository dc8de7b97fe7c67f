// From an int8 placement to ranges, codes and biases: calibration, what only its data tell, tuning.
#ifndef XSLIM_PIPELINE_PLAN_INT8_H_
#define XSLIM_PIPELINE_PLAN_INT8_H_

#include <functional>
#include <string>
#include <vector>

#include "base/trace.h"
#include "calibrate/calibrate.h"
#include "quant/choices.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "xslim/xslim.h"

namespace xslim {

struct PlanTask {
  const Config& config;
  const RunOptions& options;
  const SampleSource& samples;
  const std::vector<int64_t>& indices;  // of calibration
  int level;                            // finetune_level
  ThreadPool& pool;
  bool meaningful;                 // the samples are data, not zeros
  bool spare = false;              // PlannedInt8::spare is wanted
  std::vector<Sample> drawn = {};  // DrawForChannels(), where they are at hand
};

struct PlannedInt8 {
  QuantPlan plan;
  QuantPlan spare;                   // SpareActivations() of it, with ranges
  std::vector<std::string> account;  // of tuning, for the report
  std::vector<std::string> notes;    // for the report
};

// graph: equalized; its biases move. plan: as it was placed with `choices`, to which is added what data tell.
// observe: statistics of a plan's activations, of the calibration samples. stage: gets the names of the
// parts.
PlannedInt8 PlanInt8(Graph* graph, const ValueFacts& facts, const std::vector<OutputParts>& parts,
                     PlanTask task, const std::function<Observations(const QuantPlan&)>& observe,
                     Choices* choices, QuantPlan plan, TraceStage* stage);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_PLAN_INT8_H_
