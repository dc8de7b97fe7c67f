// Element types. Values equal onnx.TensorProto.DataType.
#ifndef XSLIM_TENSOR_DTYPE_H_
#define XSLIM_TENSOR_DTYPE_H_

#include <cstddef>
#include <cstdint>

namespace xslim {

enum class DType : int {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBFloat16 = 16,
  kFloat8E4M3FN = 17,
  kFloat8E4M3FNUZ = 18,
  kFloat8E5M2 = 19,
  kFloat8E5M2FNUZ = 20,
  kUint4 = 21,
  kInt4 = 22,
  kFloat4E2M1 = 23,
  kFloat8E8M0 = 24,
  kUint2 = 25,
  kInt2 = 26,  // the last that a file's data_type may be
  // Values that are no tensors; never in a file's data_type.
  kSequence = 1000,       // a list of tensors
  kEmptyOptional = 1001,  // an optional without a value; one that has a value is that value
};

// Bytes of one element in memory; types of 4 and 2 bits take one byte each in a Tensor (packed only in
// files); 0 for strings.
size_t SizeOf(DType type);
// How many elements a file packs into a byte: 4, 2, or 1 for types of whole bytes.
int PerByte(DType type);
const char* NameOf(DType type);         // numpy's names: "float32", "int8", "bool" ...
DType DTypeFromName(const char* name);  // kUndefined when unknown

// Whether it is float, double, float16 or bfloat16.
constexpr bool IsFloating(DType type) {
  return type == DType::kFloat || type == DType::kDouble || type == DType::kFloat16 ||
         type == DType::kBFloat16;
}

// Of whole bytes, signed or not; not bool.
constexpr bool IsInteger(DType type) {
  return type == DType::kInt8 || type == DType::kUint8 || type == DType::kInt16 || type == DType::kUint16 ||
         type == DType::kInt32 || type == DType::kUint32 || type == DType::kInt64 || type == DType::kUint64;
}

// 16-bit floats are stored as their bits.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};
float ToFloat(Half value);
float ToFloat(BFloat16 value);
Half ToHalf(float value);          // round to nearest even, overflow to infinity
BFloat16 ToBFloat16(float value);  // round to nearest even

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kDouble;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::kInt8;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUint8;
};
template <>
struct DTypeOf<int16_t> {
  static constexpr DType value = DType::kInt16;
};
template <>
struct DTypeOf<uint16_t> {
  static constexpr DType value = DType::kUint16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<uint32_t> {
  static constexpr DType value = DType::kUint32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<uint64_t> {
  static constexpr DType value = DType::kUint64;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::kFloat16;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::kBFloat16;
};

}  // namespace xslim

#endif  // XSLIM_TENSOR_DTYPE_H_
