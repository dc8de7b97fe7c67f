#include "pipeline/modes.h"
#include "simplify/opset/convert.h"

namespace xslim {

void PinOpset(Graph* graph, const Config& config, const std::string& path) {
  if (!config.model.opset) return;
  const int wanted = *config.model.opset, from = graph->opset();
  if (from == wanted) return;
  const std::vector<OpsetObstacle> obstacles = ConvertOpset(graph, wanted);
  if (!obstacles.empty()) {
    throw Error("cannot convert the model from opset " + std::to_string(from) + " to " +
                    std::to_string(wanted) + ": " + Describe(obstacles, wanted < from),
                path);
  }
}

SaveOptions SaveOptionsFor(const Config& config) {
  SaveOptions options;
  options.external_data = config.model.external_data;
  return options;
}

SimplifyOptions OptionsFor(const Graph& graph, const Config& config, bool legalize) {
  SimplifyOptions options;
  options.legalize = legalize;
  options.functions = config.model.spacemit_functions;
  if (config.model.opset) {
    options.highest_opset = *config.model.opset;
  } else if (!legalize) {
    options.highest_opset = graph.opset();
  }
  return options;
}

}  // namespace xslim
