// Checks of the attributes that say where the windows of convolutions and pools lie.
#ifndef XSLIM_OPS_WINDOW_H_
#define XSLIM_OPS_WINDOW_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/log.h"
#include "graph/graph.h"
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

}  // namespace xslim

#endif  // XSLIM_OPS_WINDOW_H_
