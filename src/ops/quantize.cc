// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: per tensor, per axis and blocked.
// q = clamp(round_half_even(x / scale) + zero_point); y = (q - zero_point) * scale, in float32.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "ops/float_result.h"
#include "ops/operator.h"
#include "tensor/minifloat.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kGrain = 1 << 15;  // elements of one piece of a parallel loop

// Which scale belongs to which element. The tensor is seen as [outer, axis, inner].
struct Layout {
  int64_t outer = 1, axis = 1, inner = 1;
  int64_t block = 0;   // elements of the axis that share a scale; 0 = not blocked
  int64_t blocks = 1;  // scales along the axis
  bool per_tensor = true;
};

// Throws Error when the shape of the scale does not fit.
Layout LayoutOf(const Node& node, const Tensor& x, const Tensor& scale) {
  Layout layout;
  const int64_t block = node.Int("block_size", 0);
  if (block < 0) throw Error("block_size is negative");
  if (block == 0 && scale.size() == 1) {
    layout.inner = x.size();
    return layout;
  }
  layout.per_tensor = false;
  int64_t axis = node.Int("axis", 1);
  if (axis < 0) axis += x.rank();
  if (x.rank() == 1 && scale.rank() == 1 && axis == 1) axis = 0;  // the default of 1 for a vector
  if (axis < 0 || axis >= x.rank()) {
    throw Error("axis " + std::to_string(axis) + " is outside of shape " + ToString(x.shape()));
  }
  for (int64_t d = 0; d < x.rank(); ++d)
    (d < axis ? layout.outer : d > axis ? layout.inner : layout.axis) *= x.dim(d);
  if (block == 0) {
    layout.blocks = layout.axis;
    if (scale.size() != layout.axis) {
      throw Error("scale " + ToString(scale.shape()) + " does not fit axis " + std::to_string(axis) + " of " +
                  ToString(x.shape()));
    }
    return layout;
  }
  layout.block = block;
  layout.blocks = (layout.axis + block - 1) / block;
  Shape wanted = x.shape();
  wanted[static_cast<size_t>(axis)] = layout.blocks;
  if (scale.shape() != wanted) {
    throw Error("scale " + ToString(scale.shape()) + " does not fit blocks of " + std::to_string(block), "",
                "expected " + ToString(wanted));
  }
  return layout;
}

// Calls run(offset, count, scale index) for runs of elements that share a scale; runs are spread over the
// threads.
template <typename Run>
void ForRuns(ThreadPool& pool, const Layout& layout, const Run& run) {
  const int64_t total = layout.outer * layout.axis * layout.inner;
  if (total == 0) return;
  if (layout.per_tensor) {
    pool.ParallelFor(total, kGrain, [&](int64_t begin, int64_t end, int) { run(begin, end - begin, 0); });
    return;
  }
  const int64_t rows = layout.outer * layout.axis;
  pool.ParallelFor(rows, std::max<int64_t>(kGrain / layout.inner, 1), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t channel = row % layout.axis;
      if (layout.block == 0) {
        run(row * layout.inner, layout.inner, channel);
        continue;
      }
      const int64_t first = (row / layout.axis * layout.blocks + channel / layout.block) * layout.inner;
      for (int64_t i = 0; i < layout.inner; ++i) run(row * layout.inner + i, 1, first + i);
    }
  });
}

// Whether all elements are 0 of either sign: the zero point of a float type.
bool AllZero(const Tensor& tensor) {
  const Tensor floats = tensor.ToFloat32();
  for (int64_t i = 0; i < floats.size(); ++i)
    if (floats.data<float>()[i] != 0) return false;
  return true;
}

// The scales as float32 and the zero points, one per scale.
struct Parameters {
  Tensor scale;
  std::vector<int32_t> zero;
  Parameters(const Tensor& scale_in, const Tensor* zero_in) : scale(scale_in.ToFloat32()) {
    zero.assign(static_cast<size_t>(scale.size()), 0);
    if (!zero_in) return;
    if (zero_in->size() != scale.size()) {
      throw Error("zero point " + ToString(zero_in->shape()) + " and scale " + ToString(scale.shape()) +
                  " differ");
    }
    if (IsMiniFloat(zero_in->dtype())) {
      if (AllZero(*zero_in)) return;
      throw Error(std::string("the zero point of ") + NameOf(zero_in->dtype()) + " is not 0");
    }
    const std::vector<int64_t> values = zero_in->ToInts();
    for (size_t i = 0; i < values.size(); ++i) zero[i] = static_cast<int32_t>(values[i]);
  }
};

// The same formula as the kernels', for the types and short runs that they are not for.
template <typename T>
T QuantizeOne(float x, float scale, int32_t zero, int32_t lo, int32_t hi) {
  const float code = std::nearbyint(x / scale);
  if (std::isnan(code)) return static_cast<T>(zero);
  const float clamped =
      std::min(std::max(code, static_cast<float>(lo - zero)), static_cast<float>(hi - zero));
  return static_cast<T>(static_cast<int32_t>(clamped) + zero);
}

void QuantizeRun(const float* x, float scale, int32_t zero, int8_t* q, int64_t n) {
  kernels::Active().quantize_s8(x, scale, zero, q, n);
}
void QuantizeRun(const float* x, float scale, int32_t zero, uint8_t* q, int64_t n) {
  kernels::Active().quantize_u8(x, scale, zero, q, n);
}
template <typename T>
void QuantizeRun(const float* x, float scale, int32_t zero, T* q, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    q[i] = QuantizeOne<T>(x[i], scale, zero, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
  }
}

template <typename T>
void Quantize(EvalContext& context, DType dtype, int32_t lo, int32_t hi) {
  const Tensor x = context.in(0).ToFloat32();
  const Layout layout = LayoutOf(context.node, x, context.in(1));
  const Parameters parameters(context.in(1), context.has(2) ? &context.in(2) : nullptr);
  const float* in = x.data<float>();
  const float* scale = parameters.scale.data<float>();
  T* out = reinterpret_cast<T*>(context.out(0, dtype, x.shape()).raw());
  const bool full = lo == std::numeric_limits<T>::min() && hi == std::numeric_limits<T>::max();
  ForRuns(context.pool, layout, [&](int64_t offset, int64_t count, int64_t index) {
    const int32_t zero = parameters.zero[static_cast<size_t>(index)];
    if (full && count >= 8) {
      QuantizeRun(in + offset, scale[index], zero, out + offset, count);
      return;
    }
    for (int64_t i = 0; i < count; ++i)
      out[offset + i] = QuantizeOne<T>(in[offset + i], scale[index], zero, lo, hi);
  });
}

// To floats of 8 or 4 bits: x / scale in that type.
void QuantizeToMini(EvalContext& context, DType dtype) {
  const Tensor x = context.in(0).ToFloat32();
  const Layout layout = LayoutOf(context.node, x, context.in(1));
  const Parameters parameters(context.in(1), context.has(2) ? &context.in(2) : nullptr);
  const bool saturate = context.node.Int("saturate", 1) != 0;
  // The zero point of float4 is added, as ONNX's data do: -0 becomes 0. Adding -0 changes nothing.
  const float zero = dtype == DType::kFloat4E2M1 ? 0.0f : -0.0f;
  const float* in = x.data<float>();
  const float* scale = parameters.scale.data<float>();
  auto* out = reinterpret_cast<uint8_t*>(context.out(0, dtype, x.shape()).raw());
  ForRuns(context.pool, layout, [&](int64_t offset, int64_t count, int64_t index) {
    for (int64_t i = offset; i < offset + count; ++i)
      out[i] = FloatToMini(dtype, in[i] / scale[index] + zero, saturate);
  });
}

void EvaluateQuantize(EvalContext& context) {
  DType dtype = static_cast<DType>(context.node.Int("output_dtype", 0));
  if (context.has(2)) {
    dtype = context.in(2).dtype();
  } else if (dtype == DType::kUndefined) {
    dtype = DType::kUint8;
  }
  switch (dtype) {
    case DType::kInt8:
      return Quantize<int8_t>(context, dtype, -128, 127);
    case DType::kUint8:
      return Quantize<uint8_t>(context, dtype, 0, 255);
    case DType::kInt16:
      return Quantize<int16_t>(context, dtype, -32768, 32767);
    case DType::kUint16:
      return Quantize<uint16_t>(context, dtype, 0, 65535);
    case DType::kInt4:
      return Quantize<int8_t>(context, dtype, -8, 7);
    case DType::kUint4:
      return Quantize<uint8_t>(context, dtype, 0, 15);
    case DType::kInt2:
      return Quantize<int8_t>(context, dtype, -2, 1);
    case DType::kUint2:
      return Quantize<uint8_t>(context, dtype, 0, 3);
    default:
      if (IsMiniFloat(dtype) && dtype != DType::kFloat8E8M0) return QuantizeToMini(context, dtype);
      throw Unsupported(std::string("quantization to ") + NameOf(dtype) + " is not supported");
  }
}

template <typename T>
float DequantizeOne(T q, float scale, int32_t zero) {
  if constexpr (std::is_floating_point_v<T>) {
    return q * scale;  // its zero point is 0
  } else {
    return static_cast<float>(static_cast<int64_t>(q) - zero) * scale;
  }
}
void DequantizeRun(const int8_t* q, float scale, int32_t zero, float* y, int64_t n) {
  kernels::Active().dequantize_s8(q, scale, zero, y, n);
}
void DequantizeRun(const uint8_t* q, float scale, int32_t zero, float* y, int64_t n) {
  kernels::Active().dequantize_u8(q, scale, zero, y, n);
}
template <typename T>
void DequantizeRun(const T* q, float scale, int32_t zero, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = DequantizeOne(q[i], scale, zero);
}

template <typename T>
void Dequantize(EvalContext& context) {
  const bool is_mini = IsMiniFloat(context.in(0).dtype());
  const Tensor x = is_mini ? context.in(0).ToFloat32() : context.in(0);
  const Tensor& scale_in = context.in(1);
  const Layout layout = LayoutOf(context.node, x, scale_in);
  const Parameters parameters(scale_in, context.has(2) ? &context.in(2) : nullptr);
  const int64_t wanted = context.node.Int("output_dtype", 0);
  const DType dtype = wanted != 0 ? static_cast<DType>(wanted) : scale_in.dtype();
  const T* in = reinterpret_cast<const T*>(x.raw());
  const float* scale = parameters.scale.data<float>();
  Tensor y =
      dtype == DType::kFloat ? context.out(0, dtype, x.shape()) : context.scratch(DType::kFloat, x.shape());
  float* out = y.data<float>();
  ForRuns(context.pool, layout, [&](int64_t offset, int64_t count, int64_t index) {
    const int32_t zero = parameters.zero[static_cast<size_t>(index)];
    if (count >= 8) {
      DequantizeRun(in + offset, scale[index], zero, out + offset, count);
      return;
    }
    for (int64_t i = 0; i < count; ++i) out[offset + i] = DequantizeOne(in[offset + i], scale[index], zero);
  });
  if (dtype != DType::kFloat) SetFloatResult(context, 0, std::move(y), dtype);
}

void EvaluateDequantize(EvalContext& context) {
  const DType dtype = context.in(0).dtype();
  switch (dtype) {
    case DType::kInt8:
    case DType::kInt4:
    case DType::kInt2:
      return Dequantize<int8_t>(context);
    case DType::kUint8:
    case DType::kUint4:
    case DType::kUint2:
      return Dequantize<uint8_t>(context);
    case DType::kInt16:
      return Dequantize<int16_t>(context);
    case DType::kUint16:
      return Dequantize<uint16_t>(context);
    case DType::kInt32:
      return Dequantize<int32_t>(context);
    default:
      if (IsMiniFloat(dtype)) return Dequantize<float>(context);
      throw Unsupported(std::string("dequantization of ") + NameOf(dtype) + " is not supported");
  }
}

// scale = (max - min) / 255 over a range that holds 0; a range of nothing but 0 has scale 1.
void EvaluateDynamicQuantize(EvalContext& context) {
  const Tensor& x = context.in(0);
  kernels::MinMax range{};
  kernels::Active().min_max(x.data<float>(), x.size(), &range);
  const float lo = range.finite > 0 ? std::min(range.min, 0.0f) : 0.0f;
  const float hi = range.finite > 0 ? std::max(range.max, 0.0f) : 0.0f;
  const float scale = hi == lo ? 1.0f : (hi - lo) / 255.0f;
  const int32_t zero = QuantizeOne<uint8_t>(0.0f - lo, scale, 0, 0, 255);
  uint8_t* out = context.out(0, DType::kUint8, x.shape()).data<uint8_t>();
  const float* in = x.data<float>();
  context.pool.ParallelFor(x.size(), kGrain, [&](int64_t begin, int64_t end, int) {
    kernels::Active().quantize_u8(in + begin, scale, zero, out + begin, end - begin);
  });
  context.out(1, DType::kFloat, {}).data<float>()[0] = scale;
  context.out(2, DType::kUint8, {}).data<uint8_t>()[0] = static_cast<uint8_t>(zero);
}

}  // namespace

std::vector<OperatorRow> QuantizeOperators() {
  return {
      {"", "QuantizeLinear", 10, kAnyLater, EvaluateQuantize},
      {"", "DequantizeLinear", 10, kAnyLater, EvaluateDequantize},
      {"", "DynamicQuantizeLinear", 11, kAnyLater, EvaluateDynamicQuantize},
      {"com.microsoft", "QuantizeLinear", 1, kAnyLater, EvaluateQuantize},
      {"com.microsoft", "DequantizeLinear", 1, kAnyLater, EvaluateDequantize},
  };
}

}  // namespace xslim
