// Operators of one tensor, element by element. float32 goes through the kernels where they have the function;
// 16-bit floats are computed with as float32; double and what the kernels lack use ops/precise_math.h.
#include <cmath>

#include "kernels/kernels.h"
#include "ops/elementwise.h"
#include "ops/precise_math.h"

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int64_t kChunk = 1024;  // floats per step where a buffer on the stack is needed

// y[0..n) = f(x[0..n)); called with x == y for 16-bit floats.
template <typename FloatLoop, typename DoubleFn>
void MapFloats(EvalContext& ctx, FloatLoop&& loop, DoubleFn&& fn) {
  const Tensor& x = ctx.in(0);
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  VisitFloats(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ctx.pool.ParallelFor(x.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      if constexpr (std::is_same_v<T, float>) {
        loop(from + begin, to + begin, end - begin);
      } else if constexpr (std::is_same_v<T, double>) {
        for (int64_t i = begin; i < end; ++i) to[i] = fn(from[i]);
      } else {
        float buffer[kChunk];
        for (int64_t i = begin; i < end; i += kChunk) {
          const int64_t n = std::min(kChunk, end - i);
          for (int64_t j = 0; j < n; ++j) buffer[j] = Load(from[i + j]);
          loop(buffer, buffer, n);
          for (int64_t j = 0; j < n; ++j) to[i + j] = Store<T>(buffer[j]);
        }
      }
    });
  });
}

// The element function in double, rounded to float where the tensor is.
template <typename DoubleFn>
void MapPrecise(EvalContext& ctx, DoubleFn&& fn) {
  MapFloats(
      ctx,
      [&](const float* x, float* y, int64_t n) {
        for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(fn(static_cast<double>(x[i])));
      },
      fn);
}
template <double (*kFn)(double)>
void Precise(EvalContext& ctx) {
  MapPrecise(ctx, kFn);
}

// Any numeric type; fn is a template over the compute type.
template <typename Fn>
void MapNumbers(EvalContext& ctx, Fn&& fn) {
  const Tensor& x = ctx.in(0);
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ctx.pool.ParallelFor(x.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) to[i] = Store<T>(fn(Load(from[i])));
    });
  });
}

double Gelu(double x) { return 0.5 * x * (1 + precise::Erf(x * 0.70710678118654752440)); }
double GeluTanh(double x) {
  return 0.5 * x * (1 + precise::Tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
double HardSwish(double x) { return x * std::fmin(std::fmax(x / 6 + 0.5, 0.0), 1.0); }
double Mish(double x) { return x * precise::Tanh(precise::Softplus(x)); }
double Identity(double x) { return x; }
double SquareRoot(double x) { return std::sqrt(x); }
double Reciprocal(double x) { return 1 / x; }
double Floor(double x) { return std::floor(x); }
double Ceil(double x) { return std::ceil(x); }
double Round(double x) { return std::nearbyint(x); }
double Softsign(double x) { return x / (1 + std::fabs(x)); }

template <kernels::UnaryOp kOp, double (*kFn)(double)>
void Kernel(EvalContext& ctx) {
  MapFloats(
      ctx, [](const float* x, float* y, int64_t n) { kernels::Active().unary(kOp, x, y, n); }, kFn);
}

void Abs(EvalContext& ctx) {
  if (ctx.in(0).dtype() == DType::kFloat) return Kernel<kernels::kAbs, Identity>(ctx);
  MapNumbers(ctx, [](auto x) {
    using C = decltype(x);
    if constexpr (std::is_floating_point_v<C>)
      return std::fabs(x);
    else if constexpr (std::is_signed_v<C>)
      return static_cast<C>(x < 0 ? 0 - static_cast<uint64_t>(x) : static_cast<uint64_t>(x));
    else
      return x;
  });
}

void Neg(EvalContext& ctx) {
  if (ctx.in(0).dtype() == DType::kFloat) return Kernel<kernels::kNeg, Identity>(ctx);
  MapNumbers(ctx, [](auto x) {
    using C = decltype(x);
    if constexpr (std::is_floating_point_v<C>)
      return -x;
    else
      return static_cast<C>(0 - static_cast<uint64_t>(x));
  });
}

void Sign(EvalContext& ctx) {
  MapNumbers(ctx, [](auto x) {
    using C = decltype(x);
    if constexpr (std::is_floating_point_v<C>)
      return std::isnan(x) ? x : static_cast<C>((x > 0) - (x < 0));
    else
      return static_cast<C>((x > C{0}) - (x < C{0}));
  });
}

void Relu(EvalContext& ctx) {
  if (!IsFloating(ctx.in(0).dtype())) {
    return MapNumbers(ctx, [](auto x) { return x > decltype(x){0} ? x : decltype(x){0}; });
  }
  MapFloats(
      ctx, [](const float* x, float* y, int64_t n) { kernels::Active().clamp(x, 0.0f, kInf, y, n); },
      [](double x) { return x < 0 ? 0.0 : x; });
}

// Bounds are attributes until opset 10, then inputs; lo > hi gives hi.
void Clip(EvalContext& ctx) {
  const Tensor& x = ctx.in(0);
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    using C = ComputeType<T>;
    using Limits = std::numeric_limits<C>;
    C lo = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    C hi = Limits::has_infinity ? Limits::infinity() : Limits::max();
    if (ctx.opset < 11) {
      if (ctx.node.Has("min")) lo = static_cast<C>(ctx.node.Float("min", 0));
      if (ctx.node.Has("max")) hi = static_cast<C>(ctx.node.Float("max", 0));
    } else {
      const auto bound = [&](size_t slot, C otherwise) {
        if (!ctx.has(slot)) return otherwise;
        if (ctx.in(slot).size() != 1)
          throw Error("Clip: a bound has shape " + ToString(ctx.in(slot).shape()), "", "expected a scalar");
        return Load(ctx.in(slot).data<T>()[0]);
      };
      lo = bound(1, lo);
      hi = bound(2, hi);
    }
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ctx.pool.ParallelFor(x.size(), kElementGrain, [&](int64_t begin, int64_t end, int) {
      if constexpr (std::is_same_v<T, float>) {
        kernels::Active().clamp(from + begin, lo, hi, to + begin, end - begin);
      } else {
        for (int64_t i = begin; i < end; ++i) {
          C v = Load(from[i]);
          if (v < lo) v = lo;
          if (v > hi) v = hi;
          to[i] = Store<T>(v);
        }
      }
    });
  });
}

void LeakyRelu(EvalContext& ctx) {
  const float alpha = ctx.node.Float("alpha", 0.01f);
  MapFloats(
      ctx, [&](const float* x, float* y, int64_t n) { kernels::Active().leaky_relu(x, alpha, y, n); },
      [&](double x) { return x < 0 ? alpha * x : x; });
}

// x > 0: scale * x; else scale * alpha * (e^(x / divisor) - 1).
void ExponentialUnit(EvalContext& ctx, float scale, float alpha, float divisor) {
  const float factor = scale * alpha;
  MapFloats(
      ctx,
      [&](const float* x, float* y, int64_t n) {
        float e[kChunk];
        for (int64_t i = 0; i < n; i += kChunk) {
          const int64_t m = std::min(kChunk, n - i);
          for (int64_t j = 0; j < m; ++j) e[j] = (x[i + j] > 0 ? 0.0f : x[i + j]) / divisor;
          kernels::Active().unary(kernels::kExp, e, e, m);
          for (int64_t j = 0; j < m; ++j) y[i + j] = x[i + j] > 0 ? scale * x[i + j] : factor * (e[j] - 1.0f);
        }
      },
      [&](double x) {
        return x > 0 ? scale * x : static_cast<double>(scale) * alpha * precise::Expm1(x / divisor);
      });
}
void Elu(EvalContext& ctx) { ExponentialUnit(ctx, 1.0f, ctx.node.Float("alpha", 1.0f), 1.0f); }
void Selu(EvalContext& ctx) {
  ExponentialUnit(ctx, ctx.node.Float("gamma", 1.05070102214813232421875f),
                  ctx.node.Float("alpha", 1.67326319217681884765625f), 1.0f);
}
void Celu(EvalContext& ctx) {
  const float alpha = ctx.node.Float("alpha", 1.0f);
  ExponentialUnit(ctx, 1.0f, alpha, alpha);
}

void ThresholdedRelu(EvalContext& ctx) {
  const double alpha = ctx.node.Float("alpha", 1.0f);
  MapPrecise(ctx, [&](double x) { return x > alpha ? x : 0.0; });
}

void HardSigmoid(EvalContext& ctx) {
  const float alpha = ctx.node.Float("alpha", 0.2f), beta = ctx.node.Float("beta", 0.5f);
  MapFloats(
      ctx, [&](const float* x, float* y, int64_t n) { kernels::Active().hard_sigmoid(x, alpha, beta, y, n); },
      [&](double x) {
        const double v = alpha * x + beta;
        return v < 0 ? 0.0 : v > 1 ? 1.0 : v;
      });
}

void GeluOperator(EvalContext& ctx) {
  const std::string approximate = ctx.node.String("approximate", "none");
  if (approximate == "tanh") return Kernel<kernels::kGeluTanh, GeluTanh>(ctx);
  if (approximate != "none")
    throw Error("Gelu: approximate is \"" + approximate + "\"", "", "expected none or tanh");
  Kernel<kernels::kGelu, Gelu>(ctx);
}

// x * sigmoid(alpha * x)
void Swish(EvalContext& ctx, float alpha) {
  MapFloats(
      ctx,
      [&](const float* x, float* y, int64_t n) {
        const kernels::Table& table = kernels::Active();
        if (alpha == 1.0f) return table.unary(kernels::kSilu, x, y, n);
        float s[kChunk];
        for (int64_t i = 0; i < n; i += kChunk) {
          const int64_t m = std::min(kChunk, n - i);
          table.binary_scalar(kernels::kMul, x + i, alpha, s, m);
          table.unary(kernels::kSigmoid, s, s, m);
          table.binary(kernels::kMul, x + i, s, y + i, m);
        }
      },
      [&](double x) { return x * precise::Sigmoid(alpha * x); });
}
void SwishOperator(EvalContext& ctx) { Swish(ctx, ctx.node.Float("alpha", 1.0f)); }
void QuickGelu(EvalContext& ctx) { Swish(ctx, ctx.node.Float("alpha", 1.702f)); }

// gelu(x + bias), bias along the last axis; the bias of FastGelu may be left out.
template <kernels::UnaryOp kOp, double (*kFn)(double)>
void GeluWithBias(EvalContext& ctx) {
  if (!ctx.has(1)) return Kernel<kOp, kFn>(ctx);
  const Tensor &x = ctx.in(0), &bias = ctx.in(1);
  if (bias.rank() != 1 || x.rank() < 1 || bias.size() != x.dim(-1) || bias.dtype() != x.dtype()) {
    throw Error("bias of shape " + ToString(bias.shape()) + " for data of shape " + ToString(x.shape()), "",
                "expected one value of the data's type per element of the last axis");
  }
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  const int64_t width = bias.size();
  if (x.size() == 0) return;
  VisitFloats(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T *from = x.data<T>(), *add = bias.data<T>();
    T* to = y.data<T>();
    ctx.pool.ParallelFor(
        x.size() / width, std::max<int64_t>(1, kElementGrain / width), [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin * width; i < end * width; i += width) {
            if constexpr (std::is_same_v<T, float>) {
              kernels::Active().binary(kernels::kAdd, from + i, add, to + i, width);
              kernels::Active().unary(kOp, to + i, to + i, width);
            } else {
              for (int64_t j = 0; j < width; ++j) {
                to[i + j] = Store<T>(kFn(static_cast<double>(Load(from[i + j])) + Load(add[j])));
              }
            }
          }
        });
  });
}

void Shrink(EvalContext& ctx) {
  const float lambda = ctx.node.Float("lambd", 0.5f), bias = ctx.node.Float("bias", 0.0f);
  MapNumbers(ctx, [&](auto x) {
    using C = decltype(x);
    const double v = static_cast<double>(x);
    return static_cast<C>(v < -lambda ? v + bias : v > lambda ? v - bias : 0.0);
  });
}

void Not(EvalContext& ctx) {
  const Tensor& x = ctx.in(0);
  const bool* from = x.data<bool>();
  bool* to = ctx.out(0, DType::kBool, x.shape()).data<bool>();
  for (int64_t i = 0; i < x.size(); ++i) to[i] = !from[i];
}

void BitwiseNot(EvalContext& ctx) {
  const Tensor& x = ctx.in(0);
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  VisitInts(x.dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < x.size(); ++i) y.data<T>()[i] = static_cast<T>(~x.data<T>()[i]);
  });
}

template <typename Fn>
void Test(EvalContext& ctx, Fn&& fn) {
  const Tensor& x = ctx.in(0);
  bool* to = ctx.out(0, DType::kBool, x.shape()).data<bool>();
  VisitFloats(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    for (int64_t i = 0; i < x.size(); ++i) to[i] = fn(Load(from[i]));
  });
}
void IsNaN(EvalContext& ctx) {
  Test(ctx, [](auto x) { return std::isnan(x); });
}
void IsInf(EvalContext& ctx) {
  const bool negative = ctx.node.Int("detect_negative", 1) != 0,
             positive = ctx.node.Int("detect_positive", 1) != 0;
  Test(ctx, [&](auto x) { return std::isinf(x) && (x > 0 ? positive : negative); });
}

// ---- the part of the input that each can see

InterestRange ReluRange(const Graph&, const Node&) { return {0, kInf}; }
InterestRange HardSwishRange(const Graph&, const Node&) { return {-3, kInf}; }
InterestRange SigmoidRange(const Graph&, const Node&) { return {-10, 10, true, Curve::kSigmoid}; }
InterestRange TanhRange(const Graph&, const Node&) { return {-5, 5}; }
InterestRange GeluRange(const Graph&, const Node&) { return {-5, kInf}; }
InterestRange SwishRange(const Graph&, const Node& node) {
  return {-10, kInf, true, node.Float("alpha", 1.0f) == 1.0f ? Curve::kSilu : Curve::kNone};
}
InterestRange SoftplusRange(const Graph&, const Node&) { return {-15, kInf, true}; }

InterestRange HardSigmoidRange(const Graph&, const Node& node) {
  const float alpha = node.Float("alpha", 0.2f), beta = node.Float("beta", 0.5f);
  if (!(alpha > 0)) return {};
  return {-beta / alpha, (1 - beta) / alpha};
}

InterestRange ClipRange(const Graph& graph, const Node& node) {
  InterestRange range;
  if (node.Has("min")) range.lo = node.Float("min", 0);
  if (node.Has("max")) range.hi = node.Float("max", 0);
  const auto constant = [&](size_t slot, float otherwise) {
    const Tensor* bound = node.input(slot) == kNone ? nullptr : graph.Constant(node.input(slot));
    return bound == nullptr || bound->size() != 1 ? otherwise : bound->ToFloat32().data<float>()[0];
  };
  range.lo = constant(1, range.lo);
  range.hi = constant(2, range.hi);
  return range;
}

}  // namespace

std::vector<OperatorRow> UnaryOperators() {
  constexpr QuantRole kActivation = QuantRole::kActivation, kElementwise = QuantRole::kElementwise;
  constexpr QuantRole kFloat = QuantRole::kNone;
  constexpr const char* kMicrosoft = "com.microsoft";
  return {
      {"", "Relu", 6, kAnyLater, Relu, kActivation, ReluRange},
      {"", "Clip", 6, kAnyLater, Clip, kActivation, ClipRange},
      {"", "LeakyRelu", 6, kAnyLater, LeakyRelu, kElementwise},
      {"", "Sigmoid", 6, kAnyLater, Kernel<kernels::kSigmoid, precise::Sigmoid>, kElementwise, SigmoidRange},
      {"", "HardSigmoid", 6, kAnyLater, HardSigmoid, kElementwise, HardSigmoidRange},
      {"", "HardSwish", 14, kAnyLater, Kernel<kernels::kHardSwish, HardSwish>, kElementwise, HardSwishRange},
      {"", "Gelu", 20, kAnyLater, GeluOperator, kElementwise, GeluRange},
      {kMicrosoft, "Gelu", 1, kAnyLater, Kernel<kernels::kGelu, Gelu>, kElementwise, GeluRange},
      {kMicrosoft, "QuickGelu", 1, kAnyLater, QuickGelu, kElementwise, SwishRange},
      {kMicrosoft, "FastGelu", 1, kAnyLater, GeluWithBias<kernels::kGeluTanh, GeluTanh>, kFloat},
      {kMicrosoft, "BiasGelu", 1, kAnyLater, GeluWithBias<kernels::kGelu, Gelu>, kFloat},
      {"", "Swish", 24, kAnyLater, SwishOperator, kFloat, SwishRange},
      {"", "Mish", 18, kAnyLater, Kernel<kernels::kMish, Mish>, kFloat, SoftplusRange},
      {"", "Softplus", 1, kAnyLater, Kernel<kernels::kSoftplus, precise::Softplus>, kFloat, SoftplusRange},
      {"", "Tanh", 6, kAnyLater, Kernel<kernels::kTanh, precise::Tanh>, kFloat, TanhRange},
      {"", "Elu", 6, kAnyLater, Elu},
      {"", "Selu", 6, kAnyLater, Selu},
      {"", "Celu", 12, kAnyLater, Celu},
      {"", "ThresholdedRelu", 10, kAnyLater, ThresholdedRelu},
      {"", "Softsign", 1, kAnyLater, Precise<Softsign>},
      {"", "Shrink", 9, kAnyLater, Shrink},
      {"", "Erf", 9, kAnyLater, Kernel<kernels::kErf, precise::Erf>},
      {"", "Exp", 6, kAnyLater, Kernel<kernels::kExp, precise::Exp>},
      {"", "Log", 6, kAnyLater, Kernel<kernels::kLog, precise::Log>},
      {"", "Sqrt", 6, kAnyLater, Kernel<kernels::kSqrt, SquareRoot>},
      {"", "Reciprocal", 6, kAnyLater, Kernel<kernels::kReciprocal, Reciprocal>},
      {"", "Floor", 6, kAnyLater, Kernel<kernels::kFloor, Floor>},
      {"", "Ceil", 6, kAnyLater, Kernel<kernels::kCeil, Ceil>},
      {"", "Round", 11, kAnyLater, Kernel<kernels::kRound, Round>},
      {"", "Abs", 6, kAnyLater, Abs},
      {"", "Neg", 6, kAnyLater, Neg},
      {"", "Sign", 9, kAnyLater, Sign},
      {"", "Sin", 7, kAnyLater, Kernel<kernels::kSin, precise::Sin>},
      {"", "Cos", 7, kAnyLater, Kernel<kernels::kCos, precise::Cos>},
      {"", "Tan", 7, kAnyLater, Precise<precise::Tan>},
      {"", "Asin", 7, kAnyLater, Precise<precise::Asin>},
      {"", "Acos", 7, kAnyLater, Precise<precise::Acos>},
      {"", "Atan", 7, kAnyLater, Precise<precise::Atan>},
      {"", "Sinh", 9, kAnyLater, Precise<precise::Sinh>},
      {"", "Cosh", 9, kAnyLater, Precise<precise::Cosh>},
      {"", "Asinh", 9, kAnyLater, Precise<precise::Asinh>},
      {"", "Acosh", 9, kAnyLater, Precise<precise::Acosh>},
      {"", "Atanh", 9, kAnyLater, Precise<precise::Atanh>},
      {"", "Not", 1, kAnyLater, Not},
      {"", "BitwiseNot", 18, kAnyLater, BitwiseNot},
      {"", "IsNaN", 9, kAnyLater, IsNaN},
      {"", "IsInf", 10, kAnyLater, IsInf},
  };
}

}  // namespace xslim
