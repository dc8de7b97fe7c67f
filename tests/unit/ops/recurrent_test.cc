#include <gtest/gtest.h>

#include <cmath>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval;
using testing::Eval1;
using testing::EvalOptions;
using testing::ExpectNear;
using testing::F;
using testing::I32;

Attributes Hidden(const char* direction = "forward") {
  return {{"hidden_size", Attribute::Int(1)}, {"direction", Attribute::String(direction)}};
}
EvalOptions Outputs(int count) {
  EvalOptions options;
  options.num_outputs = count;
  return options;
}

const Tensor kOne = F({1, 1, 1}, {1});

TEST(RecurrentTest, RnnFeedsItsStateBack) {
  const Tensor x = F({2, 1, 1}, {0.5f, 0.25f});
  const float first = std::tanh(0.5f), second = std::tanh(0.25f + first);
  const std::vector<Tensor> y = Eval("RNN", {x, kOne, kOne}, Hidden(), Outputs(2));
  ExpectNear(y[0], F({2, 1, 1, 1}, {first, second}));
  ExpectNear(y[1], F({1, 1, 1}, {second}));
}

TEST(RecurrentTest, ReverseRunsFromTheEndOfEachSequence) {
  // Of two sequences in the batch, the second has one step only.
  const Tensor x = F({2, 2, 1}, {0.5f, 0.75f, 0.25f, 9});
  const Tensor lengths = I32({2}, {2, 1});
  const Tensor y = Eval1("RNN", {x, kOne, kOne, Tensor(), lengths}, Hidden("reverse"));
  const float last = std::tanh(0.25f);
  ExpectNear(y, F({2, 1, 2, 1}, {std::tanh(0.5f + last), std::tanh(0.75f), last, 0}));
}

TEST(RecurrentTest, LstmWithOpenGatesAddsUp) {
  // Weights of 0 and biases of +-20: input and forget gate open, output gate open, candidate tanh(20) = 1.
  const Tensor x = F({3, 1, 1}, {7, 7, 7}), w = F({1, 4, 1}, {0, 0, 0, 0});
  const Tensor bias = F({1, 8}, {20, 20, 20, 20, 0, 0, 0, 0});
  const std::vector<Tensor> y = Eval("LSTM", {x, w, w, bias}, Hidden(), Outputs(3));
  ExpectNear(y[2], F({1, 1, 1}, {3}));
  ExpectNear(y[1], F({1, 1, 1}, {std::tanh(3.0f)}));
}

TEST(RecurrentTest, GruWithAClosedUpdateGateIsItsCandidate) {
  const Tensor x = F({1, 1, 1}, {1}), w = F({1, 3, 1}, {-40, 0, 0.5f}), r = F({1, 3, 1}, {0, 0, 0});
  ExpectNear(Eval1("GRU", {x, w, r}, Hidden()), F({1, 1, 1, 1}, {std::tanh(0.5f)}));
}

TEST(RecurrentTest, NoStepsGiveTheInitialState) {
  const Tensor x(DType::kFloat, {0, 1, 1});
  const std::vector<Tensor> y =
      Eval("RNN", {x, kOne, kOne, Tensor(), Tensor(), F({1, 1, 1}, {0.5f})}, Hidden(), Outputs(2));
  EXPECT_EQ(y[0].shape(), (Shape{0, 1, 1, 1}));
  ExpectNear(y[1], F({1, 1, 1}, {0.5f}));
}

TEST(RecurrentTest, WrongShapesAndDirectionsAreRefused) {
  const Tensor x(DType::kFloat, {2, 1, 3});
  EXPECT_THROW(Eval1("RNN", {x, kOne, kOne}, Hidden()), Error);
  EXPECT_THROW(Eval1("RNN", {F({1, 1, 1}, {1}), kOne, kOne}, Hidden("sideways")), Error);
  EXPECT_THROW(Eval1("RNN", {F({1, 1, 1}, {1}), kOne, kOne, Tensor(), I32({2}, {1, 1})}, Hidden()), Error);
}

}  // namespace
}  // namespace xslim
