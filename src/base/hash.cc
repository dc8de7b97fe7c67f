#include "base/hash.h"

#include <bit>
#include <cstring>

namespace xslim {
namespace {

// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
uint64_t Finish(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t LittleEndian(const unsigned char* bytes, size_t count) {
  uint64_t word = 0;
  if (count == 8 && std::endian::native == std::endian::little) {
    std::memcpy(&word, bytes, 8);
    return word;
  }
  for (size_t i = 0; i < count; ++i) word |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  return word;
}

}  // namespace

void Hasher::Mix(uint64_t word) {
  a_ = std::rotl(a_ ^ word, 27) * 0x9e3779b97f4a7c15;
  b_ = (b_ + std::rotl(word, 31)) * 0xd1342543de82ef95;
  b_ ^= b_ >> 29;
}

void Hasher::Add(const void* data, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  size_t left = bytes;
  for (; left >= 8; left -= 8, at += 8) Mix(LittleEndian(at, 8));
  if (left > 0) Mix(LittleEndian(at, left));
  Mix(bytes);
}

void Hasher::Add(const std::string& text) { Add(text.data(), text.size()); }
void Hasher::Add(uint64_t number) { Mix(number); }

std::string Hasher::Hex() const {
  std::string text;
  for (const uint64_t word : {Finish(a_ + b_), Finish(a_ ^ std::rotl(b_, 17))}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15];
  }
  return text;
}

}  // namespace xslim
