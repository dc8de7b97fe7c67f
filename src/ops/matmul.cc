// MatMul and Gemm. Float32 runs on the packed kernels (16-bit types are computed in float32);
// double and the integer types are plain loops over k ascending, integers modulo 2^bits.
#include "ops/matmul.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <vector>

#include "base/log.h"
#include "ops/contrib.h"
#include "ops/float_result.h"
#include "ops/matmul_batches.h"
#include "xslim/error.h"

namespace xslim {

kernels::Epilogue EpilogueOf(const Node& node) {
  if (!node.Has(kClampLo) && !node.Has(kClampHi)) return {kernels::kNoActivation, 0, 0};
  constexpr float inf = std::numeric_limits<float>::infinity();
  return {kernels::kClamp, node.Float(kClampLo, -inf), node.Float(kClampHi, inf)};
}

AfterProduct::AfterProduct(const Node& node) {
  if (node.Has(kThenUnary)) unary = static_cast<kernels::UnaryOp>(node.Int(kThenUnary, 0));
  if (!node.Has(kThenQuantize)) return;
  const std::vector<float> values = node.Floats(kThenQuantize);
  quantize = QuantizeEpilogue{values.at(0), static_cast<int32_t>(values.at(1)),
                              static_cast<int32_t>(values.at(2)), static_cast<int32_t>(values.at(3))};
}

void AfterProduct::Apply(const kernels::Table& table, float* y, int64_t n) const {
  if (unary) table.unary(*unary, y, y, n);
  if (quantize) quantize->Apply(table, y, y, n);
}

int64_t PackedSizeA(int64_t m, int64_t k) {
  const int64_t mr = kernels::Active().mr;
  return (m + mr - 1) / mr * mr * k;
}

int64_t PackedSizeB(int64_t k, int64_t n) {
  const int64_t nr = kernels::Active().nr;
  return (n + nr - 1) / nr * nr * k;
}

void RunProduct(ThreadPool& pool, const PackedProduct& p) {
  if (p.m == 0 || p.n == 0) return;
  const kernels::Table& table = kernels::Active();
  const int64_t rows = 192 / table.mr * table.mr, columns = 256 / table.nr * table.nr;
  const int64_t row_blocks = (p.m + rows - 1) / rows, column_blocks = (p.n + columns - 1) / columns;
  const int64_t small = rows * columns * std::max<int64_t>(p.k, 1) < 32768 ? 16 : 1;
  pool.ParallelFor(row_blocks * column_blocks, small, [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t i = block / column_blocks * rows, j = block % column_blocks * columns;
      table.gemm(std::min(rows, p.m - i), std::min(columns, p.n - j), p.k, p.a + i * p.k, p.b + j * p.k,
                 p.c + i * p.ldc + j, p.ldc, p.bias_m != nullptr ? p.bias_m + i : nullptr,
                 p.bias_n != nullptr ? p.bias_n + j : nullptr, p.accumulate, p.epilogue);
    }
  });
}

int64_t PackingGrain(int64_t elements_each) {
  return std::max<int64_t>(1, 65536 / std::max<int64_t>(elements_each, 1));
}

namespace {

// Calls pack(first, count) for runs of whole panels of `width` rows or columns; n: of the operand, each of k
// elements.
template <typename F>
void ForPanels(ThreadPool& pool, int64_t n, int64_t width, int64_t k, const F& pack) {
  pool.ParallelFor((n + width - 1) / width, PackingGrain(k * width), [&](int64_t begin, int64_t end, int) {
    pack(begin * width, std::min(end * width, n) - begin * width);
  });
}

}  // namespace

void PackAParallel(ThreadPool& pool, int64_t m, int64_t k, const float* a, int64_t stride_m, int64_t stride_k,
                   float* packed) {
  const kernels::Table& table = kernels::Active();
  ForPanels(pool, m, table.mr, k, [&](int64_t i, int64_t rows) {
    table.pack_a(rows, k, a + i * stride_m, stride_m, stride_k, packed + i * k);
  });
}

void PackBParallel(ThreadPool& pool, int64_t k, int64_t n, const float* b, int64_t stride_k, int64_t stride_n,
                   float* packed) {
  const kernels::Table& table = kernels::Active();
  ForPanels(pool, n, table.nr, k, [&](int64_t j, int64_t columns) {
    table.pack_b(k, columns, b + j * stride_n, stride_k, stride_n, packed + j * k);
  });
}

const Tensor* ConstantOf(const EvalContext& context, const float* elements) {
  for (size_t slot = 0; elements != nullptr && slot < context.num_inputs(); ++slot) {
    if (!context.is_constant(slot) || !context.has(slot)) continue;
    const Tensor& constant = context.any_in(slot);
    if (constant.raw() == static_cast<const void*>(elements)) return &constant;
  }
  return nullptr;
}

PackLayout RightOperands(int64_t matrices, int64_t k, int64_t n, int64_t stride_k, int64_t stride_n) {
  return {PackLayout::kRightOperand, {matrices, k, n, stride_k, stride_n}};
}

MatMulBatches::MatMulBatches(Shape left, Shape right) {
  if (left.empty() || right.empty()) throw Error("MatMul of a scalar", "", "expected at least one dimension");
  const std::string text = ToString(left) + " and " + ToString(right);
  const bool left_vector = left.size() == 1, right_vector = right.size() == 1;
  if (left_vector) left.insert(left.begin(), 1);
  if (right_vector) right.push_back(1);
  m = left[left.size() - 2];
  k = left.back();
  n = right.back();
  if (right[right.size() - 2] != k) throw Error("matrices of shapes " + text + " cannot be multiplied");
  const Shape batch_a(left.begin(), left.end() - 2), batch_b(right.begin(), right.end() - 2);
  out_shape = BroadcastShapes(batch_a, batch_b);
  const int64_t count = ElementCount(out_shape);
  // The flat index of an operand's matrix for the result's matrix `i`.
  const auto index = [&](const Shape& own, int64_t i) {
    int64_t flat = 0, scale = 1;
    for (size_t d = 0; d < out_shape.size(); ++d) {  // from the last dimension on
      const int64_t size = out_shape[out_shape.size() - 1 - d], at = i % size;
      i /= size;
      if (d >= own.size()) continue;
      const int64_t mine = own[own.size() - 1 - d];
      if (mine != 1) flat += at * scale;
      scale *= mine;
    }
    return flat;
  };
  const bool tall = count > 1 && ElementCount(batch_b) == 1;
  for (int64_t i = 0; i < (tall ? 1 : count); ++i) {
    a.push_back(index(batch_a, i));
    b.push_back(index(batch_b, i));
  }
  if (!left_vector) out_shape.push_back(m);
  if (!right_vector) out_shape.push_back(n);
  if (tall) m *= count;
}

void MultiplyRows(ThreadPool& pool, int64_t m, int64_t n, int64_t k, const float* a, const float* right,
                  float* y, std::vector<float>& left) {
  const kernels::Table& table = kernels::Active();
  left.resize(static_cast<size_t>(PackedSizeA(m, k)));
  const int64_t mr = table.mr, panels = (m + mr - 1) / mr;
  pool.ParallelFor(panels, std::max<int64_t>(1, 65536 / std::max<int64_t>(k * mr, 1)),
                   [&](int64_t begin, int64_t end, int) {
                     const int64_t row = begin * mr;
                     table.pack_a(std::min(end * mr, m) - row, k, a + row * k, k, 1, left.data() + row * k);
                   });
  RunProduct(pool, {m, n, k, left.data(), right, y, n});
}

Tensor MatMulFloat(EvalContext& ctx, const Tensor& a, const Tensor& b) {
  const MatMulBatches r(a.shape(), b.shape());
  Tensor y = ctx.scratch(DType::kFloat, r.out_shape);
  if (y.size() == 0) return y;
  const int64_t matrices = r.k * r.n == 0 ? 0 : b.size() / (r.k * r.n), size_b = PackedSizeB(r.k, r.n);
  const Tensor right = PackOnce(
      ctx, ctx.is_constant(1), b.data<float>(), RightOperands(matrices, r.k, r.n, r.n, 1), matrices * size_b,
      [&](float* packed) {
        for (int64_t i = 0; i < matrices; ++i)
          PackBParallel(ctx.pool, r.k, r.n, b.data<float>() + i * r.k * r.n, r.n, 1, packed + i * size_b);
      });
  // Nested loops run inline, so of several matrices one is one thread's.
  ctx.pool.ParallelFor(static_cast<int64_t>(r.a.size()), 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> left;
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      MultiplyRows(ctx.pool, r.m, r.n, r.k, a.data<float>() + r.a[at] * r.m * r.k,
                   right.data<float>() + r.b[at] * size_b, y.data<float>() + i * r.m * r.n, left);
    }
  });
  return y;
}

namespace {

// Arithmetic that wraps instead of overflowing.
template <typename T>
using Wrapping =
    typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>, std::type_identity<T>>::type;

template <typename T>
void MatMulPlain(EvalContext& ctx, const Tensor& a, const Tensor& b) {
  const MatMulBatches r(a.shape(), b.shape());
  Tensor& y = ctx.out(0, DTypeOf<T>::value, r.out_shape);
  using W = Wrapping<T>;
  ctx.pool.ParallelFor(static_cast<int64_t>(r.a.size()) * r.m, 16, [&](int64_t begin, int64_t end, int) {
    std::vector<W> sums(static_cast<size_t>(r.n));
    for (int64_t row = begin; row < end; ++row) {
      const size_t batch = static_cast<size_t>(row / r.m);
      const T* left = a.data<T>() + (r.a[batch] * r.m + row % r.m) * r.k;
      const T* right = b.data<T>() + r.b[batch] * r.k * r.n;
      std::fill(sums.begin(), sums.end(), W(0));
      for (int64_t d = 0; d < r.k; ++d) {
        for (int64_t j = 0; j < r.n; ++j) {
          sums[static_cast<size_t>(j)] += static_cast<W>(left[d]) * static_cast<W>(right[d * r.n + j]);
        }
      }
      for (int64_t j = 0; j < r.n; ++j)
        y.data<T>()[row * r.n + j] = static_cast<T>(sums[static_cast<size_t>(j)]);
    }
  });
}

[[noreturn]] void BadType(DType type) {
  throw Error(StrCat("element type ", NameOf(type), " cannot be multiplied"), "",
              "expected float32, float16, bfloat16, float64, int32, int64, uint32 or uint64");
}

void EvaluateMatMul(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  if (a.dtype() != b.dtype()) throw Error("the operands of MatMul have different element types");
  switch (a.dtype()) {
    case DType::kFloat:
    case DType::kFloat16:
    case DType::kBFloat16:
      SetFloatResult(ctx, 0, MatMulFloat(ctx, a.ToFloat32(), b.ToFloat32()), a.dtype());
      if (ctx.outputs[0].size() > 0) ctx.StateReplacesWeights();  // packed
      return;
    case DType::kDouble:
      return MatMulPlain<double>(ctx, a, b);
    case DType::kInt32:
      return MatMulPlain<int32_t>(ctx, a, b);
    case DType::kInt64:
      return MatMulPlain<int64_t>(ctx, a, b);
    case DType::kUint32:
      return MatMulPlain<uint32_t>(ctx, a, b);
    case DType::kUint64:
      return MatMulPlain<uint64_t>(ctx, a, b);
    default:
      BadType(a.dtype());
  }
}

// Shape and strides of Gemm: y[m][n] = alpha * sum_k a[i*a_row + d*a_depth] * b[d*b_depth + j*b_column] +
// beta * c.
struct GemmShape {
  int64_t m, n, k, a_row, a_depth, b_depth, b_column;
  int64_t c_row = 0, c_column = 0;  // strides of the broadcast c
};

GemmShape ReadGemm(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  if (a.rank() != 2 || b.rank() != 2) throw Error("Gemm needs two matrices", "", "expected inputs of rank 2");
  const bool turn_a = ctx.node.Int("transA", 0) != 0, turn_b = ctx.node.Int("transB", 0) != 0;
  GemmShape s;
  s.m = a.dim(turn_a ? 1 : 0);
  s.k = a.dim(turn_a ? 0 : 1);
  s.n = b.dim(turn_b ? 0 : 1);
  s.a_row = turn_a ? 1 : s.k;
  s.a_depth = turn_a ? s.m : 1;
  s.b_depth = turn_b ? 1 : s.n;
  s.b_column = turn_b ? s.k : 1;
  if (b.dim(turn_b ? 1 : 0) != s.k) {
    throw Error(StrCat("matrices of shapes ", ToString(a.shape()), " and ", ToString(b.shape()),
                       " cannot be multiplied"));
  }
  if (ctx.has(2)) {
    const Tensor& c = ctx.in(2);
    const int64_t rows = c.rank() == 2 ? c.dim(0) : 1, columns = c.rank() >= 1 ? c.dim(-1) : 1;
    if (c.rank() > 2 || (rows != 1 && rows != s.m) || (columns != 1 && columns != s.n)) {
      throw Error(
          StrCat("C of shape ", ToString(c.shape()), " cannot be broadcast to [", s.m, ",", s.n, "]"));
    }
    s.c_row = rows == 1 ? 0 : columns;
    s.c_column = columns == 1 ? 0 : 1;
  }
  return s;
}

void GemmFloat(EvalContext& ctx, const GemmShape& s) {
  const kernels::Table& table = kernels::Active();
  const Tensor a = ctx.in(0).ToFloat32(), b = ctx.in(1).ToFloat32();
  const float alpha = ctx.node.Float("alpha", 1.0f), beta = ctx.node.Float("beta", 1.0f);
  const Tensor right =
      PackOnce(ctx, ctx.is_constant(1), b.data<float>(), RightOperands(1, s.k, s.n, s.b_depth, s.b_column),
               PackedSizeB(s.k, s.n), [&](float* packed) {
                 PackBParallel(ctx.pool, s.k, s.n, b.data<float>(), s.b_depth, s.b_column, packed);
               });
  ctx.StateReplacesWeights();
  std::vector<float> left(static_cast<size_t>(PackedSizeA(s.m, s.k)));
  table.pack_a(s.m, s.k, a.data<float>(), s.a_row, s.a_depth, left.data());
  if (alpha != 1.0f) {
    table.binary_scalar(kernels::kMul, left.data(), alpha, left.data(), static_cast<int64_t>(left.size()));
  }
  Tensor y = ctx.scratch(DType::kFloat, {s.m, s.n});
  PackedProduct product{s.m, s.n, s.k, left.data(), right.data<float>(), y.data<float>(), s.n};
  product.epilogue = EpilogueOf(ctx.node);
  std::vector<float> bias;
  if (ctx.has(2)) {
    const Tensor c = ctx.in(2).ToFloat32();
    if (s.c_row == 0) {
      for (int64_t j = 0; j < s.n; ++j) bias.push_back(beta * c.data<float>()[j * s.c_column]);
      product.bias_n = bias.data();
    } else {
      for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
          y.data<float>()[i * s.n + j] = beta * c.data<float>()[i * s.c_row + j * s.c_column];
        }
      }
      product.accumulate = true;
    }
  }
  RunProduct(ctx.pool, product);
  SetFloatResult(ctx, 0, std::move(y), ctx.in(0).dtype());
}

// com.microsoft: an activation behind Gemm, its parameters in attributes of their own.
void EvaluateFusedGemm(EvalContext& ctx) {
  GemmFloat(ctx, ReadGemm(ctx));
  std::vector<float> parameters;
  for (const char* name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    if (!ctx.node.Has(name)) break;
    parameters.push_back(ctx.node.Float(name, 0));
  }
  Tensor y = ctx.outputs[0].ToFloat32();
  ApplyActivation(ctx.pool, ctx.node.String("activation", ""), parameters, y.data<float>(), y.size());
  SetFloatResult(ctx, 0, std::move(y), ctx.in(0).dtype());
}

// The order of an operand's axes for FusedMatMul: `batch` moves axis 0 behind the batch axes, `turn`
// exchanges the last two.
Tensor Arranged(EvalContext& ctx, const Tensor& x, bool turn, bool batch) {
  if (x.rank() < 2 || (!turn && !batch)) return x;
  std::vector<int64_t> order;
  for (int64_t axis = 0; axis < x.rank(); ++axis) order.push_back(axis);
  if (batch) std::rotate(order.begin(), order.begin() + 1, order.end() - 1);
  if (turn) std::swap(order[order.size() - 2], order.back());
  return RunOperator(ctx, "Transpose", 13, {x}, {{"perm", Attribute::Ints(order)}})[0];
}

// com.microsoft: alpha * A' B'
void EvaluateFusedMatMul(EvalContext& ctx) {
  const auto is_set = [&](const char* name) { return ctx.node.Int(name, 0) != 0; };
  const Tensor a = Arranged(ctx, ctx.in(0).ToFloat32(), is_set("transA"), is_set("transBatchA"));
  const Tensor b = Arranged(ctx, ctx.in(1).ToFloat32(), is_set("transB"), is_set("transBatchB"));
  Tensor y = MatMulFloat(ctx, a, b);
  const float alpha = ctx.node.Float("alpha", 1.0f);
  if (alpha != 1.0f)
    kernels::Active().binary_scalar(kernels::kMul, y.data<float>(), alpha, y.data<float>(), y.size());
  SetFloatResult(ctx, 0, std::move(y), ctx.in(0).dtype());
}

template <typename T>
void GemmPlain(EvalContext& ctx, const GemmShape& s) {
  using W = Wrapping<T>;
  const T *a = ctx.in(0).data<T>(), *b = ctx.in(1).data<T>(), *c = ctx.has(2) ? ctx.in(2).data<T>() : nullptr;
  const double alpha = ctx.node.Float("alpha", 1.0f), beta = ctx.node.Float("beta", 1.0f);
  // Integers stay exact with the usual factors of one.
  const auto scaled = [](W value, double factor) {
    return factor == 1.0
               ? value
               : static_cast<W>(static_cast<T>(factor * static_cast<double>(static_cast<T>(value))));
  };
  Tensor& y = ctx.out(0, DTypeOf<T>::value, {s.m, s.n});
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      W sum = 0;
      for (int64_t d = 0; d < s.k; ++d) {
        sum += static_cast<W>(a[i * s.a_row + d * s.a_depth]) *
               static_cast<W>(b[d * s.b_depth + j * s.b_column]);
      }
      sum = scaled(sum, alpha);
      if (c != nullptr) sum += scaled(static_cast<W>(c[i * s.c_row + j * s.c_column]), beta);
      y.data<T>()[i * s.n + j] = static_cast<T>(sum);
    }
  }
}

void EvaluateGemm(EvalContext& ctx) {
  const GemmShape s = ReadGemm(ctx);
  switch (ctx.in(0).dtype()) {
    case DType::kFloat:
    case DType::kFloat16:
    case DType::kBFloat16:
      return GemmFloat(ctx, s);
    case DType::kDouble:
      return GemmPlain<double>(ctx, s);
    case DType::kInt32:
      return GemmPlain<int32_t>(ctx, s);
    case DType::kInt64:
      return GemmPlain<int64_t>(ctx, s);
    case DType::kUint32:
      return GemmPlain<uint32_t>(ctx, s);
    case DType::kUint64:
      return GemmPlain<uint64_t>(ctx, s);
    default:
      BadType(ctx.in(0).dtype());
  }
}

}  // namespace

std::vector<OperatorRow> MatMulOperators() {
  constexpr const char* kMicrosoft = "com.microsoft";
  return {
      {"", "MatMul", 1, kAnyLater, EvaluateMatMul, QuantRole::kCompute},
      {"", "Gemm", 1, kAnyLater, EvaluateGemm, QuantRole::kCompute},
      {kMicrosoft, "FusedGemm", 1, kAnyLater, EvaluateFusedGemm},
      {kMicrosoft, "FusedMatMul", 1, kAnyLater, EvaluateFusedMatMul},
      {kMicrosoft, "TransposeMatMul", 1, kAnyLater, EvaluateFusedMatMul},
  };
}

}  // namespace xslim
