// Seeded random numbers whose sequence is ours (SplitMix64, Steele et al. 2014): the same on every platform,
// which std:: distributions are not.
#ifndef XSLIM_BASE_RANDOM_H_
#define XSLIM_BASE_RANDOM_H_

#include <cstdint>
#include <vector>

namespace xslim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Uniform in [0, n); n > 0. The bias of the modulo is under 2^-32 for n < 2^32.
  uint64_t Below(uint64_t n) { return Next() % n; }
  // Uniform in [0, 1), 24 bits.
  float Unit() { return static_cast<float>(Next() >> 40) * 0x1p-24f; }

 private:
  uint64_t state_;
};

// `count` distinct numbers of [0, n) in ascending order (all of them when count >= n).
inline std::vector<int64_t> Choose(Random& random, int64_t n, int64_t count) {
  std::vector<int64_t> picked;
  for (int64_t i = 0; i < n && count > 0; ++i) {
    if (static_cast<int64_t>(random.Below(static_cast<uint64_t>(n - i))) < count) {
      picked.push_back(i);
      --count;
    }
  }
  return picked;
}

}  // namespace xslim

#endif  // XSLIM_BASE_RANDOM_H_
