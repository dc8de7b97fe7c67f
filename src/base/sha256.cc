#include "base/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/file.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace xslim {
namespace {

// The first 32 bits of the fractions of the cube roots of the first 64 primes.
alignas(16) constexpr uint32_t kRounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

using State = std::array<uint32_t, 8>;

uint32_t BigEndian(const unsigned char* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

// Section 6.2.2 of the standard, for whole blocks.
void AddBlocks(const unsigned char* at, size_t blocks, State* state) {
  for (; blocks > 0; --blocks, at += 64) {
    uint32_t w[64];
    for (int t = 0; t < 16; ++t) w[t] = BigEndian(at + 4 * t);
    for (int t = 16; t < 64; ++t) {
      const uint32_t x = w[t - 15], y = w[t - 2];
      w[t] = (std::rotr(y, 17) ^ std::rotr(y, 19) ^ y >> 10) + w[t - 7] +
             (std::rotr(x, 7) ^ std::rotr(x, 18) ^ x >> 3) + w[t - 16];
    }
    auto [a, b, c, d, e, f, g, h] = *state;
    for (int t = 0; t < 64; ++t) {
      const uint32_t one = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + (g ^ (e & (f ^ g))) +
                           kRounds[t] + w[t];
      const uint32_t two =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) | (c & (a | b)));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    const State added = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < added.size(); ++i) (*state)[i] += added[i];
  }
}

#ifdef __x86_64__
// The same by the instructions that processors have for it (the SHA extensions; several times as fast),
// which keep the state as (a, b, e, f) and (c, d, g, h), from the highest element down.
__attribute__((target("sha,sse4.1"))) void AddBlocksSha(const unsigned char* at, size_t blocks,
                                                        State* state) {
  const __m128i bytes = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);  // of big-endian words
  auto* words = reinterpret_cast<__m128i*>(state->data());
  const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  for (; blocks > 0; --blocks, at += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 4; ++i)
      w[i] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at) + i), bytes);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {  // four rounds each
      __m128i& next = w[i % 4];
      const __m128i later = w[(i + 3) % 4];
      const __m128i sum = _mm_add_epi32(next, _mm_load_si128(reinterpret_cast<const __m128i*>(kRounds) + i));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
      next = _mm_sha256msg1_epu32(next, w[(i + 1) % 4]);
      next = _mm_add_epi32(next, _mm_alignr_epi8(later, w[(i + 2) % 4], 4));
      next = _mm_sha256msg2_epu32(next, later);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

// Leaf 7: bit 29 of EBX; leaf 1: SSSE3 and SSE4.1 in ECX.
bool HasSha() {
  unsigned a = 0, b = 0, c = 0, d = 0, features = 0;
  if (__get_cpuid(1, &a, &b, &features, &d) == 0 || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0)
    return false;
  return (b >> 29 & 1) != 0 && (features >> 9 & 1) != 0 && (features >> 19 & 1) != 0;
}
#endif

auto* FastestAddBlocks() {
#ifdef __x86_64__
  static const bool has_sha = HasSha();
  if (has_sha) return AddBlocksSha;
#endif
  return AddBlocks;
}

}  // namespace

Sha256::Sha256(bool plain) : add_blocks_(plain ? AddBlocks : FastestAddBlocks()) {}

void Sha256::Add(const void* data, size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(data);
  const size_t held = bytes_ % kBlock;
  bytes_ += bytes;
  if (held > 0) {
    const size_t taken = std::min(bytes, kBlock - held);
    std::copy_n(at, taken, open_.begin() + held);
    if (held + taken < kBlock) return;
    add_blocks_(open_.data(), 1, &state_);
    at += taken;
    bytes -= taken;
  }
  add_blocks_(at, bytes / kBlock, &state_);
  std::copy_n(at + bytes / kBlock * kBlock, bytes % kBlock, open_.begin());
}

std::string Sha256::Hex() const {
  // A bit, zeros, and the length in bits, up to the end of a block.
  std::array<unsigned char, 2 * kBlock> end{};
  const size_t held = bytes_ % kBlock, size = held < kBlock - 8 ? kBlock : 2 * kBlock;
  std::copy_n(open_.begin(), held, end.begin());
  end[held] = 0x80;
  for (size_t i = 0; i < 8; ++i) end[size - 1 - i] = static_cast<unsigned char>(bytes_ * 8 >> (8 * i));
  State state = state_;
  add_blocks_(end.data(), size / kBlock, &state);
  std::string text;
  for (const uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[(word >> shift) & 15];
  }
  return text;
}

std::string Sha256Of(const std::string& text) {
  Sha256 hash;
  hash.Add(text);
  return hash.Hex();
}

std::string Sha256OfFile(const std::string& path) {
  Sha256 hash;
  ReadInPieces(path, [&hash](const char* bytes, size_t count) { hash.Add(bytes, count); });
  return hash.Hex();
}

}  // namespace xslim
