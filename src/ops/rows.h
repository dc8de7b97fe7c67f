// For operators whose rows are spread over the threads.
#ifndef XSLIM_OPS_ROWS_H_
#define XSLIM_OPS_ROWS_H_

#include <algorithm>
#include <cstdint>

#include "tensor/tensor.h"

namespace xslim {

// How many rows of so many elements are worth a thread's while.
inline int64_t RowGrain(int64_t row) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(row, 1)); }

// The product of the dimensions [first, last).
inline int64_t Product(const Shape& shape, int64_t first, int64_t last) {
  int64_t product = 1;
  for (int64_t d = first; d < last; ++d) product *= shape[static_cast<size_t>(d)];
  return product;
}

}  // namespace xslim

#endif  // XSLIM_OPS_ROWS_H_
