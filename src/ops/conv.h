// Where a convolution's windows lie.
#ifndef XSLIM_OPS_CONV_H_
#define XSLIM_OPS_CONV_H_

#include <array>
#include <cstdint>

#include "ops/operator.h"

namespace xslim {

// Spatial dimensions are right-aligned in three (depth, rows, columns); missing ones are 1.
struct ConvGeometry {
  int64_t batch = 1, channels_in = 1, channels_out = 1, group = 1;
  std::array<int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1},
      pad{0, 0, 0};
  Shape out_shape;

  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t pixels_in() const { return in[0] * in[1] * in[2]; }
  int64_t pixels_out() const { return out[0] * out[1] * out[2]; }
};

// Of a Conv node for an input and weights of these shapes, auto_pad resolved. Throws Error when they do not
// fit.
ConvGeometry GeometryOfConv(const Node& node, const Shape& x, const Shape& w);

// y = the sums of a convolution of whole numbers without a bias, modulo 2^32. x and w hold whole numbers of
// which `terms` products add up to at most 2^24. kept: packed weights are the node's own, for later runs.
void ConvolveExactly(EvalContext& context, const ConvGeometry& g, const float* x, const float* w,
                     int64_t terms, bool kept, int32_t* y);

}  // namespace xslim

#endif  // XSLIM_OPS_CONV_H_
