#include "report/markdown_text.h"

#include <gtest/gtest.h>

namespace xslim {
namespace {

TEST(MarkdownText, OrdinaryNamesStayAsTheyAre) {
  EXPECT_EQ(MarkdownText("/model.0/conv_1/Conv[Conv]: 0.5 %"), "/model.0/conv_1/Conv[Conv]: 0.5 %");
}

TEST(MarkdownText, NothingEndsACellOrBecomesMarkup) {
  EXPECT_EQ(MarkdownText("a\nb\r\tc"), "a b  c");
  EXPECT_EQ(MarkdownText("a|b"), "a\\|b");
  EXPECT_EQ(MarkdownText("<b>&amp;"), "&lt;b&gt;&amp;amp;");
  EXPECT_EQ(MarkdownText("[x](y) ~~a~~"), "[x\\](y) \\~\\~a\\~\\~");
  EXPECT_EQ(MarkdownText("__main__ a_b"), "\\_\\_main\\_\\_ a_b");
  EXPECT_EQ(MarkdownText("`x` *y* \\|"), "\\`x\\` \\*y\\* \\\\\\|");
}

}  // namespace
}  // namespace xslim
