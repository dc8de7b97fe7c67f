#include <gtest/gtest.h>

#include "eval_helper.h"
#include "noise.h"

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

// Equations that are matrix products, and some that are not, against the plain sums that doubles get.
TEST(EinsumTest, ProductsInAnyOrderOfAxes) {
  struct Case {
    const char* equation;
    Shape a, b;
  };
  for (const Case& each :
       {Case{"ij,jk->ik", {7, 20}, {20, 19}}, Case{"ij,kj->ki", {7, 20}, {9, 20}}, Case{"i,j->ji", {17}, {9}},
        Case{"bshd,hde->bse", {2, 5, 3, 8}, {3, 8, 11}}, Case{"bqhd,bkhd->bhqk", {2, 5, 3, 8}, {2, 6, 3, 8}},
        Case{"...ij,...jk->...ik", {2, 1, 4, 6}, {3, 6, 5}}, Case{"iij,jk->ki", {6, 6, 9}, {9, 5}},
        Case{"ab,cb->c", {3, 50}, {4, 50}}, Case{"abc,cd", {1, 4, 9}, {9, 1}},
        Case{"ij,ij->ij", {9, 9}, {9, 9}}, Case{"ij,jk->ik", {7, 1}, {20, 19}}}) {
    SCOPED_TRACE(each.equation);
    const Tensor a = Noise(each.a, 1), b = Noise(each.b, 2);
    const auto doubled = [](const Tensor& x) {
      Tensor y(DType::kDouble, x.shape());
      for (int64_t i = 0; i < x.size(); ++i) y.data<double>()[i] = static_cast<double>(x.data<float>()[i]);
      return y;
    };
    const Tensor got = Einsum(each.equation, {a, b});
    ExpectNear(got, Einsum(each.equation, {doubled(a), doubled(b)}).ToFloat32());
    const Tensor threads =
        Eval1("Einsum", {a, b}, {{"equation", Attribute::String(each.equation)}}, {.threads = 3});
    EXPECT_TRUE(got.SameBytes(threads));
  }
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
