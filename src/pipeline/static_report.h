// The head of a static run's report.
#ifndef XSLIM_PIPELINE_STATIC_REPORT_H_
#define XSLIM_PIPELINE_STATIC_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "quant/facts.h"
#include "quant/plan.h"
#include "report/markdown.h"
#include "xslim/config.h"

namespace xslim {

// model, data: how the report names them; calibrated, measured: numbers of samples.
ReportHead StaticReportHead(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                            const Config& config, const std::string& model, const std::string& data,
                            size_t calibrated, size_t measured);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_STATIC_REPORT_H_
