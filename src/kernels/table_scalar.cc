// The plain twin: one lane, the baseline instruction set.
#include <stddef.h>
#include <string.h>

#include "kernels/tables.h"

#define XSLIM_INLINE inline

namespace xslim::kernels {
namespace {
#include "kernels/simd_scalar.h"
// Uses the names above.
#include "kernels/bodies-inl.h"
}  // namespace

const Table* ScalarTable() {
  static const Table table = MakeTable("scalar");
  return &table;
}

}  // namespace xslim::kernels
