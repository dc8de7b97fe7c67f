#include "quant/shown_ends.h"

#include <gtest/gtest.h>

#include <memory>

#include "small_graph.h"

namespace xslim {
namespace {

class ShownEndsTest : public ::testing::Test {
 protected:
  void Constant(const char* name, std::vector<float> numbers) {
    const auto size = static_cast<int64_t>(numbers.size());
    model_.graph.AddConstant(name, Tensor::Of<float>({size}, std::move(numbers)));
  }
  // "" where the outputs do not show the tensor; else its ends, and "score".
  std::string EndsOf(const char* name) {
    ThreadPool pool(1);
    const ValueFacts facts(model_.graph, model_.sample, pool);
    const std::map<ValueId, ShownEnds> shown = FindShownEnds(model_.graph, facts);
    const auto found = shown.find(model_.graph.Find(name));
    if (found == shown.end()) return "";
    const ShownEnds& ends = found->second;
    return std::string(ends.lo ? "lo " : "") + (ends.hi ? "hi " : "") + (ends.score ? "score" : "");
  }

  SmallGraph model_;
};

TEST_F(ShownEndsTest, OfScoresTheUpperOne) {
  model_.Conv("inner", "x");
  model_.Conv("near", "inner");
  model_.Conv("far", "inner");
  model_.Op("Concat", "logits", {"near", "far"}, {{"axis", Attribute::Int(1)}});
  model_.Op("Sigmoid", "scores", {"logits"});
  model_.Output("scores");
  EXPECT_EQ(EndsOf("scores"), "lo hi ");
  for (const char* name : {"logits", "near", "far"}) EXPECT_EQ(EndsOf(name), "hi score") << name;
  EXPECT_EQ(EndsOf("inner"), "");
}

TEST_F(ShownEndsTest, WhatIsAlsoShownAsItIsIsNoScore) {
  model_.Conv("c", "x");
  model_.Op("Sigmoid", "gate", {"c"});
  model_.Op("Mul", "swish", {"c", "gate"});
  model_.Output("swish");
  EXPECT_EQ(EndsOf("c"), "lo hi ");
  EXPECT_EQ(EndsOf("gate"), "lo hi ");
}

// A detector that asks a second model where its score is high.
TEST_F(ShownEndsTest, WhatABranchHandsOn) {
  const auto branch = [](const char* read, bool computes) {
    Attribute attribute;
    attribute.kind = Attribute::Kind::kGraph;
    attribute.graph = std::make_shared<Graph>();
    const ValueId given = attribute.graph->AddValue(read), result = attribute.graph->AddValue("result");
    attribute.graph->opset_imports[""] = 20;
    attribute.graph->AddNode(computes ? "Sin" : "Identity", "give", {given}, {result});
    attribute.graph->AddOutput(result);
    return attribute;
  };
  model_.Conv("c", "x");
  model_.Conv("d", "x");
  model_.Op("Sigmoid", "score", {"c"});
  model_.graph.AddConstant("high", Tensor::Of<bool>({}, {false}));
  model_.Op("If", "y", {"high"},
            {{"then_branch", branch("d", true)}, {"else_branch", branch("score", false)}});
  model_.Output("y");
  EXPECT_EQ(EndsOf("score"), "lo hi ");
  EXPECT_EQ(EndsOf("c"), "hi score");
  EXPECT_EQ(EndsOf("d"), "");
}

TEST_F(ShownEndsTest, SignsTurnThemRound) {
  Constant("minus", {-2});
  Constant("one", {1});
  model_.Conv("a", "x");
  model_.Op("Mul", "negative", {"a", "minus"});
  model_.Op("Softmax", "of_negative", {"negative"});
  model_.Output("of_negative");
  model_.Conv("b", "x");
  model_.Op("Sub", "rest", {"one", "b"});
  model_.Op("Relu", "of_rest", {"rest"});
  model_.Output("of_rest");
  model_.Conv("c", "x");
  model_.Op("Neg", "turned", {"c"});
  model_.Op("Sigmoid", "of_turned", {"turned"});
  model_.Output("of_turned");
  EXPECT_EQ(EndsOf("negative"), "hi ");
  EXPECT_EQ(EndsOf("a"), "lo ");
  EXPECT_EQ(EndsOf("b"), "lo ");
  EXPECT_EQ(EndsOf("turned"), "hi score");
  EXPECT_EQ(EndsOf("c"), "lo ");
}

TEST_F(ShownEndsTest, WhatOutputsAreSelectedFromShowsBoth) {
  const ValueId two = model_.graph.AddConstant("two", Tensor::Of<int64_t>({1}, {2}));
  model_.Conv("c", "x");
  const ValueId best = model_.graph.AddValue("best", DType::kFloat),
                indices = model_.graph.AddValue("indices", DType::kInt64);
  model_.graph.AddNode("TopK", "best", {model_.graph.Find("c"), two}, {best, indices});
  model_.Output("indices");
  EXPECT_EQ(EndsOf("c"), "lo hi ");
  EXPECT_EQ(EndsOf("x"), "");
}

}  // namespace
}  // namespace xslim
