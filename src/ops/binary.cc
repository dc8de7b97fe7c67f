// Operators of two or more tensors, element by element with numpy broadcasting: arithmetic, comparison,
// logic, Where.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kernels/kernels.h"
#include "ops/elementwise.h"
#include "ops/precise_math.h"

namespace xslim {
namespace {

void RequireSameType(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    throw Error(std::string("operands are ") + NameOf(a.dtype()) + " and " + NameOf(b.dtype()), "",
                "expected one type");
  }
}

// Calls body with steps that the compiler knows where all are 1, or all but the last, which is 0: such loops
// become vectors. Else with the numbers.
template <size_t kCount, typename Body>
void WithSteps(const std::array<int64_t, kCount>& steps, Body&& body) {
  constexpr std::integral_constant<int64_t, 0> zero;
  constexpr std::integral_constant<int64_t, 1> one;
  const bool ones = std::all_of(steps.begin(), steps.end() - 1, [](int64_t step) { return step == 1; });
  if constexpr (kCount == 2) {
    if (ones && steps[1] == 1) return body(one, one);
    if (ones && steps[1] == 0) return body(one, zero);
    body(steps[0], steps[1]);
  } else {
    if (ones && steps[2] == 1) return body(one, one, one);
    if (ones && steps[2] == 0) return body(one, one, zero);
    body(steps[0], steps[1], steps[2]);
  }
}

// y[i] = fn(a[i], b[i]) over the broadcast of both; A, B, R are the element types, fn takes the computing
// types.
template <typename A, typename B, typename R, typename Fn>
void Combine(ThreadPool& pool, const Broadcast& walk, const A* a, const B* b, R* y, Fn&& fn) {
  WithSteps<2>({walk.step(0), walk.step(1)}, [&](auto step_a, auto step_b) {
    pool.ParallelFor(walk.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      walk.Runs(begin, end, [&](int64_t at, int64_t n, const int64_t* offsets) {
        const A* pa = a + offsets[0];
        const B* pb = b + offsets[1];
        R* to = y + at;
        for (int64_t i = 0; i < n; ++i) to[i] = Store<R>(fn(Load(pa[i * step_a]), Load(pb[i * step_b])));
      });
    });
  });
}

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
    Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), y.data<T>(), Arithmetic<kOp, ComputeType<T>>);
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
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    VisitNumbers(power.dtype(), [&](auto power_type) {
      using P = decltype(power_type);
      Combine(ctx.pool, walk, x.data<T>(), power.data<P>(), y.data<T>(), [](auto base, auto exponent) {
        if constexpr (std::is_integral_v<decltype(base)> && std::is_integral_v<decltype(exponent)>) {
          return IntegerPower(base, static_cast<int64_t>(exponent));
        } else {
          return precise::Pow(static_cast<double>(base), static_cast<double>(exponent));
        }
      });
    });
  });
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

enum class Comparison { kEqual, kLess, kLessOrEqual, kGreater, kGreaterOrEqual };
template <Comparison kOp, typename C>
bool Compare(const C& a, const C& b) {
  if constexpr (kOp == Comparison::kEqual)
    return a == b;
  else if constexpr (kOp == Comparison::kLess)
    return a < b;
  else if constexpr (kOp == Comparison::kLessOrEqual)
    return a <= b;
  else if constexpr (kOp == Comparison::kGreater)
    return a > b;
  else
    return a >= b;
}

template <Comparison kOp>
void CompareOperator(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  RequireSameType(a, b);
  const Broadcast walk({&a.shape(), &b.shape()});
  bool* to = ctx.out(0, DType::kBool, walk.shape()).template data<bool>();
  if (a.dtype() == DType::kString && kOp == Comparison::kEqual) {
    Combine(ctx.pool, walk, a.strings().data(), b.strings().data(), to,
            [](const std::string& u, const std::string& v) { return u == v; });
  } else if (a.dtype() == DType::kBool && kOp == Comparison::kEqual) {
    Combine(ctx.pool, walk, a.data<bool>(), b.data<bool>(), to, [](bool u, bool v) { return u == v; });
  } else {
    VisitNumbers(a.dtype(), [&](auto type) {
      using T = decltype(type);
      Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), to,
              [](auto u, auto v) { return Compare<kOp>(u, v); });
    });
  }
}

enum class Logic { kAnd, kOr, kXor };
template <Logic kOp, typename C>
C Combined(C a, C b) {
  if constexpr (kOp == Logic::kAnd)
    return static_cast<C>(a & b);
  else if constexpr (kOp == Logic::kOr)
    return static_cast<C>(a | b);
  else
    return static_cast<C>(a ^ b);
}

template <Logic kOp>
void LogicOperator(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  const Broadcast walk({&a.shape(), &b.shape()});
  bool* to = ctx.out(0, DType::kBool, walk.shape()).template data<bool>();
  Combine(ctx.pool, walk, a.data<bool>(), b.data<bool>(), to, Combined<kOp, bool>);
}

template <Logic kOp>
void BitwiseOperator(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  RequireSameType(a, b);
  const Broadcast walk({&a.shape(), &b.shape()});
  Tensor& y = ctx.out(0, a.dtype(), walk.shape());
  VisitInts(a.dtype(), [&](auto type) {
    using T = decltype(type);
    Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), y.data<T>(), Combined<kOp, T>);
  });
}

// Shifts by the width and more give 0.
void BitShift(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  RequireSameType(a, b);
  const std::string direction = ctx.node.String("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    throw Error("BitShift: direction is \"" + direction + "\"", "", "expected LEFT or RIGHT");
  }
  const bool left = direction == "LEFT";
  const Broadcast walk({&a.shape(), &b.shape()});
  Tensor& y = ctx.out(0, a.dtype(), walk.shape());
  VisitInts(a.dtype(), [&](auto type) {
    using T = decltype(type);
    Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), y.data<T>(), [left](T value, T shift) {
      const uint64_t amount = static_cast<uint64_t>(shift), bits = static_cast<uint64_t>(value);
      if (amount >= sizeof(T) * 8) return T{0};
      return static_cast<T>(left ? bits << amount : bits >> amount);
    });
  });
}

// Slope broadcasts to the data, not the other way.
void PRelu(EvalContext& ctx) {
  const Tensor &x = ctx.in(0), &slope = ctx.in(1);
  RequireSameType(x, slope);
  const Broadcast walk({&x.shape(), &slope.shape()});
  if (walk.shape() != x.shape()) {
    throw Error("PRelu: slope of shape " + ToString(slope.shape()) + " does not broadcast to " +
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

template <typename T>
T Chosen(bool first, const T& a, const T& b) {
  return first ? a : b;
}
// By bits: a branch on data that nobody can foresee would cost ten times as much.
float Chosen(bool first, float a, float b) {
  const uint32_t mask = 0u - static_cast<uint32_t>(first);
  return std::bit_cast<float>((std::bit_cast<uint32_t>(a) & mask) | (std::bit_cast<uint32_t>(b) & ~mask));
}

template <typename T>
void Select(ThreadPool& pool, const Broadcast& walk, const bool* condition, const T* a, const T* b, T* y) {
  WithSteps<3>({walk.step(0), walk.step(1), walk.step(2)}, [&](auto step_c, auto step_a, auto step_b) {
    pool.ParallelFor(walk.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      walk.Runs(begin, end, [&](int64_t at, int64_t n, const int64_t* offsets) {
        const bool* pc = condition + offsets[0];
        const T *pa = a + offsets[1], *pb = b + offsets[2];
        T* to = y + at;
        for (int64_t i = 0; i < n; ++i) {
          to[i] = Chosen(pc[i * step_c], pa[i * step_a], pb[i * step_b]);
        }
      });
    });
  });
}

template <size_t kBytes>
struct Bytes {
  std::byte bytes[kBytes];
};

void Where(EvalContext& ctx) {
  const Tensor &condition = ctx.in(0), &a = ctx.in(1), &b = ctx.in(2);
  RequireSameType(a, b);
  const Broadcast walk({&condition.shape(), &a.shape(), &b.shape()});
  Tensor& y = ctx.out(0, a.dtype(), walk.shape());
  const bool* chosen = condition.data<bool>();
  if (a.dtype() == DType::kString) {
    return Select(ctx.pool, walk, chosen, a.strings().data(), b.strings().data(), y.strings().data());
  }
  if (a.dtype() == DType::kFloat)
    return Select(ctx.pool, walk, chosen, a.data<float>(), b.data<float>(), y.data<float>());
  const auto select = [&](auto unit) {
    using T = decltype(unit);
    Select(ctx.pool, walk, chosen, reinterpret_cast<const T*>(a.raw()), reinterpret_cast<const T*>(b.raw()),
           reinterpret_cast<T*>(y.raw()));
  };
  switch (SizeOf(a.dtype())) {
    case 1:
      select(Bytes<1>{});
      break;
    case 2:
      select(Bytes<2>{});
      break;
    case 4:
      select(Bytes<4>{});
      break;
    case 8:
      select(Bytes<8>{});
      break;
    default:
      select(Bytes<16>{});
      break;
  }
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
      {"", "Pow", 7, kAnyLater, Pow},
      {"", "Mod", 10, kAnyLater, Mod},
      {"", "Min", 6, kAnyLater, Variadic<kernels::kMin>},
      {"", "Max", 6, kAnyLater, Variadic<kernels::kMax>},
      {"", "Sum", 6, kAnyLater, Variadic<kernels::kAdd>},
      {"", "Mean", 6, kAnyLater, Mean},
      {"", "Equal", 7, kAnyLater, CompareOperator<Comparison::kEqual>},
      {"", "Less", 7, kAnyLater, CompareOperator<Comparison::kLess>},
      {"", "LessOrEqual", 12, kAnyLater, CompareOperator<Comparison::kLessOrEqual>},
      {"", "Greater", 7, kAnyLater, CompareOperator<Comparison::kGreater>},
      {"", "GreaterOrEqual", 12, kAnyLater, CompareOperator<Comparison::kGreaterOrEqual>},
      {"", "And", 7, kAnyLater, LogicOperator<Logic::kAnd>},
      {"", "Or", 7, kAnyLater, LogicOperator<Logic::kOr>},
      {"", "Xor", 7, kAnyLater, LogicOperator<Logic::kXor>},
      {"", "BitwiseAnd", 18, kAnyLater, BitwiseOperator<Logic::kAnd>},
      {"", "BitwiseOr", 18, kAnyLater, BitwiseOperator<Logic::kOr>},
      {"", "BitwiseXor", 18, kAnyLater, BitwiseOperator<Logic::kXor>},
      {"", "BitShift", 11, kAnyLater, BitShift},
      {"", "Where", 9, kAnyLater, Where},
  };
}

}  // namespace xslim
