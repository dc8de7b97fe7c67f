// Names and sentences inside Markdown.
#ifndef XSLIM_REPORT_MARKDOWN_TEXT_H_
#define XSLIM_REPORT_MARKDOWN_TEXT_H_

#include <string>

namespace xslim {

// The text as it is shown by a reader of Markdown, in one line, inside a table too: what would be markup,
// HTML or the end of a cell is escaped, line ends and other control characters become spaces.
std::string MarkdownText(const std::string& text);

}  // namespace xslim

#endif  // XSLIM_REPORT_MARKDOWN_TEXT_H_
