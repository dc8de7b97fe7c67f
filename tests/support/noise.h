// Random tensors for the tests.
#ifndef XSLIM_TESTS_SUPPORT_NOISE_H_
#define XSLIM_TESTS_SUPPORT_NOISE_H_

#include <utility>

#include "base/random.h"
#include "tensor/tensor.h"

namespace xslim {

// scale * (u + shift) with u in [0, 1).
inline Tensor Noise(Shape shape, uint64_t seed, float scale = 1, float shift = -0.5f) {
  Random random(seed);
  Tensor tensor(DType::kFloat, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.data<float>()[i] = scale * (random.Unit() + shift);
  return tensor;
}

}  // namespace xslim

#endif  // XSLIM_TESTS_SUPPORT_NOISE_H_
