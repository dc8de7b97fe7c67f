// Before: Transpose p -> elementwise operators, Resizes (none, or some) -> Transpose q
// After:  the elementwise operators -> Transpose p then q in one, or none
//         Where none is left, they may read a tensor besides, if turning that back moves only axes of size 1
//         (squeeze and excitation in NHWC).
// Before: Transpose p of a, Transpose p of b -> Add | Sub | Mul | Div | Max | Min | Pow
// After:  Transpose p of a + b
// Before: Transpose p of a, Transpose p of b, ... -> Concat        After: Concat -> Transpose p
// Before: Split -> Transpose p of each part        After: Transpose p -> Split
// Besides, what transposes_at_reshapes.cc does.
#include "simplify/merge_transposes.h"

#include <algorithm>
#include <optional>
#include <set>

#include "simplify/match.h"
#include "simplify/same_shape.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

bool IsBinary(const Node& node) {
  return node.inputs.size() == 2 && (node.Is("Add") || node.Is("Sub") || node.Is("Mul") || node.Is("Div") ||
                                     node.Is("Max") || node.Is("Min") || node.Is("Pow"));
}

// A constant of that rank, leading axes of 1 added.
Tensor OfRank(const Tensor& constant, size_t rank) {
  Shape shape(rank - constant.shape().size(), 1);
  shape.insert(shape.end(), constant.shape().begin(), constant.shape().end());
  return constant.Reshaped(shape);
}

// A constant beside a tensor that was transposed by p, as it stands beside the tensor before that, where it
// has numbers along one axis at most (a bias, a scale).
std::optional<Tensor> TurnedBack(const Tensor& constant, const std::vector<int64_t>& p) {
  if (constant.rank() == 0) return constant;
  const Tensor whole = OfRank(constant, p.size());
  if (std::count(whole.shape().begin(), whole.shape().end(), 1) + 1 < whole.rank()) return std::nullopt;
  Shape shape(p.size(), 1);
  for (size_t i = 0; i < p.size(); ++i) shape[static_cast<size_t>(p[i])] = whole.shape()[i];
  return whole.Reshaped(shape);
}

// The scales of a Resize behind a Transpose by p, as they stand in front of it; none where it says more.
std::optional<Tensor> ScalesTurnedBack(const Graph& graph, const Node& resize,
                                       const std::vector<int64_t>& p) {
  const auto constant = [&](size_t slot) {
    return resize.input(slot) == kNone ? nullptr : graph.Constant(resize.input(slot));
  };
  const Tensor *region = constant(1), *scales = constant(2);
  const bool whole = resize.input(1) == kNone || (region != nullptr && region->size() == 0);
  if (!whole || scales == nullptr || scales->dtype() != DType::kFloat || scales->size() != std::ssize(p) ||
      resize.input(3) != kNone || resize.Has("axes"))
    return std::nullopt;
  std::vector<float> turned(p.size());
  for (size_t i = 0; i < p.size(); ++i) turned[static_cast<size_t>(p[i])] = scales->data<float>()[i];
  // ONNX Runtime interpolates behind batch and channels, and in four dimensions between them.
  const bool anywhere = turned.size() <= 3 || resize.String("mode", "nearest") == "nearest";
  const bool behind = anywhere || (turned[0] == 1 && turned[1] == 1);
  if (!behind && !(turned.size() == 4 && turned[0] == 1 && turned[3] == 1)) return std::nullopt;
  return Tensor::Of<float>({scales->size()}, turned);
}

// An operator that does to every element of `data` what the others get, too, or what its other operand says.
struct Elementwise {
  NodeId node = kNone;
  size_t slot = 0;                 // of the other operand, where there is one
  std::optional<Tensor> constant;  // that operand, where it is a constant
  bool turn = false;               // it needs a Transpose of its own
};

std::optional<Elementwise> ActsOnElements(const Graph& graph, const ShapeFacts& facts, const Node& node,
                                          ValueId data, const std::vector<int64_t>& p) {
  Elementwise found;
  found.node = node.id;
  if (node.Is("Resize") && node.input(0) == data) {
    found.slot = 2;
    found.constant = ScalesTurnedBack(graph, node, p);
    return found.constant ? std::optional<Elementwise>(found) : std::nullopt;
  }
  if (IsUnary(node)) return node.input(0) == data ? std::optional<Elementwise>(found) : std::nullopt;
  if (!IsBinary(node) && !(node.Is("PRelu") && node.input(0) == data)) return std::nullopt;
  const ValueId other = OtherInput(node, data);
  if (other == kNone) return std::nullopt;
  found.slot = node.inputs[0] == data ? 1 : 0;
  if (const Tensor* constant = graph.Constant(other)) {
    if (constant->shape().size() > p.size()) return std::nullopt;
    found.constant = TurnedBack(*constant, p);
    if (!found.constant) {  // fold-constants turns it
      found.constant = OfRank(*constant, p.size());
      found.turn = true;
    }
    return found;
  }
  const auto& dims = facts.of(other).dims;
  if (!dims || dims->size() != p.size() || !MovesOnlyOnes(*dims, Inverse(p))) return std::nullopt;
  found.turn = true;
  return found;
}

// Makes the operator stand before the Transpose by p.
void MoveBefore(Graph* graph, const Elementwise& moved, const std::vector<int64_t>& p) {
  ForgetShape(graph, graph->node(moved.node).outputs[0]);
  ValueId other = graph->node(moved.node).input(moved.slot);
  if (moved.constant && moved.constant->rank() > 0)
    other = graph->AddConstant(graph->value(other).name + "_turned", *moved.constant);
  if (moved.turn) {
    const ValueId turned = graph->AddValue(graph->value(other).name + "_turned", graph->value(other).dtype);
    graph->AddNode("Transpose", graph->value(turned).name, {other}, {turned},
                   {{"perm", Attribute::Ints(Inverse(p))}});
    other = turned;
  }
  if (moved.constant || moved.turn) graph->SetInput(moved.node, moved.slot, other);
}

bool MergeChain(Graph* graph, const ShapeFacts& facts, NodeId first) {
  const std::vector<int64_t> p = PermOf(graph->node(first));
  const ValueId x = graph->node(first).input(0);
  if (p.empty() || x == kNone) return false;
  std::vector<Elementwise> between;
  ValueId at = graph->node(first).outputs[0];
  for (NodeId user = graph->SoleUser(at); user != kNone; user = graph->SoleUser(at)) {
    const Node& node = graph->node(user);
    if (node.Is("Transpose")) {
      const std::vector<int64_t> q = PermOf(node);
      if (q.size() != p.size()) return false;
      const std::vector<int64_t> both = Compose(p, q);
      const bool turns = std::any_of(between.begin(), between.end(),
                                     [](const Elementwise& each) { return each.turn && !each.constant; });
      if (turns && !std::is_sorted(both.begin(), both.end())) return false;
      if (between.empty()) {
        graph->SetInput(user, 0, x);
      } else {
        const Node& next = graph->node(between[0].node);
        const size_t slot = next.inputs[0] == graph->node(first).outputs[0] ? 0 : 1;
        graph->SetInput(between[0].node, slot, x);
        for (const Elementwise& each : between) MoveBefore(graph, each, p);
      }
      graph->node(user).attributes["perm"] = Attribute::Ints(both);
      graph->RemoveNode(first);
      return true;
    }
    const std::optional<Elementwise> found = ActsOnElements(*graph, facts, node, at, p);
    if (!found || node.outputs.size() != 1) return false;
    between.push_back(*found);
    at = node.outputs[0];
  }
  return false;
}

// Of two in a row the second one reads what the first one reads, whoever else reads the first.
bool ReadThrough(Graph* graph, NodeId id) {
  const Node* first = ProducerOfType(*graph, graph->node(id).input(0), "Transpose");
  const std::vector<int64_t> q = PermOf(graph->node(id)), p = first == nullptr ? q : PermOf(*first);
  if (first == nullptr || p.empty() || p.size() != q.size()) return false;
  graph->node(id).attributes["perm"] = Attribute::Ints(Compose(p, q));
  graph->SetInput(id, 0, first->input(0));
  return true;
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

bool JoinConcat(Graph* graph, const ShapeFacts& facts, NodeId id) {
  const Node& node = graph->node(id);
  if (node.inputs.size() < 2 || !node.Has("axis")) return false;
  std::vector<int64_t> perm;
  std::vector<ValueId> parts;
  for (ValueId input : node.inputs) {
    const Node* transpose = ProducerOfType(*graph, input, "Transpose");
    if (transpose == nullptr || graph->SoleUser(input) != id) return false;
    if (parts.empty()) perm = PermOf(*transpose);
    const int64_t rank = static_cast<int64_t>(perm.size());
    if (perm.empty() || perm != PermOf(*transpose) || facts.RankOf(transpose->input(0)) != rank) return false;
    parts.push_back(transpose->input(0));
  }
  int64_t axis = node.Int("axis", 0);
  axis += axis < 0 ? static_cast<int64_t>(perm.size()) : 0;
  if (axis < 0 || axis >= static_cast<int64_t>(perm.size())) return false;
  const std::string name = node.name;
  const ValueId joined =
      graph->AddValue(graph->value(node.outputs[0]).name + "_Concat", facts.DTypeOf(parts[0]));
  ReplaceWith(graph, id, "Transpose", {joined}, {{"perm", Attribute::Ints(perm)}});
  graph->AddNode("Concat", name, parts, {joined},
                 {{"axis", Attribute::Int(perm[static_cast<size_t>(axis)])}});
  return true;
}

// Parts of channels that each go on in the other layout.
bool PutBeforeSplit(Graph* graph, NodeId id) {
  const Node& split = graph->node(id);
  if (split.input(0) == kNone || split.outputs.size() < 2) return false;
  std::vector<int64_t> perm;
  std::vector<NodeId> readers;
  for (ValueId part : split.outputs) {
    const Node* reader = part == kNone ? nullptr : SoleUserOfType(*graph, part, "Transpose");
    if (reader == nullptr || PermOf(*reader).empty()) return false;
    if (!readers.empty() && PermOf(*reader) != perm) return false;
    perm = PermOf(*reader);
    readers.push_back(reader->id);
  }
  const int64_t rank = std::ssize(perm), axis = split.Int("axis", 0);
  if (axis < -rank || axis >= rank) return false;
  const std::vector<int64_t> turned = Inverse(perm);
  const ValueId x = split.input(0);
  const std::string name = graph->value(x).name + "_turned";
  const ValueId front = graph->AddValue(name, graph->value(x).dtype);
  graph->AddNode("Transpose", graph->UniqueNodeName(name), {x}, {front}, {{"perm", Attribute::Ints(perm)}});
  graph->SetInput(id, 0, front);
  graph->node(id).attributes["axis"] =
      Attribute::Int(turned[static_cast<size_t>(axis < 0 ? axis + rank : axis)]);
  for (size_t i = 0; i < readers.size(); ++i) {
    const ValueId whole = graph->node(readers[i]).outputs[0];
    graph->RemoveNode(readers[i]);
    graph->SetOutput(id, i, whole);
  }
  return true;
}

}  // namespace

std::vector<int64_t> Compose(const std::vector<int64_t>& p, const std::vector<int64_t>& q) {
  std::vector<int64_t> both;
  for (int64_t axis : q) both.push_back(p[static_cast<size_t>(axis)]);
  return both;
}

std::vector<int64_t> Inverse(const std::vector<int64_t>& p) {
  std::vector<int64_t> inverse(p.size());
  for (size_t i = 0; i < p.size(); ++i) inverse[static_cast<size_t>(p[i])] = static_cast<int64_t>(i);
  return inverse;
}

std::vector<int64_t> PermOf(const Node& node) {
  std::vector<int64_t> perm = node.Ints("perm"), sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i)) return {};
  }
  return perm;
}

int MergeTransposes(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  SymbolTable symbols = facts.symbols();
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id)) continue;
    const Node& node = graph->node(id);
    if (node.Is("Transpose"))
      count += MergeAtReshape(graph, facts, &symbols, id) || ReadThrough(graph, id) ||
               MergeChain(graph, facts, id);
    if (graph->alive(id) && IsBinary(graph->node(id))) count += Join(graph, facts, id);
    if (graph->alive(id) && graph->node(id).Is("Split")) count += PutBeforeSplit(graph, id);
    if (graph->alive(id) && graph->node(id).Is("Concat")) count += JoinConcat(graph, facts, id);
  }
  return count;
}

}  // namespace xslim
