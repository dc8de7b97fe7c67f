#include "base/log.h"
#include "graph/function.h"
#include "onnx/model_io.h"
#include "pipeline/modes.h"
#include "runtime/executor.h"

namespace xslim {

RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths, ThreadPool& pool) {
  for (UnknownOperator& each : FindUnknown(graph)) {
    if (config.quantization.strict) ReportUnknown({each}, true);
    each.tensors.clear();  // nothing is computed that could miss them
    LogInfo(Describe(each), " (kept as it is)");
  }
  PinOpset(&graph, config, paths.input);
  const size_t before = graph.Order().size();
  SimplifyModel(&graph, config, false, pool);
  DropUnusedFunctions(&graph);
  LogInfo("slimmed: ", before, " -> ", graph.Order().size(), " operators");
  SaveModel(graph, paths.model, SaveOptionsFor(config));
  return {paths.model, "", {}};
}

}  // namespace xslim
