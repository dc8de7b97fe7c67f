// The log. The only file with spdlog is log.cc; the library writes lines here and main decides where they go.
#ifndef XSLIM_BASE_LOG_H_
#define XSLIM_BASE_LOG_H_

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include "xslim/xslim.h"

namespace xslim {

// NaN without its sign, which is the processor's.
template <typename T>
T WithoutSignOfNan(const T& value) requires std::is_floating_point_v<T> {
  return std::isnan(value) ? std::abs(value) : value;
}
template <typename T>
const T& WithoutSignOfNan(const T& value) {
  return value;
}

// Concatenates anything that an ostream takes; floats print with 6 significant digits.
template <typename... Args>
std::string StrCat(const Args&... args) {
  std::ostringstream out;
  (out << ... << WithoutSignOfNan(args));
  return out.str();
}

// "1 sample", "2 samples"; `many` where that is not `one` with an s.
template <typename Number>
std::string Counted(Number count, const std::string& one, const std::string& many = "") {
  return StrCat(count, " ", count == 1 ? one : many.empty() ? one + "s" : many);
}

// The items with the separator between them. text(item): anything that StrCat takes.
template <typename Items, typename Text>
std::string StrJoin(const Items& items, const std::string& separator, const Text& text) {
  std::ostringstream out;
  bool first = true;
  for (const auto& item : items) {
    out << (first ? "" : separator) << WithoutSignOfNan(text(item));
    first = false;
  }
  return out.str();
}

// The same of items that are anything that StrCat takes.
template <typename Items>
std::string StrJoin(const Items& items, const std::string& separator = ", ") {
  return StrJoin(items, separator, std::identity());
}

// "a, b", or "a, b and 4 more" when there are more than `most` names.
inline std::string FirstOf(const std::vector<std::string>& names, size_t most) {
  const std::string text = StrJoin(std::span(names).first(std::min(most, names.size())));
  return names.size() > most ? StrCat(text, " and ", names.size() - most, " more") : text;
}

template <typename... Args>
void LogDebug(const Args&... args) {
  LogLine(LogLevel::kDebug, StrCat(args...));
}
template <typename... Args>
void LogInfo(const Args&... args) {
  LogLine(LogLevel::kInfo, StrCat(args...));
}
template <typename... Args>
void LogWarning(const Args&... args) {
  LogLine(LogLevel::kWarning, StrCat(args...));
}

}  // namespace xslim

#endif  // XSLIM_BASE_LOG_H_
