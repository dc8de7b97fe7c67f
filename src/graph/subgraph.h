// A part of a graph as a graph of its own.
#ifndef XSLIM_GRAPH_SUBGRAPH_H_
#define XSLIM_GRAPH_SUBGRAPH_H_

#include <set>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// What a node reads: its inputs, and what its bodies capture of the graph around it. Without kNone.
std::vector<ValueId> ReadsOf(const Graph& graph, const Node& node);

// `from`, and all values that depend on what is in them. Shape and Size tell nothing of that.
std::set<ValueId> DependingOn(const Graph& graph, std::set<ValueId> from);

struct Subgraph {
  Graph graph;
  std::vector<ValueId> inputs;   // ids in the source graph, in the order of graph.inputs()
  std::vector<ValueId> outputs;  // likewise of graph.outputs()
};

// The chosen nodes of `source`. Inputs: what they read (or their bodies capture) and do not make; constants
// are shared, not inputs. Outputs: what they make and other nodes, other bodies or the graph's outputs read.
// Names, opsets, attributes and functions are kept.
Subgraph Extract(const Graph& source, const std::vector<NodeId>& nodes);

}  // namespace xslim

#endif  // XSLIM_GRAPH_SUBGRAPH_H_
