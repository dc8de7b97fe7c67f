// What convolutions and pools share: checks of the attributes that say where windows lie, and how their axes
// and rows are gone through.
#ifndef XSLIM_OPS_WINDOW_H_
#define XSLIM_OPS_WINDOW_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/log.h"
#include "graph/graph.h"
#include "kernels/kernels.h"
#include "tensor/tensor.h"
#include "xslim/error.h"

namespace xslim {

// Throws Error unless `values` has `count` entries from `least` to 2^31 - 1. Products of two of them stay
// exact in int64_t, whatever a model says.
inline void CheckWindowValues(const char* what, const std::vector<int64_t>& values, size_t count,
                              int64_t least) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (values.size() != count) {
    throw Error(StrCat(what, " ", ToString(values), " has ", values.size(), " entries, expected ", count));
  }
  for (const int64_t value : values) {
    if (value < least || value > kMost) {
      throw Error(StrCat(what, " ", ToString(values), " is out of range"), "",
                  StrCat("expected ", least, " to ", kMost));
    }
  }
}

// Where windows lie along the spatial axes of a node's input.
struct WindowAttributes {
  std::vector<int64_t> kernel, strides, dilations, pads;  // pads: all begins, then all ends
  std::string auto_pad;                                   // NOTSET, VALID, SAME_UPPER or SAME_LOWER
};

// Of a convolution or pool over `spatial` axes, with the operators' defaults. `kernel`: the sizes of the
// weights, -1 for one that is not known; empty for a pool, whose kernel_shape is then required. Throws Error
// when a list has another length than that or a value that no window has, or when kernel_shape is not that of
// the weights; Unsupported for negative pads, which some runtimes take as cropping.
WindowAttributes ReadWindow(const Node& node, size_t spatial, const std::vector<int64_t>& kernel);

// Of three spatial axes those along which nothing moves go in front; the others keep their order, and so do
// pixels and taps: an image of width 1 is a row then, whose elements are vectors. still(i): whether axis i is
// such a one; swap(i, j): exchanges two axes.
template <typename Still, typename Swap>
void StillAxesFirst(const Still& still, const Swap& swap) {
  for (size_t i = 3, to = 2; i-- > 0;) {
    if (!still(i)) swap(i, to--);
  }
}

// y[i] = x[i * stride]
inline void TakeEvery(int64_t stride, const float* x, float* y, int64_t n) {
  if (stride == 1) {
    std::copy_n(x, n, y);
  } else if (stride == 2) {
    kernels::Active().every_second(x, y, n);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = x[i * stride];
  }
}

}  // namespace xslim

#endif  // XSLIM_OPS_WINDOW_H_
