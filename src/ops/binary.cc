// Arithmetic of two or more tensors, element by element with numpy broadcasting.
#include <cmath>
#include <string>
#include <type_traits>

#include "kernels/kernels.h"
#include "ops/combine.h"

namespace xslim {

void RequireSameType(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    throw Error(std::string("operands are ") + NameOf(a.dtype()) + " and " + NameOf(b.dtype()), "",
                "expected one type");
  }
}

void ForRuns(ThreadPool& pool, const Broadcast& walk, const RunFn& run) {
  pool.ParallelFor(walk.size(), kElementGrain,
                   [&](int64_t begin, int64_t end, int) { walk.Runs(begin, end, run); });
}

namespace {

// The float kernel over the broadcast of both; runs of one tensor against a scalar use the scalar forms.
void CombineKernel(ThreadPool& pool, const Broadcast& walk, kernels::BinaryOp op, const float* a,
                   const float* b, float* y) {
  const kernels::Table& table = kernels::Active();
  const int64_t step_a = walk.step(0), step_b = walk.step(1);
  pool.ParallelFor(walk.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
    walk.Runs(begin, end, [&](int64_t at, int64_t n, const int64_t* offsets) {
      const float *pa = a + offsets[0], *pb = b + offsets[1];
      if (step_a == 1 && step_b == 1)
        table.binary(op, pa, pb, y + at, n);
      else if (step_a == 1)
        table.binary_scalar(op, pa, *pb, y + at, n);
      else if (step_b == 1)
        table.scalar_binary(op, *pa, pb, y + at, n);
      else
        for (int64_t i = 0; i < n; ++i) table.binary_scalar(op, pa, *pb, y + at + i, 1);
    });
  });
}

// Wraps like two's complement; division truncates.
template <kernels::BinaryOp kOp, typename C>
C Arithmetic(C a, C b) {
  if constexpr (kOp == kernels::kMin || kOp == kernels::kMax) {
    if constexpr (std::is_floating_point_v<C>) {
      if (std::isnan(a)) return a;
      if (std::isnan(b)) return b;
    }
    return kOp == kernels::kMin ? (b < a ? b : a) : (a < b ? b : a);
  } else if constexpr (std::is_floating_point_v<C>) {
    if constexpr (kOp == kernels::kAdd)
      return a + b;
    else if constexpr (kOp == kernels::kSub)
      return a - b;
    else if constexpr (kOp == kernels::kMul)
      return a * b;
    else
      return a / b;
  } else {
    const uint64_t u = static_cast<uint64_t>(a), v = static_cast<uint64_t>(b);
    if constexpr (kOp == kernels::kAdd)
      return static_cast<C>(u + v);
    else if constexpr (kOp == kernels::kSub)
      return static_cast<C>(u - v);
    else if constexpr (kOp == kernels::kMul)
      return static_cast<C>(u * v);
    else {
      if (b == 0) throw Error("integer division by zero");
      if constexpr (std::is_signed_v<C>) {
        if (b == -1) return static_cast<C>(0 - u);  // the lowest value / -1 would trap
      }
      return static_cast<C>(a / b);
    }
  }
}

template <kernels::BinaryOp kOp>
Tensor Fold(EvalContext& ctx, const Tensor& a, const Tensor& b) {
  RequireSameType(a, b);
  const Broadcast walk({&a.shape(), &b.shape()});
  Tensor y = ctx.scratch(a.dtype(), walk.shape());
  if (a.dtype() == DType::kFloat) {
    CombineKernel(ctx.pool, walk, kOp, a.data<float>(), b.data<float>(), y.data<float>());
    return y;
  }
  VisitNumbers(a.dtype(), [&](auto type) {
    using T = decltype(type);
    Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), y.data<T>(),
            [](auto u, auto v) { return Arithmetic<kOp>(u, v); });
  });
  return y;
}

template <kernels::BinaryOp kOp>
void Binary(EvalContext& ctx) {
  ctx.set_out(0, Fold<kOp>(ctx, ctx.in(0), ctx.in(1)));
}

// One or more inputs, from the left.
template <kernels::BinaryOp kOp>
void Variadic(EvalContext& ctx) {
  Tensor result = ctx.in(0);
  for (size_t slot = 1; slot < ctx.num_inputs(); ++slot) result = Fold<kOp>(ctx, result, ctx.in(slot));
  ctx.set_out(0, std::move(result));
}

void Mean(EvalContext& ctx) {
  Variadic<kernels::kAdd>(ctx);
  const Tensor sum = ctx.outputs[0];
  Tensor count(sum.dtype(), {});
  VisitFloats(sum.dtype(), [&](auto type) {
    using T = decltype(type);
    count.data<T>()[0] = Store<T>(static_cast<double>(ctx.num_inputs()));
  });
  ctx.set_out(0, Fold<kernels::kDiv>(ctx, sum, count));
}

// Slope broadcasts to the data, not the other way.
void PRelu(EvalContext& ctx) {
  const Tensor &x = ctx.in(0), &slope = ctx.in(1);
  RequireSameType(x, slope);
  const Broadcast walk({&x.shape(), &slope.shape()});
  if (walk.shape() != x.shape()) {
    throw Unsupported("PRelu: slope of shape " + ToString(slope.shape()) + " does not broadcast to " +
                      ToString(x.shape()));
  }
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  if (x.dtype() == DType::kFloat && walk.step(1) == 0 && walk.step(0) == 1) {
    const float *from = x.data<float>(), *factor = slope.data<float>();
    float* to = y.data<float>();
    return ctx.pool.ParallelFor(walk.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      walk.Runs(begin, end, [&](int64_t at, int64_t n, const int64_t* offsets) {
        kernels::Active().leaky_relu(from + offsets[0], factor[offsets[1]], to + at, n);
      });
    });
  }
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    Combine(ctx.pool, walk, x.data<T>(), slope.data<T>(), y.data<T>(), [](auto v, auto s) {
      using C = decltype(v);
      if constexpr (std::is_floating_point_v<C>)
        return v < 0 ? v * s : v;
      else
        return v < C{0} ? static_cast<C>(static_cast<uint64_t>(v) * static_cast<uint64_t>(s)) : v;
    });
  });
}

}  // namespace

std::vector<OperatorRow> BinaryOperators() {
  constexpr QuantRole kElementwise = QuantRole::kElementwise;
  return {
      {"", "Add", 7, kAnyLater, Binary<kernels::kAdd>, kElementwise},
      {"", "Sub", 7, kAnyLater, Binary<kernels::kSub>, kElementwise},
      {"", "Mul", 7, kAnyLater, Binary<kernels::kMul>, kElementwise},
      {"", "Div", 7, kAnyLater, Binary<kernels::kDiv>},
      {"", "PRelu", 7, kAnyLater, PRelu, kElementwise},
      {"", "Min", 6, kAnyLater, Variadic<kernels::kMin>},
      {"", "Max", 6, kAnyLater, Variadic<kernels::kMax>},
      {"", "Sum", 6, kAnyLater, Variadic<kernels::kAdd>},
      {"", "Mean", 6, kAnyLater, Mean},
  };
}

}  // namespace xslim
