#include "report/markdown_text.h"

namespace xslim {

std::string MarkdownText(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += ' ';
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      if (c == '|' || c == '`' || c == '*' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace xslim
