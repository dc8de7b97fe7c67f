#include <gtest/gtest.h>

#include <limits>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval1;
using testing::EvalOptions;
using testing::ExpectNear;
using testing::F;
using testing::I32;
using testing::Values;

Tensor U8(Shape shape, const std::vector<uint8_t>& values) {
  return Tensor::Of<uint8_t>(std::move(shape), values);
}
Tensor S8(Shape shape, const std::vector<int8_t>& values) {
  return Tensor::Of<int8_t>(std::move(shape), values);
}

TEST(IntegerTest, MatMulIntegerTakesZeroPointsOff) {
  const Tensor a = U8({2, 2}, {10, 12, 8, 10}), b = S8({2, 1}, {3, -2});
  EXPECT_EQ(Values<int32_t>(Eval1("MatMulInteger", {a, b, U8({}, {10}), S8({}, {1})})),
            (std::vector<int32_t>{-6, -4}));
}

TEST(IntegerTest, QLinearMatMulRoundsHalfToEvenAndSaturates) {
  const Tensor one = F({}, {1}), zero = U8({}, {0}), b = U8({1, 1}, {1});
  const auto run = [&](const Tensor& a, float y_scale, uint8_t y_zero) {
    return Values<uint8_t>(
        Eval1("QLinearMatMul", {a, one, zero, b, one, zero, F({}, {y_scale}), U8({}, {y_zero})}));
  };
  EXPECT_EQ(run(U8({3, 1}, {1, 3, 5}), 2, 0), (std::vector<uint8_t>{0, 2, 2}));
  EXPECT_EQ(run(U8({2, 1}, {100, 0}), 0.25f, 200), (std::vector<uint8_t>{255, 200}));
}

TEST(IntegerTest, QLinearMatMulWithoutInnerDimensionGivesZeroPoints) {
  const Tensor one = F({}, {1}), zero = U8({}, {7});
  const Tensor y = Eval1("QLinearMatMul", {U8({2, 0}, {}), one, zero, U8({0, 1}, {}), one, zero, one, zero});
  EXPECT_EQ(Values<uint8_t>(y), (std::vector<uint8_t>{7, 7}));
}

TEST(IntegerTest, QLinearConvScalesByChannelAndPadsWithTheZeroPoint) {
  const Tensor x = U8({1, 1, 1, 2}, {12, 14}), w = S8({2, 1, 1, 2}, {1, 1, 1, -1});
  const Tensor y = Eval1("QLinearConv",
                         {x, F({}, {0.5f}), U8({}, {10}), w, F({2}, {1, 2}), S8({2}, {0, 0}), F({}, {1}),
                          U8({}, {100}), I32({2}, {0, 4})},
                         {{"pads", Attribute::Ints({0, 1, 0, 0})}});
  // Sums: channel 0 (0+2, 2+4), channel 1 (0-2+4, 2-4+4).
  EXPECT_EQ(Values<uint8_t>(y), (std::vector<uint8_t>{101, 103, 102, 102}));
}

// Codes of all sizes: `extreme` of four are as far from any zero point as they can be.
template <typename T>
Tensor Codes(Shape shape, int extreme) {
  Tensor codes(DTypeOf<T>::value, std::move(shape));
  for (int64_t i = 0; i < codes.size(); ++i) {
    const auto any = static_cast<int>((i * 7919 + i / 13 * 104729) % 256);
    codes.data<T>()[i] = static_cast<T>(i % 4 < extreme ? std::numeric_limits<T>::max() : any);
  }
  return codes;
}

// Far more than floats can add up exactly.
TEST(IntegerTest, SumsOfManyProductsAreExact) {
  for (const int64_t depth : {255, 259, 3000, 30000}) {
    for (const int extreme : {0, 4}) {
      const Tensor a = Codes<uint8_t>({2, 3, depth}, extreme), b = Codes<int8_t>({depth, 5}, extreme);
      const Tensor zeros = S8({5}, {0, -128, 1, 127, 0});
      EvalOptions constant;
      constant.constant_inputs = {false, true, true, true};
      const Tensor y = Eval1("MatMulInteger", {a, b, U8({}, {0}), zeros}, {}, constant);
      ASSERT_EQ(y.shape(), (Shape{2, 3, 5}));
      for (int64_t i = 0; i < y.size(); ++i) {
        int64_t sum = 0;
        for (int64_t d = 0; d < depth; ++d)
          sum += a.data<uint8_t>()[i / 5 * depth + d] *
                 (b.data<int8_t>()[d * 5 + i % 5] - zeros.data<int8_t>()[i % 5]);
        EXPECT_EQ(y.data<int32_t>()[i], sum) << depth << ", element " << i;
      }
    }
  }
}

TEST(IntegerTest, ConvolutionsOfManyProductsAreExact) {
  struct Case {
    int64_t channels, group, kernel;
  };
  for (const Case& each :
       {Case{3, 1, 3}, Case{4, 4, 3}, Case{100, 1, 2}, Case{140, 2, 3}, Case{2, 1, 17}, Case{2, 2, 17}}) {
    for (const int extreme : {0, 4}) {
      const int64_t depth = each.channels / each.group, size = each.kernel + 2, outputs = 2 * each.group;
      const Tensor x = Codes<uint8_t>({2, each.channels, size, size}, extreme),
                   w = Codes<uint8_t>({outputs, depth, each.kernel, each.kernel}, extreme);
      const Tensor y = Eval1("ConvInteger", {x, w, U8({}, {3})}, {{"group", Attribute::Int(each.group)}});
      ASSERT_EQ(y.shape(), (Shape{2, outputs, 3, 3}));
      for (int64_t i = 0; i < y.size(); ++i) {
        const int64_t image = i / 9 / outputs, channel = i / 9 % outputs, row = i / 3 % 3, column = i % 3;
        int64_t sum = 0;
        for (int64_t d = 0; d < depth; ++d) {
          const uint8_t* plane =
              x.data<uint8_t>() + (image * each.channels + channel / 2 * depth + d) * size * size;
          for (int64_t t = 0; t < each.kernel * each.kernel; ++t) {
            sum += (plane[(row + t / each.kernel) * size + column + t % each.kernel] - 3) *
                   w.data<uint8_t>()[(channel * depth + d) * each.kernel * each.kernel + t];
          }
        }
        ASSERT_EQ(y.data<int32_t>()[i], sum) << each.channels << " channels, element " << i;
      }
    }
  }
}

TEST(IntegerTest, ShapesThatDoNotFitAreRefused) {
  const Tensor one = F({}, {1}), zero = U8({}, {0});
  EXPECT_THROW(Eval1("QLinearMatMul", {U8({1, 2}, {1, 1}), one, zero, U8({1, 1}, {1}), one, zero, one, zero}),
               Error);
  EXPECT_THROW(Eval1("ConvInteger", {U8({1, 2, 3}, {1, 1, 1, 1, 1, 1}), U8({1, 1, 1}, {1})}), Error);
  EXPECT_THROW(Eval1("MatMulInteger", {U8({1, 2}, {1, 1}), U8({2, 1}, {1, 1}), U8({3}, {0, 0, 0})}), Error);
}

TEST(IntegerTest, MicrosoftQGemmWithoutOutputScaleIsFloat) {
  EvalOptions options;
  options.domain = "com.microsoft";
  options.opset = 1;
  const Tensor a = U8({1, 2}, {3, 5}), b = S8({1, 2}, {2, -1});
  const Tensor y = Eval1("QGemm", {a, F({}, {0.5f}), U8({}, {1}), b, F({}, {2}), S8({}, {0}), I32({1}, {10})},
                         {{"transB", Attribute::Int(1)}, {"alpha", Attribute::Float(3)}}, options);
  ExpectNear(y, F({1, 1}, {3 * 0.5f * 2 * (2 * 2 - 4 + 10)}));
  EXPECT_THROW(Eval1("QGemm", {a, F({}, {1}), U8({}, {1}), b, F({}, {2}), S8({}, {0})}, {}, options), Error);
}

TEST(IntegerTest, MicrosoftQLinearAddUsesEachScale) {
  EvalOptions options;
  options.domain = "com.microsoft";
  options.opset = 1;
  const Tensor y = Eval1("QLinearAdd",
                         {U8({2, 1}, {10, 20}), F({}, {0.5f}), U8({}, {10}), U8({2}, {0, 4}), F({}, {0.25f}),
                          Tensor(), F({}, {1}), U8({}, {100})},
                         {}, options);
  EXPECT_EQ(y.shape(), (Shape{2, 2}));
  EXPECT_EQ(Values<uint8_t>(y), (std::vector<uint8_t>{100, 101, 105, 106}));
}

}  // namespace
}  // namespace xslim
