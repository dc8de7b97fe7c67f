#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::B;
using testing::Eval;
using testing::Eval1;
using testing::EvalOptions;
using testing::ExpectNear;
using testing::F;
using testing::I64;
using testing::Values;

EvalOptions At(int opset, int outputs = 1) {
  EvalOptions options;
  options.opset = opset;
  options.num_outputs = outputs;
  return options;
}

// One head, keys that are alike: every query gives the mean of the values it may see.
const Tensor kQuery = F({1, 1, 2, 1}, {0, 0}), kKeys = F({1, 1, 3, 1}, {1, 1, 1}),
             kValues = F({1, 1, 3, 1}, {3, 6, 12});

TEST(AttentionTest, EqualKeysGiveTheMeanOfTheValues) {
  ExpectNear(Eval1("Attention", {kQuery, kKeys, kValues}, {}, At(23)), F({1, 1, 2, 1}, {7, 7}));
}

TEST(AttentionTest, CausalQueriesSeeTheKeysBeforeThem) {
  const Attributes causal{{"is_causal", Attribute::Int(1)}};
  ExpectNear(Eval1("Attention", {kQuery, kKeys, kValues}, causal, At(23)), F({1, 1, 2, 1}, {3, 4.5}));
}

TEST(AttentionTest, AQueryWithoutKeysGivesZerosNotNaN) {
  const Tensor mask = B({2, 3}, {false, false, false, true, false, true});
  ExpectNear(Eval1("Attention", {kQuery, kKeys, kValues, mask}, {}, At(23)), F({1, 1, 2, 1}, {0, 7.5}));
}

TEST(AttentionTest, NoQueriesGiveAnEmptyResult) {
  const Tensor none(DType::kFloat, {1, 1, 0, 1});
  EXPECT_EQ(Eval1("Attention", {none, kKeys, kValues}, {}, At(23)).shape(), (Shape{1, 1, 0, 1}));
}

TEST(AttentionTest, HeadsThatDoNotFitAreRefused) {
  const Tensor three(DType::kFloat, {1, 3, 2, 1}), two(DType::kFloat, {1, 2, 2, 1});
  EXPECT_THROW(Eval1("Attention", {three, two, two}, {}, At(23)), Error);
  const Tensor flat(DType::kFloat, {1, 2, 5});
  const Attributes heads{{"q_num_heads", Attribute::Int(2)}, {"kv_num_heads", Attribute::Int(2)}};
  EXPECT_THROW(Eval1("Attention", {flat, flat, flat}, heads, At(23)), Error);
}

TEST(AttentionTest, RotaryEmbeddingTurnsPairs) {
  // A quarter turn: (x1, x2) -> (-x2, x1); the last element of a head is left alone.
  const Tensor x = F({1, 1, 3}, {1, 2, 5}), cosine = F({1, 1, 1}, {0}), sine = F({1, 1, 1}, {1});
  const Attributes two{{"num_heads", Attribute::Int(1)}, {"rotary_embedding_dim", Attribute::Int(2)}};
  ExpectNear(Eval1("RotaryEmbedding", {x, cosine, sine}, two, At(23)), F({1, 1, 3}, {-2, 1, 5}));
}

TEST(AttentionTest, RotaryEmbeddingChecksPositions) {
  const Tensor x = F({1, 1, 2}, {1, 2}), cosine = F({2, 1}, {0, 1}), sine = F({2, 1}, {1, 0});
  const Attributes one{{"num_heads", Attribute::Int(1)}};
  EXPECT_NO_THROW(Eval1("RotaryEmbedding", {x, cosine, sine, I64({1, 1}, {1})}, one, At(23)));
  EXPECT_THROW(Eval1("RotaryEmbedding", {x, cosine, sine, I64({1, 1}, {2})}, one, At(23)), Error);
  EXPECT_THROW(Eval1("RotaryEmbedding", {x, cosine, sine, I64({1, 1}, {-1})}, one, At(23)), Error);
}

TEST(AttentionTest, MicrosoftAttentionRefusesMasksThatDoNotFit) {
  EvalOptions options = At(1);
  options.domain = "com.microsoft";
  const Tensor x = F({1, 2, 1}, {1, 2}), weights = F({1, 3}, {0, 1, 1}), bias = F({3}, {0, 0, 1});
  const Attributes heads{{"num_heads", Attribute::Int(1)}};
  // Queries are 0, so both positions see the mean of the values 2 and 3.
  ExpectNear(Eval1("Attention", {x, weights, bias}, heads, options), F({1, 2, 1}, {2.5, 2.5}));
  EXPECT_THROW(Eval1("Attention", {x, weights, bias, I64({1, 3}, {1, 1, 1})}, heads, options), Error);
  EXPECT_THROW(Eval1("Attention", {x, weights, bias}, {}, options), Error);
}

}  // namespace
}  // namespace xslim
