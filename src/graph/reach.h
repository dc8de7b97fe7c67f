// What depends on what: walks over a graph along its data edges, captures of bodies included. Linear in the
// graph's size.
#ifndef XSLIM_GRAPH_REACH_H_
#define XSLIM_GRAPH_REACH_H_

#include <set>
#include <vector>

#include "graph/graph.h"

namespace xslim {

class Reach {
 public:
  // The graph must outlive this and not change.
  explicit Reach(const Graph& graph);

  // Nodes that read the value, themselves or in a body; each once.
  const std::vector<NodeId>& Readers(ValueId id) const { return readers_[static_cast<size_t>(id)]; }

  // All nodes that the values depend on, their producers included.
  std::set<NodeId> Above(const std::vector<ValueId>& values) const;

  // All nodes that depend on the values `from`, by ways that do not pass a value of `stop`. What Shape and
  // Size give is no longer the tensor's data: ways end behind them.
  std::set<NodeId> Below(const std::vector<ValueId>& from, const std::set<ValueId>& stop = {}) const;

  // The nodes that are joined to the readers of `from` by edges in any direction, not looking at `without`.
  std::set<NodeId> JoinedBelow(const std::vector<ValueId>& from, const std::set<NodeId>& without) const;

 private:
  const Graph& graph_;
  std::vector<std::vector<NodeId>> readers_;    // by value
  std::vector<std::vector<NodeId>> producers_;  // by node: the producers of what it reads
};

}  // namespace xslim

#endif  // XSLIM_GRAPH_REACH_H_
