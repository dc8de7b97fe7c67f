// The shared elementwise bodies on groups of two vector registers (simd.h).
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
#include "kernels/elementwise-inl.h"
// clang-format on
}  // namespace

void FillElementwise(Table* table) {
  table->unary = Unary;
  table->binary = Binary;
  table->binary_scalar = BinaryScalar;
  table->scalar_binary = ScalarBinary;
  table->clamp = Clamp;
  table->hard_sigmoid = HardSigmoid;
  table->leaky_relu = LeakyRelu;
  table->scale_shift = ScaleShift;
}

}  // namespace xslim::kernels::rvv
