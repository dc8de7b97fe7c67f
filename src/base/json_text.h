// Pieces of JSON text, for the files that we write.
#ifndef XSLIM_BASE_JSON_TEXT_H_
#define XSLIM_BASE_JSON_TEXT_H_

#include <string>

namespace xslim {

// The text in quotes, escaped. Bytes that are no UTF-8 become U+FFFD, so that the result is always JSON.
std::string JsonQuoted(const std::string& text);

// The shortest decimal that reads back as the same number, in any locale; "null" for NaN and infinity.
std::string JsonNumber(double number);

}  // namespace xslim

#endif  // XSLIM_BASE_JSON_TEXT_H_
