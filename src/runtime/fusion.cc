#include "runtime/fusion.h"

#include <cmath>
#include <limits>
#include <utility>

namespace xslim {

Fusion::Fusion(const Graph& graph, const std::set<std::string>& captured, int opset,
               std::function<const Tensor*(ValueId)> constant, std::function<bool(ValueId)> visible)
    : graph_(graph),
      captured_(captured),
      opset_(opset),
      constant_(std::move(constant)),
      visible_(std::move(visible)) {}

// As Graph::SoleUser, which asks every body each time.
NodeId Fusion::SoleUser(ValueId id) const {
  const Value& value = graph_.value(id);
  return value.uses.size() == 1 && !value.is_output && !IsCaptured(id) ? value.uses[0].node : kNone;
}

bool Fusion::IsConstantFloat(ValueId id) const {
  const Tensor* tensor = id == kNone ? nullptr : constant_(id);
  return tensor && tensor->dtype() == DType::kFloat;
}

bool Fusion::ScalarConstant(ValueId id, float& result) const {
  if (!IsConstantFloat(id) || constant_(id)->size() != 1) return false;
  result = constant_(id)->data<float>()[0];
  return true;
}

// The unit's result is what `last` gives.
void Fusion::Merge(FusedUnit& unit, const Node& last) const {
  if (!unit.copy) unit.copy = std::make_shared<Node>(*unit.node);
  unit.copy->outputs = last.outputs;
  unit.node = unit.copy.get();
}

FusedUnit Fusion::Take(const Node& node) {
  FusedUnit unit{&node, nullptr, nullptr};
  if (node.Is("QuantizeLinear")) {
    const std::optional<Pair> pair = ReadPair(node);
    if (!pair) return unit;
    merged_.insert(pair->readers.begin(), pair->readers.end());
    unit.copy = std::make_shared<Node>(node);
    unit.copy->inputs.resize(1);
    unit.copy->outputs = pair->outputs;
    unit.node = unit.copy.get();
    unit.quantize = std::make_shared<const QuantizeEpilogue>(pair->quantize);
    return unit;
  }
  if (!TakeActivation(unit)) TakeUnary(unit);
  TakeQuantize(unit);
  return unit;
}

// Conv or Gemm and the Relu or Clip that alone reads it: the kernel clamps while it stores.
bool Fusion::TakeActivation(FusedUnit& unit) {
  const Node& node = *unit.node;
  if (!node.Is("Conv") && !node.Is("Gemm")) return false;
  if (node.outputs.size() != 1 || node.outputs[0] == kNone || visible_(node.outputs[0])) return false;
  const DType dtype = graph_.value(node.outputs[0]).dtype;
  if (dtype != DType::kFloat && dtype != DType::kUndefined) return false;
  const NodeId user = SoleUser(node.outputs[0]);
  if (user == kNone) return false;
  const Node& next = graph_.node(user);
  if (next.input(0) != node.outputs[0] || merged(user)) return false;
  float lo = -std::numeric_limits<float>::infinity(), hi = std::numeric_limits<float>::infinity();
  if (next.Is("Relu")) {
    lo = 0;
  } else if (next.Is("Clip")) {
    if (opset_ < 11) {
      lo = next.Float("min", std::numeric_limits<float>::lowest());
      hi = next.Float("max", std::numeric_limits<float>::max());
    } else {
      if (next.input(1) != kNone && !ScalarConstant(next.input(1), lo)) return false;
      if (next.input(2) != kNone && !ScalarConstant(next.input(2), hi)) return false;
    }
    if (std::isnan(lo) || std::isnan(hi)) return false;
  } else {
    return false;
  }
  Merge(unit, next);
  unit.copy->attributes[kClampLo] = Attribute::Float(lo);
  unit.copy->attributes[kClampHi] = Attribute::Float(hi);
  merged_.insert(user);
  return true;
}

// Conv and the Sigmoid and Mul (SiLU), or the Sigmoid or HardSwish, that alone read it: the same functions,
// applied to each block of the result.
bool Fusion::TakeUnary(FusedUnit& unit) {
  const Node& node = *unit.node;
  if (!node.Is("Conv") || node.outputs.size() != 1 || node.outputs[0] == kNone) return false;
  const ValueId conv = node.outputs[0];
  const Value& value = graph_.value(conv);
  if (visible_(conv) || IsCaptured(conv)) return false;
  // Float32 weights: then so are input and result, and nothing is rounded in between.
  if (!IsConstantFloat(node.input(1))) return false;
  const auto take = [&](const Node& last, kernels::UnaryOp op) {
    Merge(unit, last);
    unit.copy->attributes[kThenUnary] = Attribute::Int(op);
    merged_.insert(last.id);
    return true;
  };
  if (value.uses.size() == 1) {
    const Node& next = graph_.node(value.uses[0].node);
    if (merged(next.id) || next.outputs.size() != 1 || next.outputs[0] == kNone) return false;
    if (next.Is("Sigmoid")) return take(next, kernels::kSigmoid);
    if (next.Is("HardSwish")) return take(next, kernels::kHardSwish);
    return false;
  }
  if (value.uses.size() != 2) return false;
  for (const Use& use : value.uses) {
    const Node& sigmoid = graph_.node(use.node);
    if (!sigmoid.Is("Sigmoid") || sigmoid.outputs.size() != 1 || sigmoid.outputs[0] == kNone) continue;
    const ValueId gate = sigmoid.outputs[0];
    const NodeId user = SoleUser(gate);
    if (user == kNone || visible_(gate)) return false;
    const Node& mul = graph_.node(user);
    const bool both = mul.Is("Mul") && mul.inputs.size() == 2 &&
                      ((mul.inputs[0] == conv && mul.inputs[1] == gate) ||
                       (mul.inputs[1] == conv && mul.inputs[0] == gate));
    if (!both || merged(user) || merged(sigmoid.id)) return false;
    merged_.insert(sigmoid.id);
    return take(mul, kernels::kSilu);
  }
  return false;
}

// Conv, what has been merged into it, and the pair that alone reads the result.
void Fusion::TakeQuantize(FusedUnit& unit) {
  const Node& node = *unit.node;
  if (!node.Is("Conv") || node.outputs.size() != 1 || node.outputs[0] == kNone) return;
  const ValueId result = node.outputs[0];
  if (visible_(result) || !IsConstantFloat(node.input(1))) return;
  const NodeId user = SoleUser(result);
  if (user == kNone || merged(user)) return;
  const Node& next = graph_.node(user);
  if (!next.Is("QuantizeLinear") || next.input(0) != result) return;
  const std::optional<Pair> pair = ReadPair(next);
  if (!pair) return;
  Merge(unit, next);
  unit.copy->outputs = pair->outputs;
  const QuantizeEpilogue& q = pair->quantize;
  unit.copy->attributes[kThenQuantize] = Attribute::Floats(
      {q.scale, static_cast<float>(q.zero_point), static_cast<float>(q.lo), static_cast<float>(q.hi)});
  merged_.insert(user);
  merged_.insert(pair->readers.begin(), pair->readers.end());
}

// A per-tensor QuantizeLinear read by nothing but DequantizeLinear of the same scale and zero point.
std::optional<Fusion::Pair> Fusion::ReadPair(const Node& node) const {
  if (node.outputs.size() != 1 || node.outputs[0] == kNone || node.input(0) == kNone) return std::nullopt;
  const ValueId codes = node.outputs[0];
  const Value& value = graph_.value(codes);
  if (visible_(codes) || value.uses.empty() || IsCaptured(codes)) return std::nullopt;
  Pair pair{};
  QuantizeEpilogue& q = pair.quantize;
  const Tensor* zero = node.input(2) == kNone ? nullptr : constant_(node.input(2));
  if (!zero || zero->size() != 1 || !ScalarConstant(node.input(1), q.scale)) return std::nullopt;
  if (node.Int("block_size", 0) != 0 || node.Int("precision", 0) != 0) return std::nullopt;
  switch (zero->dtype()) {
    case DType::kInt8:
      q.lo = -128, q.hi = 127;
      break;
    case DType::kUint8:
      q.lo = 0, q.hi = 255;
      break;
    case DType::kInt16:
      q.lo = -32768, q.hi = 32767;
      break;
    case DType::kUint16:
      q.lo = 0, q.hi = 65535;
      break;
    default:
      return std::nullopt;
  }
  q.zero_point = static_cast<int32_t>(zero->ToInts()[0]);
  for (const Use& use : value.uses) {
    const Node& reader = graph_.node(use.node);
    if (!reader.Is("DequantizeLinear") || use.slot != 0 || reader.outputs.size() != 1 ||
        reader.outputs[0] == kNone || reader.Int("block_size", 0) != 0 || reader.Int("output_dtype", 1) > 1) {
      return std::nullopt;
    }
    float scale;
    if (!ScalarConstant(reader.input(1), scale) || scale != q.scale) return std::nullopt;
    int64_t zero_point = 0;
    if (reader.input(2) != kNone) {
      const Tensor* tensor = constant_(reader.input(2));
      if (!tensor || tensor->size() != 1) return std::nullopt;
      zero_point = tensor->ToInts()[0];
    }
    if (zero_point != q.zero_point) return std::nullopt;
    pair.outputs.push_back(reader.outputs[0]);
    pair.readers.push_back(reader.id);
  }
  return pair;
}

}  // namespace xslim
