#include "pipeline/model_inputs.h"

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

}  // namespace xslim
