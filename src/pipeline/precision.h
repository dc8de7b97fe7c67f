// Sensitivity and automatic precision of a static run: between tuning and export.
#ifndef XSLIM_PIPELINE_PRECISION_H_
#define XSLIM_PIPELINE_PRECISION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/measure.h"
#include "tune/sensitivity.h"
#include "xslim/config.h"

namespace xslim {

// auto_precision, or the target that precision_level 1 stands for.
std::optional<double> PrecisionTarget(const QuantizationParameters& settings);

// The row furthest from the target, as a multiple of it: infinity where there is a NaN.
double WorstOf(const Measures& measures, double target, std::string* name);

// Measures a plan of the float graph as the report does, written as it will be.
using MeasurePlan = std::function<Measures(const Graph& graph, const QuantPlan& plan)>;

using Sections = std::vector<std::pair<std::string, std::string>>;  // of the verdict: name, JSON

// Where precision cannot be measured (the model cannot be computed, nothing is int8, or no output is
// float32 or rounded from it): throws Error when sensitivity or auto_precision is set; precision_level 1
// alone becomes 0, with a warning. any_int8: in the plan or, perhaps, in branches.
void SettlePrecision(const ValueFacts& facts, const std::vector<OutputParts>& parts, bool any_int8,
                     QuantizationParameters* settings);

// What a tuned run knows beside graph and plan.
struct TunedRun {
  const Graph& untuned;  // the graph before tuning moved its biases
  const ValueFacts& facts;
  const std::vector<OutputParts>& parts;
  const SampleSource& source;
  const std::vector<int64_t>& calibration;
  std::string prefix = {};  // of what the log says: the branch that this is
};

struct PrecisionRun {
  std::vector<std::string> lines;    // for the terminal
  std::string markdown;              // for the report
  Sections sections;                 // for the verdict
  std::optional<Measures> measures;  // of the plan as it is now, when it was changed
};

// Measures the sensitivity of the plan's operators where `settings` ask for it; where they have a target,
// leaves operators float until the outputs and their parts meet it, first on calibration samples, then on
// those of the report. Changes plan and graph (biases). Says in the log what was left and whether the target
// is met. spare: SpareActivations() with ranges.
PrecisionRun RunPrecision(const QuantizationParameters& settings, const TunedRun& tuned, QuantPlan spare,
                          const MeasurePlan& measure, ThreadPool& pool,
                          const std::function<ProgressCall(const char*)>& progress, Graph* graph,
                          QuantPlan* plan);

struct AutoPrecision {
  double target = 0;
  bool met = false;  // on the samples of the report, too
  std::vector<PrecisionStep> steps;
};

// As lines for a terminal, as a section of the report, and as JSON for the verdict.
std::vector<std::string> SensitivityLines(const Graph& graph, const SensitivityResult& result);
std::string SensitivityMarkdown(const Graph& graph, const SensitivityResult& result);
std::string SensitivityJson(const Graph& graph, const SensitivityResult& result);
std::string AutoPrecisionJson(const PartialPlans& plans, const OutputNoise& noise,
                              const AutoPrecision& result);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_PRECISION_H_
