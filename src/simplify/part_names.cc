// An operator that passes made of several has a name that the user does not know; ignore lists take those of
// its parts. What the parts are follows from the values: the passes keep the names of those that they keep.
// What was folded into an operator that is still there, or is not needed any more, is listed as gone.
#include <algorithm>
#include <map>
#include <set>

#include "simplify/simplify.h"

namespace xslim {
namespace {

class Namer {
 public:
  Namer(const Graph& before, const Graph& after) : before_(before) {
    for (NodeId id : after.Order()) {
      const Node& node = after.node(id);
      nodes_.insert(node.Title());
      for (ValueId output : node.outputs)
        if (output != kNone) computed_.insert(after.value(output).name);
    }
    for (NodeId id : before.Order()) named_[before.node(id).name] = &before.node(id);
  }

  // The node of `before` that is still there under its name and type; null for a new one.
  const Node* Same(const Node& node) const {
    const auto found = named_.find(node.name);
    return found != named_.end() && found->second->op_type == node.op_type ? found->second : nullptr;
  }

  // Those of `before` that compute the node's outputs from values that are still there, and the one that a
  // name like "product_part" comes from.
  std::vector<std::string> PartsOf(const Graph& after, const Node& node) const {
    std::set<const Node*> parts = FoldedInto(after, node);
    for (size_t end = node.name.rfind('_'); end != std::string::npos && end > 0;
         end = node.name.rfind('_', end - 1)) {
      const auto found = named_.find(node.name.substr(0, end));
      if (found == named_.end()) continue;
      if (!IsKept(*found->second)) parts.insert(found->second);
      break;
    }
    std::vector<std::string> names;
    for (const Node* part : parts) names.push_back(NameInFile(*part));
    std::sort(names.begin(), names.end());
    return names;
  }

  // Those of `before` that the node's outputs come from and that are not there any more.
  std::set<const Node*> FoldedInto(const Graph& after, const Node& node) const {
    std::set<const Node*> parts;
    for (ValueId output : node.outputs) {
      if (output != kNone) Climb(before_.Find(after.value(output).name), &parts);
    }
    return parts;
  }

  // After all parts are named.
  std::map<std::string, GoneNode> Gone(const Graph& after) const {
    std::map<std::string, GoneNode> gone;
    for (NodeId id : before_.Order()) {
      const Node& node = before_.node(id);
      if (!IsKept(node)) gone[NameInFile(node)] = {node.op_type, ""};
    }
    for (NodeId id : after.Order()) {
      const Node& node = after.node(id);
      for (const std::string& part : node.parts) gone.erase(part);
      if (Same(node) == nullptr) continue;
      for (const Node* folded : FoldedInto(after, node)) gone[NameInFile(*folded)].into = node.Title();
    }
    for (NodeId id : after.Order()) gone.erase(NameInFile(after.node(id)));
    return gone;
  }

 private:
  static const std::string& NameInFile(const Node& node) {
    return node.shared_name.empty() ? node.name : node.shared_name;
  }

  bool IsKept(const Node& node) const { return nodes_.count(node.Title()) != 0; }

  void Climb(ValueId from, std::set<const Node*>* parts) const {
    std::vector<ValueId> open = {from};
    while (!open.empty()) {
      const Node* producer = open.back() == kNone ? nullptr : before_.Producer(open.back());
      open.pop_back();
      if (producer == nullptr || producer->Is("Constant") || IsKept(*producer) ||
          !parts->insert(producer).second)
        continue;
      for (ValueId input : producer->inputs) {
        if (input != kNone && computed_.count(before_.value(input).name) == 0) open.push_back(input);
      }
    }
  }

  const Graph& before_;
  std::set<std::string> nodes_, computed_;    // of `after`: titles, values
  std::map<std::string, const Node*> named_;  // of `before`
};

}  // namespace

void NameParts(const Graph& before, Graph* after) {
  const Namer namer(before, *after);
  for (NodeId id : after->Order()) {
    Node& node = after->node(id);
    const Node* same = namer.Same(node);
    if (same == nullptr) {
      node.parts = namer.PartsOf(*after, node);
      continue;
    }
    for (auto& [name, attribute] : node.attributes) {
      const auto old = same->attributes.find(name);
      if (!attribute.graph || old == same->attributes.end() || !old->second.graph ||
          old->second.graph == attribute.graph)
        continue;
      auto body = std::make_shared<Graph>(*attribute.graph);  // copies of a graph share their bodies
      NameParts(*old->second.graph, body.get());
      attribute.graph = std::move(body);
    }
  }
  after->gone = namer.Gone(*after);
}

}  // namespace xslim
