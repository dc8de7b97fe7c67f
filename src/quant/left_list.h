// What a mode says of the operators that it does not touch.
#ifndef XSLIM_QUANT_LEFT_LIST_H_
#define XSLIM_QUANT_LEFT_LIST_H_

#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace xslim {

// An operator (or a group of them) that a mode leaves as it was.
struct LeftAsIs {
  std::string what;  // "name[Type]"
  std::string why;
};
using LeftList = std::vector<LeftAsIs>;

// A reason that tells of a broken model rather than of the mode's limits.
inline constexpr char kNotFinite[] = "its weights hold NaN or infinity";

// The reason of what computes in a float type other than float32, from which alone int8 is made.
std::string OtherFloat(DType type);

// Says once how many of `left` have that reason, and what to do.
void WarnOfOtherFloats(const LeftList& left, const std::string& model);

}  // namespace xslim

#endif  // XSLIM_QUANT_LEFT_LIST_H_
