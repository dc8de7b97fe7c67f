#include "pipeline/model_inputs.h"

#include "base/log.h"

namespace xslim {

std::vector<ModelInput> InputsOf(const Graph& graph) {
  std::vector<ModelInput> inputs;
  for (ValueId id : graph.FreeInputs()) {
    const Value& value = graph.value(id);
    ModelInput input{value.name, value.dtype, {}, value.has_shape};
    for (const Dim& dim : value.dims) {
      input.dims.push_back(dim.size);
      input.symbols.push_back(dim.symbol);
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

void FixDefaults(Graph* graph) {
  if (const int fixed = graph->FixDefaults())
    LogInfo(Counted(fixed, "input has a default value (initializer)",
                    "inputs have default values (initializers)"),
            ", taken for constants");
}

void FixDefaultsOfHabit(Graph* graph) {
  size_t initializers = 0;
  for (size_t i = 0; i < graph->value_slots(); ++i)
    initializers += graph->value(static_cast<ValueId>(i)).constant.defined() ? 1 : 0;
  const size_t free = graph->FreeInputs().size(), defaults = graph->inputs().size() - free;
  if (free > 0 && 2 * defaults > initializers) FixDefaults(graph);
}

}  // namespace xslim
