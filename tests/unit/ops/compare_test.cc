#include <gtest/gtest.h>

#include <cmath>

#include "eval_helper.h"
#include "ops/own.h"

namespace xslim::testing {
namespace {

TEST(KeepBetween, KeepsWhatLiesStrictlyBetweenTheBounds) {
  EvalOptions own;
  own.opset = 1;
  own.domain = kOwnDomain;
  const Tensor x = F({7}, {1, 2, 3, 4, 5, 6, NAN}), at = F({7}, {-1, 0, 0.5f, 1, 2, NAN, -3});
  const auto keep = [&](const Tensor& lo, const Tensor& hi) {
    return Values<float>(Eval1(kKeepBetween, {x, at, lo, hi}, {}, own));
  };
  const Tensor none, zero = F({}, {0}), one = F({1}, {1});
  EXPECT_EQ(keep(zero, one), (std::vector<float>{0, 0, 3, 0, 0, 0, 0}));
  EXPECT_EQ(keep(zero, none), (std::vector<float>{0, 0, 3, 4, 5, 0, 0}));
  const std::vector<float> below = keep(none, one);
  EXPECT_EQ(std::vector<float>(below.begin(), below.end() - 1), (std::vector<float>{1, 2, 3, 0, 0, 0}));
  EXPECT_TRUE(std::isnan(below.back()));
  EXPECT_THROW(keep(F({2}, {0, 1}), none), Error);
}

}  // namespace
}  // namespace xslim::testing
