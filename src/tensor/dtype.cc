#include "tensor/dtype.h"

#include <bit>
#include <cstring>

namespace xslim {
namespace {
struct Row {
  DType type;
  size_t size;
  const char* name;
};
constexpr Row kRows[] = {
    {DType::kFloat, 4, "float32"},
    {DType::kUint8, 1, "uint8"},
    {DType::kInt8, 1, "int8"},
    {DType::kUint16, 2, "uint16"},
    {DType::kInt16, 2, "int16"},
    {DType::kInt32, 4, "int32"},
    {DType::kInt64, 8, "int64"},
    {DType::kString, 0, "string"},
    {DType::kBool, 1, "bool"},
    {DType::kFloat16, 2, "float16"},
    {DType::kDouble, 8, "float64"},
    {DType::kUint32, 4, "uint32"},
    {DType::kUint64, 8, "uint64"},
    {DType::kComplex64, 8, "complex64"},
    {DType::kComplex128, 16, "complex128"},
    {DType::kBFloat16, 2, "bfloat16"},
    {DType::kFloat8E4M3FN, 1, "float8e4m3fn"},
    {DType::kFloat8E4M3FNUZ, 1, "float8e4m3fnuz"},
    {DType::kFloat8E5M2, 1, "float8e5m2"},
    {DType::kFloat8E5M2FNUZ, 1, "float8e5m2fnuz"},
    {DType::kUint4, 1, "uint4"},
    {DType::kInt4, 1, "int4"},
    {DType::kFloat4E2M1, 1, "float4e2m1"},
    {DType::kFloat8E8M0, 1, "float8e8m0"},
    {DType::kUint2, 1, "uint2"},
    {DType::kInt2, 1, "int2"},
    {DType::kSequence, 0, "sequence"},
    {DType::kEmptyOptional, 0, "empty optional"},
};
}  // namespace

size_t SizeOf(DType type) {
  for (const Row& row : kRows)
    if (row.type == type) return row.size;
  return 0;
}

int PerByte(DType type) {
  if (type == DType::kUint2 || type == DType::kInt2) return 4;
  return type == DType::kInt4 || type == DType::kUint4 || type == DType::kFloat4E2M1 ? 2 : 1;
}

const char* NameOf(DType type) {
  for (const Row& row : kRows)
    if (row.type == type) return row.name;
  return "undefined";
}

DType DTypeFromName(const char* name) {
  for (const Row& row : kRows)
    if (std::strcmp(row.name, name) == 0) return row.type;
  return DType::kUndefined;
}

float ToFloat(BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }

BFloat16 ToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};  // quiet NaN
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

float ToFloat(Half value) {
  const uint32_t sign = (value.bits & 0x8000u) << 16, exponent = (value.bits >> 10) & 31u,
                 mantissa = value.bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

Half ToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // 65520 and up
  if (magnitude <
      0x38800000u) {  // subnormal half: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

}  // namespace xslim
