// Before: Reshape to rows -> MatMul by a matrix -> Reshape back (TensorFlow's Dense on more than two axes)
// Before: Reshapes that join the leading axes of two tensors -> MatMul -> Reshape that parts them (einsum)
//
// After:  MatMul of what was reshaped
#include <algorithm>

#include "simplify/affine.h"
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// What the value was reshaped from, when the last `kept` axes stay as they are.
ValueId Reshaped(const Graph& graph, const ShapeFacts& facts, ValueId id, size_t kept) {
  const Node* node = id == kNone ? nullptr : graph.Producer(id);
  if (node == nullptr || !Reshapes(*node)) return kNone;
  const auto &from = facts.of(node->input(0)).dims, &to = facts.of(id).dims;
  if (!from || !to || from->size() < kept || to->size() < kept) return kNone;
  return std::equal(from->end() - static_cast<int64_t>(kept), from->end(),
                    to->end() - static_cast<int64_t>(kept))
             ? node->input(0)
             : kNone;
}

bool Rewrite(Graph* graph, const ShapeFacts& facts, NodeId id) {
  const Node& node = graph->node(id);
  const ValueId product = node.outputs[0];
  if (product == kNone || graph->value(product).uses.size() != 1) return false;
  const NodeId user = graph->value(product).uses[0].node;
  if (!Reshapes(graph->node(user)) || graph->node(user).input(0) != product) return false;
  const ValueId out = graph->node(user).outputs[0];
  const bool matrix = facts.RankOf(node.input(1)) == 2;
  const ValueId a = Reshaped(*graph, facts, node.input(0), matrix ? 1 : 2),
                b = matrix ? node.input(1) : Reshaped(*graph, facts, node.input(1), 2);
  const auto &to = facts.of(out).dims, &from = facts.of(a).dims, &second = facts.of(b).dims;
  if (a == kNone || b == kNone || !to || !from || !second || from->size() < 2 || second->size() < 2)
    return false;
  if (facts.RankOf(node.input(0)) != (matrix ? 2 : 3) || facts.RankOf(node.input(1)) != (matrix ? 2 : 3))
    return false;
  if (!matrix &&
      (second->size() != from->size() || !std::equal(from->begin(), from->end() - 2, second->begin())))
    return false;
  Sizes wanted(from->begin(), from->end() - 1);
  wanted.push_back(second->back());
  if (*to != wanted || graph->SoleUser(product) != user) return false;
  graph->SetInput(id, 0, a);
  graph->SetInput(id, 1, b);
  Bypass(graph, user, product, out);
  return true;
}

}  // namespace

int MatMulBetweenReshapes(Graph* graph, const SimplifyOptions& options) {
  if (!HasAny(*graph, {"MatMul"})) return 0;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) count += graph->node(id).Is("MatMul") && Rewrite(graph, facts, id);
  return count;
}

}  // namespace xslim
