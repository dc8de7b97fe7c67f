// Floats of 8 and 4 bits; a Tensor holds each in a byte. Formats: ONNX's "Float stored in 8 bits" and the OCP
// Microscaling formats.
#ifndef XSLIM_TENSOR_MINIFLOAT_H_
#define XSLIM_TENSOR_MINIFLOAT_H_

#include <cstdint>

#include "tensor/dtype.h"

namespace xslim {

constexpr bool IsMiniFloat(DType type) {
  return (type >= DType::kFloat8E4M3FN && type <= DType::kFloat8E5M2FNUZ) || type == DType::kFloat4E2M1 ||
         type == DType::kFloat8E8M0;
}

// How float8e8m0, which holds nothing but powers of two, takes what lies between two of them.
enum class PowerRounding { kUp, kDown, kNearest };  // kNearest: ties up

// The value of a code of a mini float type.
float MiniToFloat(DType type, uint8_t code);

// Nearest, ties to even. Beyond the largest: that with `saturate`, else infinity, or NaN where the type has
// none. float4e2m1 always saturates; it has no NaN, which becomes -0.
uint8_t FloatToMini(DType type, float value, bool saturate = true,
                    PowerRounding rounding = PowerRounding::kUp);

}  // namespace xslim

#endif  // XSLIM_TENSOR_MINIFLOAT_H_
