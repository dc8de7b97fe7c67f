// Conv: one, two and three spatial dimensions, groups, dilations, auto_pad.
//
// Conv is an implicit matrix product: weights (m = output channels) times windows (n = output pixels), k in
// the order kernel depth, rows, columns, input channels. The kernel reads the windows where they lie.
#include "ops/conv.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/log.h"
#include "ops/contrib.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "ops/operator.h"
#include "ops/window.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using Geometry = ConvGeometry;

// The weights of all groups, one after the other, from [output channel][input channel][tap] to packed panels
// with k = (tap, input channel).
Tensor PackConvWeights(EvalContext& ctx, const Geometry& g, const float* w, bool kept) {
  const int64_t m = g.channels_out / g.group, channels = g.channels_in / g.group, taps = g.taps(),
                k = taps * channels, size = PackedSizeA(m, k);
  const PackLayout layout{PackLayout::kConv, {g.group, m, channels, taps}};
  return PackOnce(ctx, kept, w, layout, g.group * size, [&](float* packed) {
    std::vector<float> ordered(static_cast<size_t>(taps == 1 ? 0 : m * k));
    for (int64_t group = 0; group < g.group; ++group) {
      const float* from = w + group * m * k;
      if (taps > 1) {
        ctx.pool.ParallelFor(m, PackingGrain(k), [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            for (int64_t c = 0; c < channels; ++c) {
              for (int64_t t = 0; t < taps; ++t)
                ordered[static_cast<size_t>(i * k + t * channels + c)] = from[(i * channels + c) * taps + t];
            }
          }
        });
      }
      PackAParallel(ctx.pool, m, k, taps == 1 ? from : ordered.data(), k, 1, packed + group * size);
    }
  });
}

// Where the windows lie: the element under tap t of channel c (of its group) of the output pixel p is at
// data[c*plane + taps[t] + Start(p)], counted from the group's first channel. That is the input itself where
// no window touches the padding and neighbouring windows lie side by side. Else it is a copy with the padding
// as zeros, rows split by column modulo the stride: element (z, y, x) of a channel's plane, counted from the
// padding's first, is at [(z*height + y)*row + x % stride * phase + x / stride].
struct Windows {
  const float* data;
  int64_t row, plane;
  std::array<int64_t, 3> step;  // from a pixel to the next in depth, rows, columns
  std::vector<int64_t> taps;

  Windows(EvalContext& ctx, const Geometry& g, const float* x) : data(x), row(g.in[2]), plane(g.pixels_in()) {
    std::array<int64_t, 3> extent;  // what the windows cover
    bool inside = g.stride[2] == 1;
    for (size_t i = 0; i < 3; ++i) {
      extent[i] = (g.out[i] - 1) * g.stride[i] + (g.kernel[i] - 1) * g.dilation[i] + 1;
      inside = inside && g.pad[i] == 0 && extent[i] <= g.in[i];
    }
    int64_t height = g.in[1], phase = 0;
    if (!inside) {
      height = extent[1];
      phase = g.out[2] + (g.kernel[2] - 1) * g.dilation[2] / g.stride[2];
      row = phase * g.stride[2];
      plane = ElementCount({extent[0], extent[1], row});
      Copy(ctx, g, x, extent, phase);
    }
    step = {g.stride[0] * height * row, g.stride[1] * row, 1};
    for (int64_t kz = 0; kz < g.kernel[0]; ++kz) {
      for (int64_t ky = 0; ky < g.kernel[1]; ++ky) {
        for (int64_t kx = 0; kx < g.kernel[2]; ++kx) {
          const int64_t column = kx * g.dilation[2];
          taps.push_back((kz * g.dilation[0] * height + ky * g.dilation[1]) * row +
                         column % g.stride[2] * phase + column / g.stride[2]);
        }
      }
    }
  }

  // Of the `count` pixels from `first` on.
  void Starts(const Geometry& g, int64_t first, int64_t count, std::vector<int64_t>& starts) const {
    starts.clear();
    int64_t x = first % g.out[2], y = first / g.out[2] % g.out[1], z = first / g.out[2] / g.out[1];
    while (static_cast<int64_t>(starts.size()) < count) {
      const int64_t line = z * step[0] + y * step[1];
      const int64_t end = std::min(g.out[2], x + count - static_cast<int64_t>(starts.size()));
      for (; x < end; ++x) starts.push_back(line + x);
      x = 0;
      if (++y == g.out[1]) {
        y = 0;
        ++z;
      }
    }
  }

 private:
  void Copy(EvalContext& ctx, const Geometry& g, const float* x, const std::array<int64_t, 3>& extent,
            int64_t phase) {
    const int64_t planes = g.batch * g.channels_in;
    padded_ = ctx.scratch(DType::kFloat, {planes, extent[0], extent[1], row});
    float* to = padded_.data<float>();
    ctx.pool.ParallelFor(planes, std::max<int64_t>(1, 16384 / std::max<int64_t>(plane, 1)),
                         [&](int64_t begin, int64_t end, int) {
                           for (int64_t i = begin; i < end; ++i) {
                             Fill(g, extent, phase, x + i * g.pixels_in(), to + i * plane);
                           }
                         });
    data = to;
  }

  void Fill(const Geometry& g, const std::array<int64_t, 3>& extent, int64_t phase, const float* x,
            float* to) const {
    for (int64_t i = 0; i < extent[0] * extent[1]; ++i, to += row) {
      const int64_t z = i / extent[1] - g.pad[0], y = i % extent[1] - g.pad[1];
      if (z < 0 || z >= g.in[0] || y < 0 || y >= g.in[1]) {
        std::fill_n(to, row, 0.0f);
        continue;
      }
      const float* from = x + (z * g.in[1] + y) * g.in[2];
      const int64_t stride = g.stride[2];
      for (int64_t p = 0; p < stride; ++p) {
        const int64_t shift = p - g.pad[2];  // element j is column j*stride + shift
        const int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
        const int64_t last = g.in[2] - shift <= 0 ? 0 : (g.in[2] - shift - 1) / stride + 1;
        const int64_t begin = std::min(first, phase), end = std::clamp(last, begin, phase);
        float* part = to + p * phase;
        std::fill_n(part, begin, 0.0f);
        TakeEvery(stride, from + begin * stride + shift, part + begin, end - begin);
        std::fill_n(part + end, phase - end, 0.0f);
      }
    }
  }

  Tensor padded_;
};

// How a product's rows and columns are cut into blocks for the threads.
struct Blocks {
  int64_t rows, columns;     // of a block
  int64_t across, down = 1;  // blocks
  int64_t together = 1;      // that a thread should take at once

  // The result's block stays in a usual second-level cache until its epilogue is done; as few cuts as keep
  // every thread busy, each of them reads one operand once more, and none of less than some microseconds.
  Blocks(int64_t m, int64_t n, int64_t k, int64_t products, int threads) : rows(m), columns(n) {
    const kernels::Table& table = kernels::Active();
    const auto whole = [](int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; };
    const int64_t steps = m * n * k * products, most = std::max<int64_t>(steps / kFewestSteps, 1);
    const int64_t shares = threads > 1 ? std::min<int64_t>(8 * threads, most) : 1;
    const int64_t wanted = std::max<int64_t>((shares + products - 1) / products, 1);
    columns = std::clamp<int64_t>(kBlockElements / m, table.nr, whole(n, table.nr));
    columns = whole(std::min(columns, (n + wanted - 1) / wanted), table.nr);
    across = (n + columns - 1) / columns;
    if (across < wanted && m > kFewestRows) {
      const int64_t parts = std::min((wanted + across - 1) / across, m / kFewestRows);
      rows = whole((m + parts - 1) / parts, table.mr);
      down = (m + rows - 1) / rows;
    }
    together = std::max<int64_t>(products * across * down * kFewestSteps / std::max<int64_t>(steps, 1), 1);
  }

 private:
  static constexpr int64_t kBlockElements = 64 * 1024, kFewestRows = 48, kFewestSteps = 1 << 18;
};

constexpr int64_t kMostPerPlane = 16;
constexpr int64_t kSmallPlane = 40000;   // multiply-adds: more are worth a thread's while by themselves
constexpr int64_t kPlanesTogether = 16;  // as many as the longest vector has lanes

// Whether each input plane makes so few output planes that convolving it for each of them anew is quicker
// than a matrix product. Square kernels of 3 and 5 have code of their own in Table::depthwise.
bool FewPerPlane(const Geometry& g) {
  const bool square = (g.kernel[2] == 3 || g.kernel[2] == 5) && g.kernel[1] == g.kernel[2] &&
                      g.stride[1] == 1 && g.stride[2] == 1;
  return g.channels_in == g.group && g.channels_out <= (square ? kMostPerPlane : 3) * g.group;
}

// Whether planes are convolved with their weights as they are, by Table::depthwise.
bool ByPlanes(const Geometry& g) {
  return FewPerPlane(g) && g.in[0] == 1 && g.kernel[0] == 1 && g.out[0] == 1 && g.pad[0] == 0;
}

// kept: packed weights are the node's own, for later runs.
void RunConv(EvalContext& ctx, const Geometry& geometry, const float* x, const float* w, const float* bias,
             bool kept, float* y) {
  const Geometry g = WithRows(geometry);
  const kernels::Table& table = kernels::Active();
  const kernels::Epilogue epilogue = EpilogueOf(ctx.node);
  const int64_t per_group = g.channels_out / g.group;
  const AfterProduct after(ctx.node);
  if (ByPlanes(g)) {
    const kernels::DepthwiseShape shape{g.in[1],     g.in[2],     g.kernel[1],   g.kernel[2],
                                        g.stride[1], g.stride[2], g.dilation[1], g.dilation[2],
                                        g.pad[1],    g.pad[2],    g.out[1],      g.out[2]};
    // Channels with a plane of their own go together where planes are small.
    const int64_t plane = g.pixels_out() * g.taps();
    const int64_t together = per_group == 1 && plane <= kSmallPlane ? kPlanesTogether : 1;
    const int64_t work = std::max<int64_t>(together * plane, 1);
    const int64_t per_image = std::max<int64_t>(g.channels_out / together, 1);
    ctx.pool.ParallelFor(
        g.batch * per_image, std::max<int64_t>(1, 65536 / work), [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t n = i / per_image, c = i % per_image * together;
            const int64_t planes = i % per_image == per_image - 1 ? g.channels_out - c : together;
            float* const out = y + (n * g.channels_out + c) * g.pixels_out();
            table.depthwise(planes, x + (n * g.channels_in + c / per_group) * g.pixels_in(), shape,
                            w + c * g.taps(), bias != nullptr ? bias + c : nullptr, out, epilogue);
            after.Apply(table, out, planes * g.pixels_out());
          }
        });
    return;
  }
  const Tensor packed = PackConvWeights(ctx, g, w, kept);
  const int64_t channels = g.channels_in / g.group, k = g.taps() * channels, pixels = g.pixels_out();
  const Windows windows(ctx, g, x);
  std::vector<int64_t> depths;  // where tap and channel are
  depths.reserve(static_cast<size_t>(k));
  for (const int64_t tap : windows.taps) {
    for (int64_t c = 0; c < channels; ++c) depths.push_back(tap + c * windows.plane);
  }
  const Blocks blocks(per_group, pixels, k, g.batch * g.group, ctx.pool.size());
  const int64_t size_a = PackedSizeA(per_group, k), per_product = blocks.across * blocks.down;
  const int64_t items = g.batch * g.group * per_product;
  ctx.pool.ParallelFor(items, blocks.together, [&](int64_t begin, int64_t end, int) {
    std::vector<int64_t> starts;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t product = item / per_product, group = product % g.group, n = product / g.group;
      const int64_t first = item % blocks.across * blocks.columns,
                    count = std::min(blocks.columns, pixels - first);
      const int64_t row = item % per_product / blocks.across * blocks.rows,
                    rows = std::min(blocks.rows, per_group - row), channel = group * per_group + row;
      windows.Starts(g, first, count, starts);
      float* to = y + (n * g.channels_out + channel) * pixels + first;
      table.gemm_gather(rows, count, k, packed.data<float>() + group * size_a + row * k,
                        windows.data + (n * g.channels_in + group * channels) * windows.plane, depths.data(),
                        starts.data(), to, pixels, bias != nullptr ? bias + channel : nullptr, epilogue);
      if (after.empty()) continue;
      for (int64_t c = 0; c < rows; ++c) after.Apply(table, to + c * pixels, count);
    }
  });
}

Tensor ConvFloat(EvalContext& ctx) {
  const ConvOperands in(ctx, GeometryOfConv);
  Tensor y = ctx.scratch(DType::kFloat, in.g.out_shape);
  if (y.size() == 0) return y;
  RunConv(ctx, in.g, in.x.data<float>(), in.w.data<float>(), in.bias_data(), ctx.is_constant(1),
          y.data<float>());
  // With data of another shape planes may be convolved with the weights as they are.
  if (in.g.channels_in != in.g.group || in.g.channels_out > kMostPerPlane * in.g.group)
    ctx.StateReplacesWeights();
  return y;
}

void EvaluateConv(EvalContext& ctx) { SetFloatResult(ctx, 0, ConvFloat(ctx), ctx.in(0).dtype()); }

// com.microsoft: activation(Conv(x, w, b) + z)
void EvaluateFusedConv(EvalContext& ctx) {
  Tensor y = ConvFloat(ctx);
  if (ctx.has(3)) {
    const Tensor z = ctx.in(3).ToFloat32();
    if (z.shape() != y.shape())
      throw Error(StrCat("Z has shape ", ToString(z.shape()), ", expected ", ToString(y.shape())));
    kernels::Active().binary(kernels::kAdd, y.data<float>(), z.data<float>(), y.data<float>(), y.size());
  }
  ApplyActivation(ctx.pool, ctx.node.String("activation", ""), ctx.node.Floats("activation_params"),
                  y.data<float>(), y.size());
  SetFloatResult(ctx, 0, std::move(y), ctx.in(0).dtype());
}

}  // namespace

// Some input channels, or some taps of one, at a time: as many products as add up exactly.
void ConvolveExactly(EvalContext& ctx, const ConvGeometry& g, const float* x, const float* w, int64_t terms,
                     bool kept, int32_t* y) {
  const int64_t taps = g.taps(), channels = g.channels_in / g.group, per_group = g.channels_out / g.group;
  Tensor sums = ctx.scratch(DType::kFloat, g.out_shape);
  if (sums.size() == 0) return;
  if (taps * channels <= terms) {
    RunConv(ctx, g, x, w, nullptr, kept, sums.data<float>());
    for (int64_t i = 0; i < sums.size(); ++i) y[i] = static_cast<int32_t>(sums.data<float>()[i]);
    return;
  }
  std::fill_n(y, sums.size(), 0);
  Geometry part = g;
  part.batch = part.group = 1;
  part.channels_out = per_group;
  const int64_t most_channels = std::max<int64_t>(1, terms / taps), most_taps = std::min(terms, taps);
  for (int64_t item = 0; item < g.batch * g.group; ++item) {
    const int64_t group = item % g.group;
    int32_t* to = y + item * per_group * g.pixels_out();
    for (int64_t c = 0; c < channels; c += part.channels_in) {
      part.channels_in = std::min(most_channels, channels - c);
      for (int64_t tap = 0; tap < taps; tap += most_taps) {
        std::vector<float> weights(static_cast<size_t>(per_group * part.channels_in * taps), 0.0f);
        for (int64_t i = 0; i < per_group * part.channels_in; ++i) {
          const int64_t row = group * per_group + i / part.channels_in, channel = c + i % part.channels_in;
          std::copy_n(w + (row * channels + channel) * taps + tap, std::min(most_taps, taps - tap),
                      weights.data() + i * taps + tap);
        }
        RunConv(ctx, part, x + (item * channels + c) * g.pixels_in(), weights.data(), nullptr, false,
                sums.data<float>());
        for (int64_t i = 0; i < per_group * g.pixels_out(); ++i) {
          to[i] = static_cast<int32_t>(static_cast<uint32_t>(to[i]) +
                                       static_cast<uint32_t>(static_cast<int32_t>(sums.data<float>()[i])));
        }
      }
    }
  }
}

std::vector<OperatorRow> ConvOperators() {
  return {
      {"", "Conv", 1, kAnyLater, EvaluateConv, QuantRole::kCompute},
      {"com.microsoft", "FusedConv", 1, kAnyLater, EvaluateFusedConv},
  };
}

}  // namespace xslim
