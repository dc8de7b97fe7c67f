// Windows other than a convolution's or a pool's: Col2Im, DeformConv, MaxUnpool. Sums in float32.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/log.h"
#include "ops/copy.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Strides, dilations and pads of `rank` spatial dimensions; throws Error unless all have their entries, of
// which none is out of range.
struct Steps {
  std::vector<int64_t> strides, dilations, pads;  // pads: all begins, then all ends

  Steps(const Node& node, size_t rank)
      : strides(node.Ints("strides", std::vector<int64_t>(rank, 1))),
        dilations(node.Ints("dilations", std::vector<int64_t>(rank, 1))),
        pads(node.Ints("pads", std::vector<int64_t>(2 * rank, 0))) {
    CheckWindowValues("strides", strides, rank, 1);
    CheckWindowValues("dilations", dilations, rank, 1);
    CheckWindowValues("pads", pads, 2 * rank, std::numeric_limits<int32_t>::min());
  }

  // Windows of `kernel` elements along one dimension of `size` elements.
  int64_t Count(size_t axis, int64_t size, int64_t kernel) const {
    const int64_t room = size + pads[axis] + pads[axis + strides.size()] - (kernel - 1) * dilations[axis] - 1;
    return room < 0 ? 0 : room / strides[axis] + 1;
  }
};

// [N, C*taps, windows] -> [N, C, image...]: every window's taps are added where they were read, in order of
// tap, then window.
void Col2Im(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32();
  const Shape image = c.in(1).ToInts(), block = c.in(2).ToInts();
  const size_t rank = image.size();
  CheckWindowValues("image_shape", image, rank, 0);
  CheckWindowValues("block_shape", block, rank, 1);
  if (x.rank() != 3) {
    throw Error(StrCat("input of shape ", ToString(x.shape()), ", image ", ToString(image), " and block ",
                       ToString(block), " do not fit together"));
  }
  const Steps window(c.node, rank);
  const int64_t taps = ElementCount(block), pixels = ElementCount(image);
  Shape counts;
  for (size_t axis = 0; axis < rank; ++axis) counts.push_back(window.Count(axis, image[axis], block[axis]));
  const int64_t windows = ElementCount(counts);
  if (taps == 0 || x.dim(1) % taps != 0 || x.dim(2) != windows) {
    throw Error(StrCat("input of shape ", ToString(x.shape()), " does not hold blocks ", ToString(block)), "",
                StrCat("expected ", windows, " windows"));
  }
  const int64_t channels = x.dim(1) / taps;
  // The pixel of every tap and window, -1 in the padding.
  std::vector<int64_t> pixel(static_cast<size_t>(taps * windows));
  for (int64_t i = 0; i < taps * windows; ++i) {
    int64_t tap = i / windows, at = i % windows, flat = 0, step = 1;
    for (size_t axis = rank; axis-- > 0;) {
      const int64_t place = at % counts[axis] * window.strides[axis] +
                            tap % block[axis] * window.dilations[axis] - window.pads[axis];
      at /= counts[axis];
      tap /= block[axis];
      flat = flat < 0 || place < 0 || place >= image[axis] ? -1 : flat + place * step;
      step *= image[axis];
    }
    pixel[static_cast<size_t>(i)] = flat;
  }
  Shape shape{x.dim(0), channels};
  shape.insert(shape.end(), image.begin(), image.end());
  Tensor y = c.scratch(DType::kFloat, shape);
  c.pool.ParallelFor(x.dim(0) * channels, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* from = x.data<float>() + plane * taps * windows;
      float* to = y.data<float>() + plane * pixels;
      std::fill_n(to, pixels, 0.0f);
      for (size_t i = 0; i < pixel.size(); ++i) {
        if (pixel[i] >= 0) to[pixel[i]] += from[i];
      }
    }
  });
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

// Bilinear, neighbours outside of the plane count as zero.
float Sample(const float* plane, int64_t height, int64_t width, float y, float x) {
  if (!(y > -1 && y < static_cast<float>(height) && x > -1 && x < static_cast<float>(width))) return 0;
  const float top = std::floor(y), left = std::floor(x), dy = y - top, dx = x - left;
  const auto row = static_cast<int64_t>(top), column = static_cast<int64_t>(left);
  const auto at = [&](int64_t i, int64_t j) {
    return i < 0 || i >= height || j < 0 || j >= width ? 0.0f : plane[i * width + j];
  };
  return (1 - dy) * ((1 - dx) * at(row, column) + dx * at(row, column + 1)) +
         dy * ((1 - dx) * at(row + 1, column) + dx * at(row + 1, column + 1));
}

// A convolution whose taps are read at offsets of their own, times a mask. The sampled windows of one image
// are the right operand of a matrix product, k in order of channel, then tap.
void DeformConv(EvalContext& c) {
  const Tensor x = c.in(0).ToFloat32(), w = c.in(1).ToFloat32(), offset = c.in(2).ToFloat32();
  if (x.rank() != 4 || w.rank() != 4) {
    throw Error(StrCat("input of shape ", ToString(x.shape()), " and weights of shape ", ToString(w.shape())),
                "", "expected two spatial dimensions");
  }
  const Steps window(c.node, 2);
  const int64_t group = c.node.Int("group", 1), offset_group = c.node.Int("offset_group", 1);
  const int64_t batch = x.dim(0), channels = x.dim(1), height = x.dim(2), width = x.dim(3), m = w.dim(0);
  const int64_t kernel_h = w.dim(2), kernel_w = w.dim(3), taps = kernel_h * kernel_w;
  if (!AreGroups(group, channels) || !AreGroups(offset_group, channels) || channels / group != w.dim(1) ||
      m % group != 0) {
    throw Error(StrCat("weights of shape ", ToString(w.shape()), " do not fit ", channels,
                       " channels in group ", group, " and offset_group ", offset_group));
  }
  const Shape out{batch, m, window.Count(0, height, kernel_h), window.Count(1, width, kernel_w)};
  const int64_t pixels = out[2] * out[3];
  const auto require = [&](const Tensor& tensor, const char* name, int64_t per_tap) {
    const Shape wanted{batch, offset_group * taps * per_tap, out[2], out[3]};
    if (tensor.shape() != wanted) {
      throw Error(StrCat(name, " has shape ", ToString(tensor.shape())), "", "expected " + ToString(wanted));
    }
  };
  require(offset, "offset", 2);
  Tensor bias, mask;
  if (c.has(3)) bias = c.in(3).ToFloat32();
  if (c.has(4)) require(mask = c.in(4).ToFloat32(), "mask", 1);
  if (bias.defined() && bias.size() != m) throw Error("the bias does not fit the weights");

  const int64_t depth = w.dim(1) * taps, per_group = m / group, size_a = PackedSizeA(per_group, depth);
  const PackLayout layout{PackLayout::kDeformConv, {group, per_group, depth}};
  const Tensor left =
      PackOnce(c, c.is_constant(1), w.data<float>(), layout, group * size_a, [&](float* packed) {
        for (int64_t g = 0; g < group; ++g) {
          kernels::Active().pack_a(per_group, depth, w.data<float>() + g * per_group * depth, depth, 1,
                                   packed + g * size_a);
        }
      });
  c.StateReplacesWeights();
  std::vector<float> right(static_cast<size_t>(PackedSizeB(depth, pixels)));
  Tensor columns = c.scratch(DType::kFloat, {channels * taps, pixels}), y = c.scratch(DType::kFloat, out);
  for (int64_t n = 0; n < batch; ++n) {
    c.pool.ParallelFor(channels * taps, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t channel = row / taps, tap = row % taps;
        const int64_t entry = (n * offset_group + channel / (channels / offset_group)) * taps + tap;
        const float* shift = offset.data<float>() + 2 * entry * pixels;
        const float* factor = mask.defined() ? mask.data<float>() + entry * pixels : nullptr;
        float* to = columns.data<float>() + row * pixels;
        for (int64_t p = 0; p < pixels; ++p) {
          const int64_t top = p / out[3] * window.strides[0] - window.pads[0] +
                              tap / kernel_w * window.dilations[0],
                        first = p % out[3] * window.strides[1] - window.pads[1] +
                                tap % kernel_w * window.dilations[1];
          to[p] = Sample(x.data<float>() + (n * channels + channel) * height * width, height, width,
                         static_cast<float>(top) + shift[p], static_cast<float>(first) + shift[pixels + p]);
          if (factor) to[p] *= factor[p];
        }
      }
    });
    for (int64_t g = 0; g < group; ++g) {
      PackBParallel(c.pool, depth, pixels, columns.data<float>() + g * depth * pixels, pixels, 1,
                    right.data());
      PackedProduct product{per_group,    pixels,
                            depth,        left.data<float>() + g * size_a,
                            right.data(), y.data<float>() + (n * m + g * per_group) * pixels,
                            pixels};
      if (bias.defined()) product.bias_m = bias.data<float>() + g * per_group;
      RunProduct(c.pool, product);
    }
  }
  SetFloatResult(c, 0, std::move(y), c.in(0).dtype());
}

// Elements go back to where MaxPool found them. Indices count over the pool's input, whose shape follows from
// the attributes; a larger output_shape only adds zeros behind it.
void MaxUnpool(EvalContext& c) {
  const Tensor& x = c.in(0);
  const size_t rank = x.rank() < 2 ? 0 : static_cast<size_t>(x.rank() - 2);
  const Steps window(c.node, rank);
  const std::vector<int64_t> kernel = c.node.Ints("kernel_shape");
  CheckWindowValues("kernel_shape", kernel, rank, 1);
  if (rank == 0 || c.in(1).shape() != x.shape()) {
    throw Error(StrCat("indices ", ToString(c.in(1).shape()), " do not fit input ", ToString(x.shape())), "",
                "expected the same shape, of rank 3 at least");
  }
  Shape pooled = x.shape();
  for (size_t d = 0; d < rank; ++d) {
    pooled[d + 2] =
        (pooled[d + 2] - 1) * window.strides[d] + kernel[d] - window.pads[d] - window.pads[d + rank];
  }
  const Shape shape = c.has(2) ? c.in(2).ToInts() : pooled;
  if (shape.size() != pooled.size()) throw Error("output_shape " + ToString(shape) + " has the wrong rank");
  const int64_t count = ElementCount(pooled);
  const std::vector<int64_t> strides = DenseStrides(shape), indices = c.in(1).ToInts();
  Tensor& y = c.out(0, x.dtype(), shape);
  FillZero(y);
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < indices.size(); ++i) {
      int64_t rest = indices[i], at = 0;
      bool inside = rest >= 0 && rest < count;
      for (size_t d = pooled.size(); inside && d-- > 0;) {
        inside = rest % pooled[d] < shape[d];
        at += rest % pooled[d] * strides[d];
        rest /= pooled[d];
      }
      if (!inside) throw Error(StrCat("index ", indices[i], " is outside of the output ", ToString(shape)));
      Elements<T>(y)[at] = Elements<T>(x)[i];
    }
  });
}

}  // namespace

std::vector<OperatorRow> UnfoldOperators() {
  return {
      {"", "Col2Im", 18, kAnyLater, Col2Im},
      {"", "DeformConv", 19, kAnyLater, DeformConv},
      {"", "MaxUnpool", 9, kAnyLater, MaxUnpool},
  };
}

}  // namespace xslim
