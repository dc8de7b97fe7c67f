// Environment variables, read and complained about in one way.
#ifndef XSLIM_BASE_ENVIRONMENT_H_
#define XSLIM_BASE_ENVIRONMENT_H_

#include <string>

namespace xslim {

// The variable's text; "" when it is not set, which is the same as set to nothing.
std::string EnvironmentText(const char* name);

// Throws Error with the variable and its text as the place.
[[noreturn]] void FailEnvironment(const char* name, const std::string& what, const std::string& hint = "");

}  // namespace xslim

#endif  // XSLIM_BASE_ENVIRONMENT_H_
