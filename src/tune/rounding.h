// Rounding of weights against the second moments of their inputs: the error that one weight's rounding makes
// is handed on to the weights not yet rounded, as far as their inputs go together. GPTQ (Frantar et al. 2023)
// in its equivalent form LDLQ (Chee et al. 2023, "QuIP", theorem 6).
#ifndef XSLIM_TUNE_ROUNDING_H_
#define XSLIM_TUNE_ROUNDING_H_

#include <cstdint>
#include <vector>

#include "base/threads.h"

namespace xslim {

// The moments of a layer's input patches x (depth numbers each): E[(x - a m)(x - a m)'], m = E[x] and a as
// the caller chose.
class Moments {
 public:
  explicit Moments(int64_t depth)
      : depth_(depth),
        second_(static_cast<size_t>(depth * depth), 0.0f),
        first_(static_cast<size_t>(depth), 0.0) {}

  // Adds patches[p * depth + d]; chains over p in order, so that the result does not depend on threads.
  void Add(const std::vector<float>& patches, ThreadPool& pool);
  int64_t depth() const { return depth_; }
  int64_t count() const { return count_; }

  // The matrix to round against, depth x depth: E[xx'] - keep_out * m m', plus `damping` times its mean
  // diagonal. With the layer's bias corrected afterwards, an error of the mean costs nothing: keep_out
  // near 1.
  // Off the diagonal it is shrunk by 1 - (depth / (2 count))^2, to zero for less than half as many patches as
  // depth: few patches say nothing about what goes together.
  std::vector<float> Matrix(double keep_out, double damping, ThreadPool& pool) const;

 private:
  int64_t depth_, count_ = 0;
  std::vector<float> second_;  // sum of x x', lower triangle by blocks
  std::vector<double> first_;  // sum of x
};

// c (m x n, row length ldc) += a b, with elements at a[i * am + d * ak] and b[d * bk + j * bn]. Each element
// is one chain over d.
void AddProduct(ThreadPool& pool, int64_t m, int64_t n, int64_t k, const float* a, int64_t am, int64_t ak,
                const float* b, int64_t bk, int64_t bn, float* c, int64_t ldc);

// Weights in steps of a scale per row.
struct RoundedRows {
  std::vector<int8_t> codes;  // rows x depth, each in [-128, 127]
  std::vector<float> scales;  // one per row
};

// Codes for rows of weights: minimises (w - q s)' H (w - q s) greedily, for each row with that multiple of
// its scale, out of `multiples`, for which this comes out least (the earlier of equal ones).
//   weights: rows x depth; scales: one per row; matrix: depth x depth, symmetric positive definite
RoundedRows RoundAgainst(const std::vector<float>& weights, const std::vector<float>& scales,
                         const std::vector<float>& multiples, const std::vector<float>& matrix, int64_t depth,
                         ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_TUNE_ROUNDING_H_
