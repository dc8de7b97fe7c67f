#include "ops/pack_store.h"

#include <gtest/gtest.h>

#include "noise.h"

namespace xslim {
namespace {

const PackLayout kLayout{PackLayout::kRightOperand, {1, 2, 3}};

TEST(PackStore, SharesWhatIsInUseByConstantAndLayout) {
  const Tensor constant = Noise({6}, 1), copy = constant.Clone();
  EXPECT_FALSE(FindPack(constant, kLayout).defined());
  const Tensor pack = SharePack(constant, kLayout, Noise({8}, 2));
  EXPECT_EQ(FindPack(constant.Reshaped({2, 3}), kLayout).raw(), pack.raw());
  EXPECT_EQ(SharePack(constant, kLayout, Noise({8}, 3)).raw(), pack.raw());  // the first one stays
  EXPECT_FALSE(FindPack(copy, kLayout).defined());
  EXPECT_FALSE(FindPack(constant, {PackLayout::kRightOperand, {1, 3, 2}}).defined());
  EXPECT_FALSE(FindPack(constant, {PackLayout::kConv, {1, 2, 3}}).defined());
}

TEST(PackStore, HoldsNothingItself) {
  const Tensor constant = Noise({6}, 1);
  SharePack(constant, kLayout, Noise({8}, 2));
  EXPECT_FALSE(FindPack(constant, kLayout).defined());
}

// The same address with another constant in it.
TEST(PackStore, ForgetsAConstantThatIsGone) {
  Tensor memory = Noise({6}, 1);
  const auto at = [&] {
    return Tensor::Borrow(DType::kFloat, {6}, {memory.raw(), [](std::byte*) {}}, false);
  };
  Tensor first = at();
  const Tensor pack = SharePack(first, kLayout, Noise({8}, 2));
  first = Tensor();
  const Tensor second = at();
  EXPECT_FALSE(FindPack(second, kLayout).defined());
  const Tensor other = SharePack(second, kLayout, Noise({8}, 3));
  EXPECT_NE(other.raw(), pack.raw());
  EXPECT_EQ(FindPack(second, kLayout).raw(), other.raw());
}

}  // namespace
}  // namespace xslim
