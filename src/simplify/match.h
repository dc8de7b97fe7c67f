// Small questions that several passes ask of a graph.
#ifndef XSLIM_SIMPLIFY_MATCH_H_
#define XSLIM_SIMPLIFY_MATCH_H_

#include <cmath>
#include <optional>

#include "graph/graph.h"

namespace xslim {

// The number in a constant float tensor of one element.
inline std::optional<float> ScalarOf(const Graph& graph, ValueId id) {
  const Tensor* tensor = id == kNone ? nullptr : graph.Constant(id);
  if (tensor == nullptr || tensor->size() != 1 || tensor->dtype() != DType::kFloat) return std::nullopt;
  return tensor->data<float>()[0];
}

inline bool ScalarIs(const Graph& graph, ValueId id, float wanted) {
  const std::optional<float> value = ScalarOf(graph, id);
  return value && std::fabs(*value - wanted) <= 1e-6f * std::fabs(wanted);
}

// The only user of a value, when it is of that operator type.
inline const Node* SoleUserOfType(const Graph& graph, ValueId id, const char* type) {
  const NodeId user = graph.SoleUser(id);
  return user != kNone && graph.node(user).Is(type) ? &graph.node(user) : nullptr;
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
