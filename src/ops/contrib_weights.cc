// com.microsoft operators whose weights alone are codes: MatMulNBits, DynamicQuantizeLSTM,
// QEmbedLayerNormalization. The weights are dequantized, the arithmetic is float32.
#include <utility>
#include <vector>

#include "ops/contrib.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "tensor/packed_codes.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kMostKept = int64_t{1} << 23;  // weights of one MatMulNBits, 32 MB of floats
constexpr int kOpset = 13;                       // of the ai.onnx operators that do the work

// How the codes of MatMulNBits lie: [N, blocks, block bytes]; a row's last block may reach beyond K.
struct NBits {
  int64_t k, n, block, blocks;
  int bits;
  int64_t block_bytes() const { return block * bits / 8; }
};

NBits NBitsOf(const EvalContext& c) {
  NBits form{c.node.Int("K", 0), c.node.Int("N", 0), c.node.Int("block_size", 0), 0, 0};
  const int64_t bits = c.node.Int("bits", 4);
  constexpr int64_t kMost = int64_t{1} << 40;
  if (form.k < 1 || form.n < 1 || form.k > kMost || form.n > kMost || form.block < 1 || form.block > kMost)
    throw Error("K " + std::to_string(form.k) + ", N " + std::to_string(form.n) + " and block_size " +
                std::to_string(form.block) + " do not fit");
  if ((bits != 2 && bits != 4 && bits != 8) || form.block % (8 / bits) != 0)
    throw Error("bits is " + std::to_string(bits), "", "expected 2, 4 or 8 that fill whole bytes of a block");
  form.bits = static_cast<int>(bits);
  form.blocks = (form.k + form.block - 1) / form.block;
  const Shape codes{form.n, form.blocks, form.block_bytes()};
  if (c.in(1).dtype() != DType::kUint8 || c.in(1).size() != ElementCount(codes))
    throw Error("B of " + std::string(NameOf(c.in(1).dtype())) + ToString(c.in(1).shape()) + " does not fit",
                "", "expected uint8" + ToString(codes));
  return form;
}

// Zero points as floats, [N, blocks]: given as floats, packed like the codes by row, or the middle of the
// codes.
std::vector<float> ZeroPoints(const EvalContext& c, const NBits& form) {
  std::vector<float> zeros(static_cast<size_t>(form.n * form.blocks),
                           static_cast<float>(1 << (form.bits - 1)));
  if (!c.has(3)) return zeros;
  const Tensor& given = c.in(3);
  const int64_t row = (form.blocks * form.bits + 7) / 8;
  const bool packed = given.dtype() == DType::kUint8;
  if (given.size() != (packed ? form.n * row : form.n * form.blocks))
    throw Error("zero_points of shape " + ToString(given.shape()) + " do not fit");
  const Tensor floats = packed ? Tensor() : given.ToFloat32();
  for (int64_t i = 0; i < form.n * form.blocks; ++i) {
    zeros[static_cast<size_t>(i)] =
        packed ? static_cast<float>(
                     CodeAt(given.data<uint8_t>() + i / form.blocks * row, i % form.blocks, form.bits))
               : floats.data<float>()[i];
  }
  return zeros;
}

// The weights as [K, N]: (code - zero point) * scale of the block, or of the block that g_idx names.
Tensor Weights(const EvalContext& c, const NBits& form) {
  const Tensor& codes = c.in(1);
  const Tensor scales = c.in(2).ToFloat32();
  const int64_t bytes = form.block_bytes();
  if (scales.size() != form.n * form.blocks)
    throw Error("scales of shape " + ToString(scales.shape()) + " do not fit");
  const std::vector<float> zeros = ZeroPoints(c, form);
  std::vector<int64_t> groups(static_cast<size_t>(form.k));
  for (int64_t i = 0; i < form.k; ++i) groups[static_cast<size_t>(i)] = i / form.block;
  if (c.has(4)) {
    const std::vector<int64_t> given = c.in(4).ToInts();
    if (static_cast<int64_t>(given.size()) < form.k)
      throw Error("g_idx of shape " + ToString(c.in(4).shape()) + " does not fit");
    for (int64_t i = 0; i < form.k; ++i) {
      const int64_t group = given[static_cast<size_t>(i)];
      if (group < 0 || group >= form.blocks)
        throw Error("g_idx holds " + std::to_string(group), "",
                    "expected 0 to " + std::to_string(form.blocks - 1));
      groups[static_cast<size_t>(i)] = group;
    }
  }
  Tensor weights = c.scratch(DType::kFloat, {form.k, form.n});
  float* to = weights.data<float>();
  c.pool.ParallelFor(form.n, std::max<int64_t>(1, kElementGrain / form.k),
                     [&](int64_t begin, int64_t end, int) {
                       for (int64_t column = begin; column < end; ++column) {
                         const uint8_t* own = codes.data<uint8_t>() + column * form.blocks * bytes;
                         for (int64_t i = 0; i < form.k; ++i) {
                           const int64_t block = column * form.blocks + groups[static_cast<size_t>(i)];
                           const auto code = static_cast<float>(CodeAt(own, i, form.bits));
                           to[i * form.n + column] =
                               (code - zeros[static_cast<size_t>(block)]) * scales.data<float>()[block];
                         }
                       }
                     });
  return weights;
}

// A, B codes, scales, zero_points, g_idx, bias
void MatMulNBits(EvalContext& c) {
  const NBits form = NBitsOf(c);
  const Tensor a = c.in(0).ToFloat32();
  if (a.rank() < 1 || a.dim(-1) != form.k)
    throw Error("A of shape " + ToString(a.shape()) + " does not fit K " + std::to_string(form.k));
  // Floats take eight times the memory of codes of 4 bits: those of large weights are made in each run.
  bool kept = form.k * form.n <= kMostKept;
  for (size_t slot = 1; slot < 5; ++slot) kept = kept && (!c.has(slot) || c.is_constant(slot));
  const Tensor right = PackOnce(c, kept, PackedSizeB(form.k, form.n), [&](float* packed) {
    const Tensor weights = Weights(c, form);
    PackBParallel(c.pool, form.k, form.n, weights.data<float>(), form.n, 1, packed);
  });
  Shape shape = a.shape();
  shape.back() = form.n;
  Tensor y = c.scratch(DType::kFloat, shape);
  std::vector<float> left;
  MultiplyRows(c.pool, a.size() / form.k, form.n, form.k, a.data<float>(), right.data<float>(),
               y.data<float>(), left);
  if (c.has(5)) {
    if (c.in(5).size() != form.n) throw Error("bias of shape " + ToString(c.in(5).shape()) + " does not fit");
    y = RunOperator(c, "Add", kOpset, {y, c.in(5).ToFloat32().Reshaped({form.n})})[0];
  }
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

// Codes [directions, K, 4*hidden] as floats [directions, 4*hidden, K]. One scale and zero point per
// direction, or one per direction and column.
Tensor GateWeights(const EvalContext& c, size_t slot, size_t scale_slot) {
  const Tensor &codes = c.in(slot), &zeros = c.in(scale_slot + 1);
  const Tensor scales = c.in(scale_slot).ToFloat32();
  if (codes.rank() != 3) throw Error("weights of shape " + ToString(codes.shape()), "", "expected rank 3");
  const int64_t directions = codes.dim(0), depth = codes.dim(1), columns = codes.dim(2);
  const bool per_column = scales.rank() == 2 && scales.dim(1) > 1;
  if (scales.size() != (per_column ? directions * columns : directions) || zeros.size() != scales.size())
    throw Error("scale " + ToString(scales.shape()) + " and zero point " + ToString(zeros.shape()) +
                " do not fit weights " + ToString(codes.shape()));
  const std::vector<int64_t> values = codes.ToInts(), zero_values = zeros.ToInts();
  Tensor weights = c.scratch(DType::kFloat, {directions, columns, depth});
  for (int64_t i = 0; i < codes.size(); ++i) {
    const int64_t direction = i / (depth * columns), row = i / columns % depth, column = i % columns;
    const int64_t at = per_column ? direction * columns + column : direction;
    weights.data<float>()[(direction * columns + column) * depth + row] =
        static_cast<float>(values[static_cast<size_t>(i)] - zero_values[static_cast<size_t>(at)]) *
        scales.data<float>()[at];
  }
  return weights;
}

// X, W, R, B, sequence_lens, initial_h, initial_c, P, W_scale, W_zero, R_scale, R_zero. ONNX Runtime also
// quantizes X and the states by their own ranges; here they are exact.
void DynamicQuantizeLstm(EvalContext& c) {
  std::vector<Tensor> inputs{c.in(0), GateWeights(c, 1, 8), GateWeights(c, 2, 10)};
  for (size_t slot = 3; slot < 8; ++slot) inputs.push_back(Maybe(c, slot));
  SetOutputs(c, RunOperator(c, "LSTM", kOpset, inputs, c.node.attributes, 3));
}

// input_ids, segment_ids, codes of word, position and segment rows, of gamma and beta, mask; the scales of
// those five, then their zero points.
void QEmbedLayerNormalization(EvalContext& c) {
  const auto dequantized = [&](size_t slot) {
    if (!c.has(slot)) return Tensor();
    return RunOperator(c, "DequantizeLinear", kOpset, {c.in(slot), c.in(slot + 6), Maybe(c, slot + 11)})[0];
  };
  const std::vector<Tensor> inputs{c.in(0),        Maybe(c, 1),    dequantized(2), dequantized(3),
                                   dequantized(4), dequantized(5), dequantized(6), Maybe(c, 7)};
  SetOutputs(c, RunOperator(c, "EmbedLayerNormalization", 1, inputs, c.node.attributes, 2, "com.microsoft"));
}

}  // namespace

std::vector<OperatorRow> ContribWeightOperators() {
  constexpr const char* kMicrosoft = "com.microsoft";
  return {
      {kMicrosoft, "MatMulNBits", 1, kAnyLater, MatMulNBits},
      {kMicrosoft, "DynamicQuantizeLSTM", 1, kAnyLater, DynamicQuantizeLstm},
      {kMicrosoft, "QEmbedLayerNormalization", 1, kAnyLater, QEmbedLayerNormalization},
  };
}

}  // namespace xslim
