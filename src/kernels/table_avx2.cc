// AVX2 with FMA: 8 lanes, a register tile of 6 by 16.
#define HWY_COMPILE_ONLY_STATIC
#include <hwy/highway.h>
#include <stddef.h>
#include <string.h>

#include "kernels/tables.h"

static_assert(HWY_TARGET == HWY_AVX2, "the flags of this file must select HWY_AVX2");

#define XSLIM_INLINE HWY_INLINE
#define XSLIM_MR 6
#define XSLIM_QUADS 2

HWY_BEFORE_NAMESPACE();
namespace xslim::kernels {
namespace {
// The bodies use the names of the first.
// clang-format off
#include "kernels/simd_highway.h"
#include "kernels/bodies-inl.h"
// clang-format on
}  // namespace

const Table* Avx2Table() {
  static const Table table = MakeTable("avx2");
  return &table;
}

}  // namespace xslim::kernels
HWY_AFTER_NAMESPACE();
