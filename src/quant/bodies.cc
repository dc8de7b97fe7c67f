#include "quant/bodies.h"

namespace xslim {
namespace {

void Walk(const Scope& scope, const std::function<void(const Scope&)>& visit) {
  visit(scope);
  for (NodeId id : scope.graph->Order()) {
    for (auto& [key, attribute] : scope.graph->node(id).attributes) {
      if (!attribute.graph) continue;
      attribute.graph = std::make_shared<Graph>(*attribute.graph);
      attribute.source.clear();
    }
    for (Graph* body : BodiesOf(&scope.graph->node(id))) Walk({body, &scope}, visit);
  }
}

}  // namespace

std::vector<Graph*> BodiesOf(Node* node) {
  std::vector<Graph*> bodies;
  for (auto& [key, attribute] : node->attributes) {
    if (attribute.graph) bodies.push_back(attribute.graph.get());
  }
  return bodies;
}

void ForEachScope(Graph* graph, const std::function<void(const Scope&)>& visit) {
  Walk({graph, nullptr}, visit);
}

bool IsDefined(const Value& value) {
  return value.producer != kNone || value.is_input || value.constant.defined();
}

Origin OriginOf(const Scope& scope, ValueId id) {
  if (id == kNone) return {};
  const Value& here = scope.graph->value(id);
  if (IsDefined(here)) return {scope.graph, id};
  for (const Scope* outer = scope.outer; outer != nullptr; outer = outer->outer) {
    const ValueId found = outer->graph->Find(here.name);
    if (found != kNone && IsDefined(outer->graph->value(found))) return {outer->graph, found};
  }
  return {};
}

const Tensor* ConstantIn(const Scope& scope, ValueId id) {
  const Origin origin = OriginOf(scope, id);
  if (origin.graph == nullptr) return nullptr;
  const Node* producer = origin.graph->Producer(origin.id);
  if (producer != nullptr && producer->Is("Constant")) return producer->TensorOf("value");
  return origin.graph->Constant(origin.id);
}

std::set<std::string> CapturedNames(const Graph& graph) {
  std::set<std::string> names;
  for (NodeId id : graph.Order()) {
    for (const auto& [key, attribute] : graph.node(id).attributes) {
      if (!attribute.graph) continue;
      for (std::string& name : attribute.graph->FreeNames()) names.insert(std::move(name));
    }
  }
  return names;
}

std::string TensorNames::Fresh(const std::string& wanted) {
  std::string name = wanted;
  for (int64_t suffix = 1; !names_.insert(name).second; ++suffix)
    name = wanted + "_" + std::to_string(suffix);
  return name;
}

void TensorNames::Add(const Graph& graph) {
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id) {
    if (graph.value(id).id != kNone) names_.insert(graph.value(id).name);
  }
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    if (!graph.alive(id)) continue;
    for (const auto& [key, attribute] : graph.node(id).attributes) {
      if (attribute.graph) Add(*attribute.graph);
    }
  }
}

}  // namespace xslim
