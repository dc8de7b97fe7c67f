// Resize and Upsample. Every mode is separable: each axis has, per output position, a few source positions
// and weights, and the axes are resampled one after the other, the last one first.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "ops/elementwise.h"
#include "ops/float_result.h"
#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim {
namespace {

enum class Mode { kNearest, kLinear, kCubic };

struct Plan {
  Mode mode = Mode::kNearest;
  std::string coordinates, nearest;
  bool exclude_outside = false, antialias = false;
  float cubic_a = -0.75f, extrapolation = 0;
  Shape out;
  std::vector<float> scales, roi_begin, roi_end;  // per axis of the input
};

// Source positions and weights of one output position; `outside` of the region of tf_crop_and_resize.
struct Taps {
  std::vector<int64_t> index;
  std::vector<float> weight;
  bool outside = false;
};

Mode ModeOf(const std::string& name) {
  if (name == "nearest") return Mode::kNearest;
  if (name == "linear" || name == "bilinear") return Mode::kLinear;
  if (name == "cubic") return Mode::kCubic;
  throw Error("mode " + name + " is unknown");
}

std::vector<float> Floats(const Tensor& tensor) {
  const Tensor values = tensor.ToFloat32();
  return std::vector<float>(values.data<float>(), values.data<float>() + values.size());
}

// Output sizes and scales from the requested sizes, by the aspect ratio policy (half is rounded up).
void FromSizes(Plan& plan, const Shape& in, const std::vector<int64_t>& axes,
               const std::vector<int64_t>& sizes, const std::string& policy) {
  float common = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(axes[i]);
    if (in[axis] == 0) throw Error("cannot resize the empty shape " + ToString(in));
    const float scale = static_cast<float>(sizes[i]) / static_cast<float>(in[axis]);
    plan.scales[axis] = scale;
    plan.out[axis] = sizes[i];
    common = i == 0 ? scale : policy == "not_larger" ? std::min(common, scale) : std::max(common, scale);
  }
  if (policy == "stretch") return;
  if (policy != "not_larger" && policy != "not_smaller")
    throw Error("keep_aspect_ratio_policy " + policy + " is unknown");
  for (int64_t axis : axes) {
    const size_t a = static_cast<size_t>(axis);
    plan.scales[a] = common;
    plan.out[a] = static_cast<int64_t>(std::floor(common * static_cast<float>(in[a]) + 0.5f));
  }
}

void FromScales(Plan& plan, const Shape& in, const std::vector<int64_t>& axes,
                const std::vector<float>& scales) {
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(axes[i]);
    if (!(scales[i] > 0)) throw Error("scales must be positive");
    plan.scales[axis] = scales[i];
    // Also with a region of interest: the operator's text multiplies by the region's size, but shape
    // inference and ONNX Runtime do not, and models are made to agree with those.
    plan.out[axis] = static_cast<int64_t>(std::floor(static_cast<float>(in[axis]) * scales[i]));
  }
}

Plan PlanOf(EvalContext& context) {
  const Node& node = context.node;
  const Shape& in = context.in(0).shape();
  const bool upsample = node.op_type == "Upsample";
  const bool simple = upsample || context.opset < 11;  // no roi, sizes and coordinate modes yet
  Plan plan;
  plan.mode = ModeOf(node.String("mode", "nearest"));
  plan.coordinates = simple ? "asymmetric" : node.String("coordinate_transformation_mode", "half_pixel");
  plan.nearest = upsample ? "floor" : simple ? "simple" : node.String("nearest_mode", "round_prefer_floor");
  plan.exclude_outside = node.Int("exclude_outside", 0) != 0;
  plan.antialias = node.Int("antialias", 0) != 0;
  plan.cubic_a = node.Float("cubic_coeff_a", -0.75f);
  plan.extrapolation = node.Float("extrapolation_value", 0.0f);
  plan.out = in;
  plan.scales.assign(in.size(), 1.0f);
  plan.roi_begin.assign(in.size(), 0.0f);
  plan.roi_end.assign(in.size(), 1.0f);

  std::vector<int64_t> axes = node.Ints("axes");
  if (axes.empty()) {
    for (size_t a = 0; a < in.size(); ++a) axes.push_back(static_cast<int64_t>(a));
  }
  for (int64_t& axis : axes) {
    if (axis < 0) axis += static_cast<int64_t>(in.size());
    if (axis < 0 || axis >= static_cast<int64_t>(in.size()))
      throw Error("axes are outside of shape " + ToString(in));
  }
  auto check = [&](size_t count, const char* what) {
    if (count != axes.size()) {
      throw Error(std::string(what) + " has " + std::to_string(count) + " elements instead of " +
                  std::to_string(axes.size()));
    }
  };
  if (simple) {
    const std::vector<float> scales = context.has(1) ? Floats(context.in(1)) : node.Floats("scales");
    check(scales.size(), "scales");
    FromScales(plan, in, axes, scales);
    return plan;
  }
  if (plan.coordinates == "tf_crop_and_resize") {
    const std::vector<float> roi = Floats(context.in(1));
    if (roi.size() != 2 * axes.size()) throw Error("roi must have two elements per axis");
    for (size_t i = 0; i < axes.size(); ++i) {
      plan.roi_begin[static_cast<size_t>(axes[i])] = roi[i];
      plan.roi_end[static_cast<size_t>(axes[i])] = roi[axes.size() + i];
    }
  }
  if (context.has(3) && context.in(3).size() > 0) {
    const std::vector<int64_t> sizes = context.in(3).ToInts();
    check(sizes.size(), "sizes");
    FromSizes(plan, in, axes, sizes, node.String("keep_aspect_ratio_policy", "stretch"));
  } else {
    const std::vector<float> scales = Floats(context.in(2));
    check(scales.size(), "scales");
    FromScales(plan, in, axes, scales);
  }
  return plan;
}

// Where output position `o` of the axis lies in the input; formulas of the ONNX operator, in float32.
float Coordinate(const Plan& plan, size_t axis, int64_t in_size, int64_t o) {
  const float x = static_cast<float>(o), scale = plan.scales[axis];
  const float in = static_cast<float>(in_size), out = static_cast<float>(plan.out[axis]);
  if (plan.coordinates == "half_pixel") return (x + 0.5f) / scale - 0.5f;
  if (plan.coordinates == "asymmetric") return x / scale;
  if (plan.coordinates == "align_corners") return out == 1 ? 0.0f : x * (in - 1) / (out - 1);
  if (plan.coordinates == "pytorch_half_pixel") return out > 1 ? (x + 0.5f) / scale - 0.5f : 0.0f;
  if (plan.coordinates == "tf_half_pixel_for_nn") return (x + 0.5f) / scale;
  if (plan.coordinates == "half_pixel_symmetric") {
    const float adjustment = out / (scale * in);
    return in / 2 * (1 - adjustment) + (x + 0.5f) / scale - 0.5f;
  }
  if (plan.coordinates == "tf_crop_and_resize") {
    const float begin = plan.roi_begin[axis], end = plan.roi_end[axis];
    if (out > 1) return begin * (in - 1) + x * (end - begin) * (in - 1) / (out - 1);
    return 0.5f * (begin + end) * (in - 1);
  }
  throw Error("coordinate_transformation_mode " + plan.coordinates + " is unknown");
}

int64_t Nearest(const Plan& plan, size_t axis, float x) {
  if (plan.nearest == "round_prefer_floor") return static_cast<int64_t>(std::ceil(x - 0.5f));
  if (plan.nearest == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5f));
  if (plan.nearest == "floor") return static_cast<int64_t>(std::floor(x));
  if (plan.nearest == "ceil") return static_cast<int64_t>(std::ceil(x));
  // Opset 10 rounds up where it shrinks.
  if (plan.nearest == "simple") {
    return static_cast<int64_t>(plan.scales[axis] < 1 ? std::ceil(x) : std::floor(x));
  }
  throw Error("nearest_mode " + plan.nearest + " is unknown");
}

// The interpolation kernel at distance x: a triangle, or Keys' cubic with parameter a.
float Kernel(const Plan& plan, float x) {
  x = std::fabs(x);
  if (plan.mode == Mode::kLinear) return std::max(1 - x, 0.0f);
  const float a = plan.cubic_a;
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

Taps TapsOf(const Plan& plan, size_t axis, int64_t in_size, int64_t o) {
  Taps taps;
  float x = Coordinate(plan, axis, in_size, o);
  const int64_t last = in_size - 1;
  taps.outside = plan.coordinates == "tf_crop_and_resize" && !(x >= 0 && x <= static_cast<float>(last));
  if (taps.outside) {  // a region may lie anywhere, or be NaN; what is read here is written over
    taps.index = {0};
    taps.weight = {1.0f};
    return taps;
  }
  if (plan.mode == Mode::kNearest) {
    taps.index = {std::clamp<int64_t>(Nearest(plan, axis, x), 0, last)};
    taps.weight = {1.0f};
    return taps;
  }
  const float shrink = plan.antialias ? std::min(plan.scales[axis], 1.0f) : 1.0f;
  if (plan.mode == Mode::kLinear && shrink == 1.0f) {
    x = std::clamp(x, 0.0f, static_cast<float>(last));
    const int64_t left = static_cast<int64_t>(std::floor(x));
    const float ratio = x - static_cast<float>(left);
    taps.index = {left};
    taps.weight = {1 - ratio};
    if (ratio > 0) {
      taps.index.push_back(std::min(left + 1, last));
      taps.weight.push_back(ratio);
    }
    return taps;
  }
  const float support = (plan.mode == Mode::kLinear ? 1.0f : 2.0f) / shrink;
  float sum = 0;
  for (int64_t i = static_cast<int64_t>(std::ceil(x - support)); static_cast<float>(i) <= x + support; ++i) {
    const float weight = Kernel(plan, (static_cast<float>(i) - x) * shrink);
    if (weight == 0 || (plan.exclude_outside && (i < 0 || i > last))) continue;
    taps.index.push_back(std::clamp<int64_t>(i, 0, last));
    taps.weight.push_back(weight);
    sum += weight;
  }
  if (plan.exclude_outside || shrink != 1.0f) {
    for (float& weight : taps.weight) weight /= sum;
  }
  return taps;
}

bool IsIdentity(const std::vector<Taps>& taps, int64_t in_size) {
  if (static_cast<int64_t>(taps.size()) != in_size) return false;
  for (size_t o = 0; o < taps.size(); ++o) {
    if (taps[o].index.size() != 1 || taps[o].index[0] != static_cast<int64_t>(o) || taps[o].weight[0] != 1)
      return false;
  }
  return true;
}

// The tensor seen as [outer, axis, inner].
struct View {
  int64_t outer = 1, inner = 1;
  View(const Shape& shape, size_t axis) {
    for (size_t d = 0; d < shape.size(); ++d) {
      if (d < axis) outer *= shape[d];
      if (d > axis) inner *= shape[d];
    }
  }
};

int64_t Grain(int64_t elements) { return std::max<int64_t>(1, 32768 / std::max<int64_t>(elements, 1)); }

// Copies along one axis; T is any type of the element's size.
template <typename T>
void CopyAxis(ThreadPool& pool, const View& view, const std::vector<Taps>& taps, int64_t in_size, const T* in,
              T* out) {
  const int64_t out_size = static_cast<int64_t>(taps.size());
  std::vector<int64_t> index;
  for (const Taps& tap : taps) index.push_back(tap.index[0]);
  if (view.inner == 1) {
    const bool doubled = out_size == 2 * in_size && [&] {
      for (int64_t o = 0; o < out_size; ++o) {
        if (index[static_cast<size_t>(o)] != o / 2) return false;
      }
      return true;
    }();
    pool.ParallelFor(view.outer, Grain(out_size), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const T* source = in + row * in_size;
        T* target = out + row * out_size;
        if (doubled) {
          for (int64_t i = 0; i < in_size; ++i) target[2 * i] = target[2 * i + 1] = source[i];
        } else {
          for (int64_t o = 0; o < out_size; ++o) target[o] = source[index[static_cast<size_t>(o)]];
        }
      }
    });
    return;
  }
  pool.ParallelFor(view.outer * out_size, Grain(view.inner), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t from = row / out_size * in_size + index[static_cast<size_t>(row % out_size)];
      std::memcpy(out + row * view.inner, in + from * view.inner,
                  static_cast<size_t>(view.inner) * sizeof(T));
    }
  });
}

// Weighted sums along one axis, taps in ascending order.
void MixAxis(ThreadPool& pool, const View& view, const std::vector<Taps>& taps, int64_t in_size,
             const float* in, float* out) {
  const int64_t out_size = static_cast<int64_t>(taps.size());
  if (view.inner == 1) {
    pool.ParallelFor(view.outer, Grain(out_size), [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const float* source = in + row * in_size;
        for (int64_t o = 0; o < out_size; ++o) {
          const Taps& tap = taps[static_cast<size_t>(o)];
          float sum = source[tap.index[0]] * tap.weight[0];
          for (size_t k = 1; k < tap.index.size(); ++k) sum += source[tap.index[k]] * tap.weight[k];
          out[row * out_size + o] = sum;
        }
      }
    });
    return;
  }
  const kernels::Table& table = kernels::Active();
  pool.ParallelFor(view.outer * out_size, Grain(view.inner), [&](int64_t begin, int64_t end, int) {
    std::vector<float> product(static_cast<size_t>(view.inner));
    for (int64_t row = begin; row < end; ++row) {
      const Taps& tap = taps[static_cast<size_t>(row % out_size)];
      const float* source = in + row / out_size * in_size * view.inner;
      float* target = out + row * view.inner;
      table.binary_scalar(kernels::kMul, source + tap.index[0] * view.inner, tap.weight[0], target,
                          view.inner);
      for (size_t k = 1; k < tap.index.size(); ++k) {
        table.binary_scalar(kernels::kMul, source + tap.index[k] * view.inner, tap.weight[k], product.data(),
                            view.inner);
        table.binary(kernels::kAdd, target, product.data(), target, view.inner);
      }
    }
  });
}

// The value in another type; integers are cut towards zero, as ONNX Runtime does, and saturated.
template <typename T>
T Saturated(float value) {
  if constexpr (std::is_integral_v<T>) {
    // Above the largest integer of 64 bits the limit as a double is out of range itself.
    constexpr double kLo = static_cast<double>(std::numeric_limits<T>::min());
    constexpr double kHi = static_cast<double>(std::numeric_limits<T>::max());
    const double v = value;
    if (std::isnan(v)) return 0;
    return v >= kHi   ? std::numeric_limits<T>::max()
           : v <= kLo ? std::numeric_limits<T>::min()
                      : static_cast<T>(v);
  } else {
    return Store<T>(value);
  }
}

template <typename T>
void FillOutside(Tensor& y, size_t axis, const std::vector<Taps>& taps, T value) {
  const View view(y.shape(), axis);
  T* out = reinterpret_cast<T*>(y.raw());
  const int64_t size = static_cast<int64_t>(taps.size());
  for (int64_t row = 0; row < view.outer * size; ++row) {
    if (taps[static_cast<size_t>(row % size)].outside) std::fill_n(out + row * view.inner, view.inner, value);
  }
}

void Copy(ThreadPool& pool, const View& view, const std::vector<Taps>& taps, int64_t in_size, const Tensor& x,
          Tensor& y) {
  auto run = [&](auto element) {
    using T = decltype(element);
    CopyAxis(pool, view, taps, in_size, reinterpret_cast<const T*>(x.raw()), reinterpret_cast<T*>(y.raw()));
  };
  switch (SizeOf(x.dtype())) {
    case 1:
      return run(uint8_t{});
    case 2:
      return run(uint16_t{});
    case 4:
      return run(uint32_t{});
    case 8:
      return run(uint64_t{});
    default:
      throw Unsupported(std::string("Resize of ") + NameOf(x.dtype()) + " is not supported");
  }
}

template <typename T>
void SetIntegers(EvalContext& context, const Tensor& y) {
  T* out = context.out(0, DTypeOf<T>::value, y.shape()).template data<T>();
  const float* in = y.data<float>();
  for (int64_t i = 0; i < y.size(); ++i) out[i] = Saturated<T>(in[i]);
}

void EvaluateResize(EvalContext& context) {
  const Plan plan = PlanOf(context);
  const DType dtype = context.in(0).dtype();
  const bool nearest = plan.mode == Mode::kNearest;
  Tensor x = nearest ? context.in(0) : context.in(0).ToFloat32();
  std::vector<std::vector<Taps>> outside(plan.out.size());
  if (ElementCount(plan.out) == 0) {
    context.out(0, dtype, plan.out);
    return;
  }
  if (x.size() == 0) throw Error("cannot resize the empty shape " + ToString(x.shape()));
  for (size_t axis = plan.out.size(); axis-- > 0;) {
    const int64_t in_size = x.shape()[axis];
    std::vector<Taps> taps;
    for (int64_t o = 0; o < plan.out[axis]; ++o) taps.push_back(TapsOf(plan, axis, in_size, o));
    if (!IsIdentity(taps, in_size)) {
      Shape shape = x.shape();
      shape[axis] = plan.out[axis];
      const View view(shape, axis);
      Tensor y = context.scratch(x.dtype(), shape);
      if (nearest) {
        Copy(context.pool, view, taps, in_size, x, y);
      } else {
        MixAxis(context.pool, view, taps, in_size, x.data<float>(), y.data<float>());
      }
      x = std::move(y);
    }
    if (std::any_of(taps.begin(), taps.end(), [](const Taps& tap) { return tap.outside; }))
      outside[axis] = taps;
  }
  for (size_t axis = 0; axis < outside.size(); ++axis) {
    if (outside[axis].empty()) continue;
    if (x.raw() == context.in(0).raw()) x = x.Clone();
    VisitNumbers(x.dtype(), [&](auto element) {
      FillOutside(x, axis, outside[axis], Saturated<decltype(element)>(plan.extrapolation));
    });
  }
  if (nearest) return context.set_out(0, std::move(x));
  switch (dtype) {
    case DType::kUint8:
      return SetIntegers<uint8_t>(context, x);
    case DType::kInt8:
      return SetIntegers<int8_t>(context, x);
    case DType::kInt32:
      return SetIntegers<int32_t>(context, x);
    default:
      return SetFloatResult(context, 0, std::move(x), dtype);
  }
}

}  // namespace

std::vector<OperatorRow> ResizeOperators() {
  return {
      {"", "Resize", 10, kAnyLater, EvaluateResize, QuantRole::kElementwise},
      {"", "Upsample", 7, 9, EvaluateResize},
  };
}

}  // namespace xslim
