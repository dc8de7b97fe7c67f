// Which neighbours of a graph are computed in one pass.
#ifndef XSLIM_RUNTIME_FUSION_H_
#define XSLIM_RUNTIME_FUSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>

#include "graph/graph.h"
#include "kernels/kernels.h"
#include "ops/matmul.h"

namespace xslim {

// What is evaluated in place of a node and of those behind it that are merged into it.
struct FusedUnit {
  const Node* node;            // the graph's own, or `copy`
  std::shared_ptr<Node> copy;  // with changed outputs or attributes; null where nothing was merged
  // The unit is a QuantizeLinear and its DequantizeLinear readers and nothing else.
  std::shared_ptr<const QuantizeEpilogue> quantize;
};

class Fusion {
 public:
  // constant(id): the value's tensor where that is known before a run, else null. visible(id): somebody looks
  // at the value, so it has to be there. captured: the graph's Captures(). Both must outlive this object.
  Fusion(const Graph& graph, const std::set<std::string>& captured, int opset,
         std::function<const Tensor*(ValueId)> constant, std::function<bool(ValueId)> visible);

  // To be called in the graph's order for every node that is not merged().
  FusedUnit Take(const Node& node);
  bool merged(NodeId id) const { return merged_.count(id) > 0; }

 private:
  struct Pair {  // a QuantizeLinear with its readers
    QuantizeEpilogue quantize;
    std::vector<ValueId> outputs;
    std::vector<NodeId> readers;
  };

  bool IsCaptured(ValueId id) const { return captured_.count(graph_.value(id).name) != 0; }
  NodeId SoleUser(ValueId id) const;
  bool IsConstantFloat(ValueId id) const;
  bool ScalarConstant(ValueId id, float& result) const;
  void Merge(FusedUnit& unit, const Node& last) const;
  bool TakeActivation(FusedUnit& unit);
  bool TakeUnary(FusedUnit& unit);
  void TakeQuantize(FusedUnit& unit);
  std::optional<Pair> ReadPair(const Node& node) const;

  const Graph& graph_;
  const std::set<std::string>& captured_;
  const int opset_;
  const std::function<const Tensor*(ValueId)> constant_;
  const std::function<bool(ValueId)> visible_;
  std::unordered_set<NodeId> merged_;
};

}  // namespace xslim

#endif  // XSLIM_RUNTIME_FUSION_H_
