// Pieces of JSON text, for the files that we write.
#ifndef XSLIM_BASE_JSON_TEXT_H_
#define XSLIM_BASE_JSON_TEXT_H_

#include <cstddef>
#include <string>

namespace xslim {

// Bytes of the UTF-8 sequence that begins at `at`; 0 when there is none. Surrogates, overlong forms and what
// lies over U+10FFFF are none (RFC 3629, section 4).
size_t Utf8Length(const std::string& text, size_t at);

// The text in quotes, escaped. Bytes that are no UTF-8 become U+FFFD, so that the result is always JSON.
std::string JsonQuoted(const std::string& text);

// The shortest decimal that reads back as the same number, in any locale; "null" for NaN and infinity.
std::string JsonNumber(double number);

// A list in a member of the outermost object, each item on a line of its own. describe(item) -> its JSON.
template <typename Items, typename Describe>
std::string JsonRows(const Items& items, const Describe& describe) {
  std::string text = "[";
  for (const auto& item : items) text += (text.size() > 1 ? ",\n    " : "\n    ") + describe(item);
  return text + "]";
}

}  // namespace xslim

#endif  // XSLIM_BASE_JSON_TEXT_H_
