// The vector wrapper that the shared bodies (math-inl.h, elementwise-inl.h) are written on, as groups of two
// vector registers (LMUL 2). Included inside an anonymous namespace.
//
// LMUL 2: the polynomials hold up to a dozen values at once, which 16 groups of two registers take without
// spilling; four registers each would spill. Arithmetic always runs over whole groups, whose surplus elements
// are never stored: only loads and stores of a tail are shortened.
#ifndef XSLIM_KERNELS_RVV_SIMD_H_
#define XSLIM_KERNELS_RVV_SIMD_H_

struct F32 {};
struct I32 {};
using V = vfloat32m2_t;
using VI = vint32m2_t;
using Mask = vbool16_t;

XSLIM_INLINE size_t All() { return __riscv_vsetvlmax_e32m2(); }

// A constant: an operand of the instructions that take a scalar, else copied to a vector.
struct Constant {
  float value;
  XSLIM_INLINE operator V() const { return __riscv_vfmv_v_f_f32m2(value, All()); }
};

namespace hn {
XSLIM_INLINE size_t Lanes(F32) { return All(); }
XSLIM_INLINE Constant Set(F32, float x) { return {x}; }
XSLIM_INLINE VI Set(I32, int32_t x) { return __riscv_vmv_v_x_i32m2(x, All()); }
XSLIM_INLINE Constant Zero(F32) { return {0.0f}; }
XSLIM_INLINE V Add(V a, V b) { return __riscv_vfadd_vv_f32m2(a, b, All()); }
XSLIM_INLINE V Add(V a, Constant b) { return __riscv_vfadd_vf_f32m2(a, b.value, All()); }
XSLIM_INLINE V Add(Constant a, V b) { return __riscv_vfadd_vf_f32m2(b, a.value, All()); }
XSLIM_INLINE V Sub(V a, V b) { return __riscv_vfsub_vv_f32m2(a, b, All()); }
XSLIM_INLINE V Sub(V a, Constant b) { return __riscv_vfsub_vf_f32m2(a, b.value, All()); }
XSLIM_INLINE V Sub(Constant a, V b) { return __riscv_vfrsub_vf_f32m2(b, a.value, All()); }
XSLIM_INLINE V Mul(V a, V b) { return __riscv_vfmul_vv_f32m2(a, b, All()); }
XSLIM_INLINE V Mul(V a, Constant b) { return __riscv_vfmul_vf_f32m2(a, b.value, All()); }
XSLIM_INLINE V Div(V a, V b) { return __riscv_vfdiv_vv_f32m2(a, b, All()); }
XSLIM_INLINE V Div(V a, Constant b) { return __riscv_vfdiv_vf_f32m2(a, b.value, All()); }
XSLIM_INLINE V Div(Constant a, V b) { return __riscv_vfrdiv_vf_f32m2(b, a.value, All()); }
XSLIM_INLINE V MulAdd(V a, V b, V c) { return __riscv_vfmacc_vv_f32m2(c, a, b, All()); }
XSLIM_INLINE V MulAdd(V a, Constant b, V c) { return __riscv_vfmacc_vf_f32m2(c, b.value, a, All()); }
XSLIM_INLINE V MulAdd(Constant a, V b, V c) { return __riscv_vfmacc_vf_f32m2(c, a.value, b, All()); }
XSLIM_INLINE V NegMulAdd(V a, V b, V c) { return __riscv_vfnmsac_vv_f32m2(c, a, b, All()); }
XSLIM_INLINE V NegMulAdd(V a, Constant b, V c) { return __riscv_vfnmsac_vf_f32m2(c, b.value, a, All()); }
XSLIM_INLINE V Abs(V a) { return __riscv_vfabs_v_f32m2(a, All()); }
XSLIM_INLINE V Neg(V a) { return __riscv_vfneg_v_f32m2(a, All()); }
XSLIM_INLINE V Sqrt(V a) { return __riscv_vfsqrt_v_f32m2(a, All()); }
XSLIM_INLINE V CopySign(V a, V sign) { return __riscv_vfsgnj_vv_f32m2(a, sign, All()); }
XSLIM_INLINE Mask Gt(V a, V b) { return __riscv_vmfgt_vv_f32m2_b16(a, b, All()); }
XSLIM_INLINE Mask Gt(V a, Constant b) { return __riscv_vmfgt_vf_f32m2_b16(a, b.value, All()); }
XSLIM_INLINE Mask Gt(Constant a, V b) { return __riscv_vmflt_vf_f32m2_b16(b, a.value, All()); }
XSLIM_INLINE Mask Lt(V a, V b) { return __riscv_vmflt_vv_f32m2_b16(a, b, All()); }
XSLIM_INLINE Mask Lt(V a, Constant b) { return __riscv_vmflt_vf_f32m2_b16(a, b.value, All()); }
XSLIM_INLINE Mask Lt(Constant a, V b) { return __riscv_vmfgt_vf_f32m2_b16(b, a.value, All()); }
XSLIM_INLINE Mask Ge(V a, Constant b) { return __riscv_vmfge_vf_f32m2_b16(a, b.value, All()); }
XSLIM_INLINE Mask Ge(V a, V b) { return __riscv_vmfge_vv_f32m2_b16(a, b, All()); }
XSLIM_INLINE Mask Eq(V a, V b) { return __riscv_vmfeq_vv_f32m2_b16(a, b, All()); }
XSLIM_INLINE Mask Eq(V a, Constant b) { return __riscv_vmfeq_vf_f32m2_b16(a, b.value, All()); }
XSLIM_INLINE Mask Or(Mask a, Mask b) { return __riscv_vmor_mm_b16(a, b, All()); }
XSLIM_INLINE Mask IsNaN(V a) { return __riscv_vmfne_vv_f32m2_b16(a, a, All()); }
XSLIM_INLINE Mask IsNaN(Constant a) { return IsNaN(static_cast<V>(a)); }
XSLIM_INLINE V IfThenElse(Mask m, V a, V b) { return __riscv_vmerge_vvm_f32m2(b, a, m, All()); }
XSLIM_INLINE V IfThenElse(Mask m, Constant a, V b) { return __riscv_vfmerge_vfm_f32m2(b, a.value, m, All()); }
XSLIM_INLINE VI ConvertTo(I32, V a) { return __riscv_vfcvt_rtz_x_f_v_i32m2(a, All()); }
XSLIM_INLINE V ConvertTo(F32, VI a) { return __riscv_vfcvt_f_x_v_f32m2(a, All()); }
XSLIM_INLINE VI BitCast(I32, V a) { return __riscv_vreinterpret_v_f32m2_i32m2(a); }
XSLIM_INLINE V BitCast(F32, VI a) { return __riscv_vreinterpret_v_i32m2_f32m2(a); }
XSLIM_INLINE VI Add(VI a, VI b) { return __riscv_vadd_vv_i32m2(a, b, All()); }
XSLIM_INLINE VI Sub(VI a, VI b) { return __riscv_vsub_vv_i32m2(a, b, All()); }
XSLIM_INLINE VI And(VI a, VI b) { return __riscv_vand_vv_i32m2(a, b, All()); }
template <int kBits>
XSLIM_INLINE VI ShiftLeft(VI a) {
  return __riscv_vsll_vx_i32m2(a, kBits, All());
}
template <int kBits>
XSLIM_INLINE VI ShiftRight(VI a) {
  return __riscv_vsra_vx_i32m2(a, kBits, All());
}

// To an integer and back, where there is a fraction to lose; keeps the sign of zero, and NaN.
template <unsigned kMode>
XSLIM_INLINE V ToIntegral(V a) {
  const Mask small = __riscv_vmflt_vf_f32m2_b16(Abs(a), 8388608.0f, All());
  const VI whole = __riscv_vfcvt_x_f_v_i32m2_rm(a, kMode, All());
  return IfThenElse(small, CopySign(ConvertTo(F32(), whole), a), a);
}
XSLIM_INLINE V Round(V a) { return ToIntegral<__RISCV_FRM_RNE>(a); }
XSLIM_INLINE V Floor(V a) { return ToIntegral<__RISCV_FRM_RDN>(a); }
XSLIM_INLINE V Ceil(V a) { return ToIntegral<__RISCV_FRM_RUP>(a); }
}  // namespace hn

// The loops of elementwise-inl.h.
#define XSLIM_OWN_MAP
template <typename F>
XSLIM_INLINE void Map(const float* x, float* y, int64_t n, const F& f) {
  const int64_t lanes = static_cast<int64_t>(All());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    __riscv_vse32_v_f32m2(y + i, f(__riscv_vle32_v_f32m2(x + i, All())), All());
  }
  if (i < n) {
    const size_t vl = static_cast<size_t>(n - i);
    __riscv_vse32_v_f32m2(y + i, f(__riscv_vle32_v_f32m2(x + i, vl)), vl);
  }
}
template <typename F>
XSLIM_INLINE void Map2(const float* a, const float* b, float* y, int64_t n, const F& f) {
  const int64_t lanes = static_cast<int64_t>(All());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V left = __riscv_vle32_v_f32m2(a + i, All()), right = __riscv_vle32_v_f32m2(b + i, All());
    __riscv_vse32_v_f32m2(y + i, f(left, right), All());
  }
  if (i < n) {
    const size_t vl = static_cast<size_t>(n - i);
    const V left = __riscv_vle32_v_f32m2(a + i, vl), right = __riscv_vle32_v_f32m2(b + i, vl);
    __riscv_vse32_v_f32m2(y + i, f(left, right), vl);
  }
}

#endif  // XSLIM_KERNELS_RVV_SIMD_H_
