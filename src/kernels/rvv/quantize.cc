// Quantization. LMUL 4 for floats: codes then take 2 registers as 16 bits and 1 as 8 bits, every operation is
// long enough (32 floats at 256 bits) to hide the latency of the one before it, and masks keep a group free.
//
// The integer forms give the bits of the float formula (quantize-inl.h): conversions saturate, so does adding
// a zero point, and the bounds lie far inside. Rounding is named in the instruction's wrapper, not taken from
// the program's state.
#include <riscv_vector.h>
#include <stddef.h>

#include "kernels/rvv/rvv.h"

namespace xslim::kernels::rvv {
namespace {

// round(x / scale) + zero_point as 16 bits; NaN gives the zero point. 16 bits are enough: what saturates in
// them is outside of 8 bits with any zero point of the type.
inline vint16m2_t Codes(const float* x, float scale, int32_t zero_point, size_t vl) {
  const vfloat32m4_t ratio = __riscv_vfdiv_vf_f32m4(__riscv_vle32_v_f32m4(x, vl), scale, vl);
  const vbool8_t nan = __riscv_vmfne_vv_f32m4_b8(ratio, ratio, vl);
  vint16m2_t code = __riscv_vfncvt_x_f_w_i16m2_rm(ratio, __RISCV_FRM_RNE, vl);
  code = __riscv_vsadd_vx_i16m2(code, static_cast<int16_t>(zero_point), vl);
  return __riscv_vmerge_vxm_i16m2(code, static_cast<int16_t>(zero_point), nan, vl);
}

void QuantizeS8(const float* x, float scale, int32_t zero_point, int8_t* q, int64_t n) {
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, x += vl, q += vl) {
    vl = __riscv_vsetvl_e32m4(left);
    // A shift by 0: nothing to round, only saturates.
    __riscv_vse8_v_i8m1(q, __riscv_vnclip_wx_i8m1(Codes(x, scale, zero_point, vl), 0, __RISCV_VXRM_RDN, vl),
                        vl);
  }
}

void QuantizeU8(const float* x, float scale, int32_t zero_point, uint8_t* q, int64_t n) {
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, x += vl, q += vl) {
    vl = __riscv_vsetvl_e32m4(left);
    const vint16m2_t code = __riscv_vmax_vx_i16m2(Codes(x, scale, zero_point, vl), 0, vl);
    __riscv_vse8_v_u8m1(
        q, __riscv_vnclipu_wx_u8m1(__riscv_vreinterpret_v_i16m2_u16m2(code), 0, __RISCV_VXRM_RDN, vl), vl);
  }
}

// (q - zero_point) in 16 bits is exact, so is its conversion.
void DequantizeS8(const int8_t* q, float scale, int32_t zero_point, float* y, int64_t n) {
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, q += vl, y += vl) {
    vl = __riscv_vsetvl_e8m1(left);
    const vint16m2_t difference =
        __riscv_vwsub_vx_i16m2(__riscv_vle8_v_i8m1(q, vl), static_cast<int8_t>(zero_point), vl);
    __riscv_vse32_v_f32m4(y, __riscv_vfmul_vf_f32m4(__riscv_vfwcvt_f_x_v_f32m4(difference, vl), scale, vl),
                          vl);
  }
}

void DequantizeU8(const uint8_t* q, float scale, int32_t zero_point, float* y, int64_t n) {
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, q += vl, y += vl) {
    vl = __riscv_vsetvl_e8m1(left);
    const vuint16m2_t difference =
        __riscv_vwsubu_vx_u16m2(__riscv_vle8_v_u8m1(q, vl), static_cast<uint8_t>(zero_point), vl);
    const vfloat32m4_t v = __riscv_vfwcvt_f_x_v_f32m4(__riscv_vreinterpret_v_u16m2_i16m2(difference), vl);
    __riscv_vse32_v_f32m4(y, __riscv_vfmul_vf_f32m4(v, scale, vl), vl);
  }
}

// clamp(r + z, lo, hi) - z is clamp(r, lo - z, hi - z): the zero point is never added.
void FakeQuantize(const float* x, float scale, int32_t zero_point, int32_t lo, int32_t hi, float* y,
                  int64_t n) {
  const int32_t low = lo - zero_point, high = hi - zero_point;
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, x += vl, y += vl) {
    vl = __riscv_vsetvl_e32m4(left);
    const vfloat32m4_t ratio = __riscv_vfdiv_vf_f32m4(__riscv_vle32_v_f32m4(x, vl), scale, vl);
    const vbool8_t nan = __riscv_vmfne_vv_f32m4_b8(ratio, ratio, vl);
    vint32m4_t code = __riscv_vfcvt_x_f_v_i32m4_rm(ratio, __RISCV_FRM_RNE, vl);
    code = __riscv_vmin_vx_i32m4(__riscv_vmax_vx_i32m4(code, low, vl), high, vl);
    code = __riscv_vmerge_vxm_i32m4(code, 0, nan, vl);
    __riscv_vse32_v_f32m4(y, __riscv_vfmul_vf_f32m4(__riscv_vfcvt_f_x_v_f32m4(code, vl), scale, vl), vl);
  }
}

}  // namespace

void FillQuantize(Table* table) {
  table->quantize_s8 = QuantizeS8;
  table->quantize_u8 = QuantizeU8;
  table->dequantize_s8 = DequantizeS8;
  table->dequantize_u8 = DequantizeU8;
  table->fake_quantize = FakeQuantize;
}

}  // namespace xslim::kernels::rvv
