#include "quant/element_types.h"

#include <map>
#include <vector>

#include "graph/function.h"
#include "quant/bodies.h"

namespace xslim {
namespace {

DType DTypeAttribute(const Node& node, const char* name, DType otherwise) {
  return node.Has(name) ? static_cast<DType>(node.Int(name, 0)) : otherwise;
}

DType TypeOfConstantNode(const Node& node) {
  if (const Tensor* tensor = node.TensorOf("value")) return tensor->dtype();
  if (node.Has("value_float") || node.Has("value_floats")) return DType::kFloat;
  if (node.Has("value_int") || node.Has("value_ints")) return DType::kInt64;
  if (node.Has("value_string") || node.Has("value_strings")) return DType::kString;
  return DType::kUndefined;
}

// Whether the letter stands for a type that the node's tensors choose.
bool IsVariable(char letter) { return letter >= 'I' && letter <= 'Z'; }

// What `from`, which is `to` with its calls replaced, knows of the tensors of both.
void CopyTypes(const Graph& from, Graph* to) {
  for (ValueId id = 0; id < static_cast<ValueId>(to->value_slots()); ++id) {
    Value& value = to->value(id);
    if (value.id != kNone && value.dtype == DType::kUndefined) value.dtype = from.value(id).dtype;
  }
  for (NodeId id = 0; id < static_cast<NodeId>(to->node_slots()); ++id) {
    if (!to->alive(id) || !from.alive(id)) continue;
    for (auto& [key, attribute] : to->node(id).attributes) {
      if (attribute.graph) CopyTypes(*from.node(id).attributes.at(key).graph, attribute.graph.get());
    }
  }
}

class Inference {
 public:
  explicit Inference(const Scope& scope) : scope_(scope), graph_(*scope.graph) {}

  void Run() {
    do {
      Forward();
    } while (Backward());
  }

 private:
  void Forward() {
    for (ValueId id = 0; id < static_cast<ValueId>(graph_.value_slots()); ++id) {
      Value& value = graph_.value(id);
      if (value.id == kNone || IsDefined(value)) continue;
      const Origin origin = OriginOf(scope_, id);
      if (origin.graph != nullptr) value.dtype = origin.graph->value(origin.id).dtype;
    }
    for (NodeId id : graph_.Order()) {
      RunBodies(id);
      const Node& node = graph_.node(id);
      for (size_t slot = 0; slot < node.outputs.size(); ++slot) {
        if (node.outputs[slot] == kNone) continue;
        const DType found = OutputType(node, slot);
        if (found != DType::kUndefined) graph_.value(node.outputs[slot]).dtype = found;
      }
    }
  }

  // Slots that share a letter share a type: what an operator that nobody knows gives follows from what else
  // its readers read, or from what these give. Returns whether anything was found.
  bool Backward() {
    bool found = false;
    const std::vector<NodeId> order = graph_.Order();
    for (auto at = order.rbegin(); at != order.rend(); ++at) {
      const Node& node = graph_.node(*at);
      const OperatorTypes* types = FindTypes(node, graph_.opset());
      if (types == nullptr) continue;
      std::map<char, DType> known;
      const auto learn = [&](ValueId id, char letter) {
        if (id != kNone && IsVariable(letter) && graph_.value(id).dtype != DType::kUndefined)
          known.emplace(letter, graph_.value(id).dtype);
      };
      for (size_t i = 0; i < node.inputs.size(); ++i) learn(node.inputs[i], InputLetter(*types, i));
      for (size_t i = 0; i < node.outputs.size(); ++i) learn(node.outputs[i], OutputLetter(*types, i));
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const auto type = known.find(InputLetter(*types, i));
        if (node.inputs[i] == kNone || type == known.end()) continue;
        Value& input = graph_.value(node.inputs[i]);
        if (input.dtype != DType::kUndefined) continue;
        input.dtype = type->second;
        const Origin origin = OriginOf(scope_, input.id);
        if (origin.graph != nullptr) origin.graph->value(origin.id).dtype = type->second;
        found = true;
      }
    }
    return found;
  }

  // Bodies first: their outputs give the node's. What enters them comes from the node's inputs.
  void RunBodies(NodeId id) {
    for (auto& [key, attribute] : graph_.node(id).attributes) {
      if (!attribute.graph) continue;
      Graph& body = *attribute.graph;
      const Node& node = graph_.node(id);
      for (size_t i = 0; i < body.inputs().size(); ++i) {
        Value& input = body.value(body.inputs()[i]);
        if (input.dtype != DType::kUndefined) continue;
        if (node.Is("Loop")) input.dtype = i == 0 ? DType::kInt64 : i == 1 ? DType::kBool : TypeOf(node, i);
        if (node.Is("Scan")) input.dtype = TypeOf(node, i);
      }
      Inference({attribute.graph.get(), &scope_}).Run();
    }
  }

  DType TypeOf(const Node& node, size_t slot) const {
    return node.input(slot) == kNone ? DType::kUndefined : graph_.value(node.input(slot)).dtype;
  }

  // Type of a body's output; bodies of an If agree.
  DType BodyOutput(const Node& node, size_t slot) const {
    for (const auto& [key, attribute] : node.attributes) {
      if (!attribute.graph || slot >= attribute.graph->outputs().size()) continue;
      const DType found = attribute.graph->value(attribute.graph->outputs()[slot]).dtype;
      if (found != DType::kUndefined) return found;
    }
    return DType::kUndefined;
  }

  DType OutputType(const Node& node, size_t slot) const {
    if (node.Is("Cast")) return static_cast<DType>(node.Int("to", 0));
    if (node.Is("Constant")) return TypeOfConstantNode(node);
    if (node.Is("ConstantOfShape")) {
      const Tensor* value = node.TensorOf("value");
      return value != nullptr ? value->dtype() : DType::kFloat;
    }
    if (node.Is("EyeLike") || node.Is("RandomNormalLike") || node.Is("RandomUniformLike") ||
        node.Is("Bernoulli")) {
      return DTypeAttribute(node, "dtype", TypeOf(node, 0));
    }
    if (node.Is("RandomNormal") || node.Is("RandomUniform"))
      return DTypeAttribute(node, "dtype", DType::kFloat);
    if (node.Is("Multinomial")) return DTypeAttribute(node, "dtype", DType::kInt32);
    if (node.Is("HannWindow") || node.Is("HammingWindow") || node.Is("BlackmanWindow") ||
        node.Is("MelWeightMatrix")) {
      return DTypeAttribute(node, "output_datatype", DType::kFloat);
    }
    if (node.Is("QuantizeLinear"))
      return node.input(2) != kNone ? TypeOf(node, 2) : DTypeAttribute(node, "output_dtype", DType::kUint8);
    if (node.Is("DequantizeLinear")) return DTypeAttribute(node, "output_dtype", TypeOf(node, 1));
    if (node.Is("If") || node.Is("Scan")) return BodyOutput(node, slot);
    if (node.Is("Loop")) return BodyOutput(node, slot + 1);
    const OperatorTypes* types = FindTypes(node, graph_.opset());
    if (types == nullptr) return DType::kUndefined;
    return FromLetter(node, *types, OutputLetter(*types, slot));
  }

  DType FromLetter(const Node& node, const OperatorTypes& types, char letter) const {
    switch (letter) {
      case 'f':
        return DType::kFloat;
      case 'i':
        return DType::kInt64;
      case 'b':
        return DType::kBool;
      case 'w':
        return DType::kInt32;
      case 'u':
        return DType::kUint8;
      case '?':
        return DType::kUndefined;
      default:
        break;
    }
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      if (InputLetter(types, slot) == letter && TypeOf(node, slot) != DType::kUndefined)
        return TypeOf(node, slot);
    }
    return DType::kUndefined;
  }

  const Scope scope_;
  Graph& graph_;
};

}  // namespace

void InferElementTypes(Graph* graph) {
  // Shared bodies become this model's own before they are changed.
  ForEachScope(graph, [](const Scope&) {});
  if (HasCalls(*graph)) {
    Graph inlined = *graph;
    InlineCalls(&inlined);
    InferElementTypes(&inlined);
    CopyTypes(inlined, graph);
  }
  Inference({graph, nullptr}).Run();
}

}  // namespace xslim
