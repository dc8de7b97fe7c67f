#include <gtest/gtest.h>

#include "eval_helper.h"
#include "noise.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval1;
using testing::ExpectNear;
using testing::F;
using testing::I64;

TEST(UnfoldTest, Col2ImAddsOverlappingWindows) {
  // Windows (1,2), (3,4), (5,6) of two elements at 0, 1, 2 of a line of four.
  const Tensor x = F({1, 2, 3}, {1, 3, 5, 2, 4, 6});
  ExpectNear(Eval1("Col2Im", {x, I64({1}, {4}), I64({1}, {2})}), F({1, 1, 4}, {1, 5, 9, 6}));
}

TEST(UnfoldTest, Col2ImRefusesAnotherNumberOfWindows) {
  const Tensor x(DType::kFloat, {1, 2, 4});
  EXPECT_THROW(Eval1("Col2Im", {x, I64({1}, {4}), I64({1}, {2})}), Error);
  EXPECT_THROW(Eval1("Col2Im", {x, I64({1}, {5}), I64({1}, {3})}), Error);
  EXPECT_THROW(Eval1("Col2Im", {x, I64({1}, {5}), I64({1}, {0})}), Error);
}

TEST(UnfoldTest, DeformConvWithoutOffsetsIsConv) {
  const Tensor x = Noise({2, 4, 6, 5}, 1, 2), w = Noise({6, 2, 3, 2}, 2, 2), bias = Noise({6}, 3, 2);
  const Attributes attributes{{"group", Attribute::Int(2)},
                              {"strides", Attribute::Ints({2, 1})},
                              {"dilations", Attribute::Ints({1, 2})},
                              {"pads", Attribute::Ints({1, 0, 1, 2})}};
  const Tensor want = Eval1("Conv", {x, w, bias}, attributes);
  Tensor offset(DType::kFloat, {2, 12, want.dim(2), want.dim(3)});
  std::fill_n(offset.data<float>(), offset.size(), 0.0f);
  ExpectNear(Eval1("DeformConv", {x, w, offset, bias}, attributes), want);
}

TEST(UnfoldTest, DeformConvReadsBetweenPixels) {
  const Tensor x = F({1, 1, 1, 3}, {2, 4, 8}), w = F({1, 1, 1, 1}, {1});
  const Tensor offset = F({1, 2, 1, 3}, {0, 0, 0, 0.5f, -0.25f, 0.5f}), mask = F({1, 1, 1, 3}, {1, 2, 1});
  // The last sample is half beyond the edge, where zeros are.
  ExpectNear(Eval1("DeformConv", {x, w, offset, Tensor(), mask}), F({1, 1, 1, 3}, {3, 7, 4}));
  EXPECT_THROW(Eval1("DeformConv", {x, w, F({1, 1, 1, 3}, {0, 0, 0})}), Error);
}

TEST(UnfoldTest, MaxUnpoolPutsElementsBack) {
  const Attributes two{{"kernel_shape", Attribute::Ints({2})}, {"strides", Attribute::Ints({2})}};
  const Tensor x = F({1, 1, 2}, {5, 6});
  ExpectNear(Eval1("MaxUnpool", {x, I64({1, 1, 2}, {1, 2})}, two), F({1, 1, 4}, {0, 5, 6, 0}));
  EXPECT_THROW(Eval1("MaxUnpool", {x, I64({1, 1, 2}, {1, 4})}, two), Error);
  EXPECT_THROW(Eval1("MaxUnpool", {x, I64({1, 1, 2}, {-1, 0})}, two), Error);
  EXPECT_THROW(Eval1("MaxUnpool", {x, I64({1, 1, 2}, {1, 2}), I64({3}, {1, 1, 2})}, two), Error);
}

}  // namespace
}  // namespace xslim
