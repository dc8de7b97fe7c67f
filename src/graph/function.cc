#include "graph/function.h"

#include <algorithm>
#include <set>
#include <utility>

#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kMostNodes = 1000000;  // after inlining; a few functions that call each other twice pass any

bool MadeInside(const Value& value) {
  return value.producer != kNone || value.is_input || value.constant.defined();
}

template <typename Visit>
void ForEachNode(const Graph& graph, const Visit& visit) {
  for (size_t i = 0; i < graph.node_slots(); ++i) {
    if (!graph.alive(static_cast<NodeId>(i))) continue;
    const Node& node = graph.node(static_cast<NodeId>(i));
    visit(node);
    for (const auto& [name, attribute] : node.attributes) {
      if (attribute.graph) ForEachNode(*attribute.graph, visit);
    }
  }
}

// What a function's body means at one call.
class Specializer {
 public:
  Specializer(const Node& call, const Function& function, std::string prefix)
      : call_(call), function_(function), prefix_(std::move(prefix)) {}

  using Names =
      std::map<std::string, std::string>;  // of the function's tensors, to those of the call's graph

  std::map<std::string, Attribute> Resolve(const std::map<std::string, Attribute>& attributes,
                                           const Names& names) const {
    std::map<std::string, Attribute> resolved;
    for (const auto& [name, attribute] : attributes) {
      if (!attribute.reference.empty()) {
        const Attribute* given = Given(attribute.reference);
        if (given != nullptr) resolved[name] = *given;
        continue;
      }
      Attribute& copy = resolved[name] = attribute;
      if (!attribute.graph) continue;
      copy.graph = Body(*attribute.graph, names);
      copy.source.clear();
    }
    return resolved;
  }

 private:
  // Null: neither given nor with a default; the operator's own default holds.
  const Attribute* Given(const std::string& name) const {
    const auto at = call_.attributes.find(name);
    if (at != call_.attributes.end()) return &at->second;
    const auto otherwise = function_.defaults.find(name);
    return otherwise == function_.defaults.end() ? nullptr : &otherwise->second;
  }

  // A body in a function: what it captures has other names now, and its own names must not hide any.
  std::shared_ptr<Graph> Body(const Graph& original, Names names) const {
    auto body = std::make_shared<Graph>(original);
    for (size_t i = 0; i < body->value_slots(); ++i) {
      const Value& value = body->value(static_cast<ValueId>(i));
      if (value.id != kNone && MadeInside(value)) names[value.name] = prefix_ + value.name;
    }
    body->RenameValues(names);
    for (size_t i = 0; i < body->node_slots(); ++i) {
      if (!body->alive(static_cast<NodeId>(i))) continue;
      const NodeId id = static_cast<NodeId>(i);
      body->SetAttributes(id, Resolve(body->node(id).attributes, names));
    }
    return body;
  }

  const Node& call_;
  const Function& function_;
  const std::string prefix_;
};

class Inliner {
 public:
  Inliner(Graph* model, const WantedFn& wanted) : model_(*model), wanted_(wanted) {}

  // Returns whether anything changed.
  bool Run(Graph* graph, const std::string& prefix) {
    bool changed = false;
    for (size_t i = 0; i < graph->node_slots(); ++i) {  // grows: calls in functions follow
      const NodeId id = static_cast<NodeId>(i);
      if (!graph->alive(id)) continue;
      const Function* function = FindFunction(model_, graph->node(id));
      const std::string path = prefix + graph->node(id).name + "/";
      if (function != nullptr && (!wanted_ || wanted_(*function, graph->node(id)))) {
        // Nodes of an inlined function have its call's name in front already.
        InlineCall(&model_, graph, id, *function, path);
        changed = true;
        continue;
      }
      for (auto& [name, attribute] : graph->node(id).attributes) {
        if (!attribute.graph) continue;
        auto body = std::make_shared<Graph>(*attribute.graph);  // copies of a graph share their bodies
        if (!Run(body.get(), path)) continue;
        attribute.graph = std::move(body);
        attribute.source.clear();
        changed = true;
      }
    }
    return changed;
  }

 private:
  Graph& model_;
  const WantedFn& wanted_;
};

void CheckAcyclic(const Graph& model, const Function& function, std::set<const Function*>* open,
                  std::set<const Function*>* done) {
  if (done->count(&function)) return;
  if (!open->insert(&function).second)
    throw Error("a function calls itself.", "function " + function.Title());
  ForEachNode(function.body, [&](const Node& node) {
    const Function* called = FindFunction(model, node);
    if (called != nullptr) CheckAcyclic(model, *called, open, done);
  });
  open->erase(&function);
  done->insert(&function);
}

void CollectCalled(const Graph& model, const Graph& graph, std::set<const Function*>* called) {
  ForEachNode(graph, [&](const Node& node) {
    const Function* function = FindFunction(model, node);
    if (function != nullptr && called->insert(function).second) CollectCalled(model, function->body, called);
  });
}

}  // namespace

std::string Function::Title() const {
  return (domain.empty() ? "ai.onnx" : domain) + "::" + name + (overload.empty() ? "" : ":" + overload);
}

const Function* FindFunction(const Graph& model, const Node& node) {
  for (const auto& function : model.functions) {
    if (function->name == node.op_type && function->domain == node.domain &&
        function->overload == node.overload) {
      return function.get();
    }
  }
  return nullptr;
}

void InlineCall(Graph* model, Graph* graph, NodeId id, const Function& function, const std::string& prefix) {
  const Node call = graph->node(id);
  const Graph& body = function.body;
  size_t wanted = call.outputs.size();  // without those that are left out at the end
  while (wanted > 0 && call.outputs[wanted - 1] == kNone) --wanted;
  if (call.inputs.size() > body.inputs().size() || wanted > body.outputs().size()) {
    throw Error("the call has " + std::to_string(call.inputs.size()) + " inputs and " +
                    std::to_string(wanted) + " outputs, the function " + function.Title() + " has " +
                    std::to_string(body.inputs().size()) + " and " + std::to_string(body.outputs().size()) +
                    ".",
                "node " + call.Title());
  }
  if (graph->node_slots() + body.node_slots() > kMostNodes) {
    throw Error("functions call each other so often that over a million operators come out.",
                "node " + call.Title());
  }
  for (const auto& [domain, version] : body.opset_imports) model->opset_imports.emplace(domain, version);
  graph->RemoveNode(id);
  std::vector<ValueId> mapped(body.value_slots(), kNone);
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    mapped[static_cast<size_t>(body.inputs()[i])] = call.inputs[i];
  }
  std::vector<std::pair<ValueId, ValueId>> copies;  // of the body, of the call
  for (size_t i = 0; i < wanted; ++i) {
    if (call.outputs[i] == kNone) continue;
    const ValueId inner = body.outputs()[i];
    if (body.value(inner).producer != kNone && mapped[static_cast<size_t>(inner)] == kNone) {
      mapped[static_cast<size_t>(inner)] = call.outputs[i];
    } else {
      copies.emplace_back(inner, call.outputs[i]);  // an input, or an output named twice
    }
  }
  Specializer::Names names;
  for (size_t i = 0; i < mapped.size(); ++i) {
    const Value& value = body.value(static_cast<ValueId>(i));
    if (value.id == kNone) continue;
    if (mapped[i] == kNone && value.producer != kNone) mapped[i] = graph->AddValue(prefix + value.name);
    if (mapped[i] != kNone) names[value.name] = graph->value(mapped[i]).name;
  }
  const Specializer specializer(call, function, prefix);
  const auto map_all = [&mapped](const std::vector<ValueId>& ids) {
    std::vector<ValueId> out;
    for (ValueId inner : ids) out.push_back(inner == kNone ? kNone : mapped[static_cast<size_t>(inner)]);
    return out;
  };
  for (NodeId inner : body.Order()) {
    const Node& node = body.node(inner);
    const NodeId made =
        graph->AddNode(node.op_type, prefix + node.name, map_all(node.inputs), map_all(node.outputs),
                       specializer.Resolve(node.attributes, names), node.domain);
    graph->node(made).overload = node.overload;
    graph->node(made).source = node.source;
  }
  for (const auto& [inner, outer] : copies) {
    const ValueId from = mapped[static_cast<size_t>(inner)];
    if (from == kNone) {
      throw Error("output " + graph->value(outer).name + " is an input of the function " + function.Title() +
                      " that the call leaves out.",
                  "node " + call.Title());
    }
    graph->AddNode("Identity", prefix + "Identity", {from}, {outer});
  }
}

void InlineCalls(Graph* model, const WantedFn& wanted) { Inliner(model, wanted).Run(model, ""); }

bool HasCalls(const Graph& model) {
  if (model.functions.empty()) return false;
  bool found = false;
  ForEachNode(model, [&](const Node& node) { found = found || FindFunction(model, node) != nullptr; });
  return found;
}

int DropUnusedFunctions(Graph* model) {
  std::set<const Function*> called;
  CollectCalled(*model, *model, &called);
  return static_cast<int>(
      std::erase_if(model->functions, [&](const auto& function) { return !called.count(function.get()); }));
}

void CheckFunctions(const Graph& model) {
  std::set<const Function*> open, done;
  for (const auto& function : model.functions) CheckAcyclic(model, *function, &open, &done);
}

}  // namespace xslim
