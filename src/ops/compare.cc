// Comparison, logic, bits and choice of two or more tensors, element by element with numpy broadcasting.
#include <array>
#include <bit>
#include <cstddef>
#include <limits>
#include <string>

#include "ops/combine.h"
#include "ops/own.h"

namespace xslim {
namespace {

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
  Combine(ctx.pool, walk, a.data<bool>(), b.data<bool>(), to,
          [](bool u, bool v) { return Combined<kOp>(u, v); });
}

template <Logic kOp>
void BitwiseOperator(EvalContext& ctx) {
  const Tensor &a = ctx.in(0), &b = ctx.in(1);
  RequireSameType(a, b);
  const Broadcast walk({&a.shape(), &b.shape()});
  Tensor& y = ctx.out(0, a.dtype(), walk.shape());
  VisitInts(a.dtype(), [&](auto type) {
    using T = decltype(type);
    Combine(ctx.pool, walk, a.data<T>(), b.data<T>(), y.data<T>(),
            [](T u, T v) { return Combined<kOp>(u, v); });
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
    ForRuns(pool, walk, [=](int64_t at, int64_t n, const int64_t* offsets) {
      const bool* pc = condition + offsets[0];
      const T *pa = a + offsets[1], *pb = b + offsets[2];
      T* to = y + at;
      for (int64_t i = 0; i < n; ++i) to[i] = Chosen(pc[i * step_c], pa[i * step_a], pb[i * step_b]);
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

// The derivative of Relu and Clip, which no operator of ONNX gives in one pass.
void KeepBetween(EvalContext& ctx) {
  const Tensor &x = ctx.in(0), &at = ctx.in(1);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto bound = [&ctx](size_t slot, float otherwise) {
    if (!ctx.has(slot)) return otherwise;
    if (ctx.in(slot).size() != 1) throw Error("KeepBetween: a bound is not one number");
    return ctx.in(slot).data<float>()[0];
  };
  const float lo = bound(2, -kInfinity), hi = bound(3, kInfinity);
  const Broadcast walk({&x.shape(), &at.shape()});
  Tensor& y = ctx.out(0, DType::kFloat, walk.shape());
  Combine(ctx.pool, walk, x.data<float>(), at.data<float>(), y.data<float>(),
          [lo, hi](float value, float place) { return Chosen((place > lo) & (place < hi), value, 0.0f); });
}

}  // namespace

std::vector<OperatorRow> CompareOperators() {
  return {
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
      {kOwnDomain, kKeepBetween, 1, kAnyLater, KeepBetween},
  };
}

}  // namespace xslim
