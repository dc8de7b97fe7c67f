// What can be known of a graph's values without running it: element types, shapes as far as they follow,
// small constants. A shape is only given when its rank is certain; sizes that are not known are -1.
#ifndef XSLIM_SIMPLIFY_OPSET_FACTS_H_
#define XSLIM_SIMPLIFY_OPSET_FACTS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "simplify/shape_facts.h"

namespace xslim::opset {

class GraphFacts {
 public:
  // `outer` is what a body captures from, null for the whole model. `known`: what followed from the graph
  // before it was changed, or null; the meaning of a value does not change with the opset. All must outlive
  // this.
  GraphFacts(const Graph& graph, int opset, const GraphFacts* outer, const ShapeFacts* known = nullptr);

  DType type(ValueId id) const;                  // kUndefined when not known
  std::optional<Shape> shape(ValueId id) const;  // -1: size not known
  std::optional<int64_t> rank(ValueId id) const;
  std::optional<Tensor> constant(ValueId id) const;            // initializers, Constant nodes, what follows
  std::optional<std::vector<int64_t>> ints(ValueId id) const;  // of a constant integer tensor

  void AddConstant(ValueId id);  // an initializer that is new in the graph
  // Works out the outputs of a node; for nodes that were added since, in their order, at another opset.
  void Infer(NodeId id, int opset);

 private:
  struct Fact {
    DType type = DType::kUndefined;
    std::optional<Shape> shape;
    std::optional<Tensor> constant;
  };
  const Fact& Of(ValueId id) const;
  void Fold(const Node& node, int opset);
  std::optional<Shape> ShapeOf(const Node& node) const;
  std::optional<std::vector<int64_t>> List(const Node& node, const char* attribute, size_t slot) const;
  DType TypeOf(const Node& node, size_t output, int opset) const;
  std::vector<DType> BodyTypes(const Node& node, int opset) const;

  const Graph& graph_;
  const GraphFacts* outer_;
  std::map<ValueId, Fact> facts_;
};

}  // namespace xslim::opset

#endif  // XSLIM_SIMPLIFY_OPSET_FACTS_H_
