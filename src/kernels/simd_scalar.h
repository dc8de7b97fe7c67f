// One-lane stand-ins for the Highway functions that the kernel bodies use. Included inside an anonymous
// namespace.
#ifndef XSLIM_KERNELS_SIMD_SCALAR_H_
#define XSLIM_KERNELS_SIMD_SCALAR_H_

#define XSLIM_MR 4

constexpr bool kQuickFma = false;

struct F32 {};
struct I32 {};
using V = float;
using VI = int32_t;

namespace hn {
inline size_t Lanes(F32) { return 1; }
inline V Set(F32, float x) { return x; }
inline VI Set(I32, int32_t x) { return x; }
inline V Zero(F32) { return 0.0f; }
inline V LoadU(F32, const float* p) { return *p; }
inline void StoreU(V v, F32, float* p) { *p = v; }
inline void StoreU(VI v, I32, int32_t* p) { *p = v; }
inline bool FirstN(F32, size_t count) { return count > 0; }
inline bool Not(bool a) { return !a; }
inline V MaskedLoad(bool m, F32, const float* p) { return m ? *p : 0.0f; }
inline VI Iota(I32, int32_t first) { return first; }
inline void LoadInterleaved2(F32, const float* p, V& even, V& odd) {
  even = p[0];
  odd = p[1];
}
inline V Add(V a, V b) { return a + b; }
inline V Sub(V a, V b) { return a - b; }
inline V Mul(V a, V b) { return a * b; }
inline V Div(V a, V b) { return a / b; }
inline V MulAdd(V a, V b, V c) { return __builtin_fmaf(a, b, c); }
inline V NegMulAdd(V a, V b, V c) { return __builtin_fmaf(-a, b, c); }
inline V Min(V a, V b) { return a < b ? a : b; }
inline V Max(V a, V b) { return a > b ? a : b; }
inline V Abs(V a) { return __builtin_fabsf(a); }
inline V Neg(V a) { return -a; }
inline V Sqrt(V a) { return __builtin_sqrtf(a); }
inline V Round(V a) { return __builtin_nearbyintf(a); }
inline V Floor(V a) { return __builtin_floorf(a); }
inline V Ceil(V a) { return __builtin_ceilf(a); }
inline V CopySign(V a, V sign) { return __builtin_copysignf(a, sign); }
inline bool Gt(V a, V b) { return a > b; }
inline bool Lt(V a, V b) { return a < b; }
inline bool Ge(V a, V b) { return a >= b; }
inline bool Le(V a, V b) { return a <= b; }
inline bool Eq(V a, V b) { return a == b; }
inline bool Or(bool a, bool b) { return a || b; }
inline bool IsNaN(V a) { return a != a; }
inline bool AllTrue(F32, bool a) { return a; }
inline V IfThenElse(bool m, V a, V b) { return m ? a : b; }
inline VI ConvertTo(I32, V a) { return static_cast<int32_t>(a); }
inline V ConvertTo(F32, VI a) { return static_cast<float>(a); }
inline VI BitCast(I32, V a) {
  int32_t bits;
  memcpy(&bits, &a, 4);
  return bits;
}
inline V BitCast(F32, VI a) {
  float value;
  memcpy(&value, &a, 4);
  return value;
}
// These wrap around, as vector instructions do.
inline VI Add(VI a, VI b) { return static_cast<VI>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
inline VI Sub(VI a, VI b) { return static_cast<VI>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b)); }
inline VI And(VI a, VI b) { return a & b; }
template <int kBits>
inline VI ShiftLeft(VI a) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) << kBits);
}
template <int kBits>
inline VI ShiftRight(VI a) {
  return a >> kBits;
}
}  // namespace hn

// Integral values in the range of T.
template <typename T>
inline void StoreAs(V v, T* p) {
  *p = static_cast<T>(v);
}
template <typename T>
inline V LoadAs(const T* p) {
  return static_cast<float>(*p);
}

#endif  // XSLIM_KERNELS_SIMD_SCALAR_H_
