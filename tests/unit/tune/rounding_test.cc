#include "tune/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace xslim {
namespace {

// Patches whose numbers go together: two hidden causes and a little noise.
std::vector<float> Patches(int64_t count, int64_t depth, uint64_t seed) {
  Random random(seed);
  std::vector<float> patches;
  for (int64_t p = 0; p < count; ++p) {
    const float a = random.Unit() * 4 - 2, b = random.Unit() * 2 - 1;
    for (int64_t d = 0; d < depth; ++d)
      patches.push_back(a * static_cast<float>(d % 3) + b + 0.1f * (random.Unit() - 0.5f) + 1.0f);
  }
  return patches;
}

std::vector<float> Weights(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> weights;
  for (int64_t i = 0; i < count; ++i) weights.push_back(random.Unit() - 0.5f);
  return weights;
}

// (w - q s)' H (w - q s), summed over the rows.
double Cost(const std::vector<float>& weights, const std::vector<int8_t>& codes, float scale,
            const std::vector<float>& matrix, int64_t depth) {
  double cost = 0;
  for (size_t row = 0; row < weights.size(); row += static_cast<size_t>(depth)) {
    for (size_t i = 0; i < static_cast<size_t>(depth); ++i) {
      for (size_t j = 0; j < static_cast<size_t>(depth); ++j) {
        const double ei = weights[row + i] - codes[row + i] * scale,
                     ej = weights[row + j] - codes[row + j] * scale;
        cost += ei * matrix[i * static_cast<size_t>(depth) + j] * ej;
      }
    }
  }
  return cost;
}

std::vector<int8_t> Nearest(const std::vector<float>& weights, float scale) {
  std::vector<int8_t> codes;
  for (float w : weights) codes.push_back(static_cast<int8_t>(std::nearbyint(w / scale)));
  return codes;
}

TEST(Moments, AreThoseOfThePatches) {
  ThreadPool pool(2);
  for (int64_t depth : {5, 70, 300}) {  // direct, one stripe, two stripes
    const std::vector<float> patches = Patches(64, depth, 1);
    Moments moments(depth);
    moments.Add({patches.begin(), patches.begin() + 20 * depth}, pool);
    moments.Add({patches.begin() + 20 * depth, patches.end()}, pool);
    EXPECT_EQ(moments.count(), 64);
    const std::vector<float> matrix = moments.Matrix(1.0, 0.0, pool);
    for (int64_t i = 0; i < depth; i += 3) {
      for (int64_t j = 0; j < depth; j += 2) {
        double mean_i = 0, mean_j = 0, both = 0;
        for (int64_t p = 0; p < 64; ++p) {
          const double x = patches[static_cast<size_t>(p * depth + i)],
                       y = patches[static_cast<size_t>(p * depth + j)];
          mean_i += x / 64, mean_j += y / 64, both += x * y / 64;
        }
        const double share = static_cast<double>(depth) / 128,
                     trust = i == j ? 1 : std::max(0.0, 1 - share * share);
        EXPECT_NEAR(matrix[static_cast<size_t>(i * depth + j)], trust * (both - mean_i * mean_j), 1e-3)
            << depth;
      }
    }
  }
}

TEST(RoundAgainst, CostsFarLessThanNearestCodes) {
  ThreadPool pool(2);
  for (int64_t depth : {9, 64, 65, 150}) {
    const int64_t rows = 6;
    Moments moments(depth);
    moments.Add(Patches(400, depth, 2), pool);
    const std::vector<float> matrix = moments.Matrix(1.0, 0.01, pool), weights = Weights(rows * depth, 3);
    const float scale = 0.05f;
    const std::vector<float> scales(static_cast<size_t>(rows), scale);
    const double nearest = Cost(weights, Nearest(weights, scale), scale, matrix, depth);
    const double rounded =
        Cost(weights, RoundAgainst(weights, scales, {1.0f}, matrix, depth, pool).codes, scale, matrix, depth);
    EXPECT_LT(rounded, 0.5 * nearest) << depth;
  }
}

TEST(RoundAgainst, TakesTheScaleThatCostsLeast) {
  ThreadPool pool(2);
  const int64_t depth = 9, rows = 8;
  Moments moments(depth);
  moments.Add(Patches(400, depth, 7), pool);
  const std::vector<float> matrix = moments.Matrix(1.0, 0.01, pool), weights = Weights(rows * depth, 8),
                           scales(static_cast<size_t>(rows), 0.5f / 127);
  std::vector<float> multiples;
  for (int i = 0; i < 32; ++i) multiples.push_back(1 - 0.01f * static_cast<float>(i));
  const RoundedRows best = RoundAgainst(weights, scales, multiples, matrix, depth, pool);
  double alone = 0, chosen = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto begin = static_cast<int64_t>(r) * depth;
    const std::vector<float> row(weights.begin() + begin, weights.begin() + begin + depth);
    const auto cost = [&](const RoundedRows& rounded) {
      return Cost(row, rounded.codes, rounded.scales[0], matrix, depth);
    };
    double least = INFINITY;
    for (float multiple : multiples) {
      const double now = cost(RoundAgainst(row, {scales[0]}, {multiple}, matrix, depth, pool));
      if (multiple == 1) alone += now;
      least = std::min(least, now);
    }
    const double now = cost({{best.codes.begin() + begin, best.codes.begin() + begin + depth},
                             {best.scales[static_cast<size_t>(r)]}});
    EXPECT_NEAR(now, least, 1e-3 * least);
    chosen += now;
  }
  EXPECT_LT(chosen, 0.5 * alone);
}

TEST(RoundAgainst, IsNearestWhereInputsAreIndependent) {
  ThreadPool pool(1);
  const int64_t depth = 40;
  std::vector<float> identity(static_cast<size_t>(depth * depth), 0.0f);
  for (int64_t i = 0; i < depth; ++i) identity[static_cast<size_t>(i * depth + i)] = 1.0f;
  const std::vector<float> weights = Weights(2 * depth, 4);
  EXPECT_EQ(RoundAgainst(weights, {0.01f, 0.01f}, {1.0f}, identity, depth, pool).codes,
            Nearest(weights, 0.01f));
}

TEST(RoundAgainst, StaysInsideTheCodesAndDoesNotDependOnThreads) {
  const int64_t depth = 100;
  ThreadPool one(1), three(3);
  Moments a(depth), b(depth);
  a.Add(Patches(300, depth, 5), one);
  b.Add(Patches(300, depth, 5), three);
  const std::vector<float> weights = Weights(4 * depth, 6), scales(4, 0.5f / 127);
  const std::vector<float> multiples = {1.0f, 0.95f};
  const RoundedRows rounded = RoundAgainst(weights, scales, multiples, a.Matrix(1, 0.01, one), depth, one),
                    other = RoundAgainst(weights, scales, multiples, b.Matrix(1, 0.01, three), depth, three);
  EXPECT_EQ(rounded.codes, other.codes);
  EXPECT_EQ(rounded.scales, other.scales);
}

}  // namespace
}  // namespace xslim
