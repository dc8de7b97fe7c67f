// Matrix product of packed panels: 14 rows by two vector registers (LMUL 2) of columns.
//
// Why this tile: 14 accumulators of 2 registers leave 4 of the 32 registers for two slices of B, so that one
// is loaded while the other is used; an in-order core would wait for it otherwise. A wider tile of fewer rows
// (LMUL 4: 6 rows) loads the same number of floats for 15 percent fewer products, a narrower one (LMUL 1:
// 28 rows) wants more scalar registers than there are. The 14 values of A are scalar operands of vfmacc.vf:
// they cost no vector instruction.
#include <riscv_vector.h>
#include <stddef.h>

#include "kernels/rvv/rvv.h"

namespace xslim::kernels::rvv {
namespace {

#include "kernels/runs-inl.h"

constexpr int64_t kRows = 14;
// Columns of a tile: never more than the 32 of the shared bodies, so that their packed panels are the same.
constexpr size_t kMostColumns = 32;
// A slice of B (nr columns) of 12 KB and of A (14 rows) share the first-level cache of 32 KB.
constexpr int64_t kPanelFloats = 3072;
// Rows of A whose slice stays in the second-level cache: 98 * 192 * 4 = 74 KB. Four cores share 512 KB.
constexpr int64_t kRowBlock = 98;

enum class Start { kZero, kRowBias, kColumnBias, kAccumulate };

size_t Columns() {
  const size_t most = __riscv_vsetvlmax_e32m2();
  return most < kMostColumns ? most : kMostColumns;
}

// NaN stays; a zero keeps its sign where it equals a bound (vfmin and vfmax would do neither).
inline vfloat32m2_t ClampV(vfloat32m2_t v, float lo, float hi, size_t vl) {
  v = __riscv_vfmerge_vfm_f32m2(v, lo, __riscv_vmflt_vf_f32m2_b16(v, lo, vl), vl);
  return __riscv_vfmerge_vfm_f32m2(v, hi, __riscv_vmfgt_vf_f32m2_b16(v, hi, vl), vl);
}

#define XSLIM_ROWS_(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11) F(12) F(13)

// `vl` columns of R rows. Accumulators are variables: vectors of unknown length cannot be in an array.
template <int R>
void Tile(size_t vl, int64_t k, const float* a, const float* b, int64_t nr, float* c, int64_t ldc,
          Start start, const float* bias, const Epilogue* epilogue) {
  static_assert(R <= kRows);
  vfloat32m2_t c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13;
#define XSLIM_START_(i)                                                           \
  if constexpr (R > i) {                                                          \
    c##i = start == Start::kAccumulate   ? __riscv_vle32_v_f32m2(c + i * ldc, vl) \
           : start == Start::kColumnBias ? __riscv_vle32_v_f32m2(bias, vl)        \
           : start == Start::kRowBias    ? __riscv_vfmv_v_f_f32m2(bias[i], vl)    \
                                         : __riscv_vfmv_v_f_f32m2(0.0f, vl);         \
  }
  XSLIM_ROWS_(XSLIM_START_)
#undef XSLIM_START_
// A step's products; behind each, its scalar of the next step is loaded: its latency hides behind the others.
// The empty asm hides that the first scalars are loads, too: the compiler would join them with those at the
// loop's end and move both to its head, where nothing hides them.
#define XSLIM_PRODUCT_(i) \
  if constexpr (R > i) c##i = __riscv_vfmacc_vf_f32m2(c##i, s##i, slice, vl);
#define XSLIM_PRODUCT_AND_LOAD_(i)                         \
  if constexpr (R > i) {                                   \
    c##i = __riscv_vfmacc_vf_f32m2(c##i, s##i, slice, vl); \
    s##i = a[i];                                           \
  }
#define XSLIM_ODD_PRODUCT_AND_LOAD_(i)                    \
  if constexpr (R > i) {                                  \
    c##i = __riscv_vfmacc_vf_f32m2(c##i, s##i, next, vl); \
    s##i = a[i];                                          \
  }
#define XSLIM_SCALAR_(i)           \
  float s##i = 0;                  \
  if constexpr (R > i) {           \
    s##i = a[i];                   \
    asm volatile("" : "+f"(s##i)); \
  }
  if (k > 0) {
    XSLIM_ROWS_(XSLIM_SCALAR_)
    vfloat32m2_t slice = __riscv_vle32_v_f32m2(b, vl), next;
    int64_t depth = 1;
    for (; depth + 2 <= k; depth += 2) {
      next = __riscv_vle32_v_f32m2(b + nr, vl);
      a += kRows;
      XSLIM_ROWS_(XSLIM_PRODUCT_AND_LOAD_)
      b += 2 * nr;
      slice = __riscv_vle32_v_f32m2(b, vl);
      a += kRows;
      XSLIM_ROWS_(XSLIM_ODD_PRODUCT_AND_LOAD_)
    }
    if (depth < k) {
      next = __riscv_vle32_v_f32m2(b + nr, vl);
      a += kRows;
      XSLIM_ROWS_(XSLIM_PRODUCT_AND_LOAD_)
      slice = next;
    }
    XSLIM_ROWS_(XSLIM_PRODUCT_)
  }
#undef XSLIM_SCALAR_
#undef XSLIM_ODD_PRODUCT_AND_LOAD_
#undef XSLIM_PRODUCT_AND_LOAD_
#undef XSLIM_PRODUCT_
  if (epilogue != nullptr && epilogue->activation == kClamp) {
    const float lo = epilogue->lo, hi = epilogue->hi;
#define XSLIM_CLAMP_(i) \
  if constexpr (R > i) c##i = ClampV(c##i, lo, hi, vl);
    XSLIM_ROWS_(XSLIM_CLAMP_)
#undef XSLIM_CLAMP_
  }
#define XSLIM_STORE_(i) \
  if constexpr (R > i) __riscv_vse32_v_f32m2(c + i * ldc, c##i, vl);
  XSLIM_ROWS_(XSLIM_STORE_)
#undef XSLIM_STORE_
}

using TileFunction = void (*)(size_t, int64_t, const float*, const float*, int64_t, float*, int64_t, Start,
                              const float*, const Epilogue*);
#define XSLIM_ENTRY_(i) Tile<(i) + 1>,
constexpr TileFunction kTiles[] = {XSLIM_ROWS_(XSLIM_ENTRY_)};
#undef XSLIM_ENTRY_
#undef XSLIM_ROWS_

void Gemm(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c, int64_t ldc,
          const float* bias_m, const float* bias_n, bool accumulate, Epilogue epilogue) {
  const int64_t nr = static_cast<int64_t>(Columns()), depth_block = kPanelFloats / nr;
  for (int64_t k0 = 0; k0 == 0 || k0 < k; k0 += depth_block) {
    const int64_t depth = k - k0 < depth_block ? k - k0 : depth_block;
    const Start start = k0 != 0             ? Start::kAccumulate
                        : bias_m != nullptr ? Start::kRowBias
                        : bias_n != nullptr ? Start::kColumnBias
                        : accumulate        ? Start::kAccumulate
                                            : Start::kZero;
    const Epilogue* end = k0 + depth >= k ? &epilogue : nullptr;
    for (int64_t m0 = 0; m0 < m; m0 += kRowBlock) {
      const int64_t m1 = m0 + kRowBlock < m ? m0 + kRowBlock : m;
      for (int64_t j = 0; j < n; j += nr) {
        const size_t vl = static_cast<size_t>(n - j < nr ? n - j : nr);
        for (int64_t i = m0; i < m1; i += kRows) {
          const int64_t rows = m1 - i < kRows ? m1 - i : kRows;
          const float* bias = start == Start::kRowBias      ? bias_m + i
                              : start == Start::kColumnBias ? bias_n + j
                                                            : nullptr;
          kTiles[rows - 1](vl, depth, a + i * k + k0 * kRows, b + j * k + k0 * nr, nr, c + i * ldc + j, ldc,
                           start, bias, end);
        }
      }
    }
  }
}

// As Gemm; a slice of a panel is packed before its products.
void GemmGather(int64_t m, int64_t n, int64_t k, const float* a, const float* b, const int64_t* rows,
                const int64_t* columns, float* c, int64_t ldc, const float* bias_m, Epilogue epilogue) {
  const int64_t nr = static_cast<int64_t>(Columns()), depth_block = kPanelFloats / nr;
  float panel[kPanelFloats];
  Run runs[kMostColumns];
  for (int64_t k0 = 0; k0 == 0 || k0 < k; k0 += depth_block) {
    const int64_t depth = k - k0 < depth_block ? k - k0 : depth_block;
    const Start start = k0 != 0 ? Start::kAccumulate : bias_m != nullptr ? Start::kRowBias : Start::kZero;
    const Epilogue* end = k0 + depth >= k ? &epilogue : nullptr;
    for (int64_t j = 0; j < n; j += nr) {
      const int64_t count = n - j < nr ? n - j : nr;
      const int64_t found = FindRuns(columns + j, count, runs);
      float* to = panel;
      for (int64_t d = 0; d < depth; ++d, to += nr) {
        const float* from = b + rows[k0 + d];
        for (int64_t r = 0; r < found; ++r) {
          const size_t vl = static_cast<size_t>(runs[r].length);
          __riscv_vse32_v_f32m2(to + runs[r].column, __riscv_vle32_v_f32m2(from + runs[r].offset, vl), vl);
        }
      }
      for (int64_t i = 0; i < m; i += kRows) {
        const int64_t rest = m - i < kRows ? m - i : kRows;
        kTiles[rest - 1](static_cast<size_t>(count), depth, a + i * k + k0 * kRows, panel, nr,
                         c + i * ldc + j, ldc, start, start == Start::kRowBias ? bias_m + i : nullptr, end);
      }
    }
  }
}

void PackA(int64_t m, int64_t k, const float* a, int64_t stride_m, int64_t stride_k, float* packed) {
  for (int64_t i0 = 0; i0 < m; i0 += kRows, packed += kRows * k) {
    const int64_t rows = m - i0 < kRows ? m - i0 : kRows;
    for (int64_t i = 0; i < kRows; ++i) {
      const float* from = a + (i0 + i) * stride_m;
      // LMUL 4: one row's depths, spread by the strided store.
      for (int64_t depth = 0; depth < k;) {
        const size_t vl = __riscv_vsetvl_e32m4(static_cast<size_t>(k - depth));
        vfloat32m4_t v;
        if (i >= rows) {
          v = __riscv_vfmv_v_f_f32m4(0.0f, vl);
        } else if (stride_k == 1) {
          v = __riscv_vle32_v_f32m4(from + depth, vl);
        } else {
          v = __riscv_vlse32_v_f32m4(from + depth * stride_k, stride_k * 4, vl);
        }
        __riscv_vsse32_v_f32m4(packed + depth * kRows + i, kRows * 4, v, vl);
        depth += static_cast<int64_t>(vl);
      }
    }
  }
}

void PackB(int64_t k, int64_t n, const float* b, int64_t stride_k, int64_t stride_n, float* packed) {
  const size_t most = Columns();
  const int64_t nr = static_cast<int64_t>(most);
  for (int64_t j0 = 0; j0 < n; j0 += nr) {
    const size_t vl = static_cast<size_t>(n - j0 < nr ? n - j0 : nr);
    const float* from = b + j0 * stride_n;
    for (int64_t depth = 0; depth < k; ++depth, packed += nr, from += stride_k) {
      if (vl < most) __riscv_vse32_v_f32m2(packed, __riscv_vfmv_v_f_f32m2(0.0f, most), most);
      const vfloat32m2_t v =
          stride_n == 1 ? __riscv_vle32_v_f32m2(from, vl) : __riscv_vlse32_v_f32m2(from, stride_n * 4, vl);
      __riscv_vse32_v_f32m2(packed, v, vl);
    }
  }
}

}  // namespace

void FillGemm(Table* table) {
  table->mr = kRows;
  table->nr = static_cast<int32_t>(Columns());
  table->gemm = Gemm;
  table->gemm_gather = GemmGather;
  table->pack_a = PackA;
  table->pack_b = PackB;
}

}  // namespace xslim::kernels::rvv
