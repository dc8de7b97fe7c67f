// The dispatch table of the kernels: raw pointers, no STL, one thread. One portable source per kernel is
// built per instruction set; every build gives the same bits (docs/numerics.md), so which table is used is
// only a matter of speed.
//
// Shapes are in elements; `n` may be 0; pointers need no alignment; outputs may equal inputs where a kernel
// is elementwise, and must not overlap them otherwise.
#ifndef XSLIM_KERNELS_KERNELS_H_
#define XSLIM_KERNELS_KERNELS_H_

#include <stdint.h>

namespace xslim::kernels {

// What is done to a matrix product's or convolution's result before it is stored: v = op(v) elementwise.
enum Activation { kNoActivation = 0, kClamp = 1 /* min(max(v, lo), hi): Relu, Relu6 */ };
struct Epilogue {
  Activation activation;
  float lo, hi;  // kClamp only
};

enum UnaryOp {
  kExp,
  kLog,
  kSigmoid,
  kTanh,
  kErf,
  kGelu /* erf form */,
  kGeluTanh,
  kSilu,
  kHardSwish,
  kMish,
  kSoftplus,
  kSqrt,
  kReciprocal,
  kAbs,
  kNeg,
  kFloor,
  kCeil,
  kRound /* half to even */,
  kSin,
  kCos,
};
enum BinaryOp { kAdd, kSub, kMul, kDiv, kMin, kMax };  // min, max: NaN if either is NaN

// Any kernel size, stride, dilation and (not negative) padding; out_h, out_w: of the outputs computed.
struct DepthwiseShape {
  int64_t height, width, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int64_t out_h, out_w;
};

struct MinMax {
  float min, max;  // of the finite elements, a zero is +0; +inf, -inf when there is none
  int64_t finite, nan, pos_inf, neg_inf;
};

struct Table {
  const char* name;  // "scalar", "avx2", "avx512", "rvv"

  // ---- matrix product. Register tile of mr rows by nr columns.
  // Packed A: panels of mr rows, panel p at a + p*mr*k, element (row i, depth d) at [d*mr + i]; rows past m
  // are zero. Packed B: panels of nr columns, panel p at b + p*nr*k, element (depth d, column j) at [d*nr +
  // j]; columns past n zero.
  int32_t mr, nr;
  // c[i*ldc + j] = epilogue(chain), one chain of fused multiply-adds per element over d ascending that starts
  // at: bias_m[i] (per row) or bias_n[j] (per column) when not null, c itself when `accumulate`, else 0.
  void (*gemm)(int64_t m, int64_t n, int64_t k, const float* a_packed, const float* b_packed, float* c,
               int64_t ldc, const float* bias_m, const float* bias_n, bool accumulate, Epilogue epilogue);
  // The same with a right operand that is read where it lies: element (depth d, column j) is
  // b[rows[d] + columns[j]]. Quick where the columns of a panel lie side by side.
  void (*gemm_gather)(int64_t m, int64_t n, int64_t k, const float* a_packed, const float* b,
                      const int64_t* rows, const int64_t* columns, float* c, int64_t ldc, const float* bias_m,
                      Epilogue epilogue);
  // a[i*stride_m + d*stride_k] -> packed A;  b[d*stride_k + j*stride_n] -> packed B.
  void (*pack_a)(int64_t m, int64_t k, const float* a, int64_t stride_m, int64_t stride_k, float* packed);
  void (*pack_b)(int64_t k, int64_t n, const float* b, int64_t stride_k, int64_t stride_n, float* packed);

  // ---- depthwise convolution of `planes` channels that lie one behind the other: in, weight and out of
  // channel c at in + c*height*width, weight + c*kernel_h*kernel_w, out + c*out_h*out_w.
  // out[oy][ox] = epilogue(bias[c] + sum over ky, kx ascending of in * w), taps in the padding see a zero;
  // bias may be null.
  void (*depthwise)(int64_t planes, const float* in, const DepthwiseShape& shape, const float* weight,
                    const float* bias, float* out, Epilogue epilogue);

  // ---- elementwise
  void (*unary)(UnaryOp op, const float* x, float* y, int64_t n);
  void (*binary)(BinaryOp op, const float* a, const float* b, float* y, int64_t n);
  void (*binary_scalar)(BinaryOp op, const float* a, float b, float* y, int64_t n);  // a op b
  void (*scalar_binary)(BinaryOp op, float a, const float* b, float* y, int64_t n);  // a op b
  void (*clamp)(const float* x, float lo, float hi, float* y,
                int64_t n);  // min(max(x, lo), hi); NaN stays NaN
  void (*hard_sigmoid)(const float* x, float alpha, float beta, float* y,
                       int64_t n);  // clamp(alpha*x + beta, 0, 1)
  void (*leaky_relu)(const float* x, float slope, float* y, int64_t n);
  void (*scale_shift)(const float* x, float scale, float shift, float* y, int64_t n);  // fma(x, scale, shift)
  void (*every_second)(const float* x, float* y, int64_t n);  // y[i] = x[2*i]; reads x[0] to x[2*n - 2]

  // ---- reductions over contiguous elements: 16 virtual lanes (element i goes to lane i % 16), each summed
  // in order of i, lanes then combined by halves (l + l+8, l + l+4, l + l+2, l + l+1).
  float (*sum)(const float* x, int64_t n);
  float (*sum_of_squares)(const float* x, float mean, int64_t n);  // of (x - mean), by fma
  float (*max)(const float* x, int64_t n);  // NaN if any is; a zero is +0; -inf for n == 0
  float (*min)(const float* x, int64_t n);
  // y = exp(x - max(x)) / sum; one row.
  void (*softmax)(const float* x, float* y, int64_t n);
  // y = (x - mean)/sqrt(var + epsilon) * gamma + beta; gamma, beta of n elements, beta may be null; one row.
  void (*layer_norm)(const float* x, const float* gamma, const float* beta, float epsilon, float* y,
                     int64_t n);

  // ---- quantization: clamp(round_half_even(x / scale) + zero_point, lo, hi); a division; NaN gives
  // zero_point. Those of 8 bits take zero points of their type.
  void (*quantize_s8)(const float* x, float scale, int32_t zero_point, int8_t* q, int64_t n);
  void (*quantize_u8)(const float* x, float scale, int32_t zero_point, uint8_t* q, int64_t n);
  void (*dequantize_s8)(const int8_t* q, float scale, int32_t zero_point, float* y, int64_t n);
  void (*dequantize_u8)(const uint8_t* q, float scale, int32_t zero_point, float* y, int64_t n);
  // quantize, then dequantize: y = (clamp(round(x/scale) + zero_point, lo, hi) - zero_point) * scale.
  void (*fake_quantize)(const float* x, float scale, int32_t zero_point, int32_t lo, int32_t hi, float* y,
                        int64_t n);

  // ---- statistics
  void (*min_max)(const float* x, int64_t n, MinMax* result);
  // The histogram slot of each (finite) element, for magnitudes under 2^7 * linear_end; linear_end: a power
  // of two from 2^-116 on. With m = |x| the slot is, plus 16384 when x < 0,
  //   m < linear_end:  floor(m * 2048 / linear_end)
  //   else:            2048 + (bits(m) - bits(linear_end)) / 2^12    (2048 bins to the octave)
  // and 32768 + i % 16 for x = 0.
  void (*histogram_slots)(const float* x, int64_t n, float linear_end, int32_t* slots);
};

constexpr int kMostTables = 4;

// The table in use: the best of this processor, or the one that the environment's XSLIM_ISA names
// (scalar | avx2 | avx512 | rvv). Null with `*error` set when XSLIM_ISA names one that is unknown or not
// there.
const Table* Select(const char** error);
// The table in use; Select() must have succeeded (scalar otherwise).
const Table& Active();
// All tables that this processor can run, the scalar one first; returns their number.
int Available(const Table* tables[kMostTables]);

}  // namespace xslim::kernels

#endif  // XSLIM_KERNELS_KERNELS_H_
