// Where the windows of Conv and ConvTranspose lie, and what both operators start with.
#ifndef XSLIM_OPS_CONV_GEOMETRY_H_
#define XSLIM_OPS_CONV_GEOMETRY_H_

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

// The same of a ConvTranspose node.
ConvGeometry GeometryOfConvTranspose(const Node& node, const Shape& x, const Shape& w);

// The same convolution with dimensions that are no more than 1 in front, so that rows are as long as can be.
ConvGeometry WithRows(ConvGeometry g);

// The inputs as float32. Throws Error when they do not fit.
struct ConvOperands {
  Tensor x, w, bias;  // bias undefined when left out
  ConvGeometry g;

  ConvOperands(EvalContext& ctx, ConvGeometry (*geometry)(const Node&, const Shape&, const Shape&));
  const float* bias_data() const { return bias.defined() ? bias.data<float>() : nullptr; }
};

}  // namespace xslim

#endif  // XSLIM_OPS_CONV_GEOMETRY_H_
