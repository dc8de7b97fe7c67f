// Before: If (constant) { ... } else { ... }        After: the operators of the branch that is taken
#include <map>
#include <set>

#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

std::string FreeName(const Graph& outer, const Graph& body, const std::string& wanted) {
  std::string name = wanted;
  for (int suffix = 1; outer.Find(name) != kNone || body.Find(name) != kNone; ++suffix)
    name = wanted + "_" + std::to_string(suffix);
  return name;
}

// Every name that the body reads from outside is a value of `outer` (and not of a graph around that).
bool FindsCaptures(const Graph& outer, const Graph& body) {
  for (const std::string& name : body.FreeNames()) {
    if (outer.Find(name) == kNone) return false;
  }
  return true;
}

// Copies the body's nodes and initializers to `outer`; returns its outputs there.
std::vector<ValueId> Inline(Graph* outer, Graph body) {
  const std::vector<std::string> free = body.FreeNames();
  const std::set<std::string> captured(free.begin(), free.end());
  const ValueId slots = static_cast<ValueId>(body.value_slots());
  for (ValueId id = 0; id < slots; ++id) {  // bodies inside the body follow the new names
    const Value& value = body.value(id);
    if (value.id == kNone || captured.count(value.name)) continue;
    body.Rename(id, FreeName(*outer, body, value.name));
  }
  std::map<ValueId, ValueId> to{{kNone, kNone}};
  for (ValueId id = 0; id < slots; ++id) {
    const Value& value = body.value(id);
    if (value.id == kNone) continue;
    if (captured.count(value.name)) {
      to[id] = outer->Find(value.name);
    } else if (value.constant.defined()) {
      to[id] = outer->AddConstant(value.name, value.constant);
    } else {
      to[id] = outer->AddValue(value.name, value.dtype);
    }
  }
  const auto map = [&to](std::vector<ValueId> ids) {
    for (ValueId& id : ids) id = to.at(id);
    return ids;
  };
  for (NodeId id : body.Order()) {
    const Node& node = body.node(id);
    const NodeId added = outer->AddNode(node.op_type, node.name, map(node.inputs), map(node.outputs),
                                        node.attributes, node.domain);
    outer->node(added).source = node.source;
  }
  return map(body.outputs());
}

}  // namespace

int InlineIf(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    const Tensor* condition =
        node.Is("If") && node.input(0) != kNone ? graph->Constant(node.input(0)) : nullptr;
    if (condition == nullptr || condition->dtype() != DType::kBool || condition->size() != 1) continue;
    const auto branch = node.attributes.find(condition->data<bool>()[0] ? "then_branch" : "else_branch");
    if (branch == node.attributes.end() || !branch->second.graph) continue;
    const std::shared_ptr<Graph> body = branch->second.graph;
    if (body->outputs().size() < node.outputs.size() || !body->inputs().empty() ||
        !FindsCaptures(*graph, *body))
      continue;
    const std::vector<ValueId> outputs = node.outputs;
    const std::string name = node.name;
    graph->RemoveNode(id);
    const std::vector<ValueId> results = Inline(graph, *body);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] != kNone) graph->AddNode("Identity", name + "_result", {results[i]}, {outputs[i]});
    }
    ++count;
  }
  return count;
}

}  // namespace xslim
