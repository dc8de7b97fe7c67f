// SHA-256 (FIPS 180-4): checksums of files that people compare with those of sha256sum.
#ifndef XSLIM_BASE_SHA256_H_
#define XSLIM_BASE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace xslim {

class Sha256 {
 public:
  // plain: without the processor's own instructions for it; for tests.
  explicit Sha256(bool plain = false);
  void Add(const void* data, size_t bytes);
  void Add(const std::string& text) { Add(text.data(), text.size()); }
  std::string Hex() const;  // 64 digits, of all that was added so far

 private:
  static constexpr size_t kBlock = 64;
  using State = std::array<uint32_t, 8>;
  void (*add_blocks_)(const unsigned char* at, size_t blocks, State* state);
  State state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, kBlock> open_{};  // what does not fill a block yet
  uint64_t bytes_ = 0;
};

std::string Sha256Of(const std::string& text);

// Of the file's bytes, which are read piece by piece. Throws Error naming the file and the system's reason.
std::string Sha256OfFile(const std::string& path);

}  // namespace xslim

#endif  // XSLIM_BASE_SHA256_H_
