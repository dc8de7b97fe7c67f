// RISC-V's V extension: the shared bodies on Highway (up to 16 lanes) fill the whole table, so that no kernel
// is missing, and those of rvv/ replace all but the rare shapes of depthwise.
#define HWY_COMPILE_ONLY_STATIC
#include <hwy/highway.h>
#include <stddef.h>
#include <string.h>

#include "kernels/rvv/rvv.h"
#include "kernels/tables.h"

static_assert(HWY_TARGET == HWY_RVV, "the flags of this file must select HWY_RVV");

#define XSLIM_INLINE HWY_INLINE
#define XSLIM_MR 14

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
  static const Table table = [] {
    Table t = MakeTable("rvv");
    rvv::FillGemm(&t);
    rvv::FillDepthwise(&t);
    rvv::FillElementwise(&t);
    rvv::FillReductions(&t);
    rvv::FillQuantize(&t);
    return t;
  }();
  return &table;
}

}  // namespace xslim::kernels
HWY_AFTER_NAMESPACE();
