// Operators of the program's own: graphs that it builds for itself hold them, models never do.
#ifndef XSLIM_OPS_OWN_H_
#define XSLIM_OPS_OWN_H_

namespace xslim {

inline constexpr const char* kOwnDomain = "xslim.internal";

// KeepBetween(x, at, lo, hi): x where lo < at < hi, else 0; float32. The bounds are one number each, and
// infinite where they are left out.
inline constexpr const char* kKeepBetween = "KeepBetween";

}  // namespace xslim

#endif  // XSLIM_OPS_OWN_H_
