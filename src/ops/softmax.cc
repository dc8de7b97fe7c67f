// What turns each line along one axis into another: the softmax family and LpNormalization.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "ops/copy.h"
#include "ops/float_result.h"
#include "ops/operator.h"
#include "ops/rows.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Calls row(source, target, n) for every line of `x` along the middle of [outer, n, inner]; lines that are
// not contiguous go through buffers.
template <typename Row>
Tensor AlongAxis(EvalContext& context, const Tensor& x, int64_t n, int64_t inner, const Row& row) {
  Tensor y = context.scratch(DType::kFloat, x.shape());
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const int64_t lines = n == 0 ? 0 : x.size() / n;
  context.pool.ParallelFor(lines, RowGrain(n), [&](int64_t begin, int64_t end, int) {
    std::vector<float> buffer(inner == 1 ? 0 : static_cast<size_t>(2 * n));
    for (int64_t line = begin; line < end; ++line) {
      if (inner == 1) {
        row(in + line * n, out + line * n, n);
        continue;
      }
      const int64_t first = line / inner * n * inner + line % inner;
      float *source = buffer.data(), *target = source + n;
      for (int64_t i = 0; i < n; ++i) source[i] = in[first + i * inner];
      row(source, target, n);
      for (int64_t i = 0; i < n; ++i) out[first + i * inner] = target[i];
    }
  });
  return y;
}

// Before opset 13 the axis cuts the shape into a matrix whose rows are normalised.
template <typename Row>
void SoftmaxLike(EvalContext& context, const Row& row) {
  const Tensor x = context.in(0).ToFloat32();
  const bool flatten = context.opset < 13;
  const int64_t axis = NormalAxis(context.node.Int("axis", flatten ? 1 : -1), std::max<int64_t>(x.rank(), 1));
  int64_t n = 1, inner = 1;
  if (flatten) {
    n = Product(x.shape(), axis, x.rank());
  } else if (x.rank() > 0) {
    n = x.dim(axis);
    inner = Product(x.shape(), axis + 1, x.rank());
  }
  SetFloatResult(context, 0, AlongAxis(context, x, n, inner, row), context.in(0).dtype());
}

void EvaluateSoftmax(EvalContext& context) {
  SoftmaxLike(context, [](const float* x, float* y, int64_t n) { kernels::Active().softmax(x, y, n); });
}

// y = (x - max) - log(sum(exp(x - max)))
void EvaluateLogSoftmax(EvalContext& context) {
  SoftmaxLike(context, [](const float* x, float* y, int64_t n) {
    const kernels::Table& table = kernels::Active();
    const float max = table.max(x, n);
    table.binary_scalar(kernels::kSub, x, max, y, n);
    table.unary(kernels::kExp, y, y, n);
    float log_sum = table.sum(y, n);
    table.unary(kernels::kLog, &log_sum, &log_sum, 1);
    table.binary_scalar(kernels::kSub, x, max, y, n);
    table.binary_scalar(kernels::kSub, y, log_sum, y, n);
  });
}

void EvaluateHardmax(EvalContext& context) {
  SoftmaxLike(context, [](const float* x, float* y, int64_t n) {
    const int64_t best = std::max_element(x, x + n) - x;
    std::fill(y, y + n, 0.0f);
    y[best] = 1.0f;
  });
}

void EvaluateLpNormalization(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  const int64_t axis = NormalAxis(context.node.Int("axis", -1), std::max<int64_t>(x.rank(), 1)),
                p = context.node.Int("p", 2);
  if (p != 1 && p != 2) throw Error("p must be 1 or 2");
  Tensor y = AlongAxis(context, x, x.dim(axis), Product(x.shape(), axis + 1, x.rank()),
                       [p](const float* in, float* out, int64_t n) {
                         const kernels::Table& table = kernels::Active();
                         float norm;
                         if (p == 1) {
                           table.unary(kernels::kAbs, in, out, n);
                           norm = table.sum(out, n);
                         } else {
                           norm = std::sqrt(table.sum_of_squares(in, 0.0f, n));
                         }
                         if (norm == 0) {
                           std::fill(out, out + n, 0.0f);
                         } else {
                           table.binary_scalar(kernels::kDiv, in, norm, out, n);
                         }
                       });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

}  // namespace

std::vector<OperatorRow> SoftmaxOperators() {
  return {
      {"", "Softmax", 1, kAnyLater, EvaluateSoftmax},
      {"", "LogSoftmax", 1, kAnyLater, EvaluateLogSoftmax},
      {"", "Hardmax", 1, kAnyLater, EvaluateHardmax},
      {"", "LpNormalization", 1, kAnyLater, EvaluateLpNormalization},
  };
}

}  // namespace xslim
