#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Eval;
using testing::Eval1;
using testing::EvalOptions;

TEST(QuantizeTest, RoundsHalfToEvenAndSaturates) {
  const Tensor x = Tensor::Of<float>({8}, {0.5f, 1.5f, 2.5f, -0.5f, 1000, -1000, std::nanf(""), -1.5f});
  const Tensor y = Eval1("QuantizeLinear", {x, Tensor::Scalar(1.0f), Tensor::Scalar<int8_t>(1)});
  EXPECT_TRUE(y.SameBytes(Tensor::Of<int8_t>({8}, {1, 3, 3, 1, 127, -128, 1, -1})));
}

// Short runs go through another loop than long ones.
TEST(QuantizeTest, RunLengthDoesNotMatter) {
  Tensor x(DType::kFloat, {1, 2, 64});
  for (int64_t i = 0; i < 128; ++i) x.data<float>()[i] = (static_cast<float>(i) - 64) * 0.37f;
  const Tensor scale = Tensor::Of<float>({2}, {0.1f, 0.3f}), zero = Tensor::Of<uint8_t>({2}, {100, 128});
  const Tensor y = Eval1("QuantizeLinear", {x, scale, zero});
  for (int64_t i = 0; i < 128; ++i) {
    const Tensor one = Tensor::Scalar(x.data<float>()[i]);
    const int64_t c = i / 64;
    const Tensor single = Eval1("QuantizeLinear", {one, Tensor::Scalar(scale.data<float>()[c]),
                                                   Tensor::Scalar(zero.data<uint8_t>()[c])});
    EXPECT_EQ(single.data<uint8_t>()[0], y.data<uint8_t>()[i]);
  }
}

TEST(QuantizeTest, FourBitsAndSixteenBits) {
  const Tensor x = Tensor::Of<float>({3}, {-9, 3, 9});
  const Tensor four = Eval1("QuantizeLinear", {x, Tensor::Scalar(1.0f)},
                            {{"output_dtype", Attribute::Int(static_cast<int64_t>(DType::kInt4))}});
  EXPECT_EQ(four.dtype(), DType::kInt4);
  EXPECT_EQ(four.ToInts(), (std::vector<int64_t>{-8, 3, 7}));
  const Tensor wide = Eval1("QuantizeLinear", {x, Tensor::Scalar(0.001f), Tensor::Scalar<int16_t>(0)});
  EXPECT_EQ(wide.ToInts(), (std::vector<int64_t>{-9000, 3000, 9000}));
}

TEST(QuantizeTest, TwoBits) {
  const Tensor x = Tensor::Of<float>({5}, {-9, -1, 0, 1, 9});
  const auto of = [&](DType dtype) {
    return Eval1("QuantizeLinear", {x, Tensor::Scalar(1.0f)},
                 {{"output_dtype", Attribute::Int(static_cast<int64_t>(dtype))}})
        .ToInts();
  };
  EXPECT_EQ(of(DType::kInt2), (std::vector<int64_t>{-2, -1, 0, 1, 1}));
  EXPECT_EQ(of(DType::kUint2), (std::vector<int64_t>{0, 0, 0, 1, 3}));
}

TEST(QuantizeTest, FloatsOfEightBitsThereAndBack) {
  const Tensor x = Tensor::Of<float>({4}, {-1, 0.9f, 6.1f, 1e6f}), scale = Tensor::Scalar(2.0f);
  const Tensor q = Eval1("QuantizeLinear", {x, scale},
                         {{"output_dtype", Attribute::Int(static_cast<int64_t>(DType::kFloat8E5M2))}});
  EXPECT_EQ(q.dtype(), DType::kFloat8E5M2);
  EXPECT_TRUE(
      Eval1("DequantizeLinear", {q, scale}).SameBytes(Tensor::Of<float>({4}, {-1, 0.875f, 6, 114688})));
  Tensor zero(DType::kFloat8E5M2, {});
  *zero.raw() = std::byte{0x3c};  // 1
  EXPECT_THROW(Eval1("DequantizeLinear", {q, scale, zero}), Error);
}

TEST(QuantizeTest, DequantizesPerAxisAndBlocked) {
  const Tensor q = Tensor::Of<int8_t>({2, 2}, {1, 2, 3, 4});
  const Tensor scale = Tensor::Of<float>({2}, {2, 10});
  EXPECT_TRUE(Eval1("DequantizeLinear", {q, scale}, {{"axis", Attribute::Int(0)}})
                  .SameBytes(Tensor::Of<float>({2, 2}, {2, 4, 30, 40})));
  EXPECT_TRUE(Eval1("DequantizeLinear", {q, scale}).SameBytes(Tensor::Of<float>({2, 2}, {2, 20, 6, 40})));
  EXPECT_TRUE(Eval1("DequantizeLinear", {q, Tensor::Of<float>({2, 1}, {2, 10})},
                    {{"axis", Attribute::Int(1)}, {"block_size", Attribute::Int(2)}})
                  .SameBytes(Tensor::Of<float>({2, 2}, {2, 4, 30, 40})));
  EXPECT_THROW(Eval1("DequantizeLinear", {q, Tensor::Of<float>({3}, {1, 2, 3})}), Error);
}

TEST(QuantizeTest, DynamicRangeHoldsZero) {
  EvalOptions three;
  three.num_outputs = 3;
  const std::vector<Tensor> y = Eval("DynamicQuantizeLinear", {Tensor::Of<float>({2}, {1, 255})}, {}, three);
  EXPECT_EQ(y[0].ToInts(), (std::vector<int64_t>{1, 255}));
  EXPECT_EQ(y[1].data<float>()[0], 1.0f);
  EXPECT_EQ(y[2].data<uint8_t>()[0], 0);
}

}  // namespace
}  // namespace xslim
