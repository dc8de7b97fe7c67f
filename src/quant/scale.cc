#include "quant/scale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>

#include "xslim/error.h"

namespace xslim {

ScaleZero AsymmetricInt8(float lo, float hi) {
  if (!std::isfinite(lo) || !std::isfinite(hi) || lo > hi)
    throw Error("no range: [" + std::to_string(lo) + ", " + std::to_string(hi) + "].", "AsymmetricInt8",
                "two finite values in ascending order");
  lo = std::min(lo, 0.0f);
  hi = std::max(hi, 0.0f);
  const double width = static_cast<double>(hi) - static_cast<double>(lo);
  const float scale = std::max(static_cast<float>(width / 255), kMinScale);
  const double zero = -128 - std::nearbyint(static_cast<double>(lo / scale));
  return {scale, static_cast<int32_t>(std::clamp(zero, -128.0, 127.0))};
}

float SymmetricScale(float max_abs, float least) {
  if (!std::isfinite(max_abs) || max_abs < 0)
    throw Error("no largest magnitude: " + std::to_string(max_abs) + ".", "SymmetricScale",
                "a finite value, 0 or more");
  return std::max(static_cast<float>(2.0 * static_cast<double>(max_abs) / 255), least);
}

float PowerOfTwoUp(float scale) {
  constexpr float kLargest = 0x1p127f, kSmallest = 0x1p-126f;
  if (!(scale >= kSmallest && scale <= kLargest))
    throw Error("scale " + std::to_string(scale) + " has no power of two above it.", "PowerOfTwoUp",
                "a positive normal float up to 2^127");
  const uint32_t bits = std::bit_cast<uint32_t>(scale);
  constexpr uint32_t kMantissa = (1u << 23) - 1;
  return std::bit_cast<float>((bits + kMantissa) & ~kMantissa);
}

}  // namespace xslim
