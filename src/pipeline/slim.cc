#include "onnx/model_io.h"
#include "pipeline/modes.h"
#include "report/summary.h"

namespace xslim {

RunResult Slim(Graph graph, const Config& config, const OutputPaths& paths) {
  const ModelCounts before = CountModel(graph);
  PinOpset(&graph, config, paths.input);
  if (!config.model.skip_onnxsim) Simplify(&graph, OptionsFor(graph, config, false));
  SaveModel(graph, paths.model);
  RunResult result{paths.model, "", {}};
  Summarize(before, CountModel(graph), paths.input, {}, &result);
  return result;
}

}  // namespace xslim
