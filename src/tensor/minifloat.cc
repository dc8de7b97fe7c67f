#include "tensor/minifloat.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace xslim {
namespace {

// Sign, exponent and mantissa from the highest bit down.
struct Format {
  int exponent_bits, mantissa_bits, bias;
  uint8_t largest;   // code of the largest finite number
  uint8_t infinity;  // 0 = the type has none
  uint8_t nan;       // 0 = the type has none
  bool has_minus_zero;
};

Format FormatOf(DType type) {
  switch (type) {
    case DType::kFloat8E4M3FN:
      return {4, 3, 7, 0x7e, 0, 0x7f, true};
    case DType::kFloat8E4M3FNUZ:
      return {4, 3, 8, 0x7f, 0, 0x80, false};
    case DType::kFloat8E5M2:
      return {5, 2, 15, 0x7b, 0x7c, 0x7e, true};
    case DType::kFloat8E5M2FNUZ:
      return {5, 2, 16, 0x7f, 0, 0x80, false};
    default:
      return {2, 1, 1, 0x7, 0, 0, true};  // float4e2m1
  }
}

// 2^(code - 127); 255 is NaN.
uint8_t ToPower(float value, bool saturate, PowerRounding rounding) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t exponent = (bits >> 23) & 255u, mantissa = bits & 0x7fffffu;
  if (std::isnan(value)) return 255;
  if (exponent == 255) return 255;  // infinities, too
  bool up = false;
  // Below the normal numbers a half is 0x400000 of float's fixed steps of 2^-149.
  if (rounding == PowerRounding::kUp) {
    up = exponent > 0 ? mantissa > 0 : mantissa > 0x400000u;
  } else if (rounding == PowerRounding::kNearest) {
    up = exponent > 0 ? mantissa >= 0x400000u : mantissa >= 0x600000u;
  }
  const uint32_t code = exponent + (up ? 1 : 0);
  if (code == 255) return saturate ? 254 : 255;
  return static_cast<uint8_t>(code);
}

}  // namespace

float MiniToFloat(DType type, uint8_t code) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  if (type == DType::kFloat8E8M0) return code == 255 ? kNan : std::ldexp(1.0f, code - 127);
  const Format format = FormatOf(type);
  const int width = 1 + format.exponent_bits + format.mantissa_bits;
  const auto sign = static_cast<uint8_t>(1u << (width - 1));
  if (!format.has_minus_zero && code == sign) return kNan;
  const int magnitude = code & (sign - 1);
  float value;
  if (format.infinity != 0 && magnitude == format.infinity) {
    value = std::numeric_limits<float>::infinity();
  } else if (magnitude > format.largest) {
    return kNan;
  } else {
    const int exponent = magnitude >> format.mantissa_bits,
              mantissa = magnitude & ((1 << format.mantissa_bits) - 1);
    const int whole = exponent == 0 ? mantissa : mantissa + (1 << format.mantissa_bits);
    value = std::ldexp(static_cast<float>(whole), std::max(exponent, 1) - format.bias - format.mantissa_bits);
  }
  return (code & sign) != 0 ? -value : value;
}

uint8_t FloatToMini(DType type, float value, bool saturate, PowerRounding rounding) {
  if (type == DType::kFloat8E8M0) return ToPower(value, saturate, rounding);
  const Format format = FormatOf(type);
  const int width = 1 + format.exponent_bits + format.mantissa_bits;
  const auto sign = static_cast<uint8_t>(std::signbit(value) ? 1u << (width - 1) : 0u);
  if (std::isnan(value)) {
    if (format.nan == 0) return static_cast<uint8_t>(1u << (width - 1));
    return format.has_minus_zero ? static_cast<uint8_t>(sign | format.nan) : format.nan;
  }
  int code = format.largest + 1;
  if (std::isfinite(value)) {
    const float magnitude = std::fabs(value);
    const int lowest = 1 - format.bias;  // exponent of the smallest normal number
    const int exponent = std::max(magnitude == 0 ? lowest : std::ilogb(magnitude), lowest);
    // Units in the last place; a carry out of the mantissa goes on into the exponent as it should.
    const float units = std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent));
    code = std::min(((exponent - lowest) << format.mantissa_bits) + static_cast<int>(units), code);
  }
  if (code == 0 && !format.has_minus_zero) return 0;
  if (code <= format.largest) return static_cast<uint8_t>(sign | code);
  if (saturate || format.nan == 0) return static_cast<uint8_t>(sign | format.largest);
  if (format.infinity != 0) return static_cast<uint8_t>(sign | format.infinity);
  return format.has_minus_zero ? static_cast<uint8_t>(sign | format.nan) : format.nan;
}

}  // namespace xslim
