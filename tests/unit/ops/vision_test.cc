#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval1;
using testing::ExpectNear;
using testing::F;
using testing::I64;
using testing::Values;

// Two boxes that overlap by 0.6 and one apart, of one image and class.
const Tensor kBoxes = F({1, 3, 4}, {0, 0, 4, 4, 0, 1, 4, 5, 10, 10, 12, 12});
const Tensor kScores = F({1, 1, 3}, {0.6f, 0.9f, 0.5f});

TEST(VisionTest, SuppressionKeepsTheBetterOfTwoOverlappingBoxes) {
  const Tensor most = I64({1}, {10});
  EXPECT_EQ(Values<int64_t>(Eval1("NonMaxSuppression", {kBoxes, kScores, most, F({1}, {0.5f})})),
            (std::vector<int64_t>{0, 0, 1, 0, 0, 2}));
  EXPECT_EQ(Values<int64_t>(Eval1("NonMaxSuppression", {kBoxes, kScores, most, F({1}, {0.7f})})),
            (std::vector<int64_t>{0, 0, 1, 0, 0, 0, 0, 0, 2}));
}

TEST(VisionTest, SuppressionWithoutABoxLimitSelectsNothing) {
  EXPECT_EQ(Eval1("NonMaxSuppression", {kBoxes, kScores}).shape(), (Shape{0, 3}));
}

TEST(VisionTest, SuppressionHonoursScoreThreshold) {
  EXPECT_EQ(Values<int64_t>(Eval1("NonMaxSuppression",
                                  {kBoxes, kScores, I64({1}, {10}), F({1}, {0.5f}), F({1}, {0.7f})})),
            (std::vector<int64_t>{0, 0, 1}));
}

TEST(VisionTest, SuppressionRefusesScoresOfOtherBoxes) {
  EXPECT_THROW(Eval1("NonMaxSuppression", {kBoxes, F({1, 1, 2}, {1, 1}), I64({1}, {10})}), Error);
}

TEST(VisionTest, GridSampleInTheMiddleIsTheMeanOfFour) {
  const Tensor x = F({1, 1, 2, 2}, {1, 2, 3, 6}), middle = F({1, 1, 1, 2}, {0, 0});
  ExpectNear(Eval1("GridSample", {x, middle}), F({1, 1, 1, 1}, {3}));
  const Tensor far = F({1, 1, 1, 2}, {5, 5});
  ExpectNear(Eval1("GridSample", {x, far}), F({1, 1, 1, 1}, {0}));
  ExpectNear(Eval1("GridSample", {x, far}, {{"padding_mode", Attribute::String("border")}}),
             F({1, 1, 1, 1}, {6}));
}

TEST(VisionTest, GridSampleRefusesAGridOfOtherBatch) {
  const Tensor x(DType::kFloat, {2, 1, 2, 2}), grid(DType::kFloat, {1, 1, 1, 2});
  EXPECT_THROW(Eval1("GridSample", {x, grid}), Error);
}

TEST(VisionTest, RoiAlignAveragesARegion) {
  Tensor x(DType::kFloat, {1, 1, 4, 4});
  for (int64_t i = 0; i < 16; ++i) x.data<float>()[i] = static_cast<float>(i % 4);
  const Attributes one{{"sampling_ratio", Attribute::Int(2)},
                       {"coordinate_transformation_mode", Attribute::String("half_pixel")}};
  ExpectNear(Eval1("RoiAlign", {x, F({1, 4}, {0, 0, 4, 4}), I64({1}, {0})}, one), F({1, 1, 1, 1}, {1.5f}));
}

TEST(VisionTest, RoiAlignOfNoRegionsIsEmptyAndOfNoImageAnError) {
  const Tensor x(DType::kFloat, {1, 3, 4, 4});
  EXPECT_EQ(Eval1("RoiAlign", {x, F({0, 4}, {}), I64({0}, {})}).shape(), (Shape{0, 3, 1, 1}));
  EXPECT_THROW(Eval1("RoiAlign", {x, F({1, 4}, {0, 0, 1, 1}), I64({1}, {1})}), Error);
  EXPECT_THROW(Eval1("RoiAlign", {x, F({1, 4}, {0, 0, 1, 1}), I64({1}, {-1})}), Error);
}

TEST(VisionTest, RoiAlignOfAnImageWithoutPixelsIsAnError) {
  const Attributes one{{"sampling_ratio", Attribute::Int(1)}};
  for (const Shape& shape : {Shape{1, 2, 0, 0}, Shape{1, 2, 0, 5}, Shape{1, 2, 5, 0}})
    EXPECT_THROW(
        Eval1("RoiAlign", {Tensor(DType::kFloat, shape), F({1, 4}, {0, 0, 0, 0}), I64({1}, {0})}, one),
        Error);
}

TEST(VisionTest, RoiAlignRefusesRegionsWithoutEnd) {
  const Tensor x(DType::kFloat, {1, 1, 4, 4});
  const float inf = std::numeric_limits<float>::infinity();
  for (float far : {inf, -inf, std::nanf(""), 1e20f}) {
    EXPECT_THROW(Eval1("RoiAlign", {x, F({1, 4}, {0, 0, far, 1}), I64({1}, {0})}), Error) << far;
    EXPECT_THROW(Eval1("RoiAlign", {x, F({1, 4}, {0, far, 1, far}), I64({1}, {0})}), Error) << far;
  }
  for (int64_t ratio : {int64_t{-1}, int64_t{1} << 40}) {
    const Attributes many{{"sampling_ratio", Attribute::Int(ratio)}};
    EXPECT_THROW(Eval1("RoiAlign", {x, F({1, 4}, {0, 0, 1, 1}), I64({1}, {0})}, many), Error) << ratio;
  }
}

TEST(VisionTest, MaxRoiPoolTakesTheLargestOfEachBin) {
  Tensor x(DType::kFloat, {1, 1, 4, 4});
  for (int64_t i = 0; i < 16; ++i) x.data<float>()[i] = static_cast<float>(i);
  const Attributes two{{"pooled_shape", Attribute::Ints({2, 2})}};
  // The whole plane, and one region whose right half lies outside.
  const Tensor rois = F({2, 5}, {0, 0, 0, 3, 3, 0, 2, 0, 5, 1});
  ExpectNear(Eval1("MaxRoiPool", {x, rois}, two), F({2, 1, 2, 2}, {5, 7, 13, 15, 3, 0, 7, 0}));
  EXPECT_EQ(Eval1("MaxRoiPool", {x, F({0, 5}, {})}, two).shape(), (Shape{0, 1, 2, 2}));
  EXPECT_THROW(Eval1("MaxRoiPool", {x, F({1, 5}, {1, 0, 0, 1, 1})}, two), Error);
  EXPECT_THROW(Eval1("MaxRoiPool", {x, rois}), Error);
}

}  // namespace
}  // namespace xslim
