#include "runtime/computable.h"

#include <algorithm>

#include "base/log.h"

namespace xslim {
namespace {

constexpr size_t kMostListed = 8;

template <typename Visit>
void ForEachBody(const Node& node, const Visit& visit) {
  for (const auto& [key, attribute] : node.attributes) {
    if (attribute.graph) visit(*attribute.graph);
  }
}

// The name of the first operator that is unknown, at the node or in its bodies; "" when there is none.
std::string FirstUnknown(const Node& node, const std::function<std::string(const Node&)>& unknown) {
  std::string name = unknown(node);
  ForEachBody(node, [&](const Graph& body) {
    for (size_t i = 0; name.empty() && i < body.node_slots(); ++i) {
      if (body.alive(static_cast<NodeId>(i))) name = FirstUnknown(body.node(static_cast<NodeId>(i)), unknown);
    }
  });
  return name;
}

}  // namespace

std::string Describe(const UnknownOperator& unknown) {
  const std::string text =
      "operator " + unknown.name + " " + unknown.why + ": " + FirstOf(unknown.nodes, kMostListed);
  if (unknown.tensors.empty()) return text;
  return text + "; " + std::to_string(unknown.tensors.size()) +
         (unknown.tensors.size() == 1 ? " tensor depends on it and stays float: "
                                      : " tensors depend on it and stay float: ") +
         FirstOf(unknown.tensors, kMostListed);
}

Computable::Computable(const Graph& graph, const std::function<std::string(const Node&)>& unknown)
    : graph_(&graph),
      order_(graph.Order()),
      own_(graph.node_slots(), -1),
      cause_(graph.value_slots(), -1),
      skipped_(graph.node_slots(), false) {
  for (NodeId id : order_) {
    const std::string name = FirstUnknown(graph.node(id), unknown);
    if (!name.empty()) own_[static_cast<size_t>(id)] = Entry(name, "is not known", graph.node(id));
  }
  if (!unknown_.empty()) Spread();
}

void Computable::Fail(NodeId id, const std::string& name, const std::string& why) {
  own_[static_cast<size_t>(id)] = Entry(name, "cannot be computed (" + why + ")", graph_->node(id));
  Spread();
}

int Computable::Entry(const std::string& name, const std::string& why, const Node& node) {
  auto at = std::find_if(unknown_.begin(), unknown_.end(), [&](const UnknownOperator& entry) {
    return entry.name == name && entry.why == why;
  });
  if (at == unknown_.end()) at = unknown_.insert(at, {name, why, {}, {}});
  at->nodes.push_back(node.Title());
  return static_cast<int>(at - unknown_.begin());
}

void Computable::Spread() {
  for (UnknownOperator& entry : unknown_) entry.tensors.clear();
  std::fill(cause_.begin(), cause_.end(), -1);
  for (NodeId id : order_) {
    const Node& node = graph_->node(id);
    int cause = own_[static_cast<size_t>(id)];
    const auto inherit = [&](ValueId input) {
      if (cause < 0 && input != kNone) cause = cause_[static_cast<size_t>(input)];
    };
    for (ValueId input : node.inputs) inherit(input);
    ForEachBody(node, [&](const Graph& body) {
      for (const std::string& name : body.FreeNames()) inherit(graph_->Find(name));
    });
    skipped_[static_cast<size_t>(id)] = cause >= 0;
    if (cause < 0) continue;
    for (ValueId output : node.outputs) {
      if (output == kNone) continue;
      cause_[static_cast<size_t>(output)] = cause;
      unknown_[static_cast<size_t>(cause)].tensors.push_back(graph_->value(output).name);
    }
  }
}

}  // namespace xslim
