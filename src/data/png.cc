// The chunks of PNG files (ISO/IEC 15948, section 5): length, type, data and a checksum of type and data.
#include <array>
#include <cstdint>

#include "base/log.h"
#include "data/readers.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr char kSignature[] = "\x89PNG\r\n\x1a\n";
constexpr size_t kSignatureBytes = 8, kFrame = 12;  // of a chunk: all but its data
constexpr uint32_t kMostPixels = 1'000'000;         // libpng's limit of a side

uint32_t Number(const std::string& bytes, size_t at) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) number = number << 8 | static_cast<uint8_t>(bytes[at + i]);
  return number;
}

// The remainder of the polynomial 0xedb88320 (reflected), started and ended with all bits turned; annex D of
// the standard.
uint32_t Checksum(const char* data, size_t bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> made{};
    for (uint32_t i = 0; i < 256; ++i) {
      made[i] = i;
      for (int bit = 0; bit < 8; ++bit) made[i] = made[i] >> 1 ^ (made[i] & 1 ? 0xedb88320u : 0u);
    }
    return made;
  }();
  uint32_t sum = ~0u;
  for (size_t i = 0; i < bytes; ++i) sum = table[(sum ^ static_cast<uint8_t>(data[i])) & 0xff] ^ sum >> 8;
  return ~sum;
}

}  // namespace

void CheckPng(const std::string& path, std::string* bytes) {
  if (bytes->compare(0, kSignatureBytes, kSignature) != 0) return;
  for (size_t at = kSignatureBytes;;) {
    if (bytes->size() - at < kFrame || bytes->size() - at - kFrame < Number(*bytes, at))
      throw Error("cannot decode the image", path, "the PNG file is cut off");
    const size_t length = Number(*bytes, at);
    const std::string type = bytes->substr(at + 4, 4);
    const bool whole = Checksum(bytes->data() + at + 4, length + 4) == Number(*bytes, at + 8 + length);
    const bool needed = (type[0] & 0x20) == 0;  // a capital letter: no decoder may pass over the chunk
    if (!whole && needed)
      throw Error("cannot decode the image", path, "the PNG file is damaged: a checksum is wrong");
    if (type == "IHDR" && length >= 8 &&
        (Number(*bytes, at + 8) > kMostPixels || Number(*bytes, at + 12) > kMostPixels))
      throw Error("cannot decode the image", path, StrCat("a side is over ", kMostPixels, " pixels"));
    if (type == "IEND") return;
    if (!whole || type == "iCCP") {
      bytes->erase(at, length + kFrame);
    } else {
      at += length + kFrame;
    }
  }
}

}  // namespace xslim
