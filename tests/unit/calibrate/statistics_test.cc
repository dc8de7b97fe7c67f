#include "calibrate/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace xslim {
namespace {

// Irwin-Hall: bell-shaped, exact arithmetic only, the same everywhere.
class Source {
 public:
  explicit Source(uint64_t seed) : state_(seed * 2654435761u + 1) {}
  float Uniform() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(state_ >> 40) * (1.0f / 16777216.0f);
  }
  float Bell() {
    float sum = -6;
    for (int i = 0; i < 12; ++i) sum += Uniform();
    return sum;
  }
  std::vector<float> Bells(size_t n, float scale = 1) {
    std::vector<float> x(n);
    for (float& v : x) v = Bell() * scale;
    return x;
  }

 private:
  uint64_t state_;
};

void Add(TensorStatistics& s, const std::vector<float>& x, double p = 0.9999) {
  s.AddSample(x.data(), static_cast<int64_t>(x.size()), p);
}

void ExpectSame(const TensorStatistics& a, const TensorStatistics& b) {
  EXPECT_EQ(a.count(), b.count());
  EXPECT_EQ(a.min(), b.min());
  EXPECT_EQ(a.max(), b.max());
  const auto x = a.Histogram(), y = b.Histogram();
  ASSERT_EQ(x.size(), y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x[i].lo, y[i].lo);
    EXPECT_EQ(x[i].hi, y[i].hi);
    EXPECT_EQ(x[i].count, y[i].count);
  }
}

TEST(Statistics, HistogramAscendsAndHoldsEveryElement) {
  for (size_t n : {size_t{1}, size_t{63}, size_t{5000}, size_t{100000}}) {
    Source source(n);
    std::vector<float> x = source.Bells(n, 3);
    for (size_t i = 0; i < n; i += 3) x[i] = std::max(x[i], 0.0f);
    TensorStatistics s;
    Add(s, x);
    std::sort(x.begin(), x.end());
    EXPECT_EQ(s.min(), x.front());
    EXPECT_EQ(s.max(), x.back());
    size_t at = 0;
    float previous = -std::numeric_limits<float>::infinity();
    for (const Bin& bin : s.Histogram()) {
      EXPECT_GE(bin.lo, previous);
      EXPECT_LT(bin.lo, bin.hi);
      previous = bin.hi;
      for (int64_t k = 0; k < bin.count; ++k, ++at) {
        ASSERT_LT(at, n);
        EXPECT_GE(x[at], bin.lo);
        EXPECT_LT(x[at], bin.hi);
      }
    }
    EXPECT_EQ(at, n);
  }
}

TEST(Statistics, PercentilesAreTheSortedElements) {
  for (double p : {0.99, 0.9999, 1.0})
    for (size_t n : {size_t{1}, size_t{2}, size_t{100}, size_t{4097}, size_t{70001}}) {
      Source source(n + 5);
      TensorStatistics s;
      double low = 0, high = 0;
      for (int sample = 0; sample < 3; ++sample) {
        std::vector<float> x = source.Bells(n, 1.7f);
        Add(s, x, p);
        std::sort(x.begin(), x.end());
        low += x[static_cast<size_t>(static_cast<double>(n) * (1 - p))];
        high += x[std::min(n - 1, static_cast<size_t>(static_cast<double>(n) * p))];
      }
      EXPECT_EQ(s.percentile_low(), static_cast<float>(low / 3)) << n << " " << p;
      EXPECT_EQ(s.percentile_high(), static_cast<float>(high / 3)) << n << " " << p;
    }
}

TEST(Statistics, PercentilesInsideOneBinOfEqualOrNearValues) {
  std::vector<float> x(1000, 2.5f);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::nextafter(x[i], i % 2 ? 3.0f : 2.0f);
  TensorStatistics s;
  Add(s, x, 0.9);
  EXPECT_EQ(s.percentile_low(), std::nextafter(2.5f, 2.0f));
  EXPECT_EQ(s.percentile_high(), std::nextafter(2.5f, 3.0f));
}

// Ranges over 60 octaves, so that the order decides when low octaves are dropped.
TEST(Statistics, OrderAndMergeDoNotMatter) {
  std::vector<std::vector<float>> samples;
  for (int i = 0; i < 12; ++i) {
    Source source(static_cast<uint64_t>(i) + 40);
    samples.push_back(source.Bells(i % 2 ? 500 : 40000, std::ldexp(1.0f, (i * 7) % 12 * 5 - 30)));
    samples.back()[3] = 0;
  }
  TensorStatistics forward, backward, left, right;
  for (size_t i = 0; i < samples.size(); ++i) {
    Add(forward, samples[i]);
    Add(backward, samples[samples.size() - 1 - i]);
    Add(i < 5 ? left : right, samples[i]);
  }
  ExpectSame(forward, backward);
  TensorStatistics merged = left;
  merged.Merge(right);
  ExpectSame(forward, merged);
  EXPECT_EQ(forward.percentile_high(), merged.percentile_high());
  right.Merge(left);
  ExpectSame(forward, right);
  EXPECT_LT(forward.bytes(), 42u * 2048 * 4 + 8192);
}

// Samples above 8192 elements are counted block by block while their octaves suffice: the next sample has a
// larger element, or one that is not finite, somewhere, and neither may count anything twice or lose it.
TEST(Statistics, ASampleMayLeaveTheKnownOctavesAnywhere) {
  constexpr size_t kElements = 20000;
  for (const size_t at : {size_t{0}, size_t{5000}, kElements - 1}) {
    for (const float odd : {1000.0f, -1000.0f, std::numeric_limits<float>::infinity(), NAN}) {
      Source source(at + 7);
      const std::vector<float> first = source.Bells(kElements), last = source.Bells(kElements, 2);
      std::vector<float> second = source.Bells(kElements);
      for (size_t i = 1; i < kElements; i += 2) second[i] = std::max(second[i], 0.0f);
      second[at] = odd;
      TensorStatistics in_turn, merged;
      for (const std::vector<float>& x : {first, second, last}) {
        TensorStatistics own;
        Add(own, x);
        merged.Merge(own);
        Add(in_turn, x);
      }
      EXPECT_EQ(in_turn.count(), static_cast<int64_t>(3 * kElements) - (std::isfinite(odd) ? 0 : 1));
      ExpectSame(in_turn, merged);
      EXPECT_EQ(in_turn.percentile_high(), merged.percentile_high());
    }
  }
}

TEST(Statistics, NotFiniteElementsAreLeftOut) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  TensorStatistics s;
  Add(s, {1, kInf, -2, -kInf, std::nanf(""), 3});
  Add(s, {kInf, std::nanf("")});
  Add(s, {0.5f, -0.25f});
  EXPECT_EQ(s.count(), 5);
  EXPECT_EQ(s.nan_count(), 2);
  EXPECT_EQ(s.infinite_count(), 3);
  EXPECT_EQ(s.min(), -2);
  EXPECT_EQ(s.max(), 3);
  EXPECT_EQ(s.percentile_high(), 1.75f);  // the middle sample has none
  EXPECT_EQ(s.percentile_low(), -1.125f);
}

TEST(Statistics, ExtremeFloats) {
  constexpr float kMax = std::numeric_limits<float>::max();
  TensorStatistics s;
  Add(s, {kMax, -kMax, 1e-42f, -1e-40f, -0.0f, 0.0f});
  EXPECT_EQ(s.count(), 6);
  int64_t all = 0;
  for (const Bin& bin : s.Histogram()) {
    all += bin.count;
    EXPECT_TRUE(std::isfinite(bin.lo) && std::isfinite(bin.hi));
  }
  EXPECT_EQ(all, 6);
  for (CalibrationType type : {CalibrationType::kDefault, CalibrationType::kKl, CalibrationType::kMse}) {
    const ChosenRange range = ChooseRange(s, type, {-kMax, kMax});
    EXPECT_TRUE(std::isfinite(range.lo) && std::isfinite(range.hi) && range.lo < range.hi);
  }
}

}  // namespace
}  // namespace xslim
