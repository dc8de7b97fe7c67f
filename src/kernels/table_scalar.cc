// The plain twin: one lane, the baseline instruction set.
#include <stddef.h>
#include <string.h>

#include "kernels/tables.h"

#define XSLIM_INLINE inline

namespace xslim::kernels {
namespace {
// The bodies use the names of the first.
// clang-format off
#include "kernels/simd_scalar.h"
#include "kernels/bodies-inl.h"
// clang-format on
}  // namespace

const Table* ScalarTable() {
  static const Table table = MakeTable("scalar");
  return &table;
}

}  // namespace xslim::kernels
