// Pooling over windows: MaxPool, AveragePool, LpPool and their global forms, 1 to 3 spatial dimensions.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"
#include "ops/float_result.h"
#include "ops/operator.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Sizes along one spatial dimension; missing ones are 1 wide.
struct Axis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0;
  int64_t Start(int64_t o) const { return o * stride - pad_begin; }
  // Taps [first, last) of the window at `start` that lie inside the input.
  int64_t First(int64_t start) const { return start >= 0 ? 0 : (-start + dilation - 1) / dilation; }
  int64_t Last(int64_t start) const {
    return start >= in ? 0 : std::min(kernel, (in - start + dilation - 1) / dilation);
  }
};

struct Window {
  Axis axes[3];  // depth, height, width; or of another order, see WindowOf
  int64_t planes = 1, in_size = 1, out_size = 1;
  Shape out_shape;
};

// Attributes and the output's shape: floor or ceil((in + pads - dilated kernel) / stride) + 1; with ceil_mode
// a last window that starts beyond input and front padding is dropped (as ONNX Runtime does).
Window WindowOf(const Node& node, const Tensor& x) {
  const size_t spatial = x.shape().size() < 2 ? 0 : x.shape().size() - 2;
  if (spatial < 1 || spatial > 3)
    throw Unsupported("pooling of shape " + ToString(x.shape()) + " is not supported");
  const auto [kernel, strides, dilations, pads, auto_pad] = ReadWindow(node, spatial, {});
  const bool ceil_mode = node.Int("ceil_mode", 0) != 0;
  Window window;
  window.planes = x.dim(0) * x.dim(1);
  window.out_shape = {x.dim(0), x.dim(1)};
  for (size_t d = 0; d < spatial; ++d) {
    Axis& axis = window.axes[3 - spatial + d];
    axis.in = x.shape()[d + 2];
    axis.kernel = kernel[d];
    axis.stride = strides[d];
    axis.dilation = dilations[d];
    const int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      axis.out = (axis.in + axis.stride - 1) / axis.stride;
      // Below 0 where the stride skips elements: the windows then start inside of the input, by the
      // operator's formula (a convolution takes 0 there).
      const int64_t total = (axis.out - 1) * axis.stride + extent - axis.in;
      axis.pad_begin = auto_pad == "SAME_LOWER" ? (total + 1) / 2 : total / 2;
      axis.pad_end = total - axis.pad_begin;
    } else {
      if (auto_pad != "VALID") {
        axis.pad_begin = pads[d];
        axis.pad_end = pads[spatial + d];
      }
      const int64_t room = axis.in + axis.pad_begin + axis.pad_end - extent;
      if (room < 0) throw Unsupported("the window is larger than the padded input " + ToString(x.shape()));
      axis.out = (ceil_mode ? room + axis.stride - 1 : room) / axis.stride + 1;
      if (ceil_mode && (axis.out - 1) * axis.stride >= axis.in + axis.pad_begin) --axis.out;
    }
    window.out_shape.push_back(axis.out);
  }
  StillAxesFirst(
      [&](size_t i) {
        const Axis& axis = window.axes[i];
        return axis.in == 1 && axis.out == 1 && axis.kernel == 1 && axis.pad_begin == 0 && axis.pad_end == 0;
      },
      [&](size_t i, size_t j) { std::swap(window.axes[i], window.axes[j]); });
  window.in_size = ElementCount(Shape(x.shape().begin() + 2, x.shape().end()));
  window.out_size = ElementCount(Shape(window.out_shape.begin() + 2, window.out_shape.end()));
  return window;
}

int64_t PlaneGrain(const Window& window) {
  double work = static_cast<double>(window.out_size);
  for (const Axis& axis : window.axes) work *= static_cast<double>(axis.kernel);
  return std::max<int64_t>(1, static_cast<int64_t>(32768 / std::max(work, 1.0)));
}

// Calls body(output index, z, y, x) for every output of a plane, with the input position where its window
// starts.
template <typename Body>
void ForOutputs(const Window& w, const Body& body) {
  int64_t index = 0;
  for (int64_t z = 0; z < w.axes[0].out; ++z) {
    for (int64_t y = 0; y < w.axes[1].out; ++y) {
      for (int64_t x = 0; x < w.axes[2].out; ++x) {
        body(index++, w.axes[0].Start(z), w.axes[1].Start(y), w.axes[2].Start(x));
      }
    }
  }
}

// Calls visit(index in the plane) for the taps of a window that lie inside the input.
template <typename Visit>
void ForTaps(const Window& w, int64_t z0, int64_t y0, int64_t x0, const Visit& visit) {
  const Axis &az = w.axes[0], &ay = w.axes[1], &ax = w.axes[2];
  const int64_t x_first = ax.First(x0), x_last = ax.Last(x0);
  for (int64_t kz = az.First(z0); kz < az.Last(z0); ++kz) {
    for (int64_t ky = ay.First(y0); ky < ay.Last(y0); ++ky) {
      const int64_t row = ((z0 + kz * az.dilation) * ay.in + y0 + ky * ay.dilation) * ax.in;
      for (int64_t kx = x_first; kx < x_last; ++kx) visit(row + x0 + kx * ax.dilation);
    }
  }
}

// Columns [first, last) of the output whose windows lie inside the input in full.
void InnerColumns(const Axis& axis, int64_t& first, int64_t& last) {
  const int64_t extent = (axis.kernel - 1) * axis.dilation + 1;
  first = std::min((axis.pad_begin + axis.stride - 1) / axis.stride, axis.out);
  const int64_t room = axis.in + axis.pad_begin - extent;
  last = room < 0 ? first : std::min(axis.out, room / axis.stride + 1);
  last = std::max(first, last);
}

// Adds one plane's sums, row by row: the taps are the outer loop and the columns the inner one, by vectors
// where they lie side by side. Every output adds up its taps in order of ky, kx.
void AddPlaneSums(const Window& w, const float* in, float* out) {
  const Axis &ay = w.axes[1], &ax = w.axes[2];
  int64_t inner_first, inner_last;
  InnerColumns(ax, inner_first, inner_last);
  for (int64_t y = 0; y < ay.out; ++y) {
    float* row = out + y * ax.out;
    const int64_t y0 = ay.Start(y);
    for (int64_t ky = ay.First(y0); ky < ay.Last(y0); ++ky) {
      const float* source = in + (y0 + ky * ay.dilation) * ax.in;
      for (int64_t kx = 0; kx < ax.kernel && inner_first < inner_last; ++kx) {
        const float* tap = source + kx * ax.dilation - ax.pad_begin;
        if (ax.stride == 1) {
          float* inner = row + inner_first;
          kernels::Active().binary(kernels::kAdd, inner, tap + inner_first, inner, inner_last - inner_first);
        } else {
          for (int64_t x = inner_first; x < inner_last; ++x) row[x] += tap[ax.stride * x];
        }
      }
      auto edge = [&](int64_t x) {
        const int64_t x0 = ax.Start(x);
        for (int64_t kx = ax.First(x0); kx < ax.Last(x0); ++kx) row[x] += source[x0 + kx * ax.dilation];
      };
      for (int64_t x = 0; x < inner_first; ++x) edge(x);
      for (int64_t x = inner_last; x < ax.out; ++x) edge(x);
    }
  }
}

// Of a volume: every output adds up its taps in order of kz, ky, kx.
void Sums(const Window& w, const float* in, float* out) {
  const Axis& az = w.axes[0];
  const int64_t plane_in = w.axes[1].in * w.axes[2].in, plane_out = w.axes[1].out * w.axes[2].out;
  std::fill_n(out, w.out_size, 0.0f);
  for (int64_t z = 0; z < az.out; ++z, out += plane_out) {
    const int64_t z0 = az.Start(z);
    for (int64_t kz = az.First(z0); kz < az.Last(z0); ++kz)
      AddPlaneSums(w, in + (z0 + kz * az.dilation) * plane_in, out);
  }
}

// The maximum over windows of one plane: a padded copy is folded along its rows, then along its columns, both
// as whole arrays, so that narrow planes use full vectors, too.
class PlaneMax {
 public:
  explicit PlaneMax(const Window& window)
      : y_(window.axes[1]),
        x_(window.axes[2]),
        width_(std::max((x_.out - 1) * x_.stride + (x_.kernel - 1) * x_.dilation + 1, x_.in + x_.pad_begin)),
        height_(std::max((y_.out - 1) * y_.stride + (y_.kernel - 1) * y_.dilation + 1, y_.in + y_.pad_begin)),
        padded_(static_cast<size_t>(width_ * height_), kLowest),
        folded_(padded_.size()),
        maxima_(padded_.size()) {}

  // Of a volume: the planes under a window are folded into one first.
  void RunVolume(const Axis& z_axis, const float* in, float* out) {
    const int64_t size = y_.in * x_.in;
    std::vector<float> folded(static_cast<size_t>(z_axis.kernel > 1 ? size : 0));
    for (int64_t z = 0; z < z_axis.out; ++z, out += y_.out * x_.out) {
      const int64_t start = z_axis.Start(z), first = z_axis.First(start), last = z_axis.Last(start);
      if (first >= last) {
        std::fill_n(out, y_.out * x_.out, kLowest);
        continue;
      }
      const float* plane = in + (start + first * z_axis.dilation) * size;
      const float* from = plane;
      for (int64_t k = first + 1; k < last; ++k, from = folded.data()) {
        plane += z_axis.dilation * size;
        kernels::Active().binary(kernels::kMax, from, plane, folded.data(), size);
      }
      Run(from, out);
    }
  }

  void Run(const float* in, float* out) {
    // Padding below 0 leaves out the first rows and columns.
    const int64_t first_y = std::max<int64_t>(0, -y_.pad_begin),
                  first_x = std::max<int64_t>(0, -x_.pad_begin);
    for (int64_t y = first_y; y < y_.in; ++y) {
      std::copy_n(in + y * x_.in + first_x, x_.in - first_x,
                  padded_.data() + (y + y_.pad_begin) * width_ + x_.pad_begin + first_x);
    }
    const int64_t size = width_ * height_;
    const int64_t along_row = size - (x_.kernel - 1) * x_.dilation;
    Fold(padded_.data(), folded_.data(), along_row, x_.kernel, x_.dilation);
    const int64_t step = y_.dilation * width_;
    Fold(folded_.data(), maxima_.data(), along_row - (y_.kernel - 1) * step, y_.kernel, step);
    for (int64_t y = 0; y < y_.out; ++y, out += x_.out) {
      const float* row = maxima_.data() + y * y_.stride * width_;
      TakeEvery(x_.stride, row, out, x_.out);
    }
  }

 private:
  static void Fold(const float* from, float* to, int64_t n, int64_t taps, int64_t step) {
    if (taps == 1) {
      std::copy_n(from, n, to);
      return;
    }
    const kernels::Table& table = kernels::Active();
    table.binary(kernels::kMax, from, from + step, to, n);
    for (int64_t k = 2; k < taps; ++k) table.binary(kernels::kMax, to, from + k * step, to, n);
  }

  const Axis y_, x_;
  const int64_t width_, height_;
  std::vector<float> padded_, folded_, maxima_;
};

void MaxFloat(EvalContext& context, const Tensor& x, const Window& window) {
  const float* in = x.data<float>();
  float* out = context.out(0, DType::kFloat, window.out_shape).data<float>();
  if (window.out_size == 0) return;
  context.pool.ParallelFor(window.planes, PlaneGrain(window), [&](int64_t begin, int64_t end, int) {
    PlaneMax maximum(window);
    for (int64_t plane = begin; plane < end; ++plane)
      maximum.RunVolume(window.axes[0], in + plane * window.in_size, out + plane * window.out_size);
  });
}

// The first of equal elements wins; indices count over the whole tensor, by columns with storage_order 1.
template <typename T>
void MaxWithIndices(EvalContext& context, const Tensor& x, const Window& window, T lowest) {
  const T* in = x.data<T>();
  T* out = context.out(0, DTypeOf<T>::value, window.out_shape).template data<T>();
  int64_t* indices =
      context.wants(1) ? context.out(1, DType::kInt64, window.out_shape).template data<int64_t>() : nullptr;
  const bool column_major = context.node.Int("storage_order", 0) != 0;
  const int64_t d = window.axes[0].in, h = window.axes[1].in, w = window.axes[2].in;
  const bool volume = x.rank() == 5;
  context.pool.ParallelFor(window.planes, PlaneGrain(window), [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const T* source = in + plane * window.in_size;
      ForOutputs(window, [&](int64_t index, int64_t z0, int64_t y0, int64_t x0) {
        T best = lowest;
        int64_t where = -1;
        ForTaps(window, z0, y0, x0, [&](int64_t tap) {
          if (where < 0 || source[tap] > best || (source[tap] != source[tap] && best == best)) {
            best = source[tap];
            where = tap;
          }
        });
        out[plane * window.out_size + index] = best;
        if (!indices) return;
        if (column_major && where >= 0) {
          const int64_t x = where % w, y = where / w % h, z = where / (w * h);
          where = volume ? (x * h + y) * d + z : x * h + y;
        }
        indices[plane * window.out_size + index] = where < 0 ? 0 : plane * window.in_size + where;
      });
    }
  });
}

void EvaluateMaxPool(EvalContext& context) {
  const Tensor& x = context.in(0);
  const Window window = WindowOf(context.node, x);
  switch (x.dtype()) {
    case DType::kFloat:
    case DType::kFloat16:
    case DType::kBFloat16: {
      const Tensor wide = x.ToFloat32();
      context.wants(1) ? MaxWithIndices<float>(context, wide, window, kLowest)
                       : MaxFloat(context, wide, window);
      return SetFloatResult(context, 0, context.outputs[0], x.dtype());
    }
    case DType::kDouble:
      return MaxWithIndices<double>(context, x, window, -std::numeric_limits<double>::infinity());
    case DType::kInt8:
      return MaxWithIndices<int8_t>(context, x, window, std::numeric_limits<int8_t>::min());
    case DType::kUint8:
      return MaxWithIndices<uint8_t>(context, x, window, 0);
    default:
      throw Unsupported(std::string("MaxPool of ") + NameOf(x.dtype()) + " is not supported");
  }
}

// How many taps of a window an average divides by, along one axis; padding counts with count_include_pad, the
// part of a last ceil_mode window that hangs over the padding never does.
std::vector<int64_t> TapCounts(const Axis& axis, bool include_pad) {
  std::vector<int64_t> counts(static_cast<size_t>(axis.out));
  for (int64_t o = 0; o < axis.out; ++o) {
    const int64_t start = axis.Start(o);
    int64_t count = axis.Last(start) - axis.First(start);
    if (include_pad) {
      const int64_t room = axis.in + axis.pad_end - start;
      count = std::min(axis.kernel, (room + axis.dilation - 1) / axis.dilation);
    }
    counts[static_cast<size_t>(o)] = std::max<int64_t>(count, 1);
  }
  return counts;
}

void EvaluateAveragePool(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  const Window window = WindowOf(context.node, x);
  const bool include_pad = context.node.Int("count_include_pad", 0) != 0;
  const std::vector<int64_t> depth = TapCounts(window.axes[0], include_pad);
  const std::vector<int64_t> height = TapCounts(window.axes[1], include_pad);
  const std::vector<int64_t> width = TapCounts(window.axes[2], include_pad);
  Tensor y = context.scratch(DType::kFloat, window.out_shape);
  const float* in = x.data<float>();
  float* out = y.data<float>();
  context.pool.ParallelFor(window.planes, PlaneGrain(window), [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* source = in + plane * window.in_size;
      float* target = out + plane * window.out_size;
      Sums(window, source, target);
      for (const int64_t d : depth) {
        for (const int64_t h : height) {
          for (const int64_t w : width) *target++ /= static_cast<float>(d * h * w);
        }
      }
    }
  });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

// |x|^p by repeated squares, and the root that undoes it.
float Power(float x, int64_t p) {
  float square = std::fabs(x), result = 1;
  for (; p > 1; p /= 2) {
    if (p % 2 != 0) result *= square;
    square *= square;
  }
  return result * square;
}

float Root(float x, int64_t p) {
  if (p == 1) return x;
  if (p == 2) return std::sqrt(x);
  if (!(x > 0)) return x;
  float y;
  kernels::Active().unary(kernels::kLog, &x, &y, 1);
  y /= static_cast<float>(p);
  kernels::Active().unary(kernels::kExp, &y, &y, 1);
  return y;
}

int64_t NormOrder(const Node& node) {
  const int64_t p = node.Int("p", 2);
  if (p < 1) throw Error("p must be positive");
  return p;
}

void EvaluateLpPool(EvalContext& context) {
  const Tensor x = context.in(0).ToFloat32();
  const Window window = WindowOf(context.node, x);
  const int64_t p = NormOrder(context.node);
  Tensor y = context.scratch(DType::kFloat, window.out_shape);
  const float* in = x.data<float>();
  float* out = y.data<float>();
  context.pool.ParallelFor(window.planes, PlaneGrain(window), [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end; ++plane) {
      ForOutputs(window, [&](int64_t index, int64_t z, int64_t y0, int64_t x) {
        float sum = 0;
        ForTaps(window, z, y0, x, [&](int64_t tap) { sum += Power(in[plane * window.in_size + tap], p); });
        out[plane * window.out_size + index] = Root(sum, p);
      });
    }
  });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

// One number per plane [N, C, ...] -> [N, C, 1...].
void Global(EvalContext& context, const std::function<float(const float*, int64_t)>& reduce) {
  const Tensor x = context.in(0).ToFloat32();
  if (x.rank() < 2) throw Unsupported("global pooling of shape " + ToString(x.shape()) + " is not supported");
  const int64_t count = x.dim(0) * x.dim(1);
  const int64_t size = count == 0 ? 0 : x.size() / count;
  Shape shape(x.shape().size(), 1);
  shape[0] = x.dim(0);
  shape[1] = x.dim(1);
  Tensor y = context.scratch(DType::kFloat, shape);
  const float* in = x.data<float>();
  float* out = y.data<float>();
  context.pool.ParallelFor(count, std::max<int64_t>(1, 32768 / std::max<int64_t>(size, 1)),
                           [&](int64_t begin, int64_t end, int) {
                             for (int64_t i = begin; i < end; ++i) out[i] = reduce(in + i * size, size);
                           });
  SetFloatResult(context, 0, std::move(y), context.in(0).dtype());
}

void EvaluateGlobalAveragePool(EvalContext& context) {
  Global(context,
         [](const float* x, int64_t n) { return kernels::Active().sum(x, n) / static_cast<float>(n); });
}

void EvaluateGlobalMaxPool(EvalContext& context) {
  Global(context, [](const float* x, int64_t n) { return kernels::Active().max(x, n); });
}

void EvaluateGlobalLpPool(EvalContext& context) {
  const int64_t p = NormOrder(context.node);
  Global(context, [p](const float* x, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += Power(x[i], p);
    return Root(sum, p);
  });
}

}  // namespace

std::vector<OperatorRow> PoolOperators() {
  return {
      {"", "MaxPool", 1, kAnyLater, EvaluateMaxPool, QuantRole::kPassive},
      {"", "AveragePool", 1, kAnyLater, EvaluateAveragePool, QuantRole::kElementwise},
      {"", "LpPool", 2, kAnyLater, EvaluateLpPool},
      {"", "GlobalMaxPool", 1, kAnyLater, EvaluateGlobalMaxPool, QuantRole::kPassive},
      {"", "GlobalAveragePool", 1, kAnyLater, EvaluateGlobalAveragePool, QuantRole::kElementwise},
      {"", "GlobalLpPool", 2, kAnyLater, EvaluateGlobalLpPool},
  };
}

}  // namespace xslim
