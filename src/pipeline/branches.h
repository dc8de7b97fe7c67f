// Static int8 in the branches of If (voice activity detectors choose a sampling rate so).
#ifndef XSLIM_PIPELINE_BRANCHES_H_
#define XSLIM_PIPELINE_BRANCHES_H_

#include <string>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "quant/facts.h"
#include "xslim/xslim.h"

namespace xslim {

struct BranchResult {
  int64_t operators = 0;             // int8 ones in all branches
  std::vector<std::string> account;  // for the report
};

// Each branch with products of weights is quantized like a model of its own, on what it reads in the
// calibration samples that take it, and put into `exported` in its place; branches in branches, too. A branch
// that no sample takes, or that cannot be computed, stays float. reference: the float graph, facts: of it;
// exported: written from it, with the same node ids. Bodies of Loop and Scan stay as they are.
BranchResult QuantizeBranches(const Graph& reference, const ValueFacts& facts, const Config& config,
                              const RunOptions& options, const SampleSource& samples,
                              const std::vector<int64_t>& indices, ThreadPool& pool, Graph* exported);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_BRANCHES_H_
