#include "tune/weight_rows.h"

#include <algorithm>

#include "base/random.h"
#include "ops/conv.h"

namespace xslim {
namespace {

// Patches of a convolution, by position of the output.
void ConvPatches(const Node& node, const Tensor& weight, const Tensor& input, int64_t group,
                 const std::vector<int64_t>& places, std::vector<float>* out) {
  const ConvGeometry g = GeometryOfConv(node, input.shape(), weight.shape());
  const int64_t channels = weight.dim(1), first = group * channels, plane = g.pixels_in(), taps = g.taps();
  out->assign(places.size() * static_cast<size_t>(channels * taps), 0.0f);
  float* to = out->data();
  for (int64_t place : places) {
    const int64_t n = place / g.pixels_out(), pixel = place % g.pixels_out();
    const int64_t at[3] = {pixel / (g.out[1] * g.out[2]), pixel / g.out[2] % g.out[1], pixel % g.out[2]};
    const float* from = input.data<float>() + (n * g.channels_in + first) * plane;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t tap[3] = {t / (g.kernel[1] * g.kernel[2]), t / g.kernel[2] % g.kernel[1],
                              t % g.kernel[2]};
      int64_t offset = 0;
      bool inside = true;
      for (int i = 0; i < 3; ++i) {
        const int64_t x = at[i] * g.stride[i] + tap[i] * g.dilation[i] - g.pad[i];
        inside &= x >= 0 && x < g.in[i];
        offset = offset * g.in[i] + x;
      }
      if (!inside) continue;
      for (int64_t c = 0; c < channels; ++c) to[c * taps + t] = from[c * plane + offset];
    }
    to += channels * taps;
  }
}

// Vectors along `axis` of the input seen as [outer, axis, inner]; `begin`, `size`: the part of the axis.
void AxisPatches(const Tensor& input, int64_t axis, int64_t begin, int64_t size,
                 const std::vector<int64_t>& places, std::vector<float>* out) {
  const int64_t extent = input.dim(axis), inner = InnerCount(input.shape(), axis);
  out->resize(places.size() * static_cast<size_t>(size));
  float* to = out->data();
  for (int64_t place : places) {
    const float* from = input.data<float>() + (place / inner * extent + begin) * inner + place % inner;
    for (int64_t d = 0; d < size; ++d) *to++ = from[d * inner];
  }
}

}  // namespace

std::optional<WeightRows> RowsOf(const Node& node, const Tensor& weight) {
  WeightRows rows;
  if (weight.size() == 0) return std::nullopt;
  if (node.Is("Conv") && weight.rank() >= 3) {
    rows.groups = node.Int("group", 1);
    if (rows.groups < 1 || weight.dim(0) % rows.groups != 0) return std::nullopt;
    rows.rows = weight.dim(0) / rows.groups;
    rows.depth = weight.size() / weight.dim(0);
    rows.group_stride = rows.rows * rows.depth;
    rows.row_stride = rows.depth;
    rows.depth_stride = 1;
    return rows;
  }
  if (node.Is("ConvTranspose") && weight.rank() >= 3) {
    rows.groups = node.Int("group", 1);
    if (rows.groups < 1 || weight.dim(0) % rows.groups != 0) return std::nullopt;
    rows.depth = weight.dim(0) / rows.groups;
    rows.rows = weight.size() / weight.dim(0);
    rows.group_stride = rows.depth * rows.rows;
    rows.row_stride = 1;
    rows.depth_stride = rows.rows;
    return rows;
  }
  if (weight.rank() != 2) return std::nullopt;
  if (node.Is("Gemm") && node.Int("transA", 0) != 0) return std::nullopt;
  if (!node.Is("Gemm") && !node.Is("MatMul")) return std::nullopt;
  const bool transposed = node.Is("Gemm") && node.Int("transB", 0) != 0;
  rows.rows = weight.dim(transposed ? 0 : 1);
  rows.depth = weight.dim(transposed ? 1 : 0);
  rows.row_stride = transposed ? rows.depth : 1;
  rows.depth_stride = transposed ? 1 : rows.rows;
  return rows;
}

std::vector<int64_t> PatchPlaces(const Node& node, const Tensor& weight, const Tensor& input, int64_t count,
                                 uint64_t seed) {
  Random random(seed);
  if (node.Is("Conv")) {
    const ConvGeometry g = GeometryOfConv(node, input.shape(), weight.shape());
    return Choose(random, g.batch * g.pixels_out(), count);
  }
  const int64_t extent = input.dim(node.Is("ConvTranspose") ? 1 : input.rank() - 1);
  return Choose(random, extent == 0 ? 0 : input.size() / extent, count);
}

std::vector<float> Patches(const Node& node, const Tensor& weight, const Tensor& input, int64_t group,
                           const std::vector<int64_t>& places) {
  std::vector<float> out;
  if (node.Is("Conv")) {
    ConvPatches(node, weight, input, group, places, &out);
  } else if (node.Is("ConvTranspose")) {
    const int64_t depth = weight.dim(0) / node.Int("group", 1);
    AxisPatches(input, 1, group * depth, depth, places, &out);
  } else {
    AxisPatches(input, input.rank() - 1, 0, input.dim(-1), places, &out);
  }
  return out;
}

}  // namespace xslim
