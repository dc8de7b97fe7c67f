// Room for biases in the 32 bits that ONNX Runtime makes of them.
#ifndef XSLIM_QUANT_BIAS_ROOM_H_
#define XSLIM_QUANT_BIAS_ROOM_H_

#include <optional>

#include "quant/plan.h"

namespace xslim {

// Where a Conv, ConvTranspose or Gemm has Q/DQ pairs, ONNX Runtime turns its float bias into int32 steps of
// input scale x weight scale, and a bias of more than 2^31 of them comes out with the wrong sign. That takes
// a channel whose weights are next to nothing beside its bias (a pruned one). Such channels get a scale that
// leaves half of the range for sums, and the codes that their numbers have on it: what that costs is under
// 2^-30 of the bias for each step of the input. Nothing when no channel needs it.
//   bias: float32, one element for each scale of the weight (any number of them for a single scale)
std::optional<WeightQuant> WithRoomForBias(const WeightQuant& weight, const Tensor& bias, float input_scale);

}  // namespace xslim

#endif  // XSLIM_QUANT_BIAS_ROOM_H_
