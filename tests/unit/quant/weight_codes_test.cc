#include "quant/weight_codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "quant/scale.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;

Tensor Noise(Shape shape, uint64_t seed) {
  Tensor x(DType::kFloat, std::move(shape));
  Random random(seed);
  for (int64_t i = 0; i < x.size(); ++i)
    x.data<float>()[i] = random.Unit() + random.Unit() + random.Unit() - 1.5f;
  return x;
}

TEST(WeightCodes, ViewAroundAnAxis) {
  const AxisView view = ViewAround({2, 3, 4, 5}, 1);
  EXPECT_EQ(view.outer, 2);
  EXPECT_EQ(view.axis, 3);
  EXPECT_EQ(view.inner, 20);
}

TEST(WeightCodes, Int8AlongAnAxis) {
  const Tensor x = Tensor::Of<float>({2, 2, 2}, {1, -2, 10, 20, 0.5f, 2, -30, 5});
  EXPECT_THAT(LargestAlongAxis(x, 1), ElementsAre(2, 30));
  const Tensor codes = EncodeInt8(x, {1, {1.0f, 0.25f}, {0, 3}});
  const int8_t* q = codes.data<int8_t>();
  EXPECT_THAT(std::vector<int>(q, q + 8), ElementsAre(1, -2, 43, 83, 0, 2, -117, 23));
}

// Neighbouring rows of a column, which some processors add in 16 bits.
TEST(WeightCodes, PairsOfAColumnStayWithin128) {
  ThreadPool pool(2);
  const Tensor x = Noise({64, 40}, 1);
  const ColumnCodes safe = EncodeColumns(x, false, pool), full = EncodeColumns(x, true, pool);
  int over = 0;
  for (int64_t c = 0; c < 40; ++c) {
    for (int64_t r = 1; r < 64; r += 2) {
      const auto pair = [&](const Tensor& codes) {
        const int8_t* q = codes.data<int8_t>();
        return std::abs(q[r * 40 + c] + q[(r - 1) * 40 + c]);
      };
      EXPECT_LE(pair(safe.codes), 128) << "row " << r << ", column " << c;
      over += pair(full.codes) > 128;
    }
    EXPECT_LE(safe.scale.data<float>()[c], 2.01f * full.scale.data<float>()[c]);
    for (int64_t r = 0; r < 64; ++r) {
      const int64_t at = r * 40 + c;
      const float scale = safe.scale.data<float>()[c];
      EXPECT_NEAR(static_cast<float>(safe.codes.data<int8_t>()[at]) * scale, x.data<float>()[at],
                  0.51f * scale);
    }
  }
  EXPECT_GT(over, 0) << "the full range must be a case that needs the rule";
}

// Whatever the number of columns, rows and threads, each column is encoded as by itself: blocks of columns.
TEST(WeightCodes, ColumnsAreEncodedOneByOne) {
  for (const Shape& shape : {Shape{5, 1}, Shape{1, 300}, Shape{7, 255}, Shape{8, 256}, Shape{33, 257},
                             Shape{6, 1030}, Shape{3, 9, 260}}) {
    const Tensor x = Noise(shape, 3);
    const int64_t rows = x.dim(-2), columns = x.dim(-1), matrices = x.size() / (rows * columns);
    for (bool full_range : {false, true}) {
      for (int threads : {1, 3}) {
        ThreadPool pool(threads);
        const ColumnCodes got = EncodeColumns(x, full_range, pool);
        ASSERT_EQ(got.scale.size(), matrices * columns);
        for (int64_t i = 0; i < matrices * columns; ++i) {
          const int64_t top = i / columns * rows * columns + i % columns;
          const auto at = [&](int64_t row) { return x.data<float>()[top + row * columns]; };
          float most = 0, pair = 0;
          for (int64_t row = 0; row < rows; ++row) {
            most = std::max(most, std::fabs(at(row)));
            if (row % 2 == 1) pair = std::max(pair, std::fabs(at(row) + at(row - 1)));
          }
          const float plain = SymmetricScale(most, kMinFreeScale),
                      scale = full_range ? plain : std::max(plain, pair / 127);
          ASSERT_EQ(got.scale.data<float>()[i], scale) << ToString(shape) << " column " << i;
          for (int64_t row = 0; row < rows; ++row) {
            ASSERT_EQ(got.codes.data<int8_t>()[top + row * columns],
                      std::min(std::nearbyint(at(row) / scale), 127.0f))
                << ToString(shape) << " row " << row << ", column " << i;
          }
        }
      }
    }
  }
}

// The same for the axes of matrices and of what has more dimensions, with zero points, and for all of a
// tensor.
TEST(WeightCodes, EachIndexOfAnAxisIsEncodedByItself) {
  for (const Shape& shape : {Shape{9, 300}, Shape{300, 9}, Shape{2, 5, 258}, Shape{4, 3, 2, 7}}) {
    const Tensor x = Noise(shape, 4);
    for (int axis = -1; axis < x.rank(); ++axis) {
      const AxisView view = ViewAround(shape, axis);
      ASSERT_EQ(view.outer * view.axis * view.inner, x.size());
      QuantParams params;
      params.axis = axis;
      std::vector<float> largest(static_cast<size_t>(view.axis), 0.0f);
      const auto channel = [&](int64_t i) { return static_cast<size_t>(i / view.inner % view.axis); };
      for (int64_t i = 0; i < x.size(); ++i) {
        float& most = largest[channel(i)];
        most = std::max(most, std::fabs(x.data<float>()[i]));
      }
      EXPECT_EQ(LargestAlongAxis(x, axis), largest);
      for (size_t c = 0; c < largest.size(); ++c) {
        params.scale.push_back(largest[c] / 100);  // some codes meet the ends
        params.zero_point.push_back(static_cast<int32_t>(c % 3) * 40 - 40);
      }
      const Tensor codes = EncodeInt8(x, params);
      for (int64_t i = 0; i < x.size(); ++i) {
        const float code = std::nearbyint(x.data<float>()[i] / params.scale[channel(i)]) +
                           static_cast<float>(params.zero_point[channel(i)]);
        ASSERT_EQ(codes.data<int8_t>()[i], std::clamp(code, -128.0f, 127.0f))
            << ToString(shape) << ", axis " << axis << ", element " << i;
      }
    }
  }
}

TEST(WeightCodes, ColumnsOfABatchHaveTheirOwnScales) {
  ThreadPool pool(2);
  const Tensor x = Tensor::Of<float>({2, 1, 2}, {1, 2, 4, 8});
  const ColumnCodes codes = EncodeColumns(x, false, pool);
  EXPECT_EQ(codes.scale.shape(), (Shape{2, 1, 2}));
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(codes.scale.data<float>()[i], SymmetricScale(x.data<float>()[i])) << i;
}

TEST(WeightCodes, NearlyWholeAndFinite) {
  EXPECT_TRUE(NearlyWhole(Tensor::Of<float>({3}, {0, -3.000001f, 7})));
  EXPECT_FALSE(NearlyWhole(Tensor::Of<float>({2}, {1, 0.5f})));
  EXPECT_FALSE(AllFinite(Tensor::Of<float>({2}, {1, std::numeric_limits<float>::infinity()})));
  EXPECT_FALSE(AllFinite(Tensor::Of<float>({1}, {std::nanf("")})));
}

double Error4(const Tensor& x, const BlockCodes& codes, int64_t columns, int64_t block) {
  double sum = 0;
  const int64_t rows = x.dim(0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t scale_at = r / block * columns + c;
      int code = codes.codes.dtype() == DType::kInt4 ? codes.codes.data<int8_t>()[r * columns + c]
                                                     : codes.codes.data<uint8_t>()[r * columns + c];
      if (codes.zero_points.defined()) code -= codes.zero_points.data<uint8_t>()[scale_at];
      const double d = static_cast<double>(x.data<float>()[r * columns + c]) -
                       code * static_cast<double>(codes.scale.data<float>()[scale_at]);
      sum += d * d;
    }
  }
  return sum;
}

TEST(WeightCodes, BlocksOf4BitsBeatTheFullRange) {
  ThreadPool pool(2);
  const Tensor x = Noise({70, 6}, 2);  // the last block is a short one
  for (bool zero_points : {false, true}) {
    const BlockCodes codes = EncodeBlocks4(x, 0, 32, zero_points, pool);
    EXPECT_EQ(codes.scale.shape(), (Shape{3, 6}));
    EXPECT_EQ(codes.codes.dtype(), zero_points ? DType::kUint4 : DType::kInt4);
    for (int64_t i = 0; i < x.size(); ++i) {
      const int code = static_cast<int8_t>(codes.codes.raw()[i]);
      EXPECT_GE(code, zero_points ? 0 : -8);
      EXPECT_LE(code, zero_points ? 15 : 7);
    }
    // Plain max|x| / 7.
    double plain = 0;
    for (int64_t b = 0; b < 3; ++b) {
      for (int64_t c = 0; c < 6; ++c) {
        float most = 0;
        for (int64_t r = b * 32; r < std::min<int64_t>(70, b * 32 + 32); ++r)
          most = std::max(most, std::fabs(x.data<float>()[r * 6 + c]));
        for (int64_t r = b * 32; r < std::min<int64_t>(70, b * 32 + 32); ++r) {
          const double scale = static_cast<double>(most) / 7,
                       v = static_cast<double>(x.data<float>()[r * 6 + c]);
          const double d = v - std::nearbyint(v / scale) * scale;
          plain += d * d;
        }
      }
    }
    EXPECT_LT(Error4(x, codes, 6, 32), 0.95 * plain);
  }
}

// Sums over kernels and filters are kept to half a step, and no element is a step or more away.
TEST(WeightCodes, RoundingErrorsOfFiltersCancel) {
  ThreadPool pool(2);
  for (const Shape& shape : {Shape{5, 6, 3, 3}, Shape{5, 40, 1, 1}, Shape{4, 1, 5}}) {
    const Tensor x = Noise(shape, 9);
    const QuantParams params = SymmetricAlongAxis(x, 0);
    const Tensor codes = EncodeFilters(x, params, pool), plain = EncodeInt8(x, params);
    const int64_t kernels = shape[1], taps = x.size() / (shape[0] * kernels);
    double plain_sums = 0;
    for (int64_t f = 0; f < shape[0]; ++f) {
      double sum = 0, plain_sum = 0;
      for (int64_t k = 0; k < kernels; ++k) {
        double kernel = 0;
        for (int64_t i = (f * kernels + k) * taps; i < (f * kernels + k + 1) * taps; ++i) {
          const double steps = static_cast<double>(x.data<float>()[i] / params.scale[static_cast<size_t>(f)]);
          EXPECT_LT(std::fabs(codes.data<int8_t>()[i] - steps), 1);
          kernel += codes.data<int8_t>()[i] - steps;
          plain_sum += plain.data<int8_t>()[i] - steps;
        }
        EXPECT_LE(std::fabs(kernel), 1.001);
        sum += kernel;
      }
      EXPECT_LE(std::fabs(sum), 0.501);
      plain_sums += std::fabs(plain_sum);
    }
    const double few = kernels > 1 ? 0.6 : 0;  // of one kernel alone they may cancel by chance
    EXPECT_GT(plain_sums, few * static_cast<double>(shape[0]));
  }
}

TEST(WeightCodes, BlocksOfZerosAndOfTinyNumbers) {
  ThreadPool pool(1);
  const Tensor x = Tensor::Of<float>({2, 2}, {0, 1e-30f, 0, -1e-30f});
  const BlockCodes codes = EncodeBlocks4(x, 0, 16, false, pool);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(codes.codes.data<int8_t>()[i], 0);
  for (int i = 0; i < 2; ++i) EXPECT_GT(codes.scale.data<float>()[i], 0);
}

// Without XSlim's least scale nothing is lost however small the weights are; a column of zeros has a scale.
TEST(EncodeColumns, TinyWeightsKeepTheirCodes) {
  ThreadPool pool(1);
  const Tensor plain = Tensor::Of<float>({2, 3}, {1, -0.5f, 0, 0.25f, 0.75f, 0});
  Tensor tiny = plain.Clone();
  for (int64_t i = 0; i < tiny.size(); ++i) tiny.data<float>()[i] *= 0x1p-40f;
  const ColumnCodes wanted = EncodeColumns(plain, true, pool), got = EncodeColumns(tiny, true, pool);
  EXPECT_TRUE(got.codes.SameBytes(wanted.codes));
  EXPECT_EQ(got.scale.data<float>()[0], wanted.scale.data<float>()[0] * 0x1p-40f);
  EXPECT_GT(got.scale.data<float>()[2], 0.0f);
}

}  // namespace
}  // namespace xslim
