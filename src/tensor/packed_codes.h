// Codes of 2, 4 or 8 bits that share bytes, the first in the lowest bits: what files hold of the types of
// less than a byte, and some operators' weights of any type.
#ifndef XSLIM_TENSOR_PACKED_CODES_H_
#define XSLIM_TENSOR_PACKED_CODES_H_

#include <cstdint>

namespace xslim {

// Code `index` of a run, without a sign.
inline int CodeAt(const uint8_t* run, int64_t index, int bits) {
  const int64_t each = 8 / bits;
  return (run[index / each] >> (index % each * bits)) & ((1 << bits) - 1);
}

// Puts the low bits of a code into a run where there are zeros so far.
inline void PutCode(uint8_t* run, int64_t index, int bits, int code) {
  const int64_t each = 8 / bits;
  run[index / each] =
      static_cast<uint8_t>(run[index / each] | (code & ((1 << bits) - 1)) << (index % each * bits));
}

}  // namespace xslim

#endif  // XSLIM_TENSOR_PACKED_CODES_H_
