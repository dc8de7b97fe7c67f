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

}  // namespace xslim

#endif  // XSLIM_BASE_JSON_TEXT_H_
