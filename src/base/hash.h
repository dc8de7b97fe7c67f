// A 128-bit checksum of bytes, the same on every machine. It tells changed data from unchanged; it is no
// protection against someone who forges data on purpose.
#ifndef XSLIM_BASE_HASH_H_
#define XSLIM_BASE_HASH_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace xslim {

class Hasher {
 public:
  void Add(const void* data, size_t bytes);
  void Add(const std::string& text);  // with its length, so that "ab" + "c" is not "a" + "bc"
  void Add(uint64_t number);
  std::string Hex() const;  // 32 digits

 private:
  void Mix(uint64_t word);
  uint64_t a_ = 0x243f6a8885a308d3, b_ = 0x13198a2e03707344;  // digits of pi
};

}  // namespace xslim

#endif  // XSLIM_BASE_HASH_H_
