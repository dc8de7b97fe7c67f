#include "tune/visible_means.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

Tensor Numbers(Shape shape) {
  Random random(5);
  Tensor tensor(DType::kFloat, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i) tensor.data<float>()[i] = 12 * random.Unit() - 6;
  return tensor;
}

// Sums number by number, in double: the mean of made(x), and of its slope.
template <typename Made, typename Slope>
void Expect(const Tensor& y, int64_t axis, InterestRange visible, const Made& made, const Slope& slope) {
  const int64_t channels = y.dim(axis), inner = InnerCount(y.shape(), axis);
  const std::vector<double> shift = {0.25, -1.5, 0};
  VisibleMeans means;
  means.Add(y, axis, visible, shift);
  for (int64_t c = 0; c < channels; ++c) {
    double mean = 0, inside = 0;
    for (int64_t i = 0; i < y.size(); ++i) {
      if (i / inner % channels != c) continue;
      const double x = static_cast<double>(y.data<float>()[i]) + shift[static_cast<size_t>(c)];
      mean += made(x);
      inside += slope(x);
    }
    const double count = static_cast<double>(y.size() / channels);
    EXPECT_NEAR(means.mean[static_cast<size_t>(c)], mean / count, 1e-5);
    EXPECT_NEAR(means.inside[static_cast<size_t>(c)], inside / count, 1e-5);
  }
}

// Planes, and rows whose channels lie beside each other; more and fewer elements than are added up at once.
const std::pair<Shape, int64_t> kLayouts[] = {
    {{2, 3, 30, 21}, 1}, {{1, 3, 5}, 1}, {{2, 301, 3}, 2}, {{7, 3}, 1}};

TEST(VisibleMeans, OutsideCountsAsTheNearerEnd) {
  for (const auto& [shape, axis] : kLayouts) {
    Expect(
        Numbers(shape), axis, {-3, 4}, [](double x) { return std::clamp(x, -3.0, 4.0); },
        [](double x) { return x >= -3 && x <= 4 ? 1.0 : 0.0; });
  }
}

TEST(VisibleMeans, BehindCurvesIsWhatTheyMake) {
  const auto gate = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (const auto& [shape, axis] : kLayouts) {
    Expect(Numbers(shape), axis, {-10, 10, true, Curve::kSigmoid}, gate,
           [&](double x) { return gate(x) * (1 - gate(x)); });
    Expect(
        Numbers(shape), axis, {-10, kInf, true, Curve::kSilu}, [&](double x) { return x * gate(x); },
        [&](double x) { return gate(x) + x * gate(x) * (1 - gate(x)); });
  }
}

TEST(VisibleMeans, NanCountsAsZeroAndNotInside) {
  const Tensor y = Tensor::Of<float>({1, 1, 2}, {std::nanf(""), 2.0f});
  VisibleMeans clamped, curved;
  clamped.Add(y, 1, {}, {});
  EXPECT_EQ(clamped.mean[0], 1.0);
  EXPECT_EQ(clamped.inside[0], 0.5);
  curved.Add(y, 1, {-10, kInf, true, Curve::kSilu}, {});
  EXPECT_NEAR(curved.mean[0], 1 / (1 + std::exp(-2.0)), 1e-6);
}

}  // namespace
}  // namespace xslim
