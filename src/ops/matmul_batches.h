// Numpy's matmul of two shapes, as products of matrices.
#ifndef XSLIM_OPS_MATMUL_BATCHES_H_
#define XSLIM_OPS_MATMUL_BATCHES_H_

#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace xslim {

// Product i is matrix a[i] (m x k) of the left operand times matrix b[i] (k x n) of the right one; they lie
// one after the other in the result. Several left matrices times one right matrix are one tall product.
struct MatMulBatches {
  // Vectors get a dimension of one that is removed from the result. Throws Error when the shapes do not fit.
  MatMulBatches(Shape left, Shape right);

  int64_t m, n, k;
  Shape out_shape;
  std::vector<int64_t> a, b;
};

}  // namespace xslim

#endif  // XSLIM_OPS_MATMUL_BATCHES_H_
