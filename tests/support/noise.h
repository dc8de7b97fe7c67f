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

// Makes neighbouring elements nearly alike.
inline void MakePairsAlike(Tensor* tensor) {
  float* const x = tensor->data<float>();
  for (int64_t i = 1; i < tensor->size(); i += 2) x[i] = x[i - 1] + 0.001f * x[i];
}

// 16 rows of 8 columns of a product that takes each channel's neighbour from it, times `factor`.
inline Tensor DifferenceWeights(float factor) {
  Tensor weights = Noise({16, 8}, 1, 0);
  for (int64_t j = 0; j < 8; ++j) {
    weights.data<float>()[16 * j + j] = factor;
    weights.data<float>()[16 * j + 8 + j] = -factor;
  }
  return weights;
}

}  // namespace xslim

#endif  // XSLIM_TESTS_SUPPORT_NOISE_H_
