#include "tensor/minifloat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace xslim {
namespace {

constexpr DType kTypes[] = {DType::kFloat8E4M3FN, DType::kFloat8E4M3FNUZ, DType::kFloat8E5M2,
                            DType::kFloat8E5M2FNUZ, DType::kFloat4E2M1};
constexpr float kInf = std::numeric_limits<float>::infinity();

int Codes(DType type) { return type == DType::kFloat4E2M1 ? 16 : 256; }

TEST(MiniFloatTest, LargestAndSmallest) {
  struct Case {
    DType type;
    uint8_t largest, smallest;
    float high, low;
  };
  for (const Case& c :
       {Case{DType::kFloat8E4M3FN, 0x7e, 1, 448, 0x1p-9f},
        Case{DType::kFloat8E4M3FNUZ, 0x7f, 1, 240, 0x1p-10f},
        Case{DType::kFloat8E5M2, 0x7b, 1, 57344, 0x1p-16f},
        Case{DType::kFloat8E5M2FNUZ, 0x7f, 1, 57344, 0x1p-17f}, Case{DType::kFloat4E2M1, 7, 1, 6, 0.5f}}) {
    EXPECT_EQ(MiniToFloat(c.type, c.largest), c.high) << NameOf(c.type);
    EXPECT_EQ(MiniToFloat(c.type, c.smallest), c.low) << NameOf(c.type);
  }
}

TEST(MiniFloatTest, EveryCodeComesBack) {
  for (DType type : kTypes) {
    for (int code = 0; code < Codes(type); ++code) {
      const float value = MiniToFloat(type, static_cast<uint8_t>(code));
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(MiniToFloat(type, FloatToMini(type, value)))) << NameOf(type) << " " << code;
      } else {
        EXPECT_EQ(FloatToMini(type, value, false), code) << NameOf(type);
      }
    }
  }
}

// Against a search of the nearest code; codes of neighbours differ by one, so the even one ends a tie.
TEST(MiniFloatTest, RoundsToTheNearestAndTiesToEven) {
  for (DType type : kTypes) {
    std::vector<float> values;  // of the codes from 0 up, as long as they are finite
    for (int code = 0; code < Codes(type) / 2; ++code) {
      const float value = MiniToFloat(type, static_cast<uint8_t>(code));
      if (std::isfinite(value)) values.push_back(value);
    }
    for (size_t i = 0; i + 1 < values.size(); ++i) {
      const float low = values[i], high = values[i + 1], middle = (low + high) / 2;
      EXPECT_EQ(FloatToMini(type, std::nextafter(middle, low)), i) << NameOf(type);
      EXPECT_EQ(FloatToMini(type, std::nextafter(middle, high)), i + 1) << NameOf(type);
      EXPECT_EQ(FloatToMini(type, middle), i + i % 2) << NameOf(type);
    }
  }
}

TEST(MiniFloatTest, BeyondTheLargest) {
  for (DType type : kTypes) {
    const float largest = MiniToFloat(type, FloatToMini(type, kInf));
    EXPECT_TRUE(std::isfinite(largest));
    EXPECT_EQ(MiniToFloat(type, FloatToMini(type, -1e30f)), -largest);
  }
  EXPECT_TRUE(std::isnan(MiniToFloat(DType::kFloat8E4M3FN, FloatToMini(DType::kFloat8E4M3FN, kInf, false))));
  EXPECT_TRUE(
      std::isnan(MiniToFloat(DType::kFloat8E5M2FNUZ, FloatToMini(DType::kFloat8E5M2FNUZ, 1e9f, false))));
  EXPECT_EQ(MiniToFloat(DType::kFloat8E5M2, FloatToMini(DType::kFloat8E5M2, -1e9f, false)), -kInf);
  EXPECT_EQ(FloatToMini(DType::kFloat8E4M3FNUZ, -0.0f), 0);
  EXPECT_EQ(FloatToMini(DType::kFloat8E4M3FN, -0.0f), 0x80);
}

TEST(MiniFloatTest, PowersOfTwo) {
  const auto code = [](float value, PowerRounding rounding) {
    return int{FloatToMini(DType::kFloat8E8M0, value, true, rounding)};
  };
  EXPECT_EQ(MiniToFloat(DType::kFloat8E8M0, 130), 8);
  EXPECT_EQ(MiniToFloat(DType::kFloat8E8M0, 0), 0x1p-127f);
  EXPECT_TRUE(std::isnan(MiniToFloat(DType::kFloat8E8M0, 255)));
  EXPECT_EQ(code(8, PowerRounding::kUp), 130);
  EXPECT_EQ(code(8.1f, PowerRounding::kUp), 131);
  EXPECT_EQ(code(15.9f, PowerRounding::kDown), 130);
  EXPECT_EQ(code(11.9f, PowerRounding::kNearest), 130);
  EXPECT_EQ(code(12, PowerRounding::kNearest), 131);
  EXPECT_EQ(code(std::numeric_limits<float>::max(), PowerRounding::kUp), 254);
}

}  // namespace
}  // namespace xslim
