#include "quant/scale.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "xslim/error.h"

namespace xslim {
namespace {

// Range -> scale and zero point of XSlim 2.1.2's min-max and percentile observers.
TEST(Scale, AsymmetricMatchesReferenceFigures) {
  const struct {
    float lo, hi, scale;
    int zero;
  } rows[] = {{-6.694643f, 7.711339f, 0.056494046f, -9},
              {-5.8370247f, 6.5254564f, 0.048480317f, -8},
              {-3.6621737f, 4.203907f, 0.030847376f, -9},
              {0.0f, 9.105058f, 0.03570611f, -128},
              {-28.16432f, 24.694546f, 0.20728967f, 8},
              {-15.561657f, 15.866469f, 0.12324756f, -2},
              {-4.3758144f, 4.867577f, 0.036248595f, -7},
              {5.0000105f, 5.9998565f, 0.02352885f, -128},
              {-2.9997156f, -1.0000235f, 0.01176359f, 127},
              {2.5f, 2.5f, 0.009803922f, -128},
              {-0.75f, -0.75f, 0.0029411765f, 127},
              {0.0f, 0.0f, 1.1920929e-07f, -128},
              {-1.25f, 3.0f, 0.016666668f, -53},
              {-4.3815207f, 1000.0f, 3.938751f, -127},
              {-40.0f, 4.183922f, 0.17327029f, 103},
              {-9.69861f, 11.137048f, 0.08170846f, -9}};
  for (const auto& row : rows) {
    const ScaleZero got = AsymmetricInt8(row.lo, row.hi);
    EXPECT_EQ(got.scale, row.scale) << row.lo << " " << row.hi;
    EXPECT_EQ(got.zero_point, row.zero) << row.lo << " " << row.hi;
  }
}

TEST(Scale, AsymmetricHasAFloorAndStaysInInt8) {
  EXPECT_EQ(AsymmetricInt8(-1e-9f, 1e-9f).scale, kMinScale);
  EXPECT_EQ(AsymmetricInt8(-1e-9f, 1e-9f).zero_point, -128);
  constexpr float kMax = std::numeric_limits<float>::max();
  const ScaleZero wide = AsymmetricInt8(-kMax, kMax);
  EXPECT_TRUE(std::isfinite(wide.scale));
  EXPECT_GE(wide.zero_point, -1);
  EXPECT_LE(wide.zero_point, 0);
  EXPECT_THROW(AsymmetricInt8(1, -1), Error);
  EXPECT_THROW(AsymmetricInt8(std::nanf(""), 1), Error);
  EXPECT_THROW(AsymmetricInt8(0, std::numeric_limits<float>::infinity()), Error);
}

TEST(Scale, Symmetric) {
  EXPECT_EQ(SymmetricScale(127.5f / 64), 0.015625f);
  EXPECT_EQ(SymmetricScale(0), kMinScale);
  EXPECT_EQ(SymmetricScale(1e-9f), kMinScale);
  EXPECT_EQ(SymmetricScale(1.0f), 0.007843138f);
  EXPECT_FLOAT_EQ(SymmetricScale(1e-9f, kMinFreeScale), 2e-9f / 255);
  EXPECT_THROW(SymmetricScale(-1), Error);
}

TEST(Scale, PowerOfTwoUp) {
  EXPECT_EQ(PowerOfTwoUp(0.18633969f), 0.25f);
  EXPECT_EQ(PowerOfTwoUp(0.00045625796f), 0.00048828125f);
  EXPECT_EQ(PowerOfTwoUp(0.015625f), 0.015625f);
  EXPECT_EQ(PowerOfTwoUp(std::nextafter(0.015625f, 1.0f)), 0.03125f);
  EXPECT_EQ(PowerOfTwoUp(kMinScale), kMinScale);
  EXPECT_THROW(PowerOfTwoUp(0), Error);
}

}  // namespace
}  // namespace xslim
