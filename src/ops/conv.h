// Convolution as other operators use it.
#ifndef XSLIM_OPS_CONV_H_
#define XSLIM_OPS_CONV_H_

#include <cstdint>

#include "ops/conv_geometry.h"
#include "ops/operator.h"

namespace xslim {

// y = the sums of a convolution of whole numbers without a bias, modulo 2^32. x and w hold whole numbers of
// which `terms` products add up to at most 2^24. kept: packed weights are the node's own, for later runs.
void ConvolveExactly(EvalContext& context, const ConvGeometry& g, const float* x, const float* w,
                     int64_t terms, bool kept, int32_t* y);

}  // namespace xslim

#endif  // XSLIM_OPS_CONV_H_
