// Small questions that several passes ask of a graph.
#ifndef XSLIM_SIMPLIFY_MATCH_H_
#define XSLIM_SIMPLIFY_MATCH_H_

#include <cmath>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// The number in a constant float tensor of one element.
inline std::optional<float> ScalarOf(const Graph& graph, ValueId id) {
  const Tensor* tensor = id == kNone ? nullptr : graph.Constant(id);
  if (tensor == nullptr || tensor->size() != 1 || tensor->dtype() != DType::kFloat) return std::nullopt;
  return tensor->data<float>()[0];
}

// Whether that number is in a constant of one element; exponents may be of other types than float.
inline bool ScalarIs(const Graph& graph, ValueId id, float wanted) {
  const Tensor* tensor = id == kNone ? nullptr : graph.Constant(id);
  if (tensor == nullptr || tensor->size() != 1 || !tensor->is_tensor() || tensor->dtype() == DType::kString)
    return false;
  return std::fabs(tensor->ToFloat32().data<float>()[0] - wanted) <= 1e-6f * std::fabs(wanted);
}

// What a Constant node holds; undefined for strings. Throws Error where its attribute is of another kind.
Tensor HeldBy(const Node& node);

// Whether the graph has an operator of one of the types: asked before what a pass needs is worked out.
inline bool HasAny(const Graph& graph, std::initializer_list<std::string_view> types) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    if (graph.alive(id) && graph.node(id).IsOneOf(types)) return true;
  }
  return false;
}

// The only user of a value, when it is of that operator type. Bodies are asked last: there may be thousands.
inline const Node* SoleUserOfType(const Graph& graph, ValueId id, const char* type) {
  if (id == kNone || graph.value(id).uses.size() != 1) return nullptr;
  const Node& user = graph.node(graph.value(id).uses[0].node);
  return user.Is(type) && graph.SoleUser(id) == user.id ? &user : nullptr;
}

inline const Node* ProducerOfType(const Graph& graph, ValueId id, const char* type) {
  const Node* node = id == kNone ? nullptr : graph.Producer(id);
  return node != nullptr && node->Is(type) ? node : nullptr;
}

// Of a two-input node: the input that is not `id` (kNone when neither is).
inline ValueId OtherInput(const Node& node, ValueId id) {
  if (node.inputs.size() != 2) return kNone;
  if (node.inputs[0] == id) return node.inputs[1];
  return node.inputs[1] == id ? node.inputs[0] : kNone;
}

// Removes a node whose output 0 equals `input`: its readers read that instead. A graph output keeps its name,
// by the producer of `input` writing it; false (and nothing changes) where that cannot be.
inline bool RemoveNoOp(Graph* graph, NodeId id, ValueId input) {
  const ValueId output = graph->node(id).outputs[0];
  const Value removed = graph->value(output);
  if (!graph->ReplaceUses(output, input)) return false;
  if (removed.is_output) {  // `input` bears the output's name now, and must have its declared type
    Value& kept = graph->value(input);
    kept.dtype = removed.dtype;
    kept.has_shape = removed.has_shape;
    kept.dims = removed.dims;
  }
  graph->RemoveNode(id);
  return true;
}

// An operator that hands its elements on in another shape.
inline bool Reshapes(const Node& node) {
  return node.Is("Reshape") || node.Is("Flatten") || node.Is("Squeeze") || node.Is("Unsqueeze");
}

// A rewrite changed the shape of a value in the middle of the graph: what the file declared no longer holds.
inline void ForgetShape(Graph* graph, ValueId id) {
  Value& value = graph->value(id);
  value.has_shape = false;
  value.dims.clear();
  value.source.clear();
}

// The integers of a constant input, or of the attribute that older versions have instead; none when neither.
inline std::optional<std::vector<int64_t>> IntsOf(const Graph& graph, const Node& node, size_t slot,
                                                  const char* attribute) {
  if (node.input(slot) != kNone) {
    const Tensor* tensor = graph.Constant(node.input(slot));
    if (tensor == nullptr) return std::nullopt;
    return tensor->ToInts();
  }
  if (!node.Has(attribute)) return std::nullopt;
  return node.Ints(attribute);
}

inline ValueId AddInts(Graph* graph, const std::string& name, const std::vector<int64_t>& numbers) {
  return graph->AddConstant(name, Tensor::Of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers));
}

// Replaces the end of a matched pattern: removes `last` and lets a new node write its output, so that the
// name stays.
inline NodeId ReplaceWith(Graph* graph, NodeId last, const std::string& op_type, std::vector<ValueId> inputs,
                          std::map<std::string, Attribute> attributes) {
  const ValueId output = graph->node(last).outputs[0];
  const std::string name = graph->node(last).name;
  graph->RemoveNode(last);
  return graph->AddNode(op_type, name + "_" + op_type, std::move(inputs), {output}, std::move(attributes));
}

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_MATCH_H_
