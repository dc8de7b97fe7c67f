#include "quant/output_parts.h"

#include <gtest/gtest.h>

namespace xslim {
namespace {

// boxes = Relu(x), scores = Sigmoid(x), both [2,3]; the output is made of them.
class OutputPartsTest : public testing::Test {
 protected:
  OutputPartsTest() {
    graph_.opset_imports[""] = 13;
    x_ = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x_);
    boxes_ = Node("Relu", {x_}, "boxes");
    scores_ = Node("Sigmoid", {x_}, "scores");
  }

  ValueId Node(const char* type, std::vector<ValueId> inputs, const char* name,
               std::map<std::string, Attribute> attributes = {}) {
    const ValueId out = graph_.AddValue(name, DType::kFloat);
    graph_.AddNode(type, std::string(name) + "_node", std::move(inputs), {out}, std::move(attributes));
    return out;
  }

  OutputParts Find(ValueId output) {
    graph_.AddOutput(output);
    ThreadPool pool(1);
    const ValueFacts facts(graph_, {Tensor::Of<float>({2, 3}, {1, 2, 3, 4, 5, 6})}, pool);
    return FindOutputParts(graph_, facts, pool).at(0);
  }

  Graph graph_;
  ValueId x_, boxes_, scores_;
};

TEST_F(OutputPartsTest, OneTensorIsOnePart) {
  const OutputParts parts = Find(boxes_);
  ASSERT_EQ(parts.parts.size(), 1u);
  EXPECT_EQ(parts.parts[0].tensor, "boxes");
  EXPECT_FALSE(parts.Divides({2, 3}));
}

TEST_F(OutputPartsTest, FollowsConcatAndTranspose) {
  const ValueId joined = Node("Concat", {boxes_, scores_}, "joined", {{"axis", Attribute::Int(0)}});
  const OutputParts parts = Find(Node("Transpose", {joined}, "y", {{"perm", Attribute::Ints({1, 0})}}));
  ASSERT_EQ(parts.parts.size(), 2u);
  EXPECT_EQ(parts.parts[0].tensor, "boxes");
  EXPECT_EQ(parts.parts[1].tensor, "scores");
  EXPECT_EQ(parts.parts[1].path, (std::vector<ValueId>{graph_.Find("y"), joined, scores_}));
  EXPECT_TRUE(parts.Divides({3, 4}));
  EXPECT_FALSE(parts.Divides({4, 3}));
  EXPECT_EQ(parts.labels, (std::vector<int32_t>{0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1}));
}

TEST_F(OutputPartsTest, LooksIntoNestedConcats) {
  const ValueId inner = Node("Concat", {boxes_, scores_}, "inner", {{"axis", Attribute::Int(1)}});
  const ValueId third = Node("Neg", {inner}, "third");
  const OutputParts parts = Find(Node("Concat", {inner, third}, "y", {{"axis", Attribute::Int(0)}}));
  ASSERT_EQ(parts.parts.size(), 3u);
  EXPECT_EQ(parts.labels,
            (std::vector<int32_t>{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}));
}

TEST_F(OutputPartsTest, ATensorThatStandsTwiceIsOnePart) {
  const OutputParts parts =
      Find(Node("Concat", {boxes_, scores_, boxes_}, "y", {{"axis", Attribute::Int(0)}}));
  ASSERT_EQ(parts.parts.size(), 2u);
  EXPECT_EQ(parts.labels, (std::vector<int32_t>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0}));
}

TEST_F(OutputPartsTest, AConstantIsNotDivided) {
  const ValueId constant = graph_.AddConstant("anchors", Tensor::Of<float>({1, 3}, {7, 8, 9}));
  EXPECT_EQ(Find(Node("Concat", {boxes_, constant}, "y", {{"axis", Attribute::Int(0)}})).parts.size(), 1u);
}

// What ArgMax chooses are no numbers that a noise says something of.
TEST_F(OutputPartsTest, IntegersThatACastMakesOfFloatsAreRounded) {
  const auto integers = [&](const char* type, ValueId input, const char* name, DType dtype,
                            std::map<std::string, Attribute> attributes) {
    const ValueId out = graph_.AddValue(name, dtype);
    graph_.AddNode(type, std::string(name) + "_node", {input}, {out}, std::move(attributes));
    return out;
  };
  const ValueId bytes = integers("Cast", boxes_, "bytes", DType::kUint8, {{"to", Attribute::Int(2)}});
  const ValueId moved =
      integers("Transpose", bytes, "moved", DType::kUint8, {{"perm", Attribute::Ints({1, 0})}});
  const ValueId chosen = integers("ArgMax", boxes_, "chosen", DType::kInt64, {});
  const ValueId narrow = integers("Cast", chosen, "narrow", DType::kInt32, {{"to", Attribute::Int(6)}});
  for (ValueId id : {moved, chosen, narrow}) graph_.AddOutput(id);
  ThreadPool pool(1);
  const ValueFacts facts(graph_, {Tensor::Of<float>({2, 3}, {1, 2, 3, 4, 5, 6})}, pool);
  const std::vector<OutputParts> parts = FindOutputParts(graph_, facts, pool);
  EXPECT_TRUE(parts.at(0).rounded);
  EXPECT_FALSE(parts.at(1).rounded);
  EXPECT_FALSE(parts.at(2).rounded);
}

}  // namespace
}  // namespace xslim
