#include "quant/scale.h"

#include <algorithm>
#include <cmath>

namespace xslim {

ScaleZero AsymmetricInt8(float lo, float hi) {
  lo = std::min(lo, 0.0f);
  hi = std::max(hi, 0.0f);
  // (hi - lo) may overflow to infinity for ranges near the float's own; half sizes keep it finite.
  const float width = hi * 0.5f - lo * 0.5f;
  float scale = width < 0x1p126f ? (hi - lo) / 255.0f : width / 127.5f;
  scale = std::max(scale, kSmallestScale);
  const float zero = std::nearbyint(-128.0f - std::nearbyint(lo / scale));
  return {scale, static_cast<int32_t>(std::clamp(zero, -128.0f, 127.0f))};
}

float SymmetricScale(float max_abs) { return std::max(2.0f * (max_abs / 255.0f), kSmallestScale); }

float PowerOfTwoUp(float scale) {
  int exponent = 0;
  const float mantissa = std::frexp(scale, &exponent);  // scale = mantissa * 2^exponent, mantissa in [0.5, 1)
  return std::ldexp(1.0f, mantissa == 0.5f ? exponent - 1 : exponent);
}

}  // namespace xslim
