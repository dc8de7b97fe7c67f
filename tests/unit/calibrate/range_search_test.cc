#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "calibrate/statistics.h"

namespace xslim {
namespace {

constexpr RangeLimits kAll{-3.4e38f, 3.4e38f};
constexpr CalibrationType kTypes[] = {CalibrationType::kDefault, CalibrationType::kKl,
                                      CalibrationType::kMinMax, CalibrationType::kPercentile,
                                      CalibrationType::kMse};

float Uniform(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<float>(state >> 40) * (1.0f / 16777216.0f);
}

float Bell(uint64_t& state) {
  float sum = -6;
  for (int i = 0; i < 12; ++i) sum += Uniform(state);
  return sum;
}

using Draw = std::function<float(uint64_t&)>;
struct Data {
  std::vector<float> values;
  TensorStatistics statistics;
};

Data Make(const Draw& draw, int64_t samples = 16, int64_t n = 2048) {
  Data data;
  uint64_t state = 17;
  for (int64_t s = 0; s < samples; ++s) {
    std::vector<float> x(static_cast<size_t>(n));
    for (float& v : x) v = draw(state);
    data.statistics.AddSample(x.data(), n, 0.9999);
    data.values.insert(data.values.end(), x.begin(), x.end());
  }
  return data;
}

std::vector<Data> Shapes() {
  std::vector<Data> all;
  all.push_back(Make(Bell));
  all.push_back(Make([](uint64_t& s) { return std::max(0.0f, 2 * Bell(s) - 0.5f); }));
  all.push_back(Make([](uint64_t& s) {
    const float b = Bell(s);
    return b * b * b;
  }));
  all.push_back(
      Make([](uint64_t& s) { return Uniform(s) < 0.3f ? 0.1f * Bell(s) - 4 : 0.5f * Bell(s) + 3; }));
  all.push_back(Make([](uint64_t& s) { return 5 + Uniform(s); }));
  all.push_back(Make([](uint64_t& s) { return -1 - 2 * Uniform(s); }));
  all.push_back(Make([](uint64_t& s) { return std::floor(Uniform(s) * 17) - 5; }));
  all.push_back(Make([](uint64_t& s) {
    const float x = 3 * Bell(s);
    return x * std::min(6.0f, std::max(0.0f, x + 3)) / 6;
  }));
  all.push_back(Make([](uint64_t& s) { return Uniform(s) < 0.97f ? 0 : std::fabs(5 * Bell(s)); }));
  return all;
}

// Mean squared error of the quantizer itself.
double Measured(const std::vector<float>& x, const ChosenRange& range) {
  const double scale = (static_cast<double>(range.hi) - range.lo) / 255,
               zero = -128 - std::nearbyint(range.lo / scale);
  double sum = 0;
  for (float v : x) {
    const double q = std::min(127.0, std::max(-128.0, std::nearbyint(v / scale) + zero)),
                 d = (q - zero) * scale - v;
    sum += d * d;
  }
  return sum / static_cast<double>(x.size());
}

TEST(ChooseRange, EveryTypeHoldsZeroAndStaysInsideTheData) {
  for (const Data& data : Shapes())
    for (CalibrationType type : kTypes) {
      const ChosenRange range = ChooseRange(data.statistics, type, kAll);
      EXPECT_LE(range.lo, 0);
      EXPECT_GE(range.hi, 0);
      EXPECT_LT(range.lo, range.hi);
      EXPECT_GE(range.lo, std::min(0.0f, data.statistics.min()));
      EXPECT_LE(range.hi, std::max(0.0f, data.statistics.max()));
      EXPECT_FALSE(range.why.empty());
    }
}

TEST(ChooseRange, MseIsNeverWorseThanMinMaxWhenMeasured) {
  for (const Data& data : Shapes()) {
    const double minmax = Measured(data.values, ChooseRange(data.statistics, CalibrationType::kMinMax, kAll));
    const double mse = Measured(data.values, ChooseRange(data.statistics, CalibrationType::kMse, kAll));
    EXPECT_LE(mse, minmax * 1.05 + 1e-12);
  }
}

// The windows of XSlim's search: whole parts of [min, max], here 1/32 each, from 1/16 up.
TEST(ChooseRange, MseIsNoWorseThanTheBestOfEqualWindows) {
  for (const Data& data : Shapes()) {
    const float lo = std::min(0.0f, data.statistics.min()), hi = std::max(0.0f, data.statistics.max());
    const std::vector<Bin> histogram = data.statistics.Histogram();
    ChosenRange best{lo, hi, ""};
    double least = MseCost(histogram, lo, hi);
    for (int start = 0; start < 32; ++start) {
      for (int end = start + 2; end <= 32; ++end) {
        const ChosenRange window{std::min(0.0f, lo + (hi - lo) * static_cast<float>(start) / 32),
                                 std::max(0.0f, lo + (hi - lo) * static_cast<float>(end) / 32), ""};
        const double cost = MseCost(histogram, window.lo, window.hi);
        if (cost >= least) continue;
        least = cost;
        best = window;
      }
    }
    const ChosenRange chosen = ChooseRange(data.statistics, CalibrationType::kMse, kAll);
    EXPECT_LE(Measured(data.values, chosen), 1.02 * Measured(data.values, best) + 1e-12);
  }
}

TEST(ChooseRange, MseCostAgreesWithTheMeasuredError) {
  const Data data = Make(Bell);
  for (float end : {1.0f, 2.0f, 3.0f, 6.0f}) {
    const double measured = Measured(data.values, {-end, end, ""});
    EXPECT_NEAR(MseCost(data.statistics.Histogram(), -end, end), measured, 0.03 * measured) << end;
  }
}

TEST(ChooseRange, KlIsNoHigherThanThatOfTheFullRange) {
  for (const Data& data : Shapes()) {
    const TensorStatistics& s = data.statistics;
    const float lo = std::min(0.0f, s.min()), hi = std::max(0.0f, s.max());
    const ChosenRange range = ChooseRange(s, CalibrationType::kKl, kAll);
    const double unit = (static_cast<double>(hi) - lo) / 4096;
    const int start = static_cast<int>(std::lround((range.lo - lo) / unit));
    const int width = static_cast<int>(std::lround((range.hi - lo) / unit)) - start;
    const double full = KlCost(s.Histogram(), lo, hi, 0, 4096);
    EXPECT_LE(KlCost(s.Histogram(), lo, hi, start, width), full + 1e-9);
    EXPECT_GE(full, 0);
  }
}

// Without the bound it cuts half of a few values off, and rare large ones, for a lower divergence.
TEST(ChooseRange, KlHasNoMoreSquaredErrorThanTheFullRange) {
  std::vector<Data> all = Shapes();
  for (const int64_t n : {8, 60, 300}) all.push_back(Make(Bell, 12, n));
  all.push_back(Make([](uint64_t& s) { return Uniform(s) < 0.003f ? 30 + Bell(s) : Bell(s); }));
  for (const Data& data : all) {
    const ChosenRange kl = ChooseRange(data.statistics, CalibrationType::kKl, kAll),
                      full = ChooseRange(data.statistics, CalibrationType::kMinMax, kAll);
    EXPECT_LE(Measured(data.values, kl), 1.02 * Measured(data.values, full)) << kl.why;
  }
}

TEST(ChooseRange, KlStillCutsWhatOnlyCostsSteps) {
  Data data = Make(Bell, 64, 32768);
  std::vector<float> x(2048, 0.25f);
  x[77] = 12;
  data.statistics.AddSample(x.data(), 2048, 0.9999);
  const ChosenRange kl = ChooseRange(data.statistics, CalibrationType::kKl, kAll);
  EXPECT_LT(kl.hi, 12);
  EXPECT_GT(kl.hi, 2);
}

// Written out bin by bin from the definition.
TEST(ChooseRange, KlCostAgreesWithTheDefinition) {
  std::vector<Bin> bins;
  std::vector<double> mass(4096);
  for (int i = 0; i < 4096; ++i) {
    const int64_t n = (i * 37 + i / 7) % 11 == 0 ? 0 : 1 + (i * i) % 23;
    mass[static_cast<size_t>(i)] = static_cast<double>(n);
    if (n > 0) bins.push_back({static_cast<float>(i + 1), static_cast<float>(i + 2), n});
  }
  const int start = 96, width = 2080;
  std::vector<double> p(mass.begin() + start, mass.begin() + start + width), q(p.size());
  for (int i = 0; i < start; ++i) p.front() += mass[static_cast<size_t>(i)];
  for (int i = start + width; i < 4096; ++i) p.back() += mass[static_cast<size_t>(i)];
  double p_sum = 0, q_sum = 0, kl = 0;
  for (int g = 0; g < 256; ++g) {
    const int a = g * width / 256, b = (g + 1) * width / 256;
    double sum = 0, used = 0;
    for (int i = a; i < b; ++i) {
      sum += mass[static_cast<size_t>(start + i)];
      used += mass[static_cast<size_t>(start + i)] > 0;
    }
    for (int i = a; i < b; ++i)
      if (mass[static_cast<size_t>(start + i)] > 0) q[static_cast<size_t>(i)] = sum / used;
  }
  for (size_t i = 0; i < p.size(); ++i) {
    p_sum += p[i];
    q_sum += q[i];
  }
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i] > 0) kl += p[i] / p_sum * std::log2((p[i] / p_sum) / (q[i] / q_sum));
  EXPECT_NEAR(KlCost(bins, 1, 4097, start, width), kl, 1e-9);
  EXPECT_ANY_THROW(KlCost(bins, 1, 4097, 4000, 256));
}

TEST(ChooseRange, DefaultCutsAHugeStrayValue) {
  Data data = Make(Bell);
  std::vector<float> x(2048, 0.25f);
  x[77] = 1000;
  data.statistics.AddSample(x.data(), 2048, 0.9999);
  const ChosenRange range = ChooseRange(data.statistics, CalibrationType::kDefault, kAll);
  EXPECT_LT(range.hi, 8);
  EXPECT_GT(range.hi, 2.5f);
  EXPECT_LT(range.lo, -2.5f);
  for (float& v : x) v = -v;
  TensorStatistics low;
  for (int i = 0; i < 16; ++i) {
    x[77] = i == 3 ? -1000.0f : 0.5f;
    low.AddSample(x.data(), 2048, 0.9999);
  }
  EXPECT_GT(ChooseRange(low, CalibrationType::kDefault, kAll).lo, -8);
}

TEST(ChooseRange, DefaultKeepsOrdinaryDataAndRepeatedTails) {
  for (const Data& data : Shapes()) {
    const ChosenRange minmax = ChooseRange(data.statistics, CalibrationType::kMinMax, kAll);
    const ChosenRange range = ChooseRange(data.statistics, CalibrationType::kDefault, kAll);
    EXPECT_GT(range.hi - range.lo, 0.75f * (minmax.hi - minmax.lo)) << range.why;
  }
  TensorStatistics tails;  // 3 of 2048 elements of every sample at -40
  uint64_t state = 3;
  for (int s = 0; s < 16; ++s) {
    std::vector<float> x(2048);
    for (float& v : x) v = Bell(state);
    x[0] = x[1] = x[2] = -40;
    tails.AddSample(x.data(), 2048, 0.9999);
  }
  EXPECT_EQ(ChooseRange(tails, CalibrationType::kDefault, kAll).lo, -40);
}

TEST(ChooseRange, LimitsCutEveryType) {
  const Data data = Make([](uint64_t& s) { return 8 * Bell(s); });
  for (CalibrationType type : kTypes) {
    const ChosenRange range = ChooseRange(data.statistics, type, {-3, 6});
    EXPECT_GE(range.lo, -3);
    EXPECT_LE(range.hi, 6);
    EXPECT_LT(range.lo, -2) << range.why;  // what lies beyond is no reason to clip further
    EXPECT_GT(range.hi, type == CalibrationType::kKl ? 2 : 5) << range.why;
  }
}

TEST(ChooseRange, DegenerateTensors) {
  for (CalibrationType type : kTypes) {
    const ChosenRange empty = ChooseRange(TensorStatistics(), type, kAll);
    EXPECT_EQ(empty.lo, 0);
    EXPECT_EQ(empty.hi, 0);
    for (float value : {2.5f, -0.75f, 0.0f, 1e-12f}) {
      const Data data = Make([&](uint64_t&) { return value; }, 2, 64);
      const ChosenRange range = ChooseRange(data.statistics, type, kAll);
      EXPECT_EQ(range.lo, std::min(0.0f, value));
      EXPECT_EQ(range.hi, std::max(0.0f, value));
    }
    const Data beyond = Make([](uint64_t& s) { return 10 + Uniform(s); });
    EXPECT_EQ(ChooseRange(beyond.statistics, type, {-3, 3}).hi, 3);
  }
}

// 17 integer values: the ends are as frequent as the rest and must stay.
TEST(ChooseRange, FewElementsAreAllKept) {
  TensorStatistics s;
  for (float v : {0.5f, -1.25f, 3.0f, 0.1f}) s.AddSample(&v, 1, 0.9999);
  for (CalibrationType type : {CalibrationType::kDefault, CalibrationType::kMse, CalibrationType::kMinMax}) {
    const ChosenRange range = ChooseRange(s, type, kAll);
    EXPECT_EQ(range.lo, -1.25f);
    EXPECT_EQ(range.hi, 3.0f);
  }
  EXPECT_EQ(ChooseRange(s, CalibrationType::kPercentile, kAll).hi, 0.5875f);
}

}  // namespace
}  // namespace xslim
