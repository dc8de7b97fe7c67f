// com.microsoft operators on 8-bit codes: QLinear*, QGemm, DynamicQuantizeMatMul, MatMulIntegerToFloat,
// NhwcMaxPool. Elementwise ones and pools compute in float between a DequantizeLinear and a QuantizeLinear,
// products have exact 32-bit sums.
#include <limits>
#include <utility>

#include "ops/contrib.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/float_result.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int kQuantizeOpset = 13, kOpset = 13;  // of the ai.onnx operators that do the work

// Codes in `slot`, scale and zero point behind them.
Tensor Dequantized(const EvalContext& c, size_t slot) {
  return RunOperator(c, "DequantizeLinear", kQuantizeOpset,
                     {c.in(slot), c.in(slot + 1), Maybe(c, slot + 2)})[0];
}

// Output 0: y quantized by the scale in `slot` and the zero point behind it (none: 0 of the type of input
// `like`).
void SetQuantized(EvalContext& c, Tensor y, size_t slot, size_t like) {
  Tensor zero = Maybe(c, slot + 1);
  if (!zero.defined()) {
    zero = Tensor(c.in(like).dtype(), {});
    FillZero(zero);
  }
  c.set_out(0, RunOperator(c, "QuantizeLinear", kQuantizeOpset, {std::move(y), c.in(slot), zero})[0]);
}

// A, scale, zero, B, scale, zero, scale, zero
void QLinearAdd(EvalContext& c) {
  SetQuantized(c, RunOperator(c, "Add", kOpset, {Dequantized(c, 0), Dequantized(c, 3)})[0], 6, 0);
}
void QLinearMul(EvalContext& c) {
  SetQuantized(c, RunOperator(c, "Mul", kOpset, {Dequantized(c, 0), Dequantized(c, 3)})[0], 6, 0);
}

// X, scale, zero, scale, zero
void QLinearSigmoid(EvalContext& c) {
  SetQuantized(c, RunOperator(c, "Sigmoid", kOpset, {Dequantized(c, 0)})[0], 3, 0);
}
void QLinearLeakyRelu(EvalContext& c) {
  SetQuantized(c, RunOperator(c, "LeakyRelu", kOpset, {Dequantized(c, 0)}, c.node.attributes)[0], 3, 0);
}
void QLinearSoftmax(EvalContext& c) {
  const auto opset = static_cast<int>(c.node.Int("opset", 13));
  SetQuantized(c, RunOperator(c, "Softmax", opset, {Dequantized(c, 0)}, c.node.attributes)[0], 3, 0);
}

// [N, H, W, C] to [N, C, H, W], or back.
Tensor MovedChannels(const EvalContext& c, const Tensor& x, bool to_last) {
  if (x.rank() < 3) throw Error("input of shape " + ToString(x.shape()) + " has no spatial dimensions");
  std::vector<int64_t> order{0};
  for (int64_t axis = 1; axis < x.rank(); ++axis) {
    order.push_back(to_last ? axis % (x.rank() - 1) + 1 : (axis + x.rank() - 3) % (x.rank() - 1) + 1);
  }
  return RunOperator(c, "Transpose", kOpset, {x}, {{"perm", Attribute::Ints(order)}})[0];
}

void Pool(EvalContext& c, const char* op_type) {
  const bool channels_last = c.node.Int("channels_last", 0) != 0;
  Tensor x = Dequantized(c, 0);
  if (channels_last) x = MovedChannels(c, x, false);
  Tensor y = RunOperator(c, op_type, kOpset, {x}, c.node.attributes)[0];
  SetQuantized(c, channels_last ? MovedChannels(c, y, true) : y, 3, 0);
}
void QLinearAveragePool(EvalContext& c) { Pool(c, "AveragePool"); }
void QLinearGlobalAveragePool(EvalContext& c) { Pool(c, "GlobalAveragePool"); }

void NhwcMaxPool(EvalContext& c) {
  const Tensor x = MovedChannels(c, c.in(0), false);
  c.set_out(0, MovedChannels(c, RunOperator(c, "MaxPool", kOpset, {x}, c.node.attributes)[0], true));
}

// scale, zero of the result, then codes, scale, zero of each part
void QLinearConcat(EvalContext& c) {
  std::vector<Tensor> parts;
  for (size_t slot = 2; slot + 2 < c.num_inputs(); slot += 3) parts.push_back(Dequantized(c, slot));
  if (parts.empty() || c.num_inputs() % 3 != 2)
    throw Error("there are " + std::to_string(c.num_inputs()) + " inputs", "",
                "expected scale and zero point, then three for each part");
  SetQuantized(c, RunOperator(c, "Concat", kOpset, parts, c.node.attributes)[0], 0, 2);
}

// condition, X, scale, zero, Y, scale, zero, scale, zero
void QLinearWhere(EvalContext& c) {
  SetQuantized(c, RunOperator(c, "Where", kOpset, {c.in(0), Dequantized(c, 1), Dequantized(c, 4)})[0], 7, 1);
}

// int32 sums times a_scale and b_scale (one, or one per column), plus a float bias per column.
Tensor Scaled(const EvalContext& c, const Tensor& sums, const Tensor& a_scale, const Tensor& b_scale,
              const Tensor& bias) {
  const int64_t columns = sums.rank() == 0 ? 1 : sums.dim(-1);
  const Tensor a = a_scale.ToFloat32(), b = b_scale.ToFloat32();
  const Tensor added = bias.defined() ? bias.ToFloat32() : Tensor();
  if (a.size() != 1 || (b.size() != 1 && b.size() != columns) ||
      (added.defined() && added.size() != columns)) {
    throw Error("scales " + ToString(a.shape()) + " and " + ToString(b.shape()) + " or the bias do not fit " +
                ToString(sums.shape()));
  }
  Tensor y = c.scratch(DType::kFloat, sums.shape());
  c.pool.ParallelFor(y.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t column = i % columns;
      const float scale = *a.data<float>() * b.data<float>()[b.size() == 1 ? 0 : column];
      const float value = static_cast<float>(sums.data<int32_t>()[i]) * scale;
      y.data<float>()[i] = added.defined() ? value + added.data<float>()[column] : value;
    }
  });
  return y;
}

}  // namespace

Tensor ProductOfCodes(const EvalContext& c, const Codes& a, const Codes& b, const Tensor& bias) {
  const Tensor sums = RunOperator(c, "MatMulInteger", kOpset, {a.codes, b.codes, a.zero, b.zero})[0];
  return Scaled(c, sums, a.scale, b.scale, bias);
}

namespace {

// A float32, B codes, b_scale, b_zero, bias: A is quantized to uint8 by its own range.
void DynamicQuantizeMatMul(EvalContext& c) {
  const std::vector<Tensor> a = RunOperator(c, "DynamicQuantizeLinear", kOpset, {c.in(0)}, {}, 3);
  c.set_out(0, ProductOfCodes(c, {a[0], a[1], a[2]}, {c.in(1), c.in(2), Maybe(c, 3)}, Maybe(c, 4)));
}

// A, B, a_scale, b_scale, a_zero, b_zero, bias
void MatMulIntegerToFloat(EvalContext& c) {
  SetFloatResult(
      c, 0, ProductOfCodes(c, {c.in(0), c.in(2), Maybe(c, 4)}, {c.in(1), c.in(3), Maybe(c, 5)}, Maybe(c, 6)),
      c.in(2).dtype());
}

// A, a_scale, a_zero, B, b_scale, b_zero, C (int32), y_scale, y_zero; without y_scale the result is float32.
void QGemm(EvalContext& c) {
  const auto turned = [&](const Tensor& x, const char* attribute) {
    return c.node.Int(attribute, 0) != 0 ? RunOperator(c, "Transpose", kOpset, {x})[0] : x;
  };
  const Tensor a = turned(c.in(0), "transA"), b = turned(c.in(3), "transB");
  if (a.rank() != 2 || b.rank() != 2)
    throw Error("QGemm needs two matrices", "", "expected inputs of rank 2");
  Tensor sums = RunOperator(c, "MatMulInteger", kOpset, {a, b, Maybe(c, 2), Maybe(c, 5)})[0];
  if (c.has(6)) {
    const Shape shape = sums.shape();
    sums = RunOperator(c, "Add", kOpset, {sums, c.in(6)})[0];
    if (sums.shape() != shape) throw Error("C of shape " + ToString(c.in(6).shape()) + " does not fit");
  }
  Tensor a_scale = c.in(1).ToFloat32().Clone();
  if (a_scale.size() == 1) *a_scale.data<float>() *= c.node.Float("alpha", 1);
  Tensor y = Scaled(c, sums, a_scale, c.in(4), Tensor());
  if (!c.has(7)) return c.set_out(0, std::move(y));
  SetQuantized(c, std::move(y), 7, 0);
}

}  // namespace

std::vector<OperatorRow> ContribQuantizedOperators() {
  constexpr const char* kMicrosoft = "com.microsoft";
  return {
      {kMicrosoft, "QLinearAdd", 1, kAnyLater, QLinearAdd},
      {kMicrosoft, "QLinearMul", 1, kAnyLater, QLinearMul},
      {kMicrosoft, "QLinearSigmoid", 1, kAnyLater, QLinearSigmoid},
      {kMicrosoft, "QLinearLeakyRelu", 1, kAnyLater, QLinearLeakyRelu},
      {kMicrosoft, "QLinearSoftmax", 1, kAnyLater, QLinearSoftmax},
      {kMicrosoft, "QLinearAveragePool", 1, kAnyLater, QLinearAveragePool},
      {kMicrosoft, "QLinearGlobalAveragePool", 1, kAnyLater, QLinearGlobalAveragePool},
      {kMicrosoft, "QLinearConcat", 1, kAnyLater, QLinearConcat},
      {kMicrosoft, "QLinearWhere", 1, kAnyLater, QLinearWhere},
      {kMicrosoft, "NhwcMaxPool", 1, kAnyLater, NhwcMaxPool},
      {kMicrosoft, "DynamicQuantizeMatMul", 1, kAnyLater, DynamicQuantizeMatMul},
      {kMicrosoft, "MatMulIntegerToFloat", 1, kAnyLater, MatMulIntegerToFloat},
      {kMicrosoft, "QGemm", 1, kAnyLater, QGemm},
  };
}

}  // namespace xslim
