#include "tune/bias.h"

#include <gtest/gtest.h>

#include "noise.h"

namespace xslim {
namespace {

class BiasTest : public testing::Test {
 protected:
  BiasTest() { graph_.AddInput(x_ = graph_.AddValue("x", DType::kFloat)); }

  // slot 2: kNone, or a bias.
  NodeId Op(const std::string& type, Shape weight, ValueId bias = kNone,
            std::map<std::string, Attribute> attributes = {}) {
    std::vector<ValueId> inputs = {x_, graph_.AddConstant("w", Noise(std::move(weight), 1))};
    if (bias != kNone) inputs.push_back(bias);
    return graph_.AddNode(type, type, inputs, {graph_.AddValue("y", DType::kFloat)}, std::move(attributes));
  }
  ValueId Bias(std::vector<float> numbers) {
    const Shape shape = {std::ssize(numbers)};
    return graph_.AddConstant("b", Tensor::Of<float>(shape, numbers));
  }
  const Tensor* BiasOf(NodeId id) const { return graph_.Constant(graph_.node(id).input(2)); }

  Graph graph_;
  ValueId x_ = kNone;
};

TEST_F(BiasTest, AMissingOneIsZeroForEachOutputChannel) {
  const auto given = [&](const char* type, Shape weight, std::map<std::string, Attribute> attributes,
                         int64_t channels) {
    const NodeId id = Op(type, std::move(weight), kNone, std::move(attributes));
    EXPECT_TRUE(GiveBias(&graph_, id)) << type;
    ASSERT_NE(BiasOf(id), nullptr) << type;
    EXPECT_TRUE(BiasOf(id)->SameBytes(
        Tensor::Of<float>({channels}, std::vector<float>(static_cast<size_t>(channels), 0.0f))))
        << type;
    EXPECT_TRUE(HasOwnConstant(graph_, graph_.node(id), 2)) << type;
  };
  given("Conv", {6, 2, 3, 3}, {}, 6);
  given("ConvTranspose", {6, 2, 3, 3}, {{"group", Attribute::Int(3)}}, 6);
  given("ConvTranspose", {6, 5, 3, 3}, {}, 5);
  given("Gemm", {4, 7}, {}, 7);
  given("Gemm", {4, 7}, {{"transB", Attribute::Int(1)}}, 4);
}

TEST_F(BiasTest, OneOfItsOwnStays) {
  const ValueId bias = Bias({1, 2});
  const NodeId id = Op("Conv", {2, 3, 1, 1}, bias);
  EXPECT_TRUE(GiveBias(&graph_, id));
  EXPECT_EQ(graph_.node(id).input(2), bias);
}

TEST_F(BiasTest, OneThatOthersReadIsCopied) {
  const ValueId bias = Bias({1, 2});
  const NodeId first = Op("Conv", {2, 3, 1, 1}, bias), second = Op("Conv", {2, 3, 1, 1}, bias);
  EXPECT_FALSE(HasOwnConstant(graph_, graph_.node(first), 2));
  EXPECT_TRUE(GiveBias(&graph_, first));
  EXPECT_NE(graph_.node(first).input(2), bias);
  EXPECT_EQ(graph_.node(second).input(2), bias);
  EXPECT_TRUE(BiasOf(first)->SameBytes(*BiasOf(second)));
  EXPECT_NE(BiasOf(first)->raw(), BiasOf(second)->raw());  // so that one can move
  EXPECT_TRUE(HasOwnConstant(graph_, graph_.node(second), 2));
}

TEST_F(BiasTest, SomeCannotHaveOne) {
  EXPECT_FALSE(GiveBias(&graph_, Op("MatMul", {4, 7})));
  EXPECT_FALSE(GiveBias(&graph_, Op("Gemm", {4, 7}, kNone, {{"alpha", Attribute::Float(2)}})));
  EXPECT_FALSE(GiveBias(&graph_, Op("Gemm", {4, 7}, kNone, {{"beta", Attribute::Float(2)}})));
  EXPECT_FALSE(GiveBias(&graph_, Op("Gemm", {4, 7}, Bias({1}))));  // one number for all channels
  EXPECT_FALSE(GiveBias(&graph_, Op("Conv", {2, 3, 1, 1}, graph_.AddValue("computed", DType::kFloat))));
}

TEST_F(BiasTest, WhatTheModelGivesOrIsNoFloatIsNotItsOwn) {
  const ValueId shown = Bias({1, 2});
  const NodeId id = Op("Conv", {2, 3, 1, 1}, shown);
  EXPECT_TRUE(HasOwnConstant(graph_, graph_.node(id), 2));
  EXPECT_FALSE(HasOwnConstant(graph_, graph_.node(id), 0));
  EXPECT_FALSE(HasOwnConstant(graph_, graph_.node(id), 3));
  graph_.AddOutput(shown);
  EXPECT_FALSE(HasOwnConstant(graph_, graph_.node(id), 2));
  const ValueId half = graph_.AddConstant("h", Tensor(DType::kFloat16, {2}));
  EXPECT_FALSE(HasOwnConstant(graph_, graph_.node(Op("Conv", {2, 3, 1, 1}, half)), 2));
}

}  // namespace
}  // namespace xslim
