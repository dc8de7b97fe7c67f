#include "simplify/input_shapes.h"

#include <map>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/nearest_name.h"
#include "graph/dims_text.h"
#include "xslim/error.h"

namespace xslim {
namespace {

[[noreturn]] void Fail(const std::string& what, const Value& input) {
  throw Error(what, "input_shapes: " + input.name,
              input.has_shape ? "the model says [" + DimsText(input.dims) + "]" : "");
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
  const std::string nearest = NearestName(name, names);
  throw Error("the model has no input of this name", "input_shapes: " + name,
              nearest.empty() ? "" : "did you mean " + nearest + "?");
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
    if (input.dtype == DType::kUndefined) {
      throw Error("is no tensor and has no sizes to fix", "input_shapes: " + input.name,
                  "a sequence, an optional or a map; leave it out");
    }
    std::vector<Dim> dims = input.dims;  // of the input itself once all of them are right
    if (!input.has_shape) dims.resize(shape.sizes.size());
    if (dims.size() != shape.sizes.size())
      Fail(StrCat("has ", dims.size(), " sizes, ", shape.sizes.size(), " are given"), input);
    for (size_t axis = 0; axis < shape.sizes.size(); ++axis) {
      const int64_t size = shape.sizes[axis];
      Dim& dim = dims[axis];
      if (size < 0) continue;
      if (dim.size >= 0 && dim.size != size)
        Fail(StrCat("its size ", dim.size, " on axis ", axis, " is not the ", size, " that is given"), input);
      if (size == 0 && dim.size < 0) {
        throw Error(StrCat("the size 0 on axis ", axis, " leaves it without elements"),
                    "input_shapes: " + input.name, "give 1 or more, or -1 to leave the axis as it is");
      }
      if (!dim.symbol.empty() && !symbols.emplace(dim.symbol, size).second && symbols[dim.symbol] != size)
        Fail(StrCat("two sizes for ", dim.symbol, ": ", symbols[dim.symbol], " and ", size), input);
      dim = {size, ""};
    }
    input.dims = std::move(dims);
    input.has_shape = true;
  }
  Settle(graph, symbols);
}

}  // namespace xslim
