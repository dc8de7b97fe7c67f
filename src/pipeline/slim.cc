#include "base/log.h"
#include "onnx/model_io.h"
#include "pipeline/modes.h"

namespace xslim {

RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths) {
  PinOpset(&graph, config, paths.input);
  const size_t before = graph.Order().size();
  if (!config.model.skip_onnxsim) Simplify(&graph, OptionsFor(graph, config, false));
  LogInfo("slimmed: ", before, " -> ", graph.Order().size(), " operators");
  SaveModel(graph, paths.model, SaveOptionsFor(config));
  return {paths.model, "", {}};
}

}  // namespace xslim
