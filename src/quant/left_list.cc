#include "quant/left_list.h"

#include <algorithm>

#include "base/log.h"

namespace xslim {
namespace {
constexpr char kNotFloat32[] = ", not float32";
}  // namespace

std::string OtherFloat(DType type) { return StrCat("in ", NameOf(type), kNotFloat32); }

void WarnOfOtherFloats(const LeftList& left, const std::string& model) {
  const auto other = [](const LeftAsIs& each) { return each.why.ends_with(kNotFloat32); };
  const auto first = std::find_if(left.begin(), left.end(), other);
  if (first == left.end()) return;
  const auto count = std::count_if(left.begin(), left.end(), other);
  LogWarning(model, ": ", count, count == 1 ? " operator stays as it is (" : " operators stay as they are (",
             first->what, count == 1 ? "): " : ", ...): ", first->why,
             "; give the float32 model that this one was made from");
}

}  // namespace xslim
