// The words that a config has for values of its enumerations.
#ifndef XSLIM_CONFIG_WORDS_H_
#define XSLIM_CONFIG_WORDS_H_

#include <utility>
#include <vector>

#include "xslim/config.h"

namespace xslim {

template <typename E>
using Words = std::vector<std::pair<const char*, E>>;

const Words<CalibrationType>& CalibrationTypes();

// The word of a value, which must have one.
template <typename E>
const char* WordOf(const Words<E>& words, E value) {
  for (const auto& [word, of] : words) {
    if (of == value) return word;
  }
  return "";
}

}  // namespace xslim

#endif  // XSLIM_CONFIG_WORDS_H_
