#include "base/environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "xslim/error.h"

namespace xslim {
namespace {

constexpr const char* kName = "XSLIM_TEST_OF_ENVIRONMENT";

TEST(Environment, NotSetIsTheSameAsSetToNothing) {
  unsetenv(kName);
  EXPECT_EQ(EnvironmentText(kName), "");
  setenv(kName, "", 1);
  EXPECT_EQ(EnvironmentText(kName), "");
  setenv(kName, " a b", 1);
  EXPECT_EQ(EnvironmentText(kName), " a b");
  unsetenv(kName);
}

TEST(Environment, ErrorsNameTheVariableAndItsText) {
  setenv(kName, "many", 1);
  try {
    FailEnvironment(kName, "expected a number", "unset it");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "environment XSLIM_TEST_OF_ENVIRONMENT=many: expected a number (unset it)");
  }
  unsetenv(kName);
}

}  // namespace
}  // namespace xslim
