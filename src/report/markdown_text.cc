#include "report/markdown_text.h"

#include <cctype>

namespace xslim {

std::string MarkdownText(const std::string& text) {
  std::string out;
  const auto in_word = [&](size_t at) {
    return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const auto byte = static_cast<unsigned char>(c);
    // Within a word _ is itself, and brackets are but before the address of a link.
    const bool edge = c == '_' && !(at > 0 && in_word(at - 1) && in_word(at + 1));
    const bool link = c == ']' && at + 1 < text.size() && (text[at + 1] == '(' || text[at + 1] == '[');
    if (byte < 0x20 || byte == 0x7f) {
      out += ' ';
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      if (c == '|' || c == '`' || c == '*' || c == '~' || c == '\\' || edge || link) out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace xslim
