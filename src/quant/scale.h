// The one place where a range becomes a scale and a zero point. float32 arithmetic, as XSlim's, so that scales agree
// to the last bit.
#ifndef XSLIM_QUANT_SCALE_H_
#define XSLIM_QUANT_SCALE_H_

#include <cstdint>

namespace xslim {

struct ScaleZero {
  float scale;
  int32_t zero_point;
};

inline constexpr float kSmallestScale = 0x1p-23f;

// int8, -128..127: scale = (hi - lo) / 255 with the range widened to hold 0, zero point = -128 - round_half_even(lo / scale).
ScaleZero AsymmetricInt8(float lo, float hi);

// int8 symmetric, zero point 0: 2 * max_abs / 255.
float SymmetricScale(float max_abs);

// The least power of two that is not under `scale`.
float PowerOfTwoUp(float scale);

}  // namespace xslim

#endif  // XSLIM_QUANT_SCALE_H_
