// Before: Where(c, x, y), c true everywhere (or false)        After: x (or y)
// Before: Where(IsNaN(s), k, s), s = Softmax(finite numbers)        After: s
//
// torch.export writes attention with a mask, which lets everything pass where the caller gave none, and with
// a test for rows that are masked whole.
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"
#include "simplify/uniform.h"

namespace xslim {
namespace {

constexpr int64_t kMostMade = 1 << 18;  // elements of a constant: 1 MB, as of a folded one

bool AllFinite(const Tensor& tensor) {
  if (!IsFloating(tensor.dtype())) return true;
  const Tensor numbers = tensor.ToFloat32();
  return std::all_of(numbers.data<float>(), numbers.data<float>() + numbers.size(),
                     [](float number) { return std::isfinite(number); });
}

bool IsOneOf(const Node& node, std::initializer_list<const char*> types) {
  return node.domain.empty() &&
         std::any_of(types.begin(), types.end(), [&](const char* type) { return node.Is(type); });
}

// Whether a value is made of products and finite constants, so that no mask of infinities is in it. Sums
// beyond the range of float32 do not count: what has such has no result that means anything, tested or not.
// `seen`: values that were found to be so, or are being looked at.
bool NoInfinities(const Graph& graph, ValueId id, std::set<ValueId>* seen) {
  if (id == kNone || !seen->insert(id).second) return id != kNone;
  if (const Tensor* constant = graph.Constant(id)) return AllFinite(*constant);
  const Node* node = graph.Producer(id);
  if (node == nullptr) return false;
  if (IsOneOf(*node, {"MatMul", "Gemm", "Conv", "Einsum", "Tanh", "Sigmoid", "Softmax"})) return true;
  if (IsOneOf(*node, {"Reshape", "Transpose", "Expand", "Squeeze", "Unsqueeze", "Slice", "Split", "Identity",
                      "Gather", "Clip"}))
    return NoInfinities(graph, node->input(0), seen);
  if (IsOneOf(*node, {"Add", "Sub", "Mul"}))
    return NoInfinities(graph, node->input(0), seen) && NoInfinities(graph, node->input(1), seen);
  if (IsOneOf(*node, {"Where"}))
    return NoInfinities(graph, node->input(1), seen) && NoInfinities(graph, node->input(2), seen);
  if (!IsOneOf(*node, {"Div"})) return false;
  const std::optional<float> divisor = ScalarOf(graph, node->input(1));
  return divisor && *divisor != 0 && std::isfinite(*divisor) && NoInfinities(graph, node->input(0), seen);
}

bool GuardsNothing(const Graph& graph, const Node& where) {
  const Node *test = ProducerOfType(graph, where.input(0), "IsNaN"),
             *softmax = ProducerOfType(graph, where.input(2), "Softmax");
  if (test == nullptr || softmax == nullptr || test->input(0) != where.input(2)) return false;
  std::set<ValueId> seen;
  return NoInfinities(graph, softmax->input(0), &seen);
}

// A number of the condition's shape, where that shape is the one of an Expand or ConstantOfShape.
bool MakeInShape(Graph* graph, const ShapeFacts& facts, NodeId id, const Tensor& number) {
  const ValueId condition = graph->node(id).input(0), output = graph->node(id).outputs[0];
  const Node* spread = graph->Producer(condition);
  if (spread == nullptr || !facts.SameShape(condition, output)) return false;
  if (IsOneOf(*spread, {"ConstantOfShape"})) {
    ReplaceWith(graph, id, "ConstantOfShape", {spread->input(0)},
                {{"value", Attribute::OfTensor(number.Reshaped({1}))}});
    return true;
  }
  const Tensor* from = IsOneOf(*spread, {"Expand"}) ? graph->Constant(spread->input(0)) : nullptr;
  if (from == nullptr || from->size() > kMostMade) return false;
  Tensor numbers(number.dtype(), from->shape());
  const size_t size = SizeOf(number.dtype());
  for (int64_t i = 0; i < numbers.size(); ++i)
    std::copy_n(number.raw(), size, numbers.raw() + static_cast<size_t>(i) * size);
  const ValueId shape = spread->input(1),
                constant = graph->AddConstant(graph->value(output).name + "_number", std::move(numbers));
  ReplaceWith(graph, id, "Expand", {constant, shape}, {});
  return true;
}

bool TakesOne(Graph* graph, const ShapeFacts& facts, NodeId id) {
  const Node& node = graph->node(id);
  const std::optional<Tensor> condition = UniformOf(*graph, node.input(0));
  if (!condition || condition->dtype() != DType::kBool) return false;
  const ValueId taken = node.input(*condition->data<bool>() ? 1 : 2);
  if (facts.SameShape(taken, node.outputs[0])) return RemoveNoOp(graph, id, taken);
  const std::optional<Tensor> number = UniformOf(*graph, taken);
  return number && MakeInShape(graph, facts, id, *number);
}

}  // namespace

int IdleMasks(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !IsOneOf(graph->node(id), {"Where"})) continue;
    if (GuardsNothing(*graph, graph->node(id)))
      count += RemoveNoOp(graph, id, graph->node(id).input(2));
    else
      count += TakesOne(graph, facts, id);
  }
  return count;
}

}  // namespace xslim
