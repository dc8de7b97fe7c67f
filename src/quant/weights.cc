// Scales and codes of constant inputs.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "base/log.h"
#include "kernels/kernels.h"
#include "quant/interest.h"
#include "quant/plan.h"
#include "quant/scale.h"
#include "quant/weight_codes.h"

namespace xslim {
namespace {

// The axis of a weight that counts output channels; -1 when the constant is no weight of a computing
// operator.
int OutputChannelAxis(const Node& node, int slot, const Tensor& weight) {
  if (slot != 1 && !node.Is("MatMul")) return -1;
  if (node.Is("Conv")) return 0;
  if (node.Is("ConvTranspose"))
    return node.Int("group", 1) == 1 ? 1 : -1;  // axis 1 counts channels within a group
  if (node.Is("Gemm")) return node.Int("transB", 0) ? 0 : 1;
  if (node.Is("MatMul")) {
    if (slot == 1) return weight.rank() == 2 ? 1 : -1;
    return weight.rank() == 2 ? 0 : -1;
  }
  return -1;
}

bool Int8Valued(const float* x, int64_t n) {
  return std::all_of(x, x + n, [](float v) { return v >= -128.0f && v <= 127.0f && v == std::nearbyint(v); });
}

bool ByPowerOfTwo(const Node& node, const QuantizationParameters& options) {
  return options.matrix_weights == MatrixWeights::kPowerOfTwoPerTensor && !node.Is("Conv");
}

// Depends on the node by its type, OutputChannelAxis and ByPowerOfTwo alone.
QuantParams WeightParams(const Node& node, int slot, const Tensor& weight,
                         const QuantizationParameters& options) {
  QuantParams params;
  const float* x = weight.data<float>();
  const int64_t n = weight.size();
  kernels::MinMax seen;
  kernels::Active().min_max(x, n, &seen);
  if (seen.finite != n) {
    throw Error("weight holds NaN or infinity", node.Title(),
                "input " + std::to_string(slot) + "; leave the node out with ignore_op_names");
  }
  const float lo = n ? seen.min : 0, hi = n ? seen.max : 0;
  if (!IsComputing(node)) {
    if (n && Int8Valued(x, n)) return {-1, {1.0f}, {0}};
    const ScaleZero chosen = AsymmetricInt8(lo, hi);
    return {-1, {chosen.scale}, {chosen.zero_point}};
  }
  const bool power_of_two = ByPowerOfTwo(node, options);
  params.axis = power_of_two ? -1 : OutputChannelAxis(node, slot, weight);
  if (params.axis < 0) {
    const float scale = SymmetricScale(std::max(-lo, hi));
    return {-1, {power_of_two ? PowerOfTwoUp(scale) : scale}, {0}};
  }
  return SymmetricAlongAxis(weight, params.axis);
}

void Encode(const Node& node, const Tensor& constant, const QuantizationParameters& options,
            WeightQuant* quant) {
  quant->params = WeightParams(node, quant->slot, constant, options);
  quant->codes = EncodeInt8(constant, quant->params);
}

}  // namespace

void QuantizeWeights(const Graph& graph, const QuantizationParameters& options, QuantPlan* plan) {
  // Operators that quantize one constant alike share its codes: recurrent cells that were unrolled hold their
  // weights many times. Tuning replaces codes and never writes into them.
  std::map<std::tuple<ValueId, int, bool, bool>, const WeightQuant*> first;
  for (WeightQuant& weight : plan->weights) {
    const Node& node = graph.node(weight.node);
    const ValueId id = node.input(static_cast<size_t>(weight.slot));
    const Tensor& constant = *graph.Constant(id);
    const WeightQuant*& alike = first[{id, OutputChannelAxis(node, weight.slot, constant), IsComputing(node),
                                       ByPowerOfTwo(node, options)}];
    if (alike != nullptr) {
      weight.params = alike->params;
      weight.codes = alike->codes;
      continue;
    }
    Encode(node, constant, options, &weight);
    alike = &weight;
  }
}

void QuantizeOperand(const Graph& graph, WeightQuant* operand) {
  const Node& node = graph.node(operand->node);
  Encode(node, *graph.Constant(node.input(static_cast<size_t>(operand->slot))), {}, operand);
}

void SetRange(QuantPlan* plan, ValueId value, float lo, float hi, std::string why) {
  ActivationQuant& quant = plan->activations.at(value);
  quant.lo = std::min(lo, 0.0f);
  quant.hi = std::max(hi, 0.0f);
  const ScaleZero chosen = AsymmetricInt8(lo, hi);
  quant.params = {-1, {chosen.scale}, {chosen.zero_point}};
  quant.why = std::move(why);
}

const ActivationQuant* PairOf(const Graph& graph, const QuantPlan& plan, ValueId value) {
  while (true) {
    if (const auto found = plan.activations.find(value); found != plan.activations.end())
      return &found->second;
    const Node* mover = PassiveProducer(graph, value);
    if (mover == nullptr) return nullptr;
    value = mover->input(0);
  }
}

std::pair<float, float> Span(const QuantParams& params) {
  const float scale = params.scale[0];
  const int32_t zero = params.zero_point[0];
  return {static_cast<float>(-128 - zero) * scale, static_cast<float>(127 - zero) * scale};
}

}  // namespace xslim
