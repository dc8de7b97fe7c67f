#include "base/json_text.h"

#include <gtest/gtest.h>

#include <cmath>

namespace xslim {
namespace {

TEST(JsonQuoted, EscapesWhatJsonCannotHold) {
  EXPECT_EQ(JsonQuoted("a/b"), "\"a/b\"");
  EXPECT_EQ(JsonQuoted("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
  EXPECT_EQ(JsonQuoted("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"), "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

TEST(JsonQuoted, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(JsonQuoted("\x80z"), "\"\\ufffdz\"");
  EXPECT_EQ(JsonQuoted("\xE2\x82"), "\"\\ufffd\\ufffd\"");
  EXPECT_EQ(JsonQuoted("\xC0\xAF"), "\"\\ufffd\\ufffd\"");             // overlong
  EXPECT_EQ(JsonQuoted("\xED\xA0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");  // a surrogate
  EXPECT_EQ(JsonQuoted("\xF4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

TEST(JsonNumber, IsShortestAndExact) {
  EXPECT_EQ(JsonNumber(0.1), "0.1");
  EXPECT_EQ(JsonNumber(3), "3");
  EXPECT_EQ(JsonNumber(NAN), "null");
  EXPECT_EQ(JsonNumber(-INFINITY), "null");
}

}  // namespace
}  // namespace xslim
