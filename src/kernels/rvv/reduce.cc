// Reductions, rows built on them, and statistics.
//
// Sums have 16 virtual lanes (docs/numerics.md): an accumulator of exactly 16 elements, which is 4, 2 or 1
// vector registers at 128, 256 or 512 bits and more. The table gets the form that fills the registers of the
// processor. Extremes do not depend on the order: they run over groups of 4 registers.
#include <riscv_vector.h>
#include <stddef.h>

#include "kernels/rvv/rvv.h"

#define XSLIM_INLINE __attribute__((always_inline)) inline

namespace xslim::kernels::rvv {
namespace {
// The bodies use the names of the first.
// clang-format off
#include "kernels/rvv/simd.h"
#include "kernels/math-inl.h"
// clang-format on

constexpr size_t kLanes = 16;
constexpr float kInf = __builtin_inff();

// The instructions by register group. `Tail` forms: lanes from vl on keep the accumulator's value.
#define XSLIM_GROUP_(G)                                                                                  \
  struct Group##G {                                                                                      \
    using Vector = vfloat32##G##_t;                                                                      \
    XSLIM_INLINE static Vector Zero() { return __riscv_vfmv_v_f_f32##G(0.0f, kLanes); }                  \
    XSLIM_INLINE static Vector Load(const float* p, size_t vl) { return __riscv_vle32_v_f32##G(p, vl); } \
    XSLIM_INLINE static Vector Add(Vector a, Vector v) { return __riscv_vfadd_vv_f32##G(a, v, kLanes); } \
    XSLIM_INLINE static Vector AddTail(Vector a, Vector v, size_t vl) {                                  \
      return __riscv_vfadd_vv_f32##G##_tu(a, a, v, vl);                                                  \
    }                                                                                                    \
    XSLIM_INLINE static Vector AddSquare(Vector a, Vector v, float mean) {                               \
      const Vector difference = __riscv_vfsub_vf_f32##G(v, mean, kLanes);                                \
      return __riscv_vfmacc_vv_f32##G(a, difference, difference, kLanes);                                \
    }                                                                                                    \
    XSLIM_INLINE static Vector AddSquareTail(Vector a, Vector v, float mean, size_t vl) {                \
      const Vector difference = __riscv_vfsub_vf_f32##G(v, mean, vl);                                    \
      return __riscv_vfmacc_vv_f32##G##_tu(a, difference, difference, vl);                               \
    }                                                                                                    \
    /* The lower lanes plus the upper ones, down to one. */                                              \
    XSLIM_INLINE static float Join(Vector a) {                                                           \
      for (size_t half = kLanes / 2; half > 0; half /= 2) {                                              \
        a = Add(a, __riscv_vslidedown_vx_f32##G(a, half, kLanes));                                       \
      }                                                                                                  \
      return __riscv_vfmv_f_s_f32##G##_f32(a);                                                           \
    }                                                                                                    \
  };
XSLIM_GROUP_(m1)
XSLIM_GROUP_(m2)
XSLIM_GROUP_(m4)
#undef XSLIM_GROUP_

template <typename G>
float Sum(const float* x, int64_t n) {
  typename G::Vector sum = G::Zero();
  size_t left = static_cast<size_t>(n);
  for (; left >= kLanes; left -= kLanes, x += kLanes) sum = G::Add(sum, G::Load(x, kLanes));
  if (left > 0) sum = G::AddTail(sum, G::Load(x, left), left);
  return G::Join(sum);
}

template <typename G>
float SumOfSquares(const float* x, float mean, int64_t n) {
  typename G::Vector sum = G::Zero();
  size_t left = static_cast<size_t>(n);
  for (; left >= kLanes; left -= kLanes, x += kLanes) sum = G::AddSquare(sum, G::Load(x, kLanes), mean);
  if (left > 0) sum = G::AddSquareTail(sum, G::Load(x, left), mean, left);
  return G::Join(sum);
}

// vfmax and vfmin pass over NaN, which is counted beside; adding 0 turns -0 into +0.
template <bool kMax>
float Extreme(const float* x, int64_t n) {
  const size_t all = __riscv_vsetvlmax_e32m4();
  const float start = kMax ? -kInf : kInf;
  vfloat32m4_t best = __riscv_vfmv_v_f_f32m4(start, all);
  unsigned long nan = 0;
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, x += vl) {
    vl = __riscv_vsetvl_e32m4(left);
    const vfloat32m4_t v = __riscv_vle32_v_f32m4(x, vl);
    nan |= __riscv_vcpop_m_b8(__riscv_vmfne_vv_f32m4_b8(v, v, vl), vl);
    best = kMax ? __riscv_vfmax_vv_f32m4_tu(best, best, v, vl) : __riscv_vfmin_vv_f32m4_tu(best, best, v, vl);
  }
  if (nan != 0) return __builtin_nanf("");
  const vfloat32m1_t first = __riscv_vfmv_s_f_f32m1(start, 1);
  const vfloat32m1_t joined = kMax ? __riscv_vfredmax_vs_f32m4_f32m1(best, first, all)
                                   : __riscv_vfredmin_vs_f32m4_f32m1(best, first, all);
  return __riscv_vfmv_f_s_f32m1_f32(joined) + 0.0f;
}

template <typename G>
void Softmax(const float* x, float* y, int64_t n) {
  const float top = Extreme<true>(x, n);
  Map(x, y, n, [top](V v) { return ExpV(hn::Sub(v, hn::Set(F32(), top))); });
  const float sum = Sum<G>(y, n);
  Map(y, y, n, [sum](V v) { return hn::Div(v, hn::Set(F32(), sum)); });
}

template <typename G>
void LayerNorm(const float* x, const float* gamma, const float* beta, float epsilon, float* y, int64_t n) {
  const float count = static_cast<float>(n);
  const float mean = Sum<G>(x, n) / count;
  const float deviation = __builtin_sqrtf(SumOfSquares<G>(x, mean, n) / count + epsilon);
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, x += vl, gamma += vl, y += vl) {
    vl = __riscv_vsetvl_e32m4(left);
    vfloat32m4_t v = __riscv_vfsub_vf_f32m4(__riscv_vle32_v_f32m4(x, vl), mean, vl);
    v = __riscv_vfmul_vv_f32m4(__riscv_vfdiv_vf_f32m4(v, deviation, vl), __riscv_vle32_v_f32m4(gamma, vl),
                               vl);
    if (beta != nullptr) {
      v = __riscv_vfadd_vv_f32m4(v, __riscv_vle32_v_f32m4(beta, vl), vl);
      beta += vl;
    }
    __riscv_vse32_v_f32m4(y, v, vl);
  }
}

void MinMaxOf(const float* x, int64_t n, MinMax* result) {
  const size_t all = __riscv_vsetvlmax_e32m4();
  vfloat32m4_t low = __riscv_vfmv_v_f_f32m4(kInf, all), high = __riscv_vfmv_v_f_f32m4(-kInf, all);
  *result = MinMax{kInf, -kInf, 0, 0, 0, 0};
  for (size_t left = static_cast<size_t>(n), vl; left > 0; left -= vl, x += vl) {
    vl = __riscv_vsetvl_e32m4(left);
    const vfloat32m4_t v = __riscv_vle32_v_f32m4(x, vl);
    const vbool8_t finite = __riscv_vmflt_vf_f32m4_b8(__riscv_vfabs_v_f32m4(v, vl), kInf, vl);
    const size_t count = __riscv_vcpop_m_b8(finite, vl);
    result->finite += static_cast<int64_t>(count);
    if (count == vl) {
      low = __riscv_vfmin_vv_f32m4_tu(low, low, v, vl);
      high = __riscv_vfmax_vv_f32m4_tu(high, high, v, vl);
      continue;
    }
    low = __riscv_vfmin_vv_f32m4_tumu(finite, low, low, v, vl);
    high = __riscv_vfmax_vv_f32m4_tumu(finite, high, high, v, vl);
    result->nan += static_cast<int64_t>(__riscv_vcpop_m_b8(__riscv_vmfne_vv_f32m4_b8(v, v, vl), vl));
    result->pos_inf += static_cast<int64_t>(__riscv_vcpop_m_b8(__riscv_vmfeq_vf_f32m4_b8(v, kInf, vl), vl));
    result->neg_inf += static_cast<int64_t>(__riscv_vcpop_m_b8(__riscv_vmfeq_vf_f32m4_b8(v, -kInf, vl), vl));
  }
  const vfloat32m1_t first_low = __riscv_vfmv_s_f_f32m1(kInf, 1),
                     first_high = __riscv_vfmv_s_f_f32m1(-kInf, 1);
  // Adding 0 turns -0 into +0.
  result->min = __riscv_vfmv_f_s_f32m1_f32(__riscv_vfredmin_vs_f32m4_f32m1(low, first_low, all)) + 0.0f;
  result->max = __riscv_vfmv_f_s_f32m1_f32(__riscv_vfredmax_vs_f32m4_f32m1(high, first_high, all)) + 0.0f;
}

template <typename G>
void FillSums(Table* table) {
  table->sum = Sum<G>;
  table->sum_of_squares = SumOfSquares<G>;
  table->softmax = Softmax<G>;
  table->layer_norm = LayerNorm<G>;
}

}  // namespace

void FillReductions(Table* table) {
  table->max = Extreme<true>;
  table->min = Extreme<false>;
  table->min_max = MinMaxOf;
  if (__riscv_vsetvlmax_e32m1() >= kLanes) {
    FillSums<Groupm1>(table);
  } else if (__riscv_vsetvlmax_e32m2() >= kLanes) {
    FillSums<Groupm2>(table);
  } else {
    FillSums<Groupm4>(table);
  }
}

}  // namespace xslim::kernels::rvv
