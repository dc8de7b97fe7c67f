#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Eval;
using testing::Eval1;
using testing::EvalOptions;

TEST(NormTest, SoftmaxAxisBeforeAndAfterOpset13) {
  const Tensor x = Tensor::Of<float>({2, 2, 1}, {0, 0, 0, 0});
  EvalOptions old;
  old.opset = 11;
  EXPECT_EQ(Eval1("Softmax", {x}, {}, old).data<float>()[0], 0.5f);  // rows of 2 after flattening
  EXPECT_EQ(Eval1("Softmax", {x}).data<float>()[0], 1.0f);           // the last axis has 1
  EXPECT_EQ(Eval1("Softmax", {x}, {{"axis", Attribute::Int(0)}}).data<float>()[3], 0.5f);
}

TEST(NormTest, SoftmaxOverAMiddleAxisEqualsTheTransposedOne) {
  Tensor x(DType::kFloat, {3, 5}), t(DType::kFloat, {5, 3});
  for (int64_t i = 0; i < 15; ++i) {
    x.data<float>()[i] = static_cast<float>(i * 7 % 11) / 3;
    t.data<float>()[i % 5 * 3 + i / 5] = x.data<float>()[i];
  }
  const Tensor a = Eval1("Softmax", {x}, {{"axis", Attribute::Int(0)}}), b = Eval1("Softmax", {t});
  for (int64_t i = 0; i < 15; ++i) EXPECT_EQ(a.data<float>()[i], b.data<float>()[i % 5 * 3 + i / 5]);
}

TEST(NormTest, BatchNormalization) {
  const Tensor x = Tensor::Of<float>({1, 2, 2}, {1, 2, 3, 4});
  const Tensor y = Eval1("BatchNormalization",
                         {x, Tensor::Of<float>({2}, {2, 1}), Tensor::Of<float>({2}, {1, 0}),
                          Tensor::Of<float>({2}, {1, 3}), Tensor::Of<float>({2}, {4, 1})},
                         {{"epsilon", Attribute::Float(0)}});
  EXPECT_TRUE(y.SameBytes(Tensor::Of<float>({1, 2, 2}, {1, 2, 0, 1})));
}

TEST(NormTest, InstanceNormalizationKeepsDigitsOfALargeMean) {
  const Tensor x = Tensor::Of<float>({1, 1, 4}, {10000, 10001, 10002, 10003});
  const Tensor y =
      Eval1("InstanceNormalization", {x, Tensor::Of<float>({1}, {1}), Tensor::Of<float>({1}, {0.5f})});
  EXPECT_NEAR(y.data<float>()[0], 0.5 - 1.5 / std::sqrt(1.25), 1e-4);
}

TEST(NormTest, LayerNormalizationGivesItsMoments) {
  const Tensor x = Tensor::Of<float>({1, 4}, {1, 2, 3, 4});
  EvalOptions three;
  three.num_outputs = 3;
  const std::vector<Tensor> y =
      Eval("LayerNormalization", {x, Tensor::Of<float>({4}, {1, 1, 1, 1})}, {}, three);
  EXPECT_NEAR(y[0].data<float>()[3], 1.5 / std::sqrt(1.25 + 1e-5), 1e-5);
  EXPECT_EQ(y[1].data<float>()[0], 2.5f);
  EXPECT_EQ(y[1].shape(), (Shape{1, 1}));
  EXPECT_NEAR(y[2].data<float>()[0], 1 / std::sqrt(1.25 + 1e-5), 1e-6);
}

// The scale is per group until opset 20 and per channel from 21.
TEST(NormTest, GroupNormalizationParameters) {
  const Tensor x = Tensor::Of<float>({1, 4, 1}, {-1, 1, -1, 1});
  const testing::Attributes groups{{"num_groups", Attribute::Int(2)}, {"epsilon", Attribute::Float(0)}};
  EvalOptions old;
  old.opset = 18;
  const Tensor two = Tensor::Of<float>({2}, {2, 3}), zero2 = Tensor::Of<float>({2}, {0, 0});
  const Tensor four = Tensor::Of<float>({4}, {2, 2, 3, 3}), zero4 = Tensor::Of<float>({4}, {0, 0, 0, 0});
  const Tensor want = Tensor::Of<float>({1, 4, 1}, {-2, 2, -3, 3});
  EXPECT_TRUE(Eval1("GroupNormalization", {x, two, zero2}, groups, old).SameBytes(want));
  EXPECT_TRUE(Eval1("GroupNormalization", {x, four, zero4}, groups).SameBytes(want));
  EXPECT_THROW(Eval1("GroupNormalization", {x, two, zero2}, groups), Error);
}

}  // namespace
}  // namespace xslim
