#include "simplify/input_shapes.h"

#include <map>
#include <string>

#include "base/log.h"
#include "base/nearest_name.h"
#include "xslim/error.h"

namespace xslim {
namespace {

std::string Text(const std::vector<Dim>& dims) {
  std::string text;
  for (const Dim& dim : dims) {
    text += (text.empty() ? "" : ",") + (dim.size >= 0        ? std::to_string(dim.size)
                                         : dim.symbol.empty() ? "?"
                                                              : dim.symbol);
  }
  return "[" + text + "]";
}

[[noreturn]] void Fail(const std::string& what, const Value& input) {
  throw Error(what, "input_shapes: " + input.name,
              input.has_shape ? "the model says " + Text(input.dims) : "");
}

Value& InputOf(Graph* graph, const std::string& name) {
  const std::vector<ValueId> inputs = graph->FreeInputs();
  if (name.empty()) {
    if (inputs.size() == 1) return graph->value(inputs[0]);
    throw Error("names no input, and the model has " + std::to_string(inputs.size()), "input_shapes",
                "put the name before the sizes, e.g. x:1,3,224,224");
  }
  std::vector<std::string> names;
  for (ValueId id : inputs) {
    if (graph->value(id).name == name) return graph->value(id);
    names.push_back(graph->value(id).name);
  }
  throw Error("the model has no input of this name", "input_shapes: " + name,
              NearestName(name, names).empty() ? "" : "did you mean " + NearestName(name, names) + "?");
}

// Sizes of the symbols in one graph and its bodies.
void Settle(Graph* graph, const std::map<std::string, int64_t>& symbols) {
  for (ValueId id = 0; id < static_cast<ValueId>(graph->value_slots()); ++id) {
    for (Dim& dim : graph->value(id).dims) {
      const auto found = symbols.find(dim.symbol);
      if (dim.size < 0 && !dim.symbol.empty() && found != symbols.end()) dim = {found->second, ""};
    }
  }
  for (NodeId id : graph->Order()) {
    for (auto& [name, attribute] : graph->node(id).attributes) {
      if (attribute.graph) Settle(attribute.graph.get(), symbols);
    }
  }
}

}  // namespace

void FixInputShapes(Graph* graph, const std::vector<InputShape>& shapes) {
  std::map<std::string, int64_t> symbols;
  for (const InputShape& shape : shapes) {
    Value& input = InputOf(graph, shape.name);
    if (!input.has_shape) input.dims.resize(shape.sizes.size());
    if (input.dims.size() != shape.sizes.size())
      Fail(StrCat("has ", input.dims.size(), " sizes, ", shape.sizes.size(), " are given"), input);
    for (size_t axis = 0; axis < shape.sizes.size(); ++axis) {
      const int64_t size = shape.sizes[axis];
      Dim& dim = input.dims[axis];
      if (size < 0) continue;
      if (dim.size >= 0 && dim.size != size)
        Fail(StrCat("its size ", dim.size, " on axis ", axis, " is not the ", size, " that is given"), input);
      if (!dim.symbol.empty() && !symbols.emplace(dim.symbol, size).second && symbols[dim.symbol] != size)
        Fail(StrCat("two sizes for ", dim.symbol, ": ", symbols[dim.symbol], " and ", size), input);
      dim = {size, ""};
    }
    input.has_shape = true;
  }
  Settle(graph, symbols);
}

}  // namespace xslim
