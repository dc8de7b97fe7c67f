// Everything that finetune_level 1 and above do after calibration: ranges by what their errors cost at the
// outputs, weights rounded and biases corrected layer by layer; at level 2 also on more samples, of which
// what has less noise is taken; at level 3 both learned from the outputs, too.
#ifndef XSLIM_TUNE_TUNE_H_
#define XSLIM_TUNE_TUNE_H_

#include <functional>
#include <string>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "data/samples.h"
#include "quant/facts.h"
#include "quant/plan.h"
#include "tune/range_costs.h"

namespace xslim {

struct TuneOptions {
  int level = 1;  // finetune_level
  // Stages; learning needs level 3.
  bool range_costs = true, weight_rounding = true, bias_correction = true, learning = true;
  MemoryCeiling ceiling = MemoryCeiling();  // results do not depend on it
  // Gives a calibrated plan's graph the biases of level 0, which stay where tuning makes more noise than they
  // do; null: they are not tried.
  std::function<void(Graph* graph, QuantPlan* plan)> level_zero = nullptr;
};

using TuneProgress = std::function<void(const char* stage, int64_t done, int64_t total)>;

// Changes ranges and weights of the plan and biases of the graph. proposals: ranges to choose from, besides
// those in the plan. indices: the calibration samples, of which a seeded choice is used. Logs what each stage
// did and what was taken back, and returns these sentences.
std::vector<std::string> Tune(Graph* graph, QuantPlan* plan, const ValueFacts& facts,
                              const RangeProposals& proposals, const SampleSource& source,
                              const std::vector<int64_t>& indices, const TuneOptions& options,
                              ThreadPool& pool, const TuneProgress& progress);

}  // namespace xslim

#endif  // XSLIM_TUNE_TUNE_H_
