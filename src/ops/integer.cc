// Operators on 8-bit codes with exact 32-bit sums: MatMulInteger, QLinearMatMul, ConvInteger, QLinearConv.
// The sums come from the float kernels, in pieces of so few products that floats hold them exactly.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ops/conv.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/matmul_batches.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kExact = int64_t{1} << 24;  // floats hold all whole numbers up to here
constexpr int64_t kLargestCode = 255;         // a code less its zero point, at most

// Throws Error unless the type is int8 or uint8.
DType CodeType(const Tensor& codes) {
  if (codes.dtype() != DType::kInt8 && codes.dtype() != DType::kUint8) {
    throw Error(std::string("codes of type ") + NameOf(codes.dtype()), "", "expected int8 or uint8");
  }
  return codes.dtype();
}

// Codes less their zero points, as floats.
struct Centred {
  Tensor values;
  int64_t largest;  // magnitude that the type and the zero points allow

  // How many products with another operand's values add up to at most kExact. sums: of the magnitudes of all
  // that one result is made of, here; mostly all of it may be added up at once.
  int64_t TermsFor(const std::vector<float>& sums) const {
    const bool all = std::all_of(sums.begin(), sums.end(),
                                 [](float sum) { return sum <= static_cast<float>(kExact / kLargestCode); });
    return all ? std::numeric_limits<int64_t>::max() : kExact / (kLargestCode * largest);
  }
};

// Sums of magnitudes by row: exact as far as they are below kExact, and not below it where they are more.
std::vector<float> RowMagnitudes(const Tensor& matrix, int64_t rows) {
  std::vector<float> sums(static_cast<size_t>(rows), 0.0f);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t columns = matrix.size() / rows;
    const float* from = matrix.data<float>() + row * columns;
    for (int64_t i = 0; i < columns; ++i) sums[static_cast<size_t>(row)] += std::fabs(from[i]);
  }
  return sums;
}

// The same by column of matrices [..., k, n].
std::vector<float> ColumnMagnitudes(const Tensor& matrices, int64_t k, int64_t n) {
  std::vector<float> sums(static_cast<size_t>(matrices.size() / k));
  for (int64_t row = 0; row < matrices.size() / n; ++row) {
    float* to = sums.data() + row / k * n;
    const float* from = matrices.data<float>() + row * n;
    for (int64_t j = 0; j < n; ++j) to[j] += std::fabs(from[j]);
  }
  return sums;
}

// The zero point (slot may be left out: 0) has one element or one per `axis`.
Centred Centre(const EvalContext& c, const Tensor& x, size_t zero_slot, int64_t axis) {
  const bool is_signed = CodeType(x) == DType::kInt8;
  if (c.has(zero_slot) && c.in(zero_slot).dtype() != x.dtype()) {
    throw Error(std::string("zero point of type ") + NameOf(c.in(zero_slot).dtype()) + " for codes of type " +
                NameOf(x.dtype()));
  }
  const std::vector<int64_t> zeros = c.has(zero_slot) ? c.in(zero_slot).ToInts() : std::vector<int64_t>{0};
  const auto count = static_cast<int64_t>(zeros.size());
  if (count != 1 && (axis < 0 || axis >= x.rank() || count != x.dim(axis))) {
    throw Error("zero point of " + std::to_string(count) + " elements does not fit " + ToString(x.shape()));
  }
  Centred centred{c.scratch(DType::kFloat, x.shape()), 1};
  const int64_t lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255;
  for (const int64_t zero : zeros) centred.largest = std::max({centred.largest, zero - lo, hi - zero});
  // Runs of one zero point.
  const int64_t inner = count == 1 ? kElementGrain : InnerCount(x.shape(), axis);
  if (x.size() == 0) return centred;
  float* out = centred.values.data<float>();
  const kernels::Table& table = kernels::Active();
  c.pool.ParallelFor((x.size() + inner - 1) / inner, std::max<int64_t>(1, kElementGrain / inner),
                     [&](int64_t begin, int64_t end, int) {
                       for (int64_t run = begin; run < end; ++run) {
                         const int64_t at = run * inner, size = std::min(inner, x.size() - at);
                         const auto zero = static_cast<int32_t>(zeros[static_cast<size_t>(run % count)]);
                         if (is_signed) {
                           table.dequantize_s8(x.data<int8_t>() + at, 1, zero, out + at, size);
                         } else {
                           table.dequantize_u8(x.data<uint8_t>() + at, 1, zero, out + at, size);
                         }
                       }
                     });
  return centred;
}

const Tensor& Single(const Tensor& tensor, const char* what) {
  if (tensor.size() != 1)
    throw Error(std::string(what) + " has shape " + ToString(tensor.shape()), "", "expected one element");
  return tensor;
}

float One(const Tensor& tensor, const char* what) {
  return Single(tensor, what).ToFloat32().data<float>()[0];
}

// codes = saturate(round_half_even(x) + zero), of int8 or uint8, from element `at` on.
void StoreCodes(Tensor& codes, int64_t at, const float* x, int32_t zero, int64_t n) {
  const kernels::Table& table = kernels::Active();
  if (codes.dtype() == DType::kInt8) {
    table.quantize_s8(x, 1, zero, codes.data<int8_t>() + at, n);
  } else {
    table.quantize_u8(x, 1, zero, codes.data<uint8_t>() + at, n);
  }
}

// Sums modulo 2^32 in numpy's matmul of two tensors, [..., m, n]. kept: packed right operands are the node's
// own.
std::vector<int32_t> ProductSums(EvalContext& c, const Centred& left, const Centred& right,
                                 const MatMulBatches& shape, bool kept) {
  const int64_t m = shape.m, n = shape.n, k = shape.k, size_b = PackedSizeB(k, n);
  std::vector<int32_t> sums(static_cast<size_t>(ElementCount(shape.out_shape)), 0);
  if (sums.empty() || k == 0) return sums;
  const int64_t matrices = right.values.size() / (k * n),
                terms = std::min(k, right.TermsFor(ColumnMagnitudes(right.values, k, n)));
  // Each piece of k in panels of its own, one piece after the other.
  const Tensor packed = PackOnce(c, kept, matrices * size_b, [&](float* to) {
    for (int64_t i = 0; i < matrices; ++i) {
      for (int64_t d = 0; d < k; d += terms) {
        const int64_t depth = std::min(terms, k - d);
        PackBParallel(c.pool, depth, n, right.values.data<float>() + (i * k + d) * n, n, 1, to);
        to += PackedSizeB(depth, n);
      }
    }
  });
  const kernels::Table& table = kernels::Active();
  constexpr int64_t kRows = 48;  // of a block: its sums stay in cache
  const int64_t blocks = (m + kRows - 1) / kRows;
  c.pool.ParallelFor(static_cast<int64_t>(shape.a.size()) * blocks, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> a(static_cast<size_t>(PackedSizeA(kRows, terms))), y(static_cast<size_t>(kRows * n));
    for (int64_t item = begin; item < end; ++item) {
      const auto i = static_cast<size_t>(item / blocks);
      const int64_t row = item % blocks * kRows, rows = std::min(kRows, m - row);
      const float* from = left.values.data<float>() + (shape.a[i] * m + row) * k;
      const float* b = packed.data<float>() + shape.b[i] * size_b;
      int32_t* to = sums.data() + (static_cast<int64_t>(i) * m + row) * n;
      for (int64_t d = 0; d < k; d += terms) {
        const int64_t depth = std::min(terms, k - d);
        table.pack_a(rows, depth, from + d, k, 1, a.data());
        table.gemm(rows, n, depth, a.data(), b, y.data(), n, nullptr, nullptr, false,
                   {kernels::kNoActivation, 0, 0});
        b += PackedSizeB(depth, n);
        for (int64_t j = 0; j < rows * n; ++j) {
          to[j] =
              static_cast<int32_t>(static_cast<uint32_t>(to[j]) +
                                   static_cast<uint32_t>(static_cast<int32_t>(y[static_cast<size_t>(j)])));
        }
      }
    }
  });
  return sums;
}

bool AreConstant(const EvalContext& c, size_t slot, size_t zero_slot) {
  return c.is_constant(slot) && (!c.has(zero_slot) || c.is_constant(zero_slot));
}

void EvaluateMatMulInteger(EvalContext& c) {
  const Tensor &a = c.in(0), &b = c.in(1);
  const MatMulBatches shape(a.shape(), b.shape());
  const Centred left = Centre(c, a, 2, a.rank() - 2),
                right = Centre(c, b, 3, b.rank() < 2 ? -1 : b.rank() - 1);
  const std::vector<int32_t> sums = ProductSums(c, left, right, shape, AreConstant(c, 1, 3));
  std::copy(sums.begin(), sums.end(), c.out(0, DType::kInt32, shape.out_shape).data<int32_t>());
}

void EvaluateQLinearMatMul(EvalContext& c) {
  const Tensor &a = c.in(0), &b = c.in(3);
  if (a.rank() < 2 || b.rank() < 2)
    throw Error("operands " + ToString(a.shape()) + " and " + ToString(b.shape()) + " do not fit");
  const MatMulBatches shape(a.shape(), b.shape());
  const Centred left = Centre(c, a, 2, a.rank() - 2), right = Centre(c, b, 5, b.rank() - 1);
  const Tensor b_scale = c.in(4).ToFloat32();
  const float a_scale = One(c.in(1), "a_scale"), y_scale = One(c.in(6), "y_scale");
  const auto zero = static_cast<int32_t>(Single(c.in(7), "y_zero_point").ToInts()[0]);
  const int64_t n = shape.n;
  if (b_scale.size() != 1 && b_scale.size() != n)
    throw Error("b_scale has shape " + ToString(b_scale.shape()));
  std::vector<float> factors(static_cast<size_t>(n));
  for (int64_t j = 0; j < n; ++j)
    factors[static_cast<size_t>(j)] = a_scale * b_scale.data<float>()[b_scale.size() == 1 ? 0 : j] / y_scale;
  const std::vector<int32_t> sums = ProductSums(c, left, right, shape, AreConstant(c, 3, 5));
  Tensor& y = c.out(0, CodeType(c.in(7)), shape.out_shape);
  if (y.size() == 0) return;
  c.pool.ParallelFor(y.size() / n, std::max<int64_t>(1, kElementGrain / n),
                     [&](int64_t begin, int64_t end, int) {
                       std::vector<float> row(static_cast<size_t>(n));
                       for (int64_t i = begin; i < end; ++i) {
                         std::copy_n(sums.data() + i * n, n, row.data());
                         kernels::Active().binary(kernels::kMul, row.data(), factors.data(), row.data(), n);
                         StoreCodes(y, i * n, row.data(), zero, n);
                       }
                     });
}

void EvaluateConvInteger(EvalContext& c) {
  const Tensor &x = c.in(0), &w = c.in(1);
  const ConvGeometry g = GeometryOfConv(c.node, x.shape(), w.shape());
  const Centred in = Centre(c, x, 2, -1), weight = Centre(c, w, 3, 0);
  ConvolveExactly(c, g, in.values.data<float>(), weight.values.data<float>(),
                  weight.TermsFor(RowMagnitudes(weight.values, g.channels_out)), AreConstant(c, 1, 3),
                  c.out(0, DType::kInt32, g.out_shape).data<int32_t>());
}

void EvaluateQLinearConv(EvalContext& c) {
  const Tensor &x = c.in(0), &w = c.in(3);
  const ConvGeometry g = GeometryOfConv(c.node, x.shape(), w.shape());
  const Tensor w_scale = c.in(4).ToFloat32();
  const float x_scale = One(c.in(1), "x_scale"), y_scale = One(c.in(6), "y_scale");
  if (w_scale.size() != 1 && w_scale.size() != g.channels_out)
    throw Error("w_scale has shape " + ToString(w_scale.shape()));
  const auto zero = static_cast<int32_t>(Single(c.in(7), "y_zero_point").ToInts()[0]);
  const std::vector<int64_t> bias =
      c.has(8) ? c.in(8).ToInts() : std::vector<int64_t>(static_cast<size_t>(g.channels_out), 0);
  if (static_cast<int64_t>(bias.size()) != g.channels_out) throw Error("the bias does not fit the weight");
  const Centred in = Centre(c, x, 2, -1), weight = Centre(c, w, 5, 0);
  Tensor sums = c.scratch(DType::kInt32, g.out_shape);
  ConvolveExactly(c, g, in.values.data<float>(), weight.values.data<float>(),
                  weight.TermsFor(RowMagnitudes(weight.values, g.channels_out)), AreConstant(c, 3, 5),
                  sums.data<int32_t>());
  Tensor& y = c.out(0, CodeType(c.in(7)), g.out_shape);
  const int64_t pixels = g.pixels_out();
  c.pool.ParallelFor(
      g.batch * g.channels_out, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(pixels, 1)),
      [&](int64_t begin, int64_t end, int) {
        std::vector<float> plane(static_cast<size_t>(pixels));
        for (int64_t i = begin; i < end; ++i) {
          const int64_t channel = i % g.channels_out;
          const int64_t added = bias[static_cast<size_t>(channel)];
          const float scale = w_scale.data<float>()[w_scale.size() == 1 ? 0 : channel];
          for (int64_t p = 0; p < pixels; ++p) {
            const auto total = static_cast<int32_t>(sums.data<int32_t>()[i * pixels + p] + added);
            plane[static_cast<size_t>(p)] = static_cast<float>(total);
          }
          kernels::Active().binary_scalar(kernels::kMul, plane.data(), x_scale * scale / y_scale,
                                          plane.data(), pixels);
          StoreCodes(y, i * pixels, plane.data(), zero, pixels);
        }
      });
}

}  // namespace

std::vector<OperatorRow> IntegerOperators() {
  return {
      {"", "MatMulInteger", 10, kAnyLater, EvaluateMatMulInteger},
      {"", "QLinearMatMul", 10, kAnyLater, EvaluateQLinearMatMul},
      {"", "QLinearConv", 10, kAnyLater, EvaluateQLinearConv},
      {"", "ConvInteger", 10, kAnyLater, EvaluateConvInteger},
  };
}

}  // namespace xslim
