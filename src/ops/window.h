// Checks of the attributes that say where the windows of convolutions and pools lie.
#ifndef XSLIM_OPS_WINDOW_H_
#define XSLIM_OPS_WINDOW_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "base/log.h"
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

}  // namespace xslim

#endif  // XSLIM_OPS_WINDOW_H_
