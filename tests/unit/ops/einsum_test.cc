#include <gtest/gtest.h>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Eval1;
using testing::ExpectNear;
using testing::F;
using testing::I64;

Tensor Einsum(const std::string& equation, const std::vector<Tensor>& inputs) {
  return Eval1("Einsum", inputs, {{"equation", Attribute::String(equation)}});
}

const Tensor kSquare = F({2, 2}, {1, 2, 3, 4});

TEST(EinsumTest, ProductTraceAndDiagonal) {
  ExpectNear(Einsum("ij,jk->ik", {kSquare, kSquare}), F({2, 2}, {7, 10, 15, 22}));
  ExpectNear(Einsum("ii->", {kSquare}), F({}, {5}));
  ExpectNear(Einsum("ii->i", {kSquare}), F({2}, {1, 4}));
}

TEST(EinsumTest, ImplicitOutputHasTheSingleLettersInOrder) {
  ExpectNear(Einsum("ba", {kSquare}), F({2, 2}, {1, 3, 2, 4}));
  ExpectNear(Einsum(" i j , j ", {kSquare, F({2}, {1, 10})}), F({2}, {21, 43}));
}

TEST(EinsumTest, EllipsisBroadcasts) {
  const Tensor x = F({2, 1, 2}, {1, 2, 3, 4}), y = F({3, 2}, {1, 0, 0, 1, 1, 1});
  ExpectNear(Einsum("...i,...i->...", {x, y}), F({2, 3}, {1, 2, 3, 3, 4, 7}));
}

TEST(EinsumTest, SumOverNothingIsZero) {
  ExpectNear(Einsum("ij->i", {Tensor(DType::kFloat, {2, 0})}), F({2}, {0, 0}));
}

TEST(EinsumTest, BadEquationsAreRefused) {
  EXPECT_THROW(Einsum("ij,jk->ik", {kSquare}), Error);
  EXPECT_THROW(Einsum("ijk->i", {kSquare}), Error);
  EXPECT_THROW(Einsum("ij->ii", {kSquare}), Error);
  EXPECT_THROW(Einsum("ij->k", {kSquare}), Error);
  EXPECT_THROW(Einsum("ij,jk->ik", {kSquare, F({3, 1}, {1, 2, 3})}), Error);
}

TEST(EinsumTest, Determinants) {
  ExpectNear(Eval1("Det", {F({2, 2, 2}, {1, 2, 3, 4, 0, 1, 1, 0})}), F({2}, {-2, -1}));
  ExpectNear(Eval1("Det", {Tensor(DType::kFloat, {0, 0})}), F({}, {1}));
  EXPECT_THROW(Eval1("Det", {F({1, 2}, {1, 2})}), Error);
}

}  // namespace
}  // namespace xslim
