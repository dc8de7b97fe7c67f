// Which values of a graph can be computed: all but those that need an operator that nobody knows.
#ifndef XSLIM_RUNTIME_COMPUTABLE_H_
#define XSLIM_RUNTIME_COMPUTABLE_H_

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// An operator that cannot be computed, once for all its nodes.
struct UnknownOperator {
  std::string name;                  // "Foo (com.acme, version 1)"
  std::string why;                   // "is not known", or what its evaluation said
  std::vector<std::string> nodes;    // Title() of each
  std::vector<std::string> tensors;  // what depends on it and so has no value, in the graph's order
};

// One line for logs, reports and errors; long lists are cut.
std::string Describe(const UnknownOperator& unknown);

class Computable {
 public:
  // unknown(node): the operator's name when it cannot be evaluated, "" when it can; bodies are asked node by
  // node, and a node with an unknown one inside is unknown itself. The graph must outlive this object.
  Computable(const Graph& graph, const std::function<std::string(const Node&)>& unknown);

  bool lost(ValueId id) const { return cause_[static_cast<size_t>(id)] >= 0; }
  // Whether the node has to be left out: it is unknown, or reads what is lost.
  bool skipped(NodeId id) const { return skipped_[static_cast<size_t>(id)]; }
  const std::vector<UnknownOperator>& unknown() const { return unknown_; }

  // The node failed: it counts as unknown from here on.
  void Fail(NodeId id, const std::string& name, const std::string& why);

 private:
  int Entry(const std::string& name, const std::string& why, const Node& node);
  void Spread();

  const Graph* graph_;
  std::vector<NodeId> order_;
  std::vector<int> own_;       // by node: the entry that makes it unknown, -1 when it is known
  std::vector<int> cause_;     // by value: the entry that it is lost by, or -1
  std::vector<bool> skipped_;  // by node
  std::vector<UnknownOperator> unknown_;
};

}  // namespace xslim

#endif  // XSLIM_RUNTIME_COMPUTABLE_H_
