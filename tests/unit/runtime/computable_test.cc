#include "runtime/computable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/executor.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// x -> Relu -> r -> Odd (lib) -> o -> Neg -> y;  r -> Neg -> z
Graph Model() {
  Graph graph;
  graph.opset_imports = {{"", 17}, {"lib", 2}};
  const ValueId x = graph.AddValue("x", DType::kFloat);
  graph.AddInput(x);
  const auto value = [&](const char* name) { return graph.AddValue(name); };
  const ValueId r = value("r"), o = value("o"), y = value("y"), z = value("z");
  graph.AddNode("Relu", "relu", {x}, {r});
  graph.AddNode("Odd", "odd", {r}, {o}, {}, "lib");
  graph.AddNode("Neg", "after", {o}, {y});
  graph.AddNode("Neg", "beside", {r}, {z});
  graph.AddOutput(y);
  graph.AddOutput(z);
  return graph;
}

TEST(ComputableTest, WhatDoesNotNeedAnUnknownOperatorIsComputed) {
  const Graph graph = Model();
  ThreadPool pool(1);
  Executor executor(graph, pool);
  const std::vector<Tensor> outputs = executor.Run({Tensor::Of<float>({2}, {1, -1})});
  EXPECT_FALSE(outputs[0].defined());
  ASSERT_TRUE(outputs[1].defined());
  EXPECT_EQ(outputs[1].data<float>()[0], -1.0f);
  ASSERT_EQ(executor.Unknown().size(), 1u);
  EXPECT_EQ(executor.Unknown()[0].name, "Odd (lib, version 2)");
  EXPECT_THAT(executor.Unknown()[0].nodes, ElementsAre("odd[Odd]"));
  EXPECT_THAT(executor.Unknown()[0].tensors, ElementsAre("o", "y"));
  EXPECT_THAT(Describe(executor.Unknown()[0]), HasSubstr("is not known: odd[Odd]; 2 tensors"));
  EXPECT_THROW(Executor(graph, pool, {.skip_unknown = false}), Error);
}

TEST(ComputableTest, AnOperatorThatFailsIsLeftOutForThatRun) {
  Graph graph = Model();
  graph.node(1).op_type = "Softmax";
  graph.node(1).domain = "";
  graph.node(1).attributes["axis"] = Attribute::Int(1);
  ThreadPool pool(1);
  Executor executor(graph, pool);
  EXPECT_FALSE(executor.Run({Tensor::Of<float>({2}, {1, -1})})[0].defined());  // there is no axis 1
  ASSERT_EQ(executor.Unknown().size(), 1u);
  EXPECT_THAT(executor.Unknown()[0].why, HasSubstr("cannot be computed"));
  EXPECT_TRUE(executor.Run({Tensor::Of<float>({1, 2}, {1, -1})})[0].defined());
  EXPECT_THAT(executor.Unknown(), IsEmpty());
}

TEST(ComputableTest, ABodyWithAnUnknownOperatorMakesItsNodeUnknown) {
  Graph graph = Model();
  auto body = std::make_shared<Graph>();
  const ValueId captured = body->AddValue("r"), made = body->AddValue("made");
  body->AddNode("Odd", "inner", {captured}, {made}, {}, "lib");
  body->AddOutput(made);
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = body;
  graph.node(1).op_type = "If";
  graph.node(1).domain = "";
  graph.node(1).attributes = {{"then_branch", attribute}, {"else_branch", attribute}};
  EXPECT_THAT(FindUnknown(graph)[0].nodes, ElementsAre("odd[If]"));
  EXPECT_EQ(FindUnknown(graph)[0].name, "Odd (lib, version 2)");
}

}  // namespace
}  // namespace xslim
