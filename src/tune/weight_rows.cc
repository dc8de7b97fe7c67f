#include "tune/weight_rows.h"

#include <algorithm>

#include "base/random.h"
#include "ops/conv.h"

namespace xslim {

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

PatchReader::PatchReader(const Node& node, const Tensor& weight, const Tensor& input,
                         const std::vector<int64_t>& places)
    : input_(input.data<float>()) {
  if (!node.Is("Conv")) {  // vectors along an axis of the input seen as [outer, axis, inner]
    const bool transpose = node.Is("ConvTranspose");
    const int64_t axis = transpose ? 1 : input.rank() - 1, extent = input.dim(axis);
    channels_ = transpose ? weight.dim(0) / node.Int("group", 1) : extent;
    plane_ = InnerCount(input.shape(), axis);
    for (const int64_t place : places) starts_.push_back(place / plane_ * extent * plane_ + place % plane_);
    return;
  }
  const ConvGeometry g = GeometryOfConv(node, input.shape(), weight.shape());
  channels_ = weight.dim(1);
  plane_ = g.pixels_in();
  taps_ = g.taps();
  for (const int64_t place : places) {
    const int64_t n = place / g.pixels_out(), pixel = place % g.pixels_out();
    const int64_t at[3] = {pixel / (g.out[1] * g.out[2]), pixel / g.out[2] % g.out[1], pixel % g.out[2]};
    for (int64_t t = 0; t < taps_; ++t) {
      const int64_t tap[3] = {t / (g.kernel[1] * g.kernel[2]), t / g.kernel[2] % g.kernel[1],
                              t % g.kernel[2]};
      int64_t offset = 0;
      bool inside = true;
      for (int i = 0; i < 3; ++i) {
        const int64_t x = at[i] * g.stride[i] + tap[i] * g.dilation[i] - g.pad[i];
        inside &= x >= 0 && x < g.in[i];
        offset = offset * g.in[i] + x;
      }
      starts_.push_back(inside ? n * g.channels_in * plane_ + offset : -1);
    }
  }
}

std::vector<float> PatchReader::Of(int64_t group, ThreadPool& pool) const {
  constexpr int64_t kTogether =
      16;  // channels: what is read of their planes stays in cache for the next patch
  std::vector<float> out(starts_.size() * static_cast<size_t>(channels_));
  const float* const from = input_ + group * channels_ * plane_;
  const int64_t patches = static_cast<int64_t>(starts_.size()) / taps_, depth = channels_ * taps_;
  pool.ParallelFor((channels_ + kTogether - 1) / kTogether, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kTogether, last = std::min(first + kTogether, channels_);
      for (int64_t p = 0; p < patches; ++p) {
        const int64_t* const starts = starts_.data() + p * taps_;
        float* to = out.data() + p * depth + first * taps_;
        for (int64_t c = first; c < last; ++c) {
          for (int64_t t = 0; t < taps_; ++t) *to++ = starts[t] < 0 ? 0.0f : from[c * plane_ + starts[t]];
        }
      }
    }
  });
  return out;
}

}  // namespace xslim
