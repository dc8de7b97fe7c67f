#include "base/log.h"
#include "onnx/model_io.h"
#include "pipeline/modes.h"

namespace xslim {

RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths, ThreadPool& pool) {
  PinOpset(&graph, config, paths.input);
  const size_t before = graph.Order().size();
  SimplifyModel(&graph, config, false, pool);
  LogInfo("slimmed: ", before, " -> ", graph.Order().size(), " operators");
  SaveModel(graph, paths.model);
  return {paths.model, "", {}};
}

}  // namespace xslim
