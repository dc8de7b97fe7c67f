#include <algorithm>
#include <string>
#include <vector>

#include "base/log.h"
#include "onnx/model_io.h"
#include "pipeline/model_inputs.h"
#include "pipeline/modes.h"
#include "pipeline/provider_lines.h"
#include "quant/dynamic.h"
#include "quant/integer_operators.h"
#include "report/summary.h"
#include "simplify/macs.h"

namespace xslim {
namespace {

// Raises the opset to what the rewriting needs.
void RaiseFor(Graph* graph, int needed, const Config& config, const std::string& path) {
  if (graph->opset() >= needed) return;
  const std::string reason = "dynamic quantization of this model needs opset " + std::to_string(needed);
  if (config.model.opset) {
    throw Error(reason + " and " + std::to_string(*config.model.opset) + " is asked for", path,
                "raise --opset or leave it out");
  }
  if (const auto obstacle = RaiseOpset(graph, needed))
    throw Error(reason + " and it cannot be raised to it: " + *obstacle, path);
}

bool IsQuantized(const Graph& graph) {
  const std::vector<NodeId> order = graph.Order();
  return std::any_of(order.begin(), order.end(), [&](NodeId id) { return IsOnCodes(graph.node(id)); });
}

}  // namespace

RunResult QuantizeDynamic(Graph graph, const Config& config, const OutputPaths& paths, ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  const ModelCounts counts = CountModel(graph, CountMacs(graph));
  FixDefaultsOfHabit(&graph);
  PinOpset(&graph, config, paths.input);
  SimplifyModel(&graph, config, false, pool);
  const int64_t macs = CountMacs(graph);

  DynamicOptions options;
  options.weight_bits = settings.weight_bits;
  options.full_range = settings.full_range_weights;
  options.weight_block = settings.weight_block;
  options.weight_zero_points = settings.weight_zero_points;
  options.contrib = settings.contrib_operators;
  IgnoreList ignored(settings);
  RaiseFor(&graph, OpsetForDynamic(&graph, options, &ignored), config, paths.input);
  ignored.WarnUnmatched(graph);
  const DynamicOutcome outcome = QuantizeDynamically(&graph, options, &ignored, pool);
  for (const LeftAsIs& each : outcome.left) {
    if (each.why == kNotFinite) LogWarning(each.what, " stays float: ", each.why);
  }
  WarnOfOtherFloats(outcome.left, paths.input);
  if (outcome.dynamic + outcome.weight_only == 0) {
    LogWarning(
        paths.input, ": no weight can become integers, ",
        IsQuantized(graph) ? "the model is quantized already and stays as it is" : "the output stays float");
  }
  SaveModel(graph, paths.model, SaveOptionsFor(config));
  LogProvider(CheckProvider(graph));
  RunResult result{paths.model, "", {}};
  Summarize(counts, CountModel(graph, macs), paths.input, outcome.left, &result);
  return result;
}

}  // namespace xslim
