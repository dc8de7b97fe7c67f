#include "pipeline/modes.h"

namespace xslim {

void PinOpset(Graph* graph, const Config& config, const std::string& path) {
  if (!config.model.opset) return;
  const int wanted = *config.model.opset;
  if (wanted < graph->opset()) {
    throw Error(
        "cannot lower the opset from " + std::to_string(graph->opset()) + " to " + std::to_string(wanted),
        path, "lowering is not built into this version");
  }
  if (const auto obstacle = RaiseOpset(graph, wanted))
    throw Error("cannot raise the opset: " + *obstacle, path);
}

SimplifyOptions OptionsFor(const Graph& graph, const Config& config, bool legalize) {
  SimplifyOptions options;
  options.legalize = legalize;
  if (config.model.opset) {
    options.highest_opset = *config.model.opset;
  } else if (!legalize) {
    options.highest_opset = graph.opset();
  }
  return options;
}

}  // namespace xslim
