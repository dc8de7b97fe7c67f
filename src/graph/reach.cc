#include "graph/reach.h"

#include "graph/subgraph.h"

namespace xslim {

Reach::Reach(const Graph& graph)
    : graph_(graph), readers_(graph.value_slots()), producers_(graph.node_slots()) {
  for (size_t i = 0; i < graph.node_slots(); ++i) {
    const NodeId id = static_cast<NodeId>(i);
    if (!graph.alive(id)) continue;
    for (ValueId read : ReadsOf(graph, graph.node(id))) {
      std::vector<NodeId>& readers = readers_[static_cast<size_t>(read)];
      if (readers.empty() || readers.back() != id) readers.push_back(id);
      if (const Node* producer = graph.Producer(read)) producers_[i].push_back(producer->id);
    }
  }
}

std::set<NodeId> Reach::Above(const std::vector<ValueId>& values) const {
  std::set<NodeId> found;
  std::vector<NodeId> work;
  for (ValueId id : values) {
    const Node* producer = graph_.Producer(id);
    if (producer != nullptr && found.insert(producer->id).second) work.push_back(producer->id);
  }
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    for (NodeId producer : producers_[static_cast<size_t>(id)]) {
      if (found.insert(producer).second) work.push_back(producer);
    }
  }
  return found;
}

std::set<NodeId> Reach::Below(const std::vector<ValueId>& from, const std::set<ValueId>& stop) const {
  std::set<NodeId> found;
  std::vector<ValueId> work = from;
  while (!work.empty()) {
    const ValueId id = work.back();
    work.pop_back();
    for (NodeId reader : Readers(id)) {
      const Node& node = graph_.node(reader);
      if (!found.insert(reader).second || node.Is("Shape") || node.Is("Size")) continue;
      for (ValueId output : node.outputs) {
        if (output != kNone && !stop.count(output)) work.push_back(output);
      }
    }
  }
  return found;
}

std::set<NodeId> Reach::JoinedBelow(const std::vector<ValueId>& from, const std::set<NodeId>& without) const {
  std::set<NodeId> found;
  std::vector<NodeId> work;
  const auto visit = [&](NodeId id) {
    if (!without.count(id) && found.insert(id).second) work.push_back(id);
  };
  for (ValueId id : from) {
    for (NodeId reader : Readers(id)) visit(reader);
  }
  while (!work.empty()) {
    const Node& node = graph_.node(work.back());
    work.pop_back();
    for (ValueId output : node.outputs) {
      if (output == kNone) continue;
      for (NodeId reader : Readers(output)) visit(reader);
    }
    for (NodeId producer : producers_[static_cast<size_t>(node.id)]) visit(producer);
  }
  return found;
}

}  // namespace xslim
