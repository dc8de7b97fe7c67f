// Before: Where(c, x, y), c true everywhere (or false)        After: x (or y)
// Before: Where(IsNaN(s), k, s), s = Softmax(finite numbers)        After: s
//
// torch.export writes attention with a mask, which lets everything pass where the caller gave none, and with
// a test for rows that are masked whole.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <vector>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"
#include "simplify/uniform.h"

namespace xslim {
namespace {

constexpr double kMask = 0.125;         // share of what the type reaches: some of these add up to an infinity
constexpr int64_t kMostMade = 1 << 18;  // elements of a constant: 1 MB, as of a folded one

// The largest magnitude of the elements as a share of what their type reaches; infinite where one is no
// number.
double Reach(const Tensor& tensor) {
  if (!IsFloating(tensor.dtype())) return 0;
  const Tensor numbers = tensor.ToFloat32();
  double most = 0;
  for (int64_t i = 0; i < numbers.size(); ++i) {
    const double magnitude = std::fabs(numbers.data<float>()[i]);
    if (!std::isfinite(magnitude)) return std::numeric_limits<double>::infinity();
    most = std::max(most, magnitude);
  }
  constexpr double kLargestHalf = 65504;
  return most / (tensor.dtype() == DType::kFloat16 ? kLargestHalf : std::numeric_limits<float>::max());
}

// The inputs whose numbers come through the operator, where it makes no infinities of ordinary ones.
std::optional<std::vector<ValueId>> HandedOn(const Graph& graph, const Node& node) {
  if (node.IsOneOf({"MatMul", "Gemm", "Conv", "Einsum", "Tanh", "Sigmoid", "Softmax"}))
    return std::vector<ValueId>();
  if (node.IsOneOf({"Reshape", "Transpose", "Expand", "Squeeze", "Unsqueeze", "Slice", "Split", "Identity",
                    "Gather", "Clip"}))
    return std::vector{node.input(0)};
  if (node.IsOneOf({"Add", "Sub", "Mul"})) return std::vector{node.input(0), node.input(1)};
  if (node.Is("Where")) return std::vector{node.input(1), node.input(2)};
  const std::optional<float> divisor = node.Is("Div") ? ScalarOf(graph, node.input(1)) : std::nullopt;
  if (!divisor || *divisor == 0 || !std::isfinite(*divisor)) return std::nullopt;
  return std::vector{node.input(0)};
}

// Whether a value is made of products and finite constants, so that no mask of infinities is in it. Of
// constants that are masks there may be one: the sum of two, where both mask, is an infinity. Other sums
// beyond the range of the type do not count: what has such has no result that means anything, tested or not.
bool NoInfinities(const Graph& graph, ValueId id) {
  std::set<ValueId> seen;
  std::vector<ValueId> waiting = {id};
  int masks = 0;
  while (!waiting.empty()) {
    const ValueId at = waiting.back();
    waiting.pop_back();
    if (const Tensor* constant = graph.Constant(at)) {
      const double reach = Reach(*constant);
      masks += reach > kMask;
      if (!std::isfinite(reach) || masks > 1) return false;
      continue;
    }
    const Node* node = graph.Producer(at);
    const auto from = node == nullptr ? std::nullopt : HandedOn(graph, *node);
    if (!from) return false;
    if (from->empty()) continue;
    if (!seen.insert(at).second) return false;  // what comes in by two ways may bring its mask twice
    waiting.insert(waiting.end(), from->begin(), from->end());
  }
  return true;
}

bool GuardsNothing(const Graph& graph, const ShapeFacts& facts, const Node& where) {
  const Node *test = ProducerOfType(graph, where.input(0), "IsNaN"),
             *softmax = ProducerOfType(graph, where.input(2), "Softmax");
  if (test == nullptr || softmax == nullptr || test->input(0) != where.input(2)) return false;
  return !MayWiden(graph, facts, where.input(1), where.input(2), where.outputs[0]) &&
         NoInfinities(graph, softmax->input(0));
}

// A number of the condition's shape, where that shape is the one of an Expand or ConstantOfShape.
bool MakeInShape(Graph* graph, const ShapeFacts& facts, NodeId id, const Tensor& number) {
  const ValueId condition = graph->node(id).input(0), output = graph->node(id).outputs[0];
  const Node* spread = graph->Producer(condition);
  if (spread == nullptr || !facts.SameShape(condition, output)) return false;
  if (spread->Is("ConstantOfShape")) {
    ReplaceWith(graph, id, "ConstantOfShape", {spread->input(0)},
                {{"value", Attribute::OfTensor(number.Reshaped({1}))}});
    return true;
  }
  const Tensor* from = spread->Is("Expand") ? graph->Constant(spread->input(0)) : nullptr;
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
    if (!graph->alive(id) || !graph->node(id).Is("Where")) continue;
    if (GuardsNothing(*graph, facts, graph->node(id)))
      count += RemoveNoOp(graph, id, graph->node(id).input(2));
    else
      count += TakesOne(graph, facts, id);
  }
  return count;
}

}  // namespace xslim
