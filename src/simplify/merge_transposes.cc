// Before: Transpose p -> elementwise operators (none, or some) -> Transpose q
// After:  the elementwise operators -> Transpose p then q in one, or none
// Before: Transpose p of a, Transpose p of b -> Add | Sub | Mul | Div | Max | Min        After: Transpose p
// of a + b
#include <algorithm>
#include <set>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

bool IsUnary(const Node& node) {
  static const std::set<std::string> types = {
      "Abs",         "Ceil", "Celu", "Clip",      "Elu",      "Erf",       "Exp",  "Floor",      "Gelu",
      "HardSigmoid", "Cast", "Log",  "HardSwish", "Neg",      "LeakyRelu", "Mish", "Reciprocal", "Relu",
      "Round",       "Selu", "Sign", "Sigmoid",   "Softplus", "Softsign",  "Sqrt", "Swish",      "Tanh"};
  return node.domain.empty() && types.count(node.op_type) != 0;
}

bool IsBinary(const Node& node) {
  return node.inputs.size() == 2 && (node.Is("Add") || node.Is("Sub") || node.Is("Mul") || node.Is("Div") ||
                                     node.Is("Max") || node.Is("Min"));
}

// The node does the same to every element of `data`, and nothing else comes in.
bool ActsOnElements(const Graph& graph, const Node& node, ValueId data) {
  if (IsUnary(node)) return node.input(0) == data;
  if (!IsBinary(node)) return false;
  const ValueId other = OtherInput(node, data);
  const Tensor* constant = other == kNone ? nullptr : graph.Constant(other);
  return constant != nullptr && constant->rank() == 0;
}

// Transpose by p, then by q: output axis i is axis p[q[i]] of the input.
std::vector<int64_t> Compose(const std::vector<int64_t>& p, const std::vector<int64_t>& q) {
  std::vector<int64_t> both;
  for (int64_t axis : q) both.push_back(p[static_cast<size_t>(axis)]);
  return both;
}

// The written permutation; empty when it is left out or is none.
std::vector<int64_t> PermOf(const Node& node) {
  std::vector<int64_t> perm = node.Ints("perm"), sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i)) return {};
  }
  return perm;
}

bool MergeChain(Graph* graph, NodeId first) {
  const std::vector<int64_t> p = PermOf(graph->node(first));
  const ValueId x = graph->node(first).input(0);
  if (p.empty() || x == kNone) return false;
  std::vector<NodeId> between;
  ValueId at = graph->node(first).outputs[0];
  for (NodeId user = graph->SoleUser(at); user != kNone; user = graph->SoleUser(at)) {
    const Node& node = graph->node(user);
    if (node.Is("Transpose")) {
      const std::vector<int64_t> q = PermOf(node);
      if (q.size() != p.size()) return false;
      const std::vector<int64_t> both = Compose(p, q);
      if (between.empty()) {
        graph->SetInput(user, 0, x);
      } else {
        const Node& next = graph->node(between[0]);
        const size_t slot = next.inputs[0] == graph->node(first).outputs[0] ? 0 : 1;
        graph->SetInput(between[0], slot, x);
        for (NodeId id : between) ForgetShape(graph, graph->node(id).outputs[0]);
      }
      graph->node(user).attributes["perm"] = Attribute::Ints(both);
      graph->RemoveNode(first);
      return true;
    }
    if (!ActsOnElements(*graph, node, at) || node.outputs.size() != 1) return false;
    between.push_back(user);
    at = node.outputs[0];
  }
  return false;
}

bool Join(Graph* graph, const ShapeFacts& facts, NodeId id) {
  const Node& node = graph->node(id);
  const Node *a = ProducerOfType(*graph, node.inputs[0], "Transpose"),
             *b = ProducerOfType(*graph, node.inputs[1], "Transpose");
  if (a == nullptr || b == nullptr || a == b) return false;
  const std::vector<int64_t> perm = PermOf(*a);
  const int64_t rank = static_cast<int64_t>(perm.size());
  if (perm.empty() || perm != PermOf(*b) || facts.RankOf(a->input(0)) != rank ||
      facts.RankOf(b->input(0)) != rank)
    return false;
  if (graph->SoleUser(node.inputs[0]) != id || graph->SoleUser(node.inputs[1]) != id) return false;
  const ValueId x = a->input(0), y = b->input(0);
  const std::string op_type = node.op_type, name = node.name;
  const ValueId joined =
      graph->AddValue(graph->value(node.outputs[0]).name + "_" + op_type, facts.DTypeOf(x));
  ReplaceWith(graph, id, "Transpose", {joined}, {{"perm", Attribute::Ints(perm)}});
  graph->AddNode(op_type, name, {x, y}, {joined});
  return true;
}

}  // namespace

int MergeTransposes(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id)) continue;
    const Node& node = graph->node(id);
    if (node.Is("Transpose")) count += MergeChain(graph, id);
    if (graph->alive(id) && IsBinary(graph->node(id))) count += Join(graph, facts, id);
  }
  return count;
}

}  // namespace xslim
