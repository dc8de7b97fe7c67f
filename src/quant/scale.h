// From a range to a scale and zero point: the 8-bit rules of XSlim, bit for bit.
#ifndef XSLIM_QUANT_SCALE_H_
#define XSLIM_QUANT_SCALE_H_

#include <cstdint>

namespace xslim {

inline constexpr float kMinScale = 1.1920928955078125e-07f;  // 2^-23
// Where XSlim has no rule: products with a scale of any activation in use stay normal floats.
inline constexpr float kMinFreeScale = 0x1p-80f;

struct ScaleZero {
  float scale;
  int32_t zero_point;  // -128..127
};

// Range [lo, hi], widened to hold 0, on -128..127: scale = (hi-lo)/255 in float64, rounded to float32, at
// least kMinScale; zero_point = -128 - round_half_even(lo/scale). Throws Error when an end is not finite or
// lo > hi.
ScaleZero AsymmetricInt8(float lo, float hi);

// 2*max_abs/255, at least `least`. Throws Error when max_abs is negative or not finite.
float SymmetricScale(float max_abs, float least = kMinScale);

// The smallest power of two not under scale (a positive normal float up to 2^127; else throws Error).
float PowerOfTwoUp(float scale);

}  // namespace xslim

#endif  // XSLIM_QUANT_SCALE_H_
