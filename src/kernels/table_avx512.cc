// AVX-512 (F, BW, CD, DQ, VL): 16 lanes, a register tile of 14 by 32.
#define HWY_COMPILE_ONLY_STATIC
#include <hwy/highway.h>
#include <stddef.h>
#include <string.h>

#include "kernels/tables.h"

static_assert(HWY_TARGET == HWY_AVX3, "the flags of this file must select HWY_AVX3");

#define XSLIM_INLINE HWY_INLINE
#define XSLIM_MR 14
#define XSLIM_QUADS 4

HWY_BEFORE_NAMESPACE();
namespace xslim::kernels {
namespace {
// The bodies use the names of the first.
// clang-format off
#include "kernels/simd_highway.h"
#include "kernels/bodies-inl.h"
// clang-format on
}  // namespace

const Table* Avx512Table() {
  static const Table table = MakeTable("avx512");
  return &table;
}

}  // namespace xslim::kernels
HWY_AFTER_NAMESPACE();
