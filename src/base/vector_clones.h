// For plain loops outside src/kernels that take much of a run's time. A function marked XSLIM_VECTOR_CLONES
// is compiled twice on x86-64, for any processor and for AVX2, and the loader takes the one that fits. Both
// give the same bits: the compiler vectorizes, but neither reorders sums nor fuses products with them.
#ifndef XSLIM_BASE_VECTOR_CLONES_H_
#define XSLIM_BASE_VECTOR_CLONES_H_

#include <cstring>

#include "base/sanitizer.h"

// What chooses runs before AddressSanitizer is ready.
#if defined(__x86_64__) && defined(__linux__) && !defined(XSLIM_ADDRESS_SANITIZER)
#define XSLIM_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define XSLIM_VECTOR_CLONES
#endif

namespace xslim {

// Eight numbers that are computed with side by side, elementwise; no pointer needs alignment.
using Float8 = float __attribute__((vector_size(32)));
using Double8 = double __attribute__((vector_size(64)));

inline void Load(const float* from, Float8* to) { std::memcpy(to, from, sizeof(*to)); }

}  // namespace xslim

#endif  // XSLIM_BASE_VECTOR_CLONES_H_
