#include "base/log.h"

#include <gtest/gtest.h>

namespace xslim {
namespace {

TEST(StrJoinTest, PutsTheSeparatorBetween) {
  EXPECT_EQ(StrJoin(std::vector<std::string>{}), "");
  EXPECT_EQ(StrJoin(std::vector<std::string>{"a", "", "b"}), "a, , b");
  EXPECT_EQ(StrJoin(std::vector<int>{1, 2}, ","), "1,2");
  EXPECT_EQ(StrJoin(std::vector<int>{1, 2}, "; ", [](int number) { return -number; }), "-1; -2");
}

TEST(FirstOfTest, CountsWhatItDoesNotName) {
  const std::vector<std::string> names = {"a", "b", "c"};
  EXPECT_EQ(FirstOf(names, 3), "a, b, c");
  EXPECT_EQ(FirstOf(names, 2), "a, b and 1 more");
}

TEST(PrintableTest, LeavesTextAlone) {
  for (const char* text :
       {"", "plain \\n and \"quotes\"", "\xc3\xa4 \xe4\xb8\xad \xf0\x9f\x98\x80", "\xc2\xa0"})
    EXPECT_EQ(Printable(text), text);
}

TEST(PrintableTest, EscapesWhatATerminalObeys) {
  EXPECT_EQ(Printable("a\nb\tc\rd"), "a\\nb\\tc\\rd");
  EXPECT_EQ(Printable("\x1b[2Jgone\x07\x7f"), "\\x1b[2Jgone\\x07\\x7f");
  EXPECT_EQ(Printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");  // the control character CSI of one code point
}

TEST(PrintableTest, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(Printable("\x9b"
                      "31m \xff"),
            "\\x9b31m \\xff");
  EXPECT_EQ(Printable("cut \xe4\xb8"), "cut \\xe4\\xb8");
}

}  // namespace
}  // namespace xslim
