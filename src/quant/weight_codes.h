// Integer codes of constant weights: int8 along one axis, 4 bits in blocks.
#ifndef XSLIM_QUANT_WEIGHT_CODES_H_
#define XSLIM_QUANT_WEIGHT_CODES_H_

#include <cstdint>
#include <vector>

#include "base/threads.h"
#include "quant/plan.h"
#include "quant/scale.h"
#include "tensor/tensor.h"

namespace xslim {

// A tensor seen as [outer, axis, inner] around one of its axes.
struct AxisView {
  int64_t outer = 1, axis = 1, inner = 1;
};
AxisView ViewAround(const Shape& shape, int64_t axis);

// Largest magnitude at each index of `axis`, in its order. x: float32, finite.
std::vector<float> LargestAlongAxis(const Tensor& x, int axis);

// A symmetric scale for each index of `axis`, from its largest magnitude, at least `least`; zero points 0.
QuantParams SymmetricAlongAxis(const Tensor& x, int axis, float least = kMinScale);

// q = clamp(round(x / scale) + zero_point, -128, 127), int8 of the same shape; params per tensor or per axis.
// x: finite.
Tensor EncodeInt8(const Tensor& x, const QuantParams& params);

// The same for the weight of a convolution [out, in, taps ...], params along axis 0, with roundings chosen so
// that errors cancel: what reaches a filter is mostly of one sign, so the sum of its errors counts for more
// than each of them. As few elements as needed, those nearest to the next code, are rounded the other way
// until the errors of each kernel, then of each filter, sum to at most half a step (after SQuant: Guo et al.,
// ICLR 2022; no data needed).
Tensor EncodeFilters(const Tensor& x, const QuantParams& params, ThreadPool& pool);

// A matrix (or a batch of them, the last two dimensions) with one scale per column: x ~ q * scale.
struct ColumnCodes {
  Tensor codes;  // int8
  Tensor scale;  // float32: [n] for a matrix, else x's shape with 1 for the rows
};
// The scale is SymmetricScale of the column's largest magnitude; unless `full_range`, it is at least large
// enough for 255 * (q[2i] + q[2i+1]) to fit 16 bits. Processors with vpmaddubsw and no VNNI add such pairs of
// products with uint8 in 16 bits, with saturation.
ColumnCodes EncodeColumns(const Tensor& x, bool full_range, ThreadPool& pool);

// Every element is a whole number (to 10^-5): an index table, a mask or a convolution made by hand, which no
// other grid should touch.
bool NearlyWhole(const Tensor& x);
bool AllFinite(const Tensor& x);

// 4-bit codes in blocks along one axis: the scale has x's shape with the axis shrunk to ceil(size / block).
struct BlockCodes {
  Tensor codes;        // int4, or uint4 with zero points
  Tensor scale;        // float32
  Tensor zero_points;  // uint4 of the scale's shape; undefined for int4
};

// For each block the scale (and zero point) of least squared error, found by trying ranges shrunk in 1/32
// steps down to 0.6 of the full one and, for each, refining the scale to sum(x*q)/sum(q*q) once. x: float32,
// finite. int4: x ~ q * scale, q in -8..7. uint4: x ~ (q - zero_point) * scale, q in 0..15.
BlockCodes EncodeBlocks4(const Tensor& x, int axis, int64_t block, bool with_zero_points, ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_QUANT_WEIGHT_CODES_H_
