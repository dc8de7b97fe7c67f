#include "graph/subgraph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <memory>

#include "graph/function.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;

// x -> a -> b -> y, a also read by c -> z; b has a constant.
struct Chain {
  Graph graph;
  ValueId x, ax, bx, y, z, k;
  NodeId a, b, c;
  Chain() {
    graph.opset_imports[""] = 13;
    x = graph.AddValue("x", DType::kFloat);
    graph.AddInput(x);
    ax = graph.AddValue("ax", DType::kFloat);
    y = graph.AddValue("y", DType::kFloat);
    z = graph.AddValue("z", DType::kFloat);
    k = graph.AddConstant("k", Tensor::Scalar(2.0f));
    a = graph.AddNode("Relu", "a", {x}, {ax});
    b = graph.AddNode("Mul", "b", {ax, k}, {y});
    c = graph.AddNode("Neg", "c", {ax}, {z});
    graph.AddOutput(y);
    graph.AddOutput(z);
  }
};

TEST(Extract, CutsWhereValuesCross) {
  const Chain chain;
  const Subgraph part = Extract(chain.graph, {chain.b});
  EXPECT_THAT(part.inputs, ElementsAre(chain.ax));
  EXPECT_THAT(part.outputs, ElementsAre(chain.y));
  part.graph.Validate();
  EXPECT_EQ(part.graph.FreeInputs().size(), 1u);  // the constant is no input
  EXPECT_NE(part.graph.Constant(part.graph.Find("k")), nullptr);
}

TEST(Extract, InnerValuesAreNoOutputsUnlessReadOutside) {
  const Chain chain;
  EXPECT_THAT(Extract(chain.graph, {chain.a, chain.b, chain.c}).outputs, ElementsAre(chain.y, chain.z));
  EXPECT_THAT(Extract(chain.graph, {chain.a, chain.b}).outputs, ElementsAre(chain.ax, chain.y));
}

// An input with a default is nothing that a caller must feed.
TEST(Extract, DefaultsOfInputsComeAlong) {
  Chain chain;
  chain.graph.AddInput(chain.k);
  const Subgraph part = Extract(chain.graph, {chain.b});
  EXPECT_THAT(part.inputs, ElementsAre(chain.ax));
  EXPECT_NE(part.graph.Constant(part.graph.Find("k")), nullptr);
  EXPECT_EQ(chain.graph.FixDefaults(), 1);
  EXPECT_THAT(chain.graph.inputs(), ElementsAre(chain.x));
  EXPECT_TRUE(chain.graph.value(chain.k).is_constant());
}

TEST(Extract, CallsFindTheirFunctions) {
  Chain chain;
  chain.graph.functions.push_back(std::make_shared<Function>());
  EXPECT_EQ(Extract(chain.graph, {chain.a}).graph.functions, chain.graph.functions);
}

TEST(Extract, WhatABodyCapturesIsAnInput) {
  Chain chain;
  auto body = std::make_shared<Graph>();
  body->opset_imports = chain.graph.opset_imports;
  const ValueId inner = body->AddValue("ax"), out = body->AddValue("out");
  body->AddNode("Neg", "n", {inner}, {out});
  body->AddOutput(out);
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = body;
  const ValueId flag = chain.graph.AddValue("flag", DType::kBool), result = chain.graph.AddValue("result");
  chain.graph.AddInput(flag);
  const NodeId id =
      chain.graph.AddNode("If", "if", {flag}, {result}, {{"then_branch", branch}, {"else_branch", branch}});
  chain.graph.AddOutput(result);
  EXPECT_THAT(ReadsOf(chain.graph, chain.graph.node(id)), ElementsAre(flag, chain.ax));
  EXPECT_THAT(Extract(chain.graph, {id}).inputs, ElementsAre(flag, chain.ax));
}

// Every question whether a body captures a value must not walk over all nodes.
TEST(Extract, TakesTimeInProportionToTheNodes) {
  Graph graph;
  graph.opset_imports[""] = 13;
  ValueId x = graph.AddValue("x", DType::kFloat);
  graph.AddInput(x);
  std::vector<NodeId> half;
  for (int i = 0; i < 20000; ++i) {
    const ValueId y = graph.AddValue("t", DType::kFloat);
    const NodeId id = graph.AddNode("Transpose", "n", {x}, {y}, {{"perm", Attribute::Ints({1, 0})}});
    if (i % 2 == 0) half.push_back(id);
    x = y;
  }
  graph.AddOutput(x);
  const std::clock_t begin = std::clock();  // of this process: other load on the machine does not count
  EXPECT_EQ(Extract(graph, half).outputs.size(), half.size());
  for (NodeId id : half) EXPECT_EQ(graph.SoleUser(graph.node(id).outputs[0]), id + 1);
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC / 2);
}

// A body is known to the graph however it came in, and forgotten with its node.
TEST(Graph, KnowsWhatItsBodiesCapture) {
  Chain chain;
  auto body = std::make_shared<Graph>();
  const ValueId captured = body->AddValue("ax"), result = body->AddValue("result");
  body->AddNode("Neg", "inner", {captured}, {result});
  body->AddOutput(result);
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = body;
  EXPECT_FALSE(chain.graph.CapturedBySubgraph("ax"));
  chain.graph.SetAttributes(chain.c, {{"body", attribute}});
  EXPECT_TRUE(chain.graph.CapturedBySubgraph("ax"));
  EXPECT_THAT(chain.graph.Captures(), ElementsAre("ax"));
  chain.graph.Validate();
  chain.graph.RemoveOutput(chain.z);
  chain.graph.RemoveNode(chain.c);
  EXPECT_TRUE(chain.graph.Captures().empty());
}

}  // namespace
}  // namespace xslim
