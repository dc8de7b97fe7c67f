// The log. The only file with spdlog is log.cc; the library writes lines here and main decides where they go.
#ifndef XSLIM_BASE_LOG_H_
#define XSLIM_BASE_LOG_H_

#include <sstream>
#include <string>

#include "xslim/xslim.h"

namespace xslim {

// Concatenates anything that an ostream takes; floats print with 6 significant digits.
template <typename... Args>
std::string StrCat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
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
