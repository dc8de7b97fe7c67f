// Conv and ConvTranspose: one, two and three spatial dimensions, groups, dilations, auto_pad.
//
// Conv is an implicit matrix product: weights (m = output channels) times windows (n = output pixels), k in
// the order kernel depth, rows, columns, input channels. Every thread gathers the windows of a block of
// pixels into panels and multiplies all weights with them.
#include "ops/conv.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "base/log.h"
#include "ops/contrib.h"
#include "ops/float_result.h"
#include "ops/matmul.h"
#include "ops/operator.h"
#include "ops/window.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using Geometry = ConvGeometry;

constexpr int64_t kBlockElements = 48 * 1024;  // of gathered windows per thread: less than half of a usual L2

// Fills what Conv and ConvTranspose share; returns the offset of the first spatial dimension in the arrays.
size_t ReadCommon(const Node& node, const Shape& x, const Shape& w, Geometry& g) {
  const int64_t spatial = static_cast<int64_t>(x.size()) - 2;
  if (spatial < 1 || spatial > 3 || w.size() != x.size()) {
    throw Error(
        StrCat("input of shape ", ToString(x), " and weights of shape ", ToString(w), " cannot be convolved"),
        "", "expected equal ranks of 3 to 5");
  }
  const size_t rank = static_cast<size_t>(spatial), first = 3 - rank;
  const std::vector<int64_t> ones(rank, 1);
  const auto strides = node.Ints("strides", ones), dilations = node.Ints("dilations", ones);
  const auto kernel = node.Ints("kernel_shape", Shape(w.begin() + 2, w.end()));
  CheckWindowValues("strides", strides, rank, 1);
  CheckWindowValues("dilations", dilations, rank, 1);
  CheckWindowValues("kernel_shape", kernel, rank, 1);
  g.batch = x[0];
  g.channels_in = x[1];
  g.group = node.Int("group", 1);
  if (g.group < 1 || g.channels_in % g.group != 0) {
    throw Error(StrCat("group ", g.group, " does not divide the ", g.channels_in, " input channels"));
  }
  for (size_t i = 0; i < rank; ++i) {
    g.in[first + i] = x[i + 2];
    g.kernel[first + i] = w[i + 2];
    g.stride[first + i] = strides[i];
    g.dilation[first + i] = dilations[i];
    if (kernel[i] != w[i + 2]) {
      throw Error(StrCat("kernel_shape ", ToString(kernel), " is not that of the weights ", ToString(w)));
    }
  }
  return first;
}

std::vector<int64_t> ReadPads(const Node& node, size_t rank) {
  auto pads = node.Ints("pads", std::vector<int64_t>(2 * rank, 0));
  CheckWindowValues("pads", pads, 2 * rank, 0);
  return pads;
}

}  // namespace

ConvGeometry GeometryOfConv(const Node& node, const Shape& x, const Shape& w) {
  Geometry g;
  const size_t first = ReadCommon(node, x, w, g), rank = 3 - first;
  g.channels_out = w[0];
  if (w[1] * g.group != g.channels_in || g.channels_out % g.group != 0) {
    throw Error(StrCat("weights of shape ", ToString(w), " do not fit ", g.channels_in, " input channels in ",
                       g.group, " groups"));
  }
  const std::string auto_pad = node.String("auto_pad", "NOTSET");
  const auto pads = ReadPads(node, rank);
  g.out_shape = {g.batch, g.channels_out};
  for (size_t i = 0; i < rank; ++i) {
    const size_t s = first + i;
    const int64_t extent = (g.kernel[s] - 1) * g.dilation[s] + 1;
    int64_t begin = 0, total = 0;
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      const int64_t wanted = (g.in[s] + g.stride[s] - 1) / g.stride[s];
      total = std::max<int64_t>((wanted - 1) * g.stride[s] + extent - g.in[s], 0);
      begin = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else if (auto_pad == "NOTSET" || auto_pad.empty()) {
      begin = pads[i];
      total = pads[i] + pads[i + rank];
    } else if (auto_pad != "VALID") {
      throw Error("auto_pad " + auto_pad + " is unknown");
    }
    g.pad[s] = begin;
    const int64_t room = g.in[s] + total - extent;
    g.out[s] = room < 0 ? 0 : room / g.stride[s] + 1;
    g.out_shape.push_back(g.out[s]);
  }
  return g;
}

namespace {

// The packed weights of all groups, one after the other.
struct PackedWeights {
  const kernels::Table* table = nullptr;
  std::vector<float> data;
};

// From [output channel][input channel][tap] to packed panels with k = (tap, input channel).
void PackConvWeights(const Geometry& g, const float* w, PackedWeights& packed) {
  const kernels::Table& table = kernels::Active();
  const int64_t m = g.channels_out / g.group, channels = g.channels_in / g.group, taps = g.taps(),
                k = taps * channels;
  const int64_t size = PackedSizeA(m, k);
  packed.table = &table;
  packed.data.resize(static_cast<size_t>(g.group * size));
  std::vector<float> ordered(static_cast<size_t>(m * k));
  for (int64_t group = 0; group < g.group; ++group) {
    const float* from = w + group * m * k;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t t = 0; t < taps; ++t) {
          ordered[static_cast<size_t>(i * k + t * channels + c)] = from[(i * channels + c) * taps + t];
        }
      }
    }
    table.pack_a(m, k, ordered.data(), k, 1, packed.data.data() + group * size);
  }
}

// The input with its padding as zeros, rows split by column modulo the stride, so that what neighbouring
// outputs see under one tap lies side by side: element (z, y, x) of a channel's plane, counted from the
// padding's first, is at [(z*height + y)*row + x % stride * phase + x / stride].
struct PaddedInput {
  std::array<int64_t, 3> extent;  // depth, rows, columns that the windows cover
  int64_t phase, row, plane;
  std::vector<int64_t> taps;  // where each tap of the first window is
  Tensor data;                // [batch * channels][plane], and one panel row of slack

  PaddedInput(EvalContext& ctx, const Geometry& g, const float* x, int64_t nr) {
    for (size_t i = 0; i < 3; ++i) {
      extent[i] = (g.out[i] - 1) * g.stride[i] + (g.kernel[i] - 1) * g.dilation[i] + 1;
    }
    phase = g.out[2] + (g.kernel[2] - 1) * g.dilation[2] / g.stride[2];
    row = phase * g.stride[2];
    plane = ElementCount({extent[0], extent[1], row});
    for (int64_t kz = 0; kz < g.kernel[0]; ++kz) {
      for (int64_t ky = 0; ky < g.kernel[1]; ++ky) {
        for (int64_t kx = 0; kx < g.kernel[2]; ++kx) {
          const int64_t column = kx * g.dilation[2];
          taps.push_back((kz * g.dilation[0] * extent[1] + ky * g.dilation[1]) * row +
                         column % g.stride[2] * phase + column / g.stride[2]);
        }
      }
    }
    const int64_t planes = g.batch * g.channels_in;
    data = ctx.scratch(DType::kFloat, {ElementCount({planes, extent[0], extent[1], row}) + nr});
    float* to = data.data<float>();
    std::fill_n(to + planes * plane, nr, 0.0f);
    ctx.pool.ParallelFor(planes, std::max<int64_t>(1, 16384 / std::max<int64_t>(plane, 1)),
                         [&](int64_t begin, int64_t end, int) {
                           for (int64_t i = begin; i < end; ++i)
                             Fill(g, x + i * g.pixels_in(), to + i * plane);
                         });
  }

  // Where the window of output pixel p starts.
  int64_t Start(const Geometry& g, int64_t p) const {
    const int64_t x = p % g.out[2], y = p / g.out[2] % g.out[1], z = p / g.out[2] / g.out[1];
    return (z * g.stride[0] * extent[1] + y * g.stride[1]) * row + x;
  }

 private:
  void Fill(const Geometry& g, const float* x, float* to) const {
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
        if (stride == 1) {
          std::copy_n(from + begin + shift, end - begin, part + begin);
        } else {
          for (int64_t j = begin; j < end; ++j) part[j] = from[j * stride + shift];
        }
        std::fill_n(part + end, phase - end, 0.0f);
      }
    }
  }
};

// Columns of a panel from `column` on lie side by side in the padded input from `offset` on.
struct Segment {
  int64_t column, offset;
};

// Copies every segment's nr floats for every tap and channel: what runs over the segment is overwritten by
// the next one, the next panel row, or is past the last column. kNr: nr, or 0 for any.
template <int kNr>
void GatherPanel(const PaddedInput& input, const float* x, int64_t channels,
                 const std::vector<Segment>& segments, int64_t nr, float* packed) {
  const int64_t width = kNr > 0 ? kNr : nr;
  for (const int64_t tap : input.taps) {
    const float* from = x + tap;
    for (int64_t c = 0; c < channels; ++c, from += input.plane, packed += width) {
      for (const Segment& segment : segments) {
        std::memcpy(packed + segment.column, from + segment.offset,
                    static_cast<size_t>(width) * sizeof(float));
      }
    }
  }
}

// Packs the windows of `count` pixels from `first` on; x is the padded first channel of the group. `packed`
// has a panel row of slack.
void GatherPanels(const Geometry& g, const PaddedInput& input, const float* x, int64_t nr, int64_t first,
                  int64_t count, float* packed) {
  const int64_t channels = g.channels_in / g.group;
  const auto gather = nr == 16 ? GatherPanel<16> : nr == 32 ? GatherPanel<32> : GatherPanel<0>;
  std::vector<Segment> segments;
  for (int64_t p = first; p < first + count; p += nr, packed += nr * channels * g.taps()) {
    const int64_t end = std::min(p + nr, first + count);
    segments.clear();
    for (int64_t q = p; q < end; q += g.out[2] - q % g.out[2]) segments.push_back({q - p, input.Start(g, q)});
    gather(input, x, channels, segments, nr, packed);
  }
}

void RunConv(EvalContext& ctx, const Geometry& g, const float* x, const float* w, const float* bias,
             float* y) {
  const kernels::Table& table = kernels::Active();
  const kernels::Epilogue epilogue = EpilogueOf(ctx.node);
  const int64_t per_group = g.channels_out / g.group;
  // What follows is applied while the results are still in cache.
  const bool then_unary = ctx.node.Has(kThenUnary);
  const auto unary_op = static_cast<kernels::UnaryOp>(ctx.node.Int(kThenUnary, 0));
  if (g.channels_in == g.group && g.in[0] == 1 && g.kernel[0] == 1 && g.out[0] == 1 && g.pad[0] == 0) {
    const int64_t work = g.pixels_out() * g.taps();
    ctx.pool.ParallelFor(g.batch * g.channels_out, std::max<int64_t>(1, 32768 / std::max<int64_t>(work, 1)),
                         [&](int64_t begin, int64_t end, int) {
                           for (int64_t i = begin; i < end; ++i) {
                             const int64_t n = i / g.channels_out, c = i % g.channels_out;
                             table.depthwise_plane(x + (n * g.channels_in + c / per_group) * g.pixels_in(),
                                                   g.in[1], g.in[2], w + c * g.taps(), g.kernel[1],
                                                   g.kernel[2], g.stride[1], g.stride[2], g.dilation[1],
                                                   g.dilation[2], g.pad[1], g.pad[2],
                                                   bias != nullptr ? bias[c] : 0.0f, y + i * g.pixels_out(),
                                                   g.out[1], g.out[2], epilogue);
                             float* plane = y + i * g.pixels_out();
                             if (then_unary) table.unary(unary_op, plane, plane, g.pixels_out());
                           }
                         });
    return;
  }
  const std::array<int64_t, 3> ones{1, 1, 1}, zeros{0, 0, 0};
  const bool rows_follow =
      g.taps() == 1 && g.in == g.out && g.stride == ones && g.pad == zeros;  // no gathering
  PackedWeights local;
  PackedWeights& packed = ctx.is_constant(1) ? ctx.state<PackedWeights>() : local;
  if (packed.table != &table) PackConvWeights(g, w, packed);

  const int64_t k = g.taps() * (g.channels_in / g.group), nr = table.nr, pixels = g.pixels_out();
  const int64_t panels = (pixels + nr - 1) / nr;
  int64_t panels_per_block = std::clamp<int64_t>(kBlockElements / std::max<int64_t>(k * nr, 1), 1, 64);
  const int64_t shares = ctx.pool.size() * 2;  // blocks small enough to keep every thread busy
  panels_per_block =
      std::clamp<int64_t>((panels * g.batch * g.group + shares - 1) / shares, 1, panels_per_block);
  const int64_t blocks = (panels + panels_per_block - 1) / panels_per_block, width = panels_per_block * nr;
  std::optional<PaddedInput> padded;
  if (!rows_follow) padded.emplace(ctx, g, x, nr);
  ctx.pool.ParallelFor(g.batch * g.group * blocks, 1, [&](int64_t begin, int64_t end, int) {
    Tensor scratch = ctx.scratch(DType::kFloat, {width * k + nr});
    float* const buffer = scratch.data<float>();
    for (int64_t item = begin; item < end; ++item) {
      const int64_t block = item % blocks, group = item / blocks % g.group, n = item / blocks / g.group;
      const int64_t first = block * width, count = std::min(width, pixels - first);
      const int64_t channel = n * g.channels_in + group * (g.channels_in / g.group);
      if (padded) {
        GatherPanels(g, *padded, padded->data.data<float>() + channel * padded->plane, nr, first, count,
                     buffer);
      } else {
        table.pack_b(k, count, x + channel * pixels + first, pixels, 1, buffer);
      }
      table.gemm(per_group, count, k, packed.data.data() + group * PackedSizeA(per_group, k), buffer,
                 y + (n * g.channels_out + group * per_group) * pixels + first, pixels,
                 bias != nullptr ? bias + group * per_group : nullptr, nullptr, false, epilogue);
      if (!then_unary) continue;
      for (int64_t c = 0; c < per_group; ++c) {
        float* row = y + (n * g.channels_out + group * per_group + c) * pixels + first;
        table.unary(unary_op, row, row, count);
      }
    }
  });
}

// What both operators start with: their inputs as float32.
struct Operands {
  Tensor x, w, bias;  // bias undefined when left out
  Geometry g;

  Operands(EvalContext& ctx, Geometry (*geometry)(const Node&, const Shape&, const Shape&))
      : x(ctx.in(0).ToFloat32()), w(ctx.in(1).ToFloat32()), g(geometry(ctx.node, x.shape(), w.shape())) {
    if (!ctx.has(2)) return;
    bias = ctx.in(2).ToFloat32();
    if (bias.size() != g.channels_out) {
      throw Error(StrCat("the bias has ", bias.size(),
                         " elements, expected one per output channel: ", g.channels_out));
    }
  }
  const float* bias_data() const { return bias.defined() ? bias.data<float>() : nullptr; }
};

Tensor ConvFloat(EvalContext& ctx) {
  const Operands in(ctx, GeometryOfConv);
  Tensor y = ctx.scratch(DType::kFloat, in.g.out_shape);
  if (y.size() > 0)
    RunConv(ctx, in.g, in.x.data<float>(), in.w.data<float>(), in.bias_data(), y.data<float>());
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

Geometry TransposeGeometry(const Node& node, const Shape& x, const Shape& w) {
  Geometry g;
  const size_t first = ReadCommon(node, x, w, g), rank = 3 - first;
  if (w[0] != g.channels_in) {
    throw Error(StrCat("weights of shape ", ToString(w), " do not fit ", g.channels_in, " input channels"));
  }
  g.channels_out = w[1] * g.group;
  const std::string auto_pad = node.String("auto_pad", "NOTSET");
  const auto pads = ReadPads(node, rank);
  const auto extra = node.Ints("output_padding", std::vector<int64_t>(rank, 0));
  auto wanted = node.Ints("output_shape");
  if (wanted.size() == rank + 2) wanted.erase(wanted.begin(), wanted.begin() + 2);
  CheckWindowValues("output_padding", extra, rank, 0);
  if (!wanted.empty()) CheckWindowValues("output_shape", wanted, rank, 0);
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  g.out_shape = {g.batch, g.channels_out};
  for (size_t i = 0; i < rank; ++i) {
    const size_t s = first + i;
    const int64_t full = g.stride[s] * (g.in[s] - 1) + extra[i] + (g.kernel[s] - 1) * g.dilation[s] + 1;
    if (!wanted.empty() || same) {
      // SAME pads and never adds: where the stride is larger than the window, the result stays smaller than
      // input times stride, as ONNX's shape inference and ONNX Runtime have it.
      g.out[s] = wanted.empty() ? std::min(g.in[s] * g.stride[s], full) : wanted[i];
      const int64_t total = std::max<int64_t>(full - g.out[s], 0);
      g.pad[s] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
    } else if (auto_pad == "VALID") {
      g.out[s] = full;
    } else {
      g.pad[s] = pads[i];
      g.out[s] = full - pads[i] - pads[i + rank];
    }
    g.out[s] = std::max<int64_t>(g.out[s], 0);
    g.out_shape.push_back(g.out[s]);
  }
  return g;
}

// Adds one output channel's products (tap-major, then input pixels) to its plane, taps and pixels ascending.
void ScatterPlane(const Geometry& g, const float* products, float* plane) {
  for (int64_t kz = 0; kz < g.kernel[0]; ++kz) {
    for (int64_t ky = 0; ky < g.kernel[1]; ++ky) {
      for (int64_t kx = 0; kx < g.kernel[2]; ++kx) {
        for (int64_t z = 0; z < g.in[0]; ++z) {
          for (int64_t y = 0; y < g.in[1]; ++y, products += g.in[2]) {
            const int64_t oz = z * g.stride[0] + kz * g.dilation[0] - g.pad[0];
            const int64_t oy = y * g.stride[1] + ky * g.dilation[1] - g.pad[1];
            if (oz < 0 || oz >= g.out[0] || oy < 0 || oy >= g.out[1]) continue;
            float* row = plane + (oz * g.out[1] + oy) * g.out[2];
            for (int64_t x = 0; x < g.in[2]; ++x) {
              const int64_t ox = x * g.stride[2] + kx * g.dilation[2] - g.pad[2];
              if (ox >= 0 && ox < g.out[2]) row[ox] += products[x];
            }
          }
        }
      }
    }
  }
}

void EvaluateConvTranspose(EvalContext& ctx) {
  const Operands in(ctx, TransposeGeometry);
  const Geometry& g = in.g;
  const float* bias = in.bias_data();
  Tensor result = ctx.scratch(DType::kFloat, g.out_shape);
  const kernels::Table& table = kernels::Active();
  const int64_t per_group = g.channels_out / g.group, k = g.channels_in / g.group, m = per_group * g.taps();
  const int64_t n = g.pixels_in(), size_a = PackedSizeA(m, k);
  PackedWeights local;
  PackedWeights& packed = ctx.is_constant(1) ? ctx.state<PackedWeights>() : local;
  if (packed.table != &table) {
    packed.table = &table;
    packed.data.resize(static_cast<size_t>(g.group * size_a));
    for (int64_t group = 0; group < g.group; ++group) {
      table.pack_a(m, k, in.w.data<float>() + group * k * m, 1, m, packed.data.data() + group * size_a);
    }
  }
  Tensor panels = ctx.scratch(DType::kFloat, {PackedSizeB(k, n)}),
         products = ctx.scratch(DType::kFloat, {m, n});
  for (int64_t item = 0; item < g.batch * g.group && result.size() > 0; ++item) {
    const int64_t group = item % g.group;
    PackBParallel(ctx.pool, k, n, in.x.data<float>() + item * k * n, n, 1, panels.data<float>());
    PackedProduct product{
        m, n, k, packed.data.data() + group * size_a, panels.data<float>(), products.data<float>(), n};
    RunProduct(ctx.pool, product);
    ctx.pool.ParallelFor(per_group, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t c = begin; c < end; ++c) {
        float* plane = result.data<float>() + (item * per_group + c) * g.pixels_out();
        std::fill_n(plane, g.pixels_out(), bias != nullptr ? bias[group * per_group + c] : 0.0f);
        ScatterPlane(g, products.data<float>() + c * g.taps() * n, plane);
      }
    });
  }
  SetFloatResult(ctx, 0, std::move(result), ctx.in(0).dtype());
}

}  // namespace

std::vector<OperatorRow> ConvOperators() {
  constexpr int kAny = std::numeric_limits<int>::max();
  return {
      {"", "Conv", 1, kAny, EvaluateConv, QuantRole::kCompute},
      {"", "ConvTranspose", 1, kAny, EvaluateConvTranspose, QuantRole::kCompute},
      {"com.microsoft", "FusedConv", 1, kAny, EvaluateFusedConv},
  };
}

}  // namespace xslim
