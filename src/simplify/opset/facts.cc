#include "simplify/opset/facts.h"

#include <algorithm>
#include <set>

#include "ops/operator.h"
#include "simplify/opset/signature.h"
#include "simplify/same_shape.h"
#include "xslim/error.h"

namespace xslim::opset {
namespace {

constexpr size_t kLargestFolded =
    4 << 10;  // bytes; constants that rules ask for are axes, scales and the like

using Names = std::set<std::string>;

// Shape of input 0 at output 0, besides SameTypeAndShape().
const Names kKeepsShape = {"BatchNormalization",
                           "Cast",
                           "CastLike",
                           "DequantizeLinear",
                           "Dropout",
                           "GroupNormalization",
                           "Identity",
                           "InstanceNormalization",
                           "IsInf",
                           "IsNaN",
                           "LayerNormalization",
                           "MeanVarianceNormalization",
                           "Not",
                           "QuantizeLinear",
                           "RMSNormalization",
                           "Scatter"};
const Names kBroadcasts = {"Add",        "And",         "BitShift", "BitwiseAnd", "BitwiseOr",
                           "BitwiseXor", "Div",         "Equal",    "Greater",    "GreaterOrEqual",
                           "Less",       "LessOrEqual", "Max",      "Mean",       "Min",
                           "Mod",        "Mul",         "Or",       "Pow",        "Sub",
                           "Sum",        "Where",       "Xor"};
// Rank of input 0, sizes from axis 2 on differ.
const Names kSpatial = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool",
                        "LpPool",      "MaxPool",           "GridSample"};
// Rank of input 0, any size differs.
const Names kKeepsRank = {"DepthToSpace", "Pad",  "Resize", "ReverseSequence", "Slice", "SpaceToDepth",
                          "Split",        "Tile", "TopK",   "Upsample"};

// What exporters compute such lists with.
const Names kFolded = {"Add",      "Cast", "Ceil", "Concat",  "Constant", "Div",     "Floor", "Gather",
                       "Identity", "Mul",  "Neg",  "Reshape", "Slice",    "Squeeze", "Sub",   "Unsqueeze"};

DType FromAttribute(const Node& node, const char* attribute, DType otherwise) {
  return static_cast<DType>(node.Int(attribute, static_cast<int64_t>(otherwise)));
}

}  // namespace

GraphFacts::GraphFacts(const Graph& graph, int opset, const GraphFacts* outer, const ShapeFacts* known)
    : graph_(graph), outer_(outer) {
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id) {
    const Value& value = graph.value(id);
    if (value.id == kNone) continue;
    Fact& fact = facts_[id];
    if (value.constant.defined()) {
      fact.type = value.constant.dtype();
      fact.shape = value.constant.shape();
      if (value.is_constant()) fact.constant = value.constant;
      continue;
    }
    fact.type = value.dtype;
    if (value.has_shape) {
      fact.shape.emplace();
      for (const Dim& dim : value.dims) fact.shape->push_back(dim.size);
    } else if (known && known->RankOf(id) >= 0) {
      fact.shape.emplace();
      for (int64_t axis = 0; axis < known->RankOf(id); ++axis) fact.shape->push_back(known->DimOf(id, axis));
    }
  }
  for (NodeId id : graph.Order()) Infer(id, opset);
}

const GraphFacts::Fact& GraphFacts::Of(ValueId id) const {
  static const Fact nothing;
  const auto found = facts_.find(id);
  if (found == facts_.end()) return nothing;
  const Value& value = graph_.value(id);
  const bool captured = outer_ && value.producer == kNone && !value.is_input && !value.constant.defined();
  if (!captured) return found->second;
  const ValueId there = outer_->graph_.Find(value.name);
  return there == kNone ? nothing : outer_->Of(there);
}

DType GraphFacts::type(ValueId id) const { return id == kNone ? DType::kUndefined : Of(id).type; }
std::optional<Shape> GraphFacts::shape(ValueId id) const { return id == kNone ? std::nullopt : Of(id).shape; }
std::optional<int64_t> GraphFacts::rank(ValueId id) const {
  const std::optional<Shape> known = shape(id);
  return known ? std::optional<int64_t>(static_cast<int64_t>(known->size())) : std::nullopt;
}
std::optional<Tensor> GraphFacts::constant(ValueId id) const {
  return id == kNone ? std::nullopt : Of(id).constant;
}
std::optional<std::vector<int64_t>> GraphFacts::ints(ValueId id) const {
  const std::optional<Tensor> tensor = constant(id);
  if (!tensor || (tensor->dtype() != DType::kInt64 && tensor->dtype() != DType::kInt32)) return std::nullopt;
  return tensor->ToInts();
}

void GraphFacts::AddConstant(ValueId id) {
  const Tensor& tensor = graph_.value(id).constant;
  facts_[id] = {tensor.dtype(), tensor.shape(), tensor};
}

void GraphFacts::Infer(NodeId id, int opset) {
  const Node& node = graph_.node(id);
  try {
    if (!node.domain.empty()) return;
    const bool control = node.Is("If") || node.Is("Loop") || node.Is("Scan");
    const std::vector<DType> bodies = control ? BodyTypes(node, opset) : std::vector<DType>();
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      const DType type = control ? bodies[i] : TypeOf(node, i, opset);
      if (type != DType::kUndefined) facts_[node.outputs[i]].type = type;
    }
    Fold(node, opset);
    if (const std::optional<Shape> known = ShapeOf(node)) {
      const size_t count = node.Is("Split") ? node.outputs.size() : 1;
      for (size_t i = 0; i < count; ++i) {
        if (node.outputs[i] == kNone) continue;
        std::optional<Shape>& shape = facts_[node.outputs[i]].shape;
        if (!shape || shape->size() != known->size()) {
          shape = known;
        } else {
          for (size_t d = 0; d < known->size(); ++d) {
            if ((*shape)[d] < 0) (*shape)[d] = (*known)[d];
          }
        }
      }
    }
  } catch (const Error&) {
    // An attribute of the wrong kind: nothing is known of the outputs; the run of the model will say so.
  }
}

// Small results of constants, among them the lists that exporters put together from Shape, Gather and Concat.
void GraphFacts::Fold(const Node& node, int opset) {
  if (node.outputs.size() != 1 || node.outputs[0] == kNone) return;
  Fact& fact = facts_[node.outputs[0]];
  if (node.Is("Shape") && shape(node.input(0))) {
    const Shape dims = *shape(node.input(0));
    const bool whole = !node.Has("start") && !node.Has("end");
    if (whole && std::all_of(dims.begin(), dims.end(), [](int64_t d) { return d >= 0; }))
      fact.constant = Tensor::Of<int64_t>({static_cast<int64_t>(dims.size())}, dims);
    return;
  }
  if (kFolded.count(node.op_type) == 0) return;
  std::vector<Tensor> held;
  size_t bytes = 0;
  for (ValueId input : node.inputs) {
    held.push_back(constant(input).value_or(Tensor()));
    if (input != kNone && !held.back().defined()) return;
    bytes += held.back().bytes();
  }
  if (bytes > kLargestFolded) return;
  const OperatorRow* row = FindOperator(node.domain, node.op_type, opset);
  if (row == nullptr) return;
  std::vector<const Tensor*> inputs;
  for (const Tensor& tensor : held) inputs.push_back(tensor.defined() ? &tensor : nullptr);
  ThreadPool pool(1);
  std::shared_ptr<void> state;
  const std::vector<bool> constants(inputs.size(), true);
  EvalContext context(node, opset, inputs, pool, nullptr, state, constants, nullptr);
  row->evaluate(context);
  if (context.outputs.empty() || !context.outputs[0].defined()) return;
  fact.constant = context.outputs[0];
  fact.shape = fact.constant->shape();
}

std::optional<std::vector<int64_t>> GraphFacts::List(const Node& node, const char* attribute,
                                                     size_t slot) const {
  if (node.Has(attribute)) return node.Ints(attribute);
  return ints(node.input(slot));
}

std::optional<Shape> GraphFacts::ShapeOf(const Node& node) const {
  const std::string& op = node.op_type;
  const std::optional<Shape> x = shape(node.input(0));
  const int64_t rank = x ? static_cast<int64_t>(x->size()) : 0;
  if (kBroadcasts.count(op)) {
    Shape all;
    for (ValueId input : node.inputs) {
      const std::optional<Shape> one = shape(input);
      if (!one) return std::nullopt;
      Shape merged(std::max(all.size(), one->size()), 1);
      for (size_t i = 0; i < merged.size(); ++i) {  // from the last axis
        const int64_t a = i < all.size() ? all[all.size() - 1 - i] : 1;
        const int64_t b = i < one->size() ? (*one)[one->size() - 1 - i] : 1;
        merged[merged.size() - 1 - i] = a > 1 || b == 1 ? a : b > 1 || a == 1 ? b : -1;
      }
      all = merged;
    }
    return all;
  }
  if (op == "Shape" && x && !node.Has("start") && !node.Has("end")) return Shape{rank};
  if (op == "Shape" || op == "Range") return Shape{-1};
  if (op == "Size") return Shape{};
  if (op == "NonZero") return Shape{-1, -1};
  if (op == "Gemm" || op == "Flatten") return Shape{-1, -1};
  if (op == "Reshape") {
    const std::optional<std::vector<int64_t>> wanted = ints(node.input(1));
    if (!wanted) {
      const std::optional<Shape> list = shape(node.input(1));
      if (!list || list->size() != 1 || (*list)[0] < 0 || (*list)[0] > 64) return std::nullopt;
      return Shape(static_cast<size_t>((*list)[0]), -1);
    }
    Shape out = *wanted;
    for (size_t i = 0; i < out.size(); ++i) {
      if (out[i] == 0 && node.Int("allowzero", 0) == 0) out[i] = x && i < x->size() ? (*x)[i] : -1;
    }
    return out;
  }
  if (op == "Expand" || op == "ConstantOfShape") {
    const size_t slot = op == "Expand" ? 1 : 0;
    const std::optional<std::vector<int64_t>> wanted = ints(node.input(slot));
    if (!wanted || (op == "Expand" && !x)) return std::nullopt;
    if (op == "ConstantOfShape") return *wanted;
    return Shape(std::max(wanted->size(), x->size()), -1);
  }
  if (!x) return std::nullopt;
  if (SameTypeAndShape().count(op) || kKeepsShape.count(op)) return x;
  if (kKeepsRank.count(op)) return Shape(x->size(), -1);
  if (kSpatial.count(op) || op == "Conv" || op == "ConvTranspose") {
    Shape out(x->size(), -1);
    if (rank > 0) out[0] = (*x)[0];
    if (rank > 1 && kSpatial.count(op)) out[1] = (*x)[1];
    if (const std::optional<Shape> w = shape(node.input(1)); w && rank > 1 && w->size() > 1) {
      if (op == "Conv") out[1] = (*w)[0];
      if (op == "ConvTranspose" && (*w)[1] >= 0) out[1] = (*w)[1] * node.Int("group", 1);
    }
    return out;
  }
  if (op == "Concat") {
    Shape out(x->size(), -1);
    int64_t axis = node.Int("axis", 1);
    axis += axis < 0 ? rank : 0;
    for (size_t d = 0; d < out.size(); ++d) {
      int64_t sum = 0;
      for (ValueId input : node.inputs) {
        const std::optional<Shape> one = shape(input);
        const int64_t size = one && one->size() == out.size() ? (*one)[d] : -1;
        if (static_cast<int64_t>(d) != axis && size >= 0) out[d] = size;
        sum = sum < 0 || size < 0 ? -1 : sum + size;
      }
      if (static_cast<int64_t>(d) == axis) out[d] = sum;
    }
    return out;
  }
  if (op == "Transpose") {
    std::vector<int64_t> perm = node.Ints("perm");
    for (int64_t i = rank; perm.empty() && i > 0; --i) perm.push_back(i - 1);
    if (perm.size() != x->size() && rank > 0) return std::nullopt;
    Shape out;
    for (int64_t p : perm) {
      if (p < -rank || p >= rank) return std::nullopt;
      out.push_back((*x)[static_cast<size_t>(p < 0 ? p + rank : p)]);
    }
    return out;
  }
  if (op == "MatMul" || op == "MatMulInteger") {
    const std::optional<Shape> y = shape(node.input(1));
    if (!y || rank == 0 || y->empty()) return std::nullopt;
    const size_t most = std::max<size_t>({x->size(), y->size(), 2});
    return Shape(most - (rank == 1) - (y->size() == 1), -1);
  }
  if (op == "Gather") {
    const std::optional<Shape> indices = shape(node.input(1));
    if (!indices || rank == 0) return std::nullopt;
    return Shape(x->size() - 1 + indices->size(), -1);
  }
  if (op == "OneHot") return Shape(x->size() + 1, -1);
  if (op == "Unsqueeze" || op == "Squeeze") {
    const std::optional<std::vector<int64_t>> axes = List(node, "axes", 1);
    if (!axes) return std::nullopt;
    const int64_t count = rank + (op == "Unsqueeze" ? 1 : -1) * static_cast<int64_t>(axes->size());
    return count < 0 ? std::nullopt : std::optional<Shape>(Shape(static_cast<size_t>(count), -1));
  }
  if (op.starts_with("Reduce") || op == "ArgMax" || op == "ArgMin") {
    if (node.Int("keepdims", 1) != 0) return Shape(x->size(), -1);
    if (!op.starts_with("Reduce"))
      return rank > 0 ? std::optional<Shape>(Shape(x->size() - 1, -1)) : std::nullopt;
    const std::optional<std::vector<int64_t>> axes = List(node, "axes", 1);
    if (!axes && node.input(1) != kNone) return std::nullopt;
    const bool none = !axes || axes->empty();
    if (none && node.Int("noop_with_empty_axes", 0) != 0) return x;
    return Shape(none ? 0 : x->size() - std::min(axes->size(), x->size()), -1);
  }
  return std::nullopt;
}

std::vector<DType> GraphFacts::BodyTypes(const Node& node, int opset) const {
  std::vector<DType> types(node.outputs.size(), DType::kUndefined);
  for (const char* name : {"then_branch", "body"}) {
    const auto found = node.attributes.find(name);
    if (found == node.attributes.end() || !found->second.graph) continue;
    const Graph& body = *found->second.graph;
    const GraphFacts inner(body, opset, this);
    const size_t first = node.Is("Loop") ? 1 : 0;  // output 0 of a Loop's body is its condition
    for (size_t i = 0; i < types.size() && i + first < body.outputs().size(); ++i)
      types[i] = inner.type(body.outputs()[i + first]);
  }
  return types;
}

DType GraphFacts::TypeOf(const Node& node, size_t output, int opset) const {
  const std::string& op = node.op_type;
  if (op == "Cast") return FromAttribute(node, "to", DType::kUndefined);
  if (op == "ConstantOfShape") {
    const Tensor* value = node.TensorOf("value");
    return value ? value->dtype() : DType::kFloat;
  }
  if (op == "Constant") {
    if (const Tensor* value = node.TensorOf("value")) return value->dtype();
    if (node.Has("value_float") || node.Has("value_floats")) return DType::kFloat;
    if (node.Has("value_int") || node.Has("value_ints")) return DType::kInt64;
    return node.Has("sparse_value") ? DType::kUndefined : DType::kString;
  }
  if (op == "EyeLike" || op == "RandomNormalLike" || op == "RandomUniformLike" || op == "Bernoulli")
    return FromAttribute(node, "dtype", type(node.input(0)));
  if (op == "RandomNormal" || op == "RandomUniform") return FromAttribute(node, "dtype", DType::kFloat);
  if (op == "Multinomial") return FromAttribute(node, "dtype", DType::kInt32);
  if (op.ends_with("Window") || op == "MelWeightMatrix")
    return FromAttribute(node, "output_datatype", DType::kFloat);
  if (op == "QuantizeLinear" && node.input(2) == kNone) {
    const DType chosen = FromAttribute(node, "output_dtype", DType::kUndefined);
    return chosen == DType::kUndefined ? DType::kUint8 : chosen;
  }
  if (op == "DequantizeLinear") {
    const DType chosen = FromAttribute(node, "output_dtype", DType::kUndefined);
    return chosen == DType::kUndefined ? type(node.input(1)) : chosen;
  }
  const Signature* signature = FindSignature(op, opset);
  const Formal* formal = signature ? signature->Output(output) : nullptr;
  if (formal == nullptr || (formal->variadic && !formal->same_type)) return DType::kUndefined;
  const uint32_t mask = signature->variables[static_cast<size_t>(formal->variable)];
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Formal* in = signature->Input(i);
    if (in == nullptr || in->variable != formal->variable || (in->variadic && !in->same_type)) continue;
    if (const DType known = type(node.inputs[i]); known != DType::kUndefined) return known;
  }
  if (mask == 0 || (mask & (mask - 1)) != 0 || (mask & 1) != 0) return DType::kUndefined;
  int bit = 0;
  while ((mask >> bit & 1) == 0) ++bit;
  return static_cast<DType>(bit);
}

}  // namespace xslim::opset
