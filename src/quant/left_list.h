// What a mode says of the operators that it does not touch.
#ifndef XSLIM_QUANT_LEFT_LIST_H_
#define XSLIM_QUANT_LEFT_LIST_H_

#include <string>
#include <vector>

namespace xslim {

// An operator (or a group of them) that a mode leaves as it was.
struct LeftAsIs {
  std::string what;  // "name[Type]"
  std::string why;
};
using LeftList = std::vector<LeftAsIs>;

// A reason that tells of a broken model rather than of the mode's limits.
inline constexpr char kNotFinite[] = "its weights hold NaN or infinity";

}  // namespace xslim

#endif  // XSLIM_QUANT_LEFT_LIST_H_
