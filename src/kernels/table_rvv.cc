// RISC-V's V extension: up to 16 lanes, a register tile of 6 by 2 vectors.
#define HWY_COMPILE_ONLY_STATIC
#include <hwy/highway.h>
#include <stddef.h>
#include <string.h>

#include "kernels/tables.h"

static_assert(HWY_TARGET == HWY_RVV, "the flags of this file must select HWY_RVV");

#define XSLIM_INLINE HWY_INLINE
#define XSLIM_MR 6

HWY_BEFORE_NAMESPACE();
namespace xslim::kernels {
namespace {
// The bodies use the names of the first.
// clang-format off
#include "kernels/simd_highway.h"
#include "kernels/bodies-inl.h"
// clang-format on
}  // namespace

const Table* RvvTable() {
  static const Table table = MakeTable("rvv");
  return &table;
}

}  // namespace xslim::kernels
HWY_AFTER_NAMESPACE();
