// Settings of the plan that are decided by the error of the outputs: ranges of activations, and which bias
// corrections stay.
#ifndef XSLIM_TUNE_REFINE_H_
#define XSLIM_TUNE_REFINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "quant/facts.h"
#include "quant/plan.h"
#include "tune/output_error.h"
#include "tune/range_costs.h"

namespace xslim {

struct RefineOptions {
  int window_rounds = 0;  // rounds in which each range is also moved on its own: finetune_level 2 and above
};

struct RefineResult {
  int ranges = 0;         // ranges that were changed
  int biases_undone = 0;  // corrections that were taken back
};

// graph: with corrected biases; original_biases: what they were, by operator. Every setting is tried on all
// samples. Chooses among the present range of each activation and the proposed ones, and between the present
// and the original bias; then, in `window_rounds`, moves the ends of ranges. Changes plan and graph.
RefineResult Refine(Graph* graph, QuantPlan* plan, const ValueFacts& facts, const RangeProposals& proposals,
                    const std::map<NodeId, Tensor>& original_biases, const OutputError& error,
                    const std::vector<Sample>& samples, const RefineOptions& options, ThreadPool& pool,
                    const std::function<void(int64_t, int64_t)>& progress);

}  // namespace xslim

#endif  // XSLIM_TUNE_REFINE_H_
