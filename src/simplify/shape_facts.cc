#include "simplify/shape_facts.h"

#include <algorithm>

#include "simplify/match.h"

namespace xslim {
namespace {

constexpr int64_t kLongestContent = 64;

bool MayHoldSizes(DType dtype) {
  return dtype == DType::kInt64 || dtype == DType::kInt32 || dtype == DType::kBool;
}

// Whether the numbers are within the element type; a wrapped one is not followed.
bool FitsInto(const Sizes& content, DType dtype) {
  return dtype != DType::kInt32 || std::all_of(content.begin(), content.end(), [](const Size& size) {
           return size.factor == static_cast<int32_t>(size.factor);
         });
}

TensorFacts FactsOf(const Tensor& tensor) {
  TensorFacts facts;
  facts.dtype = tensor.dtype();
  facts.dims = Numbers(tensor.shape());
  if (MayHoldSizes(tensor.dtype()) && tensor.rank() <= 1 && tensor.size() <= kLongestContent)
    facts.content = Numbers(tensor.ToInts());
  return facts;
}

const TensorFacts kNothing;

}  // namespace

const TensorFacts& RuleContext::in(size_t slot) const {
  const ValueId id = node.input(slot);
  return id == kNone ? kNothing : facts[static_cast<size_t>(id)];
}

std::optional<std::vector<int64_t>> RuleContext::Ints(size_t slot, const char* attribute) const {
  if (has(slot)) return in(slot).content ? AsNumbers(*in(slot).content) : std::nullopt;
  if (node.Has(attribute)) return node.Ints(attribute);
  return std::nullopt;
}

Size RuleContext::FreshDim(size_t output, size_t axis) const {
  if (node.outputs[output] == kNone) {  // nobody can ask that output for its shape
    return symbols.Expression("axis " + std::to_string(axis) + " of output " + std::to_string(output) +
                                  " of node " + std::to_string(node.id),
                              true);
  }
  return symbols.Dimension(node.outputs[output], static_cast<int>(axis));
}

ShapeFacts::ShapeFacts(const Graph& graph, bool body, bool initialized) : facts_(graph.value_slots()) {
  for (ValueId id = 0; id < static_cast<ValueId>(facts_.size()); ++id) {
    const Value& value = graph.value(id);
    TensorFacts& facts = facts_[static_cast<size_t>(id)];
    if (value.id == kNone) continue;
    if (value.is_constant()) {
      facts = FactsOf(value.constant);
    } else if (value.is_input) {
      facts.dtype = value.dtype;
      if (!value.has_shape || body || value.constant.defined()) continue;
      facts.dims.emplace();
      for (size_t axis = 0; axis < value.dims.size(); ++axis) {
        const int64_t size = value.dims[axis].size;
        facts.dims->push_back(size >= 0 ? Number(size) : symbols_.Dimension(id, static_cast<int>(axis)));
      }
    }
  }
  std::vector<bool> held(initialized ? graph.node_slots() : 0, false);
  for (NodeId id = 0; id < static_cast<NodeId>(held.size()); ++id) {
    const Node& node = graph.node(id);
    if (!node.Is("Constant") || node.outputs[0] == kNone || graph.value(node.outputs[0]).is_output) continue;
    const Tensor value = HeldBy(node);
    if (!value.defined()) continue;
    facts_[static_cast<size_t>(node.outputs[0])] = FactsOf(value);
    held[static_cast<size_t>(id)] = true;
  }
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (!node.domain.empty() || (initialized && held[static_cast<size_t>(id)])) continue;
    std::vector<TensorFacts> outputs(node.outputs.size());
    RuleContext context{graph, node, graph.opset(), symbols_, facts_, outputs};
    ApplyShapeRule(context);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      if (outputs[i].content &&
          (static_cast<int64_t>(outputs[i].content->size()) > kLongestContent ||
           !MayHoldSizes(outputs[i].dtype) || !FitsInto(*outputs[i].content, outputs[i].dtype))) {
        outputs[i].content.reset();
      }
      facts_[static_cast<size_t>(node.outputs[i])] = std::move(outputs[i]);
    }
  }
}

const TensorFacts& ShapeFacts::of(ValueId id) const {
  return id == kNone || static_cast<size_t>(id) >= facts_.size() ? kNothing : facts_[static_cast<size_t>(id)];
}

int64_t ShapeFacts::RankOf(ValueId id) const {
  return of(id).dims ? static_cast<int64_t>(of(id).dims->size()) : -1;
}

int64_t ShapeFacts::DimOf(ValueId id, int64_t axis) const {
  const int64_t rank = RankOf(id);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return -1;
  const Size& size = (*of(id).dims)[static_cast<size_t>(axis)];
  return size.is_number() ? size.factor : -1;
}

bool ShapeFacts::SameShape(ValueId a, ValueId b) const {
  return of(a).dims && of(b).dims && *of(a).dims == *of(b).dims;
}

bool MayWiden(const Graph& graph, const ShapeFacts& facts, ValueId operand, ValueId other, ValueId output) {
  const Tensor* constant = graph.Constant(operand);
  return (constant == nullptr || constant->rank() > 0) && !facts.SameShape(other, output);
}

std::optional<std::vector<int64_t>> ReshapeTarget(const Sizes& from, const Sizes& to) {
  std::vector<int64_t> target;
  std::vector<size_t> open;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i].Is(0)) return std::nullopt;  // 0 means "kept" in the target
    target.push_back(to[i].is_number() ? to[i].factor : -1);
    if (!to[i].is_number()) open.push_back(i);
  }
  if (open.size() <= 1) return target;
  std::vector<size_t> left;
  for (size_t i : open) {
    if (i < from.size() && from[i] == to[i]) {
      target[i] = 0;
    } else {
      left.push_back(i);
    }
  }
  if (left.size() > 1) return std::nullopt;
  return target;
}

bool MovesOnlyOnes(const Sizes& from, const std::vector<int64_t>& perm) {
  int64_t last = -1;
  for (const int64_t axis : perm) {
    if (from[static_cast<size_t>(axis)].Is(1)) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

}  // namespace xslim
