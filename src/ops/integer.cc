// Operators on 8-bit codes with exact 32-bit sums: QLinearMatMul, QLinearConv, ConvInteger.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/copy.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Throws Error unless the type is int8 or uint8.
DType CodeType(const Tensor& codes) {
  if (codes.dtype() != DType::kInt8 && codes.dtype() != DType::kUint8) {
    throw Error(std::string("codes of type ") + NameOf(codes.dtype()), "", "expected int8 or uint8");
  }
  return codes.dtype();
}

// Codes less their zero point. The zero point (slot may be left out: 0) has one element or one per `axis`.
std::vector<int32_t> Centred(const EvalContext& c, const Tensor& x, size_t zero_slot, int64_t axis) {
  CodeType(x);
  if (c.has(zero_slot)) CodeType(c.in(zero_slot));
  const std::vector<int64_t> codes = x.ToInts();
  const std::vector<int64_t> zeros = c.has(zero_slot) ? c.in(zero_slot).ToInts() : std::vector<int64_t>{0};
  const auto count = static_cast<int64_t>(zeros.size());
  if (count != 1 && (axis >= x.rank() || count != x.dim(axis))) {
    throw Error("zero point of " + std::to_string(count) + " elements does not fit " + ToString(x.shape()));
  }
  const int64_t inner =
      count == 1 ? x.size() : ElementCount(Shape(x.shape().begin() + axis + 1, x.shape().end()));
  std::vector<int32_t> result(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    const int64_t at = count == 1 ? 0 : static_cast<int64_t>(i) / inner % count;
    result[i] = static_cast<int32_t>(codes[i] - zeros[static_cast<size_t>(at)]);
  }
  return result;
}

const Tensor& Single(const Tensor& tensor, const char* what) {
  if (tensor.size() != 1)
    throw Error(std::string(what) + " has shape " + ToString(tensor.shape()), "", "expected one element");
  return tensor;
}

float One(const Tensor& tensor, const char* what) {
  return Single(tensor, what).ToFloat32().data<float>()[0];
}

// saturate(round_half_even(sum * factor) + zero) in the type of the zero point (int8 or uint8).
void StoreCode(Tensor& y, int64_t i, int32_t sum, float factor, int64_t zero) {
  const bool is_signed = y.dtype() == DType::kInt8;
  const double lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255;
  const float scaled = static_cast<float>(sum) * factor;
  const double value = (std::isnan(scaled) ? 0.0 : std::nearbyint(scaled)) + static_cast<double>(zero);
  const double code = std::min(std::max(value, lo), hi);
  if (is_signed) {
    y.data<int8_t>()[i] = static_cast<int8_t>(code);
  } else {
    y.data<uint8_t>()[i] = static_cast<uint8_t>(code);
  }
}

void EvaluateQLinearMatMul(EvalContext& c) {
  const Tensor &a = c.in(0), &b = c.in(3);
  if (a.rank() < 2 || b.rank() < 2 || a.dim(-1) != b.dim(-2)) {
    throw Error("operands " + ToString(a.shape()) + " and " + ToString(b.shape()) + " do not fit");
  }
  const std::vector<int32_t> left = Centred(c, a, 2, a.rank() - 2), right = Centred(c, b, 5, b.rank() - 1);
  const Tensor b_scale = c.in(4).ToFloat32();
  const float a_scale = One(c.in(1), "a_scale"), y_scale = One(c.in(6), "y_scale");
  const int64_t m = a.dim(-2), k = a.dim(-1), n = b.dim(-1),
                zero = Single(c.in(7), "y_zero_point").ToInts()[0];
  if (b_scale.size() != 1 && b_scale.size() != n)
    throw Error("b_scale has shape " + ToString(b_scale.shape()));
  const Shape a_batch(a.shape().begin(), a.shape().end() - 2),
      b_batch(b.shape().begin(), b.shape().end() - 2);
  Shape shape = BroadcastShapes(a_batch, b_batch);
  const Shape batch = shape;
  shape.push_back(m);
  shape.push_back(n);
  Tensor& y = c.out(0, CodeType(c.in(7)), shape);
  auto matrix = [&](int64_t index,
                    const Shape& own) {  // which matrix of an operand makes result matrix `index`
    int64_t at = 0, step = 1;
    for (size_t back = 1; back <= batch.size(); ++back) {
      const int64_t position = index % batch[batch.size() - back];
      index /= batch[batch.size() - back];
      if (back > own.size()) continue;
      const int64_t dim = own[own.size() - back];
      at += (dim == 1 ? 0 : position) * step;
      step *= dim;
    }
    return at;
  };
  c.pool.ParallelFor(y.size(), std::max<int64_t>(1, 16384 / std::max<int64_t>(k, 1)),
                     [&](int64_t begin, int64_t end, int) {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t row = i / n % m, column = i % n, index = i / (m * n);
                         const int32_t* p = left.data() + (matrix(index, a_batch) * m + row) * k;
                         const int32_t* q = right.data() + matrix(index, b_batch) * k * n + column;
                         int64_t sum = 0;
                         for (int64_t d = 0; d < k; ++d) sum += p[d] * q[d * n];
                         const float scale = b_scale.data<float>()[b_scale.size() == 1 ? 0 : column];
                         StoreCode(y, i, static_cast<int32_t>(sum), a_scale * scale / y_scale, zero);
                       }
                     });
}

// A convolution's window along every spatial axis.
struct Window {
  Shape out;
  std::vector<int64_t> strides, dilations, begin;
};

Window WindowOf(const Node& node, const Tensor& x, const Tensor& w) {
  const size_t axes = static_cast<size_t>(x.rank() - 2);
  Window window;
  auto [kernel, strides, dilations, pads, auto_pad] =
      ReadWindow(node, axes, Shape(w.shape().begin() + 2, w.shape().end()));
  CheckWindowValues("kernel_shape", kernel, axes, 1);
  window.strides = std::move(strides);
  window.dilations = std::move(dilations);
  for (size_t k = 0; k < axes; ++k) {
    const int64_t n = x.dim(static_cast<int64_t>(k) + 2), stride = window.strides[k];
    const int64_t extent = (w.dim(static_cast<int64_t>(k) + 2) - 1) * window.dilations[k] + 1;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      const int64_t total = std::max<int64_t>(0, ((n + stride - 1) / stride - 1) * stride + extent - n);
      pads[k] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      pads[axes + k] = total - pads[k];
    } else if (auto_pad == "VALID") {
      pads[k] = pads[axes + k] = 0;
    }
    window.begin.push_back(pads[k]);
    const int64_t room = n + pads[k] + pads[axes + k] - extent;
    window.out.push_back(room < 0 ? 0 : room / stride + 1);
  }
  return window;
}

// Calls store(output index, channel, sum) for every output element; pads count as zero.
template <typename StoreSum>
void Convolve(EvalContext& c, const Tensor& x, const Tensor& w, const std::vector<int32_t>& in,
              const std::vector<int32_t>& weight, const Window& window, const StoreSum& store) {
  const int64_t axes = x.rank() - 2, channels = w.dim(0), depth = w.dim(1), group = c.node.Int("group", 1);
  const int64_t per_group = channels / group, points = ElementCount(window.out);
  const int64_t plane = ElementCount(Shape(x.shape().begin() + 2, x.shape().end()));
  const int64_t taps = ElementCount(Shape(w.shape().begin() + 2, w.shape().end()));
  c.pool.ParallelFor(
      x.dim(0) * channels * points, std::max<int64_t>(1, 16384 / std::max<int64_t>(taps * depth, 1)),
      [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t channel = i / points % channels, image = i / points / channels;
          int64_t sum = 0;
          for (int64_t tap = 0; tap < taps; ++tap) {
            int64_t point = i % points, rest = tap, at = 0, step = 1;
            bool inside = true;
            for (int64_t k = axes; k-- > 0;) {
              const size_t axis = static_cast<size_t>(k);
              const int64_t n = x.dim(k + 2);
              const int64_t position = point % window.out[axis] * window.strides[axis] - window.begin[axis] +
                                       rest % w.dim(k + 2) * window.dilations[axis];
              point /= window.out[axis];
              rest /= w.dim(k + 2);
              inside = inside && position >= 0 && position < n;
              at += position * step;
              step *= n;
            }
            if (!inside) continue;
            for (int64_t d = 0; d < depth; ++d) {
              const int64_t source = (image * x.dim(1) + channel / per_group * depth + d) * plane + at;
              sum += in[static_cast<size_t>(source)] *
                     weight[static_cast<size_t>((channel * depth + d) * taps + tap)];
            }
          }
          store(i, channel, static_cast<int32_t>(sum));
        }
      });
}

// The result's shape; throws Error when input and weight do not fit.
Shape ConvShape(const EvalContext& c, const Tensor& x, const Tensor& w, const Window& window) {
  const int64_t group = c.node.Int("group", 1);
  if (group < 1 || w.dim(0) % group != 0 || x.dim(1) != w.dim(1) * group) {
    throw Error("input " + ToString(x.shape()) + " and weight " + ToString(w.shape()) + " do not fit group " +
                std::to_string(group));
  }
  Shape shape{x.dim(0), w.dim(0)};
  shape.insert(shape.end(), window.out.begin(), window.out.end());
  return shape;
}

void CheckRanks(const Tensor& x, const Tensor& w) {
  if (x.rank() < 3 || w.rank() != x.rank()) {
    throw Error("input " + ToString(x.shape()) + " and weight " + ToString(w.shape()) + " do not fit");
  }
}

void EvaluateConvInteger(EvalContext& c) {
  const Tensor &x = c.in(0), &w = c.in(1);
  CheckRanks(x, w);
  const Window window = WindowOf(c.node, x, w);
  Tensor& y = c.out(0, DType::kInt32, ConvShape(c, x, w, window));
  int32_t* out = y.data<int32_t>();
  Convolve(c, x, w, Centred(c, x, 2, 0), Centred(c, w, 3, 0), window,
           [&](int64_t i, int64_t, int32_t sum) { out[i] = sum; });
}

void EvaluateQLinearConv(EvalContext& c) {
  const Tensor &x = c.in(0), &w = c.in(3);
  CheckRanks(x, w);
  const Window window = WindowOf(c.node, x, w);
  const Tensor w_scale = c.in(4).ToFloat32();
  const float x_scale = One(c.in(1), "x_scale"), y_scale = One(c.in(6), "y_scale");
  if (w_scale.size() != 1 && w_scale.size() != w.dim(0))
    throw Error("w_scale has shape " + ToString(w_scale.shape()));
  const int64_t zero = Single(c.in(7), "y_zero_point").ToInts()[0];
  const std::vector<int64_t> bias =
      c.has(8) ? c.in(8).ToInts() : std::vector<int64_t>(static_cast<size_t>(w.dim(0)), 0);
  if (static_cast<int64_t>(bias.size()) != w.dim(0)) throw Error("the bias does not fit the weight");
  Tensor& y = c.out(0, CodeType(c.in(7)), ConvShape(c, x, w, window));
  Convolve(c, x, w, Centred(c, x, 2, 0), Centred(c, w, 5, 0), window,
           [&](int64_t i, int64_t channel, int32_t sum) {
             const float scale = w_scale.data<float>()[w_scale.size() == 1 ? 0 : channel];
             const auto total = static_cast<int32_t>(int64_t{sum} + bias[static_cast<size_t>(channel)]);
             StoreCode(y, i, total, x_scale * scale / y_scale, zero);
           });
}

}  // namespace

std::vector<OperatorRow> IntegerOperators() {
  return {
      {"", "QLinearMatMul", 10, kLastOpset, EvaluateQLinearMatMul},
      {"", "QLinearConv", 10, kLastOpset, EvaluateQLinearConv},
      {"", "ConvInteger", 10, kLastOpset, EvaluateConvInteger},
  };
}

}  // namespace xslim
