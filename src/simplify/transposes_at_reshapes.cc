// Before: Unsqueeze -> Transpose        After: Transpose -> Unsqueeze
// Before: Reshape that joins neighbouring axes -> Transpose -> Reshape that takes the same axes apart
// After:  Transpose of the axes themselves
// Before: Transpose -> Reshape that joins neighbouring axes -> Transpose        After: Transpose -> Reshape
// Before: Transpose -> Reshape that takes axes apart -> Transpose        After: Reshape -> Transpose
#include <algorithm>

#include "simplify/match.h"
#include "simplify/merge_transposes.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// Which neighbouring axes of `parts` make each axis of `joined`, when all of them do.
std::optional<std::vector<std::vector<int64_t>>> JoinedAxes(const Sizes& parts, const Sizes& joined,
                                                            SymbolTable* symbols) {
  std::vector<std::vector<int64_t>> groups;
  size_t next = 0;
  for (const Size& wanted : joined) {
    groups.emplace_back();
    Size product = Number(1);
    while (groups.back().empty() || product != wanted) {
      if (next == parts.size()) return std::nullopt;
      product = symbols->Multiply(product, parts[next]);
      groups.back().push_back(static_cast<int64_t>(next++));
    }
  }
  return next == parts.size() ? std::optional(groups) : std::nullopt;
}

// PyTorch's attention turns keys in matrices of batch x heads, whatever the rank.
bool MergeBetweenReshapes(Graph* graph, const ShapeFacts& facts, SymbolTable* symbols, NodeId id) {
  const Node& node = graph->node(id);
  const Node *join = ProducerOfType(*graph, node.input(0), "Reshape"),
             *part = SoleUserOfType(*graph, node.outputs[0], "Reshape");
  if (join == nullptr || part == nullptr || part->input(0) != node.outputs[0]) return false;
  const ValueId x = join->input(0);
  const auto &from = facts.of(x).dims, &joined = facts.of(node.input(0)).dims,
             &to = facts.of(part->outputs[0]).dims;
  const std::vector<int64_t> perm = PermOf(node);
  if (!from || !joined || !to || perm.empty() || perm.size() != joined->size()) return false;
  const auto groups = JoinedAxes(*from, *joined, symbols);
  if (!groups) return false;
  std::vector<int64_t> axes;
  Sizes sizes;
  for (int64_t axis : perm) {
    for (int64_t inner : (*groups)[static_cast<size_t>(axis)]) {
      axes.push_back(inner);
      sizes.push_back((*from)[static_cast<size_t>(inner)]);
    }
  }
  if (sizes != *to) return false;
  ReplaceWith(graph, part->id, "Transpose", {x}, {{"perm", Attribute::Ints(axes)}});
  return true;
}

// A Transpose and the one in front of the Reshape that it reads.
struct Around {
  const Node* first = nullptr;
  std::vector<int64_t> p, q;
  const Sizes *from = nullptr, *to = nullptr;  // of the Reshape
};

Around Find(const Graph& graph, const ShapeFacts& facts, NodeId id) {
  const Node& node = graph.node(id);
  const Node* reshape = ProducerOfType(graph, node.input(0), "Reshape");
  const Node* first = reshape == nullptr ? nullptr : ProducerOfType(graph, reshape->input(0), "Transpose");
  if (first == nullptr || graph.SoleUser(node.input(0)) != id ||
      graph.SoleUser(reshape->input(0)) != reshape->id)
    return {};
  const auto &from = facts.of(reshape->input(0)).dims, &to = facts.of(node.input(0)).dims;
  Around found{first, PermOf(*first), PermOf(node), from ? &*from : nullptr, to ? &*to : nullptr};
  const bool known = from && to && !found.p.empty() && found.q.size() == to->size();
  return known ? found : Around();
}

// tf2onnx's einsum turns matrices of batch x heads that a Transpose has just brought together.
bool MergeAcrossJoin(Graph* graph, const ShapeFacts& facts, SymbolTable* symbols, NodeId id) {
  const Around around = Find(*graph, facts, id);
  if (around.first == nullptr) return false;
  const auto& to = facts.of(graph->node(id).outputs[0]).dims;
  const auto groups = JoinedAxes(*around.from, *around.to, symbols);
  const auto target = groups && to ? ReshapeTarget({}, *to) : std::nullopt;
  if (!target) return false;
  std::vector<int64_t> axes;
  for (int64_t axis : around.q) {
    const auto& group = (*groups)[static_cast<size_t>(axis)];
    axes.insert(axes.end(), group.begin(), group.end());
  }
  const ValueId x = around.first->input(0);
  const std::string name = graph->value(graph->node(id).outputs[0]).name;
  const ValueId turned = graph->AddValue(name + "_turned", facts.DTypeOf(x));
  graph->AddNode("Transpose", graph->UniqueNodeName(name + "_turned"), {x}, {turned},
                 {{"perm", Attribute::Ints(Compose(around.p, axes))}});
  ReplaceWith(graph, id, "Reshape", {turned, AddInts(graph, name + "_joined", *target)}, {});
  return true;
}

// The same in front of a Reshape that takes axes apart: channels shuffled in NHWC.
bool MergeAcrossPart(Graph* graph, const ShapeFacts& facts, SymbolTable* symbols, NodeId id) {
  const Around around = Find(*graph, facts, id);
  if (around.first == nullptr) return false;
  const auto groups = JoinedAxes(*around.to, *around.from, symbols);
  const ValueId x = around.first->input(0);
  if (!groups) return false;
  Sizes dims(around.p.size()), parted;  // an operator that has just moved here has other facts
  for (size_t i = 0; i < dims.size(); ++i) dims[static_cast<size_t>(around.p[i])] = (*around.from)[i];
  std::vector<int64_t> place(around.to->size());
  for (int64_t axis : Inverse(around.p)) {
    for (int64_t part : (*groups)[static_cast<size_t>(axis)]) {
      place[static_cast<size_t>(part)] = std::ssize(parted);
      parted.push_back((*around.to)[static_cast<size_t>(part)]);
    }
  }
  const auto target = ReshapeTarget(dims, parted);
  if (!target) return false;
  const std::string name = graph->value(graph->node(id).outputs[0]).name + "_parted";
  const ValueId in_parts = graph->AddValue(name, facts.DTypeOf(x));
  graph->AddNode("Reshape", graph->UniqueNodeName(name), {x, AddInts(graph, name + "_shape", *target)},
                 {in_parts});
  ReplaceWith(graph, id, "Transpose", {in_parts}, {{"perm", Attribute::Ints(Compose(place, around.q))}});
  return true;
}

// What merges with the Unsqueeze stands behind it, what merges with the Transpose in front.
bool PutBeforeUnsqueeze(Graph* graph, NodeId id) {
  const Node& node = graph->node(id);
  const Node* unsqueeze = ProducerOfType(*graph, node.input(0), "Unsqueeze");
  const std::vector<int64_t> perm = PermOf(node);
  const auto axes = unsqueeze == nullptr ? std::nullopt : IntsOf(*graph, *unsqueeze, 1, "axes");
  if (!axes || perm.empty() || graph->SoleUser(node.input(0)) != id) return false;
  const int64_t rank = std::ssize(perm);
  std::vector<bool> added(perm.size(), false);
  for (int64_t axis : *axes) {
    if (axis < -rank || axis >= rank) return false;
    added[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
  }
  std::vector<int64_t> inner, behind;
  for (size_t i = 0; i < perm.size(); ++i) {
    const auto at = added.begin() + perm[i];
    if (*at) {
      behind.push_back(static_cast<int64_t>(i));
    } else {
      inner.push_back(std::count(added.begin(), at, false));
    }
  }
  ValueId x = unsqueeze->input(0);
  const std::string name = graph->value(node.outputs[0]).name;
  if (!std::is_sorted(inner.begin(), inner.end())) {
    const ValueId turned = graph->AddValue(name + "_turned", graph->value(x).dtype);
    graph->AddNode("Transpose", graph->UniqueNodeName(name + "_turned"), {x}, {turned},
                   {{"perm", Attribute::Ints(inner)}});
    x = turned;
  }
  if (graph->opset() >= 13) {
    ReplaceWith(graph, id, "Unsqueeze", {x, AddInts(graph, name + "_axes", behind)}, {});
  } else {
    ReplaceWith(graph, id, "Unsqueeze", {x}, {{"axes", Attribute::Ints(behind)}});
  }
  return true;
}

}  // namespace

bool MergeAtReshape(Graph* graph, const ShapeFacts& facts, SymbolTable* symbols, NodeId transpose) {
  return MergeBetweenReshapes(graph, facts, symbols, transpose) ||
         MergeAcrossJoin(graph, facts, symbols, transpose) ||
         MergeAcrossPart(graph, facts, symbols, transpose) || PutBeforeUnsqueeze(graph, transpose);
}

}  // namespace xslim
