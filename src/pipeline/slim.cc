#include "base/log.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "pipeline/model_inputs.h"
#include "pipeline/modes.h"
#include "pipeline/provider_lines.h"
#include "report/summary.h"
#include "runtime/executor.h"
#include "simplify/macs.h"

namespace xslim {

RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths, ThreadPool& pool) {
  for (UnknownOperator& each : FindUnknown(graph)) {
    if (config.quantization.strict) ReportUnknown({each}, true);
    each.tensors.clear();  // nothing is computed that could miss them
    LogInfo(Describe(each), " (kept as it is)");
  }
  const ModelCounts before = CountModel(graph, CountMacs(graph));
  FixDefaultsOfHabit(&graph);
  PinOpset(&graph, config, paths.input);
  SimplifyModel(&graph, config, false, pool);
  DropUnusedFunctions(&graph);
  SaveModel(graph, paths.model, SaveOptionsFor(config));
  LogProvider(CheckProvider(graph));
  RunResult result{paths.model, "", {}};
  Summarize(before, CountModel(graph, CountMacs(graph)), paths.input, {}, &result);
  return result;
}

}  // namespace xslim
