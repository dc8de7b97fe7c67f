// The heads of a static run's report and verdict.
#ifndef XSLIM_PIPELINE_STATIC_REPORT_H_
#define XSLIM_PIPELINE_STATIC_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/branches.h"
#include "quant/facts.h"
#include "quant/int8_io.h"
#include "quant/plan.h"
#include "report/markdown.h"
#include "report/verdict.h"
#include "xslim/config.h"

namespace xslim {

// Whether the written model is measured, and so a verdict written.
bool IsMeasured(const QuantizationParameters& settings);

// What the plan leaves float, with the reason, and recurrent operators, which it does not know.
std::vector<FloatOperator> FloatOperators(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts);

// "97.5 %"
std::string Percent(int64_t part, int64_t whole);

Int8Share ShareOfInt8(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts);

// What report, verdict and summary say of the whole model, its branches included.
struct StaticFigures {
  Int8Share share;
  std::vector<FloatOperator> left;  // float, by FloatOperators and the branches
};
StaticFigures FiguresOf(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                        const BranchFigures& branches);

// model: its file name.
VerdictHead StaticVerdictHead(const StaticFigures& figures, const ValueFacts& facts,
                              const std::string& model);

// branches: all of them together. model, data: how the report names them; calibrated, measured: numbers of
// samples.
ReportHead StaticReportHead(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                            const StaticFigures& figures, const BranchFigures& branches, const Config& config,
                            const std::string& model, const std::string& data, size_t calibrated,
                            size_t measured);

// Inputs and outputs that are codes, as JSON for the verdict.
std::string CodedJson(const std::vector<CodedTensor>& tensors);

// The outermost branches that hold products, as JSON for the verdict.
std::string BranchesJson(const std::vector<QuantizedBranch>& branches);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_STATIC_REPORT_H_
