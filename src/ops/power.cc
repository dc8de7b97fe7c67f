// Powers and remainders of two tensors, element by element with numpy broadcasting.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "kernels/kernels.h"
#include "ops/combine.h"
#include "ops/precise_math.h"

namespace xslim {
namespace {

// Integer base to an integer power, wrapping; a negative power of anything but 1 and -1 truncates to 0.
template <typename C>
C IntegerPower(C base, int64_t exponent) {
  if (exponent < 0) {
    if (base == C{1}) return 1;
    if (std::is_signed_v<C> && base == static_cast<C>(-1))
      return exponent % 2 == 0 ? C{1} : static_cast<C>(-1);
    return 0;
  }
  uint64_t result = 1, square = static_cast<uint64_t>(base);
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= square;
    square *= square;
  }
  return static_cast<C>(result);
}

bool AllTwo(const Tensor& power) {
  const Tensor floats = power.ToFloat32();
  const float* p = floats.data<float>();
  return std::all_of(p, p + floats.size(), [](float exponent) { return exponent == 2.0f; });
}

// One type for the exponents, so that not every pair of types needs a loop of its own. No value changes that
// the computation below would have kept.
template <typename C>
std::vector<C> ExponentsAs(const Tensor& power) {
  std::vector<C> exponents(static_cast<size_t>(power.size()));
  VisitNumbers(power.dtype(), [&](auto type) {
    using P = decltype(type);
    const P* from = power.data<P>();
    std::transform(from, from + power.size(), exponents.begin(),
                   [](P exponent) { return static_cast<C>(Load(exponent)); });
  });
  return exponents;
}

void Pow(EvalContext& ctx) {
  const Tensor &x = ctx.in(0), &power = ctx.in(1);
  const Broadcast walk({&x.shape(), &power.shape()});
  Tensor& y = ctx.out(0, x.dtype(), walk.shape());
  if (x.dtype() == DType::kFloat && walk.shape() == x.shape() && AllTwo(power)) {
    // The same bits as by the general way: the product rounds once.
    const float* from = x.data<float>();
    float* to = y.data<float>();
    return ctx.pool.ParallelFor(x.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      kernels::Active().binary(kernels::kMul, from + begin, from + begin, to + begin, end - begin);
    });
  }
  if (IsFloating(x.dtype()) || IsFloating(power.dtype())) {
    const std::vector<double> exponents = ExponentsAs<double>(power);
    VisitNumbers(x.dtype(), [&](auto type) {
      using T = decltype(type);
      Combine(ctx.pool, walk, x.data<T>(), exponents.data(), y.data<T>(),
              [](auto base, double exponent) { return precise::Pow(static_cast<double>(base), exponent); });
    });
  } else {
    const std::vector<int64_t> exponents = ExponentsAs<int64_t>(power);
    VisitInts(x.dtype(), [&](auto type) {
      using T = decltype(type);
      Combine(ctx.pool, walk, x.data<T>(), exponents.data(), y.data<T>(),
              [](T base, int64_t exponent) { return IntegerPower(base, exponent); });
    });
  }
}

// fmod 1: the sign of the dividend, as in C; 0: the sign of the divisor, as in Python.
void Mod(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  RequireSameType(a, b);
  const bool c_sign = ctx.node.Int("fmod", 0) != 0;
  const Broadcast walk({&a.shape(), &b.shape()});
  Tensor& y = ctx.out(0, a.dtype(), walk.shape());
  VisitNumbers(a.dtype(), [&](auto type) {
    using T = decltype(type);
    Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), y.data<T>(), [c_sign](auto u, auto v) {
      using C = decltype(u);
      if constexpr (std::is_floating_point_v<C>) {
        const C rest = std::fmod(u, v);
        return !c_sign && rest != 0 && (rest < 0) != (v < 0) ? rest + v : rest;
      } else {
        if (v == 0) throw Error("integer modulo by zero");
        if constexpr (std::is_signed_v<C>) {
          if (v == -1) return C{0};
        }
        const C rest = static_cast<C>(u % v);
        return !c_sign && rest != 0 && (rest < C{0}) != (v < C{0}) ? static_cast<C>(rest + v) : rest;
      }
    });
  });
}

}  // namespace

std::vector<OperatorRow> PowerOperators() {
  return {
      {"", "Pow", 7, kAnyLater, Pow},
      {"", "Mod", 10, kAnyLater, Mod},
  };
}

}  // namespace xslim
