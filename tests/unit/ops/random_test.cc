#include <gtest/gtest.h>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval1;
using testing::F;
using testing::Values;

const Attributes kMany{{"shape", Attribute::Ints({10000})}};

struct Moments {
  double mean = 0, variance = 0;
};
Moments MomentsOf(const Tensor& x) {
  Moments moments;
  for (const float value : Values<float>(x)) moments.mean += value / static_cast<double>(x.size());
  for (const float value : Values<float>(x))
    moments.variance += (value - moments.mean) * (value - moments.mean) / static_cast<double>(x.size());
  return moments;
}

TEST(RandomTest, EveryEvaluationIsTheSameAndEverySeedAnother) {
  const Tensor x = Eval1("RandomUniform", {}, kMany);
  EXPECT_TRUE(x.SameBytes(Eval1("RandomUniform", {}, kMany)));
  Attributes seeded = kMany;
  seeded["seed"] = Attribute::Float(3);
  EXPECT_FALSE(x.SameBytes(Eval1("RandomUniform", {}, seeded)));
}

TEST(RandomTest, UniformAndNormalHaveTheirMoments) {
  Attributes attributes = kMany;
  attributes["low"] = Attribute::Float(2);
  attributes["high"] = Attribute::Float(4);
  attributes["mean"] = Attribute::Float(-1);
  attributes["scale"] = Attribute::Float(3);
  const Moments uniform = MomentsOf(Eval1("RandomUniform", {}, attributes));
  EXPECT_NEAR(uniform.mean, 3, 0.02);
  EXPECT_NEAR(uniform.variance, 1.0 / 3, 0.02);
  const Moments normal = MomentsOf(Eval1("RandomNormal", {}, attributes));
  EXPECT_NEAR(normal.mean, -1, 0.1);
  EXPECT_NEAR(normal.variance, 9, 0.4);
}

TEST(RandomTest, BernoulliFollowsItsChances) {
  Tensor chance(DType::kFloat, {10000});
  std::fill_n(chance.data<float>(), chance.size(), 0.25f);
  EXPECT_NEAR(MomentsOf(Eval1("Bernoulli", {chance})).mean, 0.25, 0.02);
  const Tensor sure = F({3}, {0, 1, 0});
  EXPECT_TRUE(Eval1("Bernoulli", {sure}).SameBytes(sure));
}

TEST(RandomTest, MultinomialDrawsByWeight) {
  const Tensor logs = F({2, 3}, {0, -1e30f, -1e30f, -1e30f, 0, 0});
  const Tensor y = Eval1("Multinomial", {logs}, {{"sample_size", Attribute::Int(1000)}});
  ASSERT_EQ(y.shape(), (Shape{2, 1000}));
  int64_t last = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(y.data<int32_t>()[i], 0);
    EXPECT_GE(y.data<int32_t>()[1000 + i], 1);
    last += y.data<int32_t>()[1000 + i] - 1;
  }
  EXPECT_NEAR(static_cast<double>(last), 500, 60);
}

}  // namespace
}  // namespace xslim
