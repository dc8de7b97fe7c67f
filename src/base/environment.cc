#include "base/environment.h"

#include <cstdlib>

#include "xslim/error.h"

namespace xslim {

std::string EnvironmentText(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

void FailEnvironment(const char* name, const std::string& what, const std::string& hint) {
  throw Error(what, std::string("environment ") + name + "=" + EnvironmentText(name), hint);
}

}  // namespace xslim
