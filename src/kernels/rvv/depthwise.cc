// Depthwise convolution with square kernels of 3 or 5, stride 1 or 2, no dilation: what networks use. Other
// shapes keep the shared body.
//
// A block of the input with its padding as zeros is copied into the first-level cache (a "band"), split into
// even and odd columns for stride 2, so that every tap of neighbouring outputs is one plain load. Four rows
// of outputs are computed together: an input row that is loaded once feeds every output row that it touches,
// so that a 3 by 3 kernel needs 18 loads for 36 products. LMUL 2: an output row takes few columns in the late
// layers of a network, and 4 accumulators are enough to hide the latency of a product.
#include <riscv_vector.h>
#include <stddef.h>

#include "kernels/rvv/rvv.h"

namespace xslim::kernels::rvv {
namespace {

decltype(Table::depthwise) shared_body;  // of the table before; the same for every call of FillDepthwise

constexpr int64_t kRows = 4;           // of outputs at once
constexpr int64_t kColumns = 256;      // of outputs in a band
constexpr int64_t kBandFloats = 6144;  // 24 KB of the 32 KB

// to[i] = from[first + i * stride] where that lies in [0, width), else 0; i below n. Both strides' columns.
inline void FillRow(const float* from, int64_t width, int64_t first, int64_t n, float* to) {
  for (int64_t i = 0; i < n;) {
    const int64_t x = first + i;
    size_t vl;
    if (from == nullptr || x < 0 || x >= width) {
      const int64_t zeros = from == nullptr || x >= width || -x > n - i ? n - i : -x;
      vl = __riscv_vsetvl_e32m4(static_cast<size_t>(zeros));
      __riscv_vse32_v_f32m4(to + i, __riscv_vfmv_v_f_f32m4(0.0f, vl), vl);
    } else {
      vl = __riscv_vsetvl_e32m4(static_cast<size_t>(width - x < n - i ? width - x : n - i));
      __riscv_vse32_v_f32m4(to + i, __riscv_vle32_v_f32m4(from + x, vl), vl);
    }
    i += static_cast<int64_t>(vl);
  }
}

// Splits 2 * n floats into those at even and odd places. Pairs are read as 64 bits and narrowed: a load of
// two segments takes a step per element on cores of this class.
inline void Split(const float* pairs, int64_t n, float* even, float* odd) {
  for (int64_t i = 0; i < n;) {
    const size_t vl = __riscv_vsetvl_e32m2(static_cast<size_t>(n - i));
    const vuint64m4_t both = __riscv_vreinterpret_v_u32m4_u64m4(
        __riscv_vreinterpret_v_f32m4_u32m4(__riscv_vle32_v_f32m4(pairs + 2 * i, 2 * vl)));
    __riscv_vse32_v_f32m2(even + i, __riscv_vreinterpret_v_u32m2_f32m2(__riscv_vnsrl_wx_u32m2(both, 0, vl)),
                          vl);
    __riscv_vse32_v_f32m2(odd + i, __riscv_vreinterpret_v_u32m2_f32m2(__riscv_vnsrl_wx_u32m2(both, 32, vl)),
                          vl);
    i += static_cast<int64_t>(vl);
  }
}

// R rows of `columns` outputs. Input row t of the band is at in + t * row; with stride 2, column x of it is
// at [x % 2 * phase + x / 2].
template <int K, int S, int R>
void Rows(const float* in, int64_t row, int64_t phase, const float* weight, float bias,
          const Epilogue& epilogue, float* out, int64_t out_w, int64_t columns) {
  for (int64_t x = 0; x < columns;) {
    const size_t vl = __riscv_vsetvl_e32m2(static_cast<size_t>(columns - x));
    vfloat32m2_t a0 = __riscv_vfmv_v_f_f32m2(bias, vl), a1 = a0, a2 = a0, a3 = a0;
// For each output row: kernel rows and columns ascending, as t and kx ascend.
#define XSLIM_ROW_(r)                                                            \
  if constexpr (R > r) {                                                         \
    if (t - r * S >= 0 && t - r * S < K) {                                       \
      a##r = __riscv_vfmacc_vf_f32m2(a##r, weight[(t - r * S) * K + kx], v, vl); \
    }                                                                            \
  }
#pragma clang loop unroll(full)
    for (int t = 0; t < (R - 1) * S + K; ++t) {
#pragma clang loop unroll(full)
      for (int kx = 0; kx < K; ++kx) {
        const vfloat32m2_t v = __riscv_vle32_v_f32m2(in + t * row + x + kx % S * phase + kx / S, vl);
        XSLIM_ROW_(0) XSLIM_ROW_(1) XSLIM_ROW_(2) XSLIM_ROW_(3)
      }
    }
#undef XSLIM_ROW_
    if (epilogue.activation == kClamp) {
      const float lo = epilogue.lo, hi = epilogue.hi;
#define XSLIM_CLAMP_(r)                                                                       \
  if constexpr (R > r) {                                                                      \
    a##r = __riscv_vfmerge_vfm_f32m2(a##r, lo, __riscv_vmflt_vf_f32m2_b16(a##r, lo, vl), vl); \
    a##r = __riscv_vfmerge_vfm_f32m2(a##r, hi, __riscv_vmfgt_vf_f32m2_b16(a##r, hi, vl), vl); \
  }
      XSLIM_CLAMP_(0) XSLIM_CLAMP_(1) XSLIM_CLAMP_(2) XSLIM_CLAMP_(3)
#undef XSLIM_CLAMP_
    }
    __riscv_vse32_v_f32m2(out + x, a0, vl);
    if constexpr (R > 1) __riscv_vse32_v_f32m2(out + out_w + x, a1, vl);
    if constexpr (R > 2) __riscv_vse32_v_f32m2(out + 2 * out_w + x, a2, vl);
    if constexpr (R > 3) __riscv_vse32_v_f32m2(out + 3 * out_w + x, a3, vl);
    x += static_cast<int64_t>(vl);
  }
}

template <int K, int S>
void Run(const float* in, const DepthwiseShape& s, const float* weight, float bias, float* out,
         const Epilogue& epilogue) {
  const int64_t out_h = s.out_h, out_w = s.out_w;
  const int64_t columns = out_w < kColumns ? out_w : kColumns;
  const int64_t phase = columns + (K - 1) / S, row = phase * S;
  // At least 4: a row has at most 2 * (256 + 2) floats, 4 rows of outputs read at most 11.
  const int64_t most = (kBandFloats / row - K) / S + 1;
  const int64_t rows = most < out_h ? most / kRows * kRows : out_h;
  float band[kBandFloats], pairs[2 * (kColumns + 2)];
  for (int64_t y0 = 0; y0 < out_h; y0 += rows) {
    const int64_t count = out_h - y0 < rows ? out_h - y0 : rows;
    for (int64_t x0 = 0; x0 < out_w; x0 += columns) {
      const int64_t wide = out_w - x0 < columns ? out_w - x0 : columns;
      for (int64_t t = 0; t < (count - 1) * S + K; ++t) {
        const int64_t y = y0 * S - s.pad_top + t;
        const float* from = y < 0 || y >= s.height ? nullptr : in + y * s.width;
        float* to = band + t * row;
        FillRow(from, s.width, x0 * S - s.pad_left, row, S == 1 ? to : pairs);
        if constexpr (S == 2) Split(pairs, phase, to, to + phase);
      }
      float* to = out + y0 * out_w + x0;
      for (int64_t y = 0; y < count; y += kRows, to += kRows * out_w) {
        const float* from = band + y * S * row;
        const int64_t rest = count - y;
        const auto run = rest >= 4   ? Rows<K, S, 4>
                         : rest == 3 ? Rows<K, S, 3>
                         : rest == 2 ? Rows<K, S, 2>
                                     : Rows<K, S, 1>;
        run(from, row, phase, weight, bias, epilogue, to, out_w, wide);
      }
    }
  }
}

void Depthwise(int64_t planes, const float* in, const DepthwiseShape& s, const float* weight,
               const float* bias, float* out, Epilogue epilogue) {
  const bool square =
      s.kernel_h == s.kernel_w && s.stride_h == s.stride_w && s.dilation_h == 1 && s.dilation_w == 1;
  const auto run = !square                              ? nullptr
                   : s.kernel_w == 3 && s.stride_w == 1 ? Run<3, 1>
                   : s.kernel_w == 3 && s.stride_w == 2 ? Run<3, 2>
                   : s.kernel_w == 5 && s.stride_w == 1 ? Run<5, 1>
                   : s.kernel_w == 5 && s.stride_w == 2 ? Run<5, 2>
                                                        : nullptr;
  if (run == nullptr) return shared_body(planes, in, s, weight, bias, out, epilogue);
  for (int64_t c = 0; c < planes; ++c) {
    run(in, s, weight, bias != nullptr ? bias[c] : 0.0f, out, epilogue);
    in += s.height * s.width;
    weight += s.kernel_h * s.kernel_w;
    out += s.out_h * s.out_w;
  }
}

}  // namespace

void FillDepthwise(Table* table) {
  shared_body = table->depthwise;
  table->depthwise = Depthwise;
}

}  // namespace xslim::kernels::rvv
