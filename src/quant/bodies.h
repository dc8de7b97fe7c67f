// Walking over a model with its bodies (the subgraphs of If, Loop, Scan), for rewrites that treat all alike.
#ifndef XSLIM_QUANT_BODIES_H_
#define XSLIM_QUANT_BODIES_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace xslim {

// A graph and the graphs around it, whose tensors it may read by name.
struct Scope {
  Graph* graph;
  const Scope* outer;  // null for the model's own graph
};

// The bodies of a node. Unlike the node's attributes they stay where they are when the graph around them
// grows.
std::vector<Graph*> BodiesOf(Node* node);

// Calls visit for the graph, then for every body inside it, outer ones first. Bodies that are shared with
// copies of the graph are copied before.
void ForEachScope(Graph* graph, const std::function<void(const Scope&)>& visit);

// Whether the graph itself defines the value; otherwise a body reads it from outside, by name.
bool IsDefined(const Value& value);

// Where a value is defined: in its own graph or, for a body, in one around it.
struct Origin {
  Graph* graph = nullptr;  // null: nowhere
  ValueId id = kNone;
};
Origin OriginOf(const Scope& scope, ValueId id);

// The constant that `id` stands for, an initializer or a Constant node's tensor, in this graph or around it;
// null when it is none.
const Tensor* ConstantIn(const Scope& scope, ValueId id);

// Names that the bodies in a graph read from it, theirs in turn included.
std::set<std::string> CapturedNames(const Graph& graph);

// Names of tensors in a model and all its bodies: a new name must not hide one of an outer graph.
class TensorNames {
 public:
  explicit TensorNames(const Graph& graph) { Add(graph); }
  std::string Fresh(const std::string& wanted);  // taken from now on

 private:
  void Add(const Graph& graph);
  std::set<std::string> names_;
};

}  // namespace xslim

#endif  // XSLIM_QUANT_BODIES_H_
