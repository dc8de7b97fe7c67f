// Before: Shape -> Gather, Unsqueeze, Concat, Mul ... -> target of a Reshape, Expand, Slice ...
// After:  the same as a constant: every size known, or for Reshape -1 and 0, for Expand 1, for the end of a
//         Slice the largest number, where a size is that of the data itself
#include <algorithm>
#include <limits>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// A number that int32 does not hold is the end of a Slice: the largest one does as well.
int32_t Saturated(int64_t number) {
  using Limits = std::numeric_limits<int32_t>;
  return static_cast<int32_t>(std::clamp<int64_t>(number, Limits::min(), Limits::max()));
}

Tensor TensorOf(DType dtype, const Shape& shape, const std::vector<int64_t>& numbers) {
  Tensor tensor(dtype, shape);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (dtype == DType::kInt64) tensor.data<int64_t>()[i] = numbers[i];
    if (dtype == DType::kInt32) tensor.data<int32_t>()[i] = Saturated(numbers[i]);
    if (dtype == DType::kBool) tensor.data<bool>()[i] = numbers[i] != 0;
  }
  return tensor;
}

// The value of a node's only output, when its elements are all known.
std::optional<Tensor> KnownOutput(const Graph& graph, const ShapeFacts& facts, const Node& node) {
  if (node.outputs.size() != 1 || node.outputs[0] == kNone || graph.value(node.outputs[0]).is_output)
    return std::nullopt;
  const TensorFacts& known = facts.of(node.outputs[0]);
  if (!known.content || !known.dims || known.dims->size() > 1) return std::nullopt;
  const auto numbers = AsNumbers(*known.content), shape = AsNumbers(*known.dims);
  if (!numbers || !shape || static_cast<size_t>(ElementCount(*shape)) != numbers->size()) return std::nullopt;
  return TensorOf(known.dtype, *shape, *numbers);
}

using Target = std::optional<std::vector<int64_t>>;

Target ReshapeTo(const ShapeFacts& facts, const Node& node) {
  const TensorFacts &from = facts.of(node.input(0)), &to = facts.of(node.outputs[0]);
  if (!facts.of(node.input(1)).content || !to.dims) return std::nullopt;
  return ReshapeTarget(from.dims.value_or(Sizes{}), *to.dims);
}

Target ExpandTo(const ShapeFacts& facts, const Node& node) {
  const TensorFacts &from = facts.of(node.input(0)), &to = facts.of(node.input(1));
  if (!from.dims || !to.content || to.content->size() < from.dims->size()) return std::nullopt;
  const size_t missing = to.content->size() - from.dims->size();
  std::vector<int64_t> target;
  for (size_t i = 0; i < to.content->size(); ++i) {
    const Size& size = (*to.content)[i];
    if (size.is_number()) {
      target.push_back(size.factor);
    } else if (i >= missing && (*from.dims)[i - missing] == size) {
      target.push_back(1);
    } else {
      return std::nullopt;
    }
  }
  return target;
}

Target SliceEnds(const ShapeFacts& facts, const Node& node) {
  const TensorFacts &data = facts.of(node.input(0)), &ends = facts.of(node.input(2)),
                    &axes = facts.of(node.input(3));
  if (!data.dims || !ends.content || !axes.content || axes.content->size() != ends.content->size())
    return std::nullopt;
  const TensorFacts& steps = facts.of(node.input(4));
  std::vector<int64_t> target;
  for (size_t i = 0; i < ends.content->size(); ++i) {
    const Size &end = (*ends.content)[i], &axis = (*axes.content)[i];
    if (end.is_number()) {
      target.push_back(end.factor);
      continue;
    }
    const bool forward =
        node.input(4) == kNone || (steps.content && i < steps.content->size() &&
                                   (*steps.content)[i].is_number() && (*steps.content)[i].factor > 0);
    if (!axis.is_number() || !forward) return std::nullopt;
    const int64_t rank = static_cast<int64_t>(data.dims->size());
    const int64_t at = axis.factor < 0 ? axis.factor + rank : axis.factor;
    if (at < 0 || at >= rank || (*data.dims)[static_cast<size_t>(at)] != end) return std::nullopt;
    target.push_back(std::numeric_limits<int64_t>::max());
  }
  return target;
}

struct TargetInput {
  const char* op_type;
  size_t slot;
  Target (*find)(const ShapeFacts&, const Node&);
};
constexpr TargetInput kTargets[] = {
    {"Reshape", 1, ReshapeTo}, {"Expand", 1, ExpandTo}, {"Slice", 2, SliceEnds}};

}  // namespace

int FoldShapes(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.domain.empty()) continue;
    if (const auto known = KnownOutput(*graph, facts, node)) {
      const ValueId output = node.outputs[0];
      graph->RemoveNode(id);
      graph->SetConstant(output, *known);
      ++count;
      continue;
    }
    for (const TargetInput& target : kTargets) {
      if (!node.Is(target.op_type)) continue;
      const ValueId old = node.input(target.slot);
      if (old == kNone || graph->Constant(old) != nullptr || facts.of(old).dtype == DType::kUndefined)
        continue;
      const Target numbers = target.find(facts, node);
      if (!numbers) continue;
      const Tensor constant =
          TensorOf(facts.of(old).dtype, {static_cast<int64_t>(numbers->size())}, *numbers);
      if (node.Is("Reshape")) graph->node(id).attributes.erase("allowzero");
      graph->SetInput(id, target.slot, graph->AddConstant(graph->value(old).name + "_known", constant));
      ++count;
    }
  }
  return count;
}

}  // namespace xslim
