// The weights of a computing operator as rows that are products' left sides: output = row . patch of the
// input. And the patches.
#ifndef XSLIM_TUNE_WEIGHT_ROWS_H_
#define XSLIM_TUNE_WEIGHT_ROWS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "base/threads.h"
#include "graph/graph.h"

namespace xslim {

// Row r of group g, element d lies at weight[g * group_stride + r * row_stride + d * depth_stride].
//   Conv: a row is an output channel, d runs over (input channel of the group, taps).
//   Gemm, MatMul (constant matrix on the right): a row is an output column, d runs over the inner dimension.
//   ConvTranspose: a row is an (output channel, tap), d runs over the group's input channels.
struct WeightRows {
  int64_t groups = 1, rows = 0, depth = 0;  // rows and depth of one group
  int64_t group_stride = 0, row_stride = 0, depth_stride = 0;
  int64_t At(int64_t group, int64_t row, int64_t d) const {
    return group * group_stride + row * row_stride + d * depth_stride;
  }
};

// None for operators and weights that are no such product (slot 1 not of the weight's rank, transA ...).
std::optional<WeightRows> RowsOf(const Node& node, const Tensor& weight);

// Which patches of one sample's input are looked at, the same for all groups: `count` at most, drawn with
// `seed`.
std::vector<int64_t> PatchPlaces(const Node& node, const Tensor& weight, const Tensor& input, int64_t count,
                                 uint64_t seed);

// Those patches of one sample's input, which must outlive this object: where they lie is found once, for all
// groups.
class PatchReader {
 public:
  PatchReader(const Node& node, const Tensor& weight, const Tensor& input,
              const std::vector<int64_t>& places);
  // Of one group, one after the other: out[p * depth + d]. Padding reads as zero.
  std::vector<float> Of(int64_t group, ThreadPool& pool) const;

 private:
  const float* const input_;
  int64_t channels_, plane_;  // of a group; from a channel to the next
  int64_t taps_ = 1;
  std::vector<int64_t> starts_;  // by patch and tap, counted from the first group; negative in the padding
};

}  // namespace xslim

#endif  // XSLIM_TUNE_WEIGHT_ROWS_H_
