#include "quant/dynamic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "noise.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Graph Empty(int opset) {
  Graph graph;
  graph.opset_imports[""] = opset;
  return graph;
}

ValueId Input(Graph* graph, const char* name) {
  const ValueId id = graph->AddValue(name, DType::kFloat);
  graph->AddInput(id);
  return id;
}

std::map<std::string, int> Types(const Graph& graph) {
  std::map<std::string, int> types;
  for (NodeId id : graph.Order()) ++types[graph.node(id).op_type];
  return types;
}

// Noise power / signal power of the rewritten graph's first output.
double NoiseOf(const Graph& before, const Graph& after, const Tensor& input) {
  ThreadPool pool(1);
  const Tensor a = Executor(before, pool).Run({input})[0], b = Executor(after, pool).Run({input})[0];
  EXPECT_EQ(a.shape(), b.shape());
  double noise = 0, signal = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a.data<float>()[i]) - static_cast<double>(b.data<float>()[i]);
    noise += d * d;
    signal += static_cast<double>(a.data<float>()[i]) * static_cast<double>(a.data<float>()[i]);
  }
  return noise / signal;
}

class Dynamic : public ::testing::Test {
 protected:
  DynamicOutcome Run(Graph* graph) {
    IgnoreList ignored(settings_);
    DynamicOutcome outcome = QuantizeDynamically(graph, options_, &ignored, pool_);
    graph->Validate();
    return outcome;
  }
  int Opset(Graph graph) {
    IgnoreList ignored(settings_);
    return OpsetForDynamic(&graph, options_, &ignored);
  }

  QuantizationParameters settings_;
  DynamicOptions options_;
  ThreadPool pool_{2};
};

// Adding tensors moves those that are there, and their names.
TEST_F(Dynamic, ManyWeightsKeepTheirNames) {
  Graph graph = Empty(13);
  ValueId x = Input(&graph, "x");
  for (int i = 0; i < 100; ++i) {
    const std::string name = "a_name_that_is_too_long_for_the_string_itself_" + std::to_string(i);
    const ValueId y = graph.AddValue(name + "_out");
    graph.AddNode("Conv", "conv", {x, graph.AddConstant(name, Noise({8, 8, 1, 1}, 1))}, {y});
    x = y;
  }
  graph.AddOutput(x);
  EXPECT_EQ(Run(&graph).weight_only, 100);
  for (int i = 0; i < 100; ++i) {
    const std::string name = "a_name_that_is_too_long_for_the_string_itself_" + std::to_string(i);
    for (const char* suffix : {"_quantized", "_scale", "_dequantized"})
      EXPECT_NE(graph.Find(name + suffix), kNone) << name << suffix;
  }
}

TEST_F(Dynamic, AnLstmBecomesTheContribOperator) {
  options_.contrib = true;
  for (int64_t layout : {0, 1}) {
    Graph graph = Empty(14);
    const ValueId x = Input(&graph, "x"), y = graph.AddValue("y");
    const NodeId id = graph.AddNode(
        "LSTM", "l",
        {x, graph.AddConstant("w", Noise({2, 32, 6}, 1)), graph.AddConstant("r", Noise({2, 32, 8}, 2))}, {y},
        {{"layout", Attribute::Int(layout)}, {"hidden_size", Attribute::Int(8)}});
    graph.AddOutput(y);
    const DynamicOutcome outcome = Run(&graph);
    if (layout == 1) {  // which the contrib operator does not have
      EXPECT_EQ(outcome.weight_only, 2);
      EXPECT_EQ(Types(graph)["LSTM"], 1);
      continue;
    }
    EXPECT_EQ(outcome.dynamic, 1);
    EXPECT_FALSE(graph.alive(id));
    const Node& made = *graph.Producer(y);
    EXPECT_EQ(made.op_type, "DynamicQuantizeLSTM");
    ASSERT_EQ(made.inputs.size(), 12u);
    EXPECT_THAT(graph.Constant(made.inputs[1])->shape(), ElementsAre(2, 6, 32));
    EXPECT_THAT(graph.Constant(made.inputs[8])->shape(), ElementsAre(2, 32));
    EXPECT_FALSE(made.Has("layout"));
    // The transposed codes times their scale are the weights.
    const float scale = graph.Constant(made.inputs[10])->data<float>()[32 + 5];
    const float code = graph.Constant(made.inputs[2])->data<int8_t>()[(8 + 3) * 32 + 5];
    EXPECT_NEAR(code * scale, Noise({2, 32, 8}, 2).data<float>()[(32 + 5) * 8 + 3], scale);
  }
}

TEST_F(Dynamic, ProductsOfOneTensorShareItsCodes) {
  Graph graph = Empty(13);
  const ValueId x = Input(&graph, "x"), y = graph.AddValue("y"), a = graph.AddValue("a"),
                b = graph.AddValue("b");
  graph.AddNode("MatMul", "m1", {x, graph.AddConstant("w1", Noise({24, 12}, 1))}, {a});
  graph.AddNode("MatMul", "m2", {x, graph.AddConstant("w2", Noise({24, 12}, 2))}, {b});
  graph.AddNode("Add", "sum", {a, b}, {y});
  graph.AddOutput(y);
  const Graph before = graph;
  EXPECT_EQ(Opset(graph), 11);
  EXPECT_EQ(Run(&graph).dynamic, 2);
  const auto types = Types(graph);
  EXPECT_EQ(types.at("DynamicQuantizeLinear"), 1);
  EXPECT_EQ(types.at("MatMulInteger"), 2);
  EXPECT_EQ(types.count("MatMul"), 0u);
  EXPECT_EQ(graph.Find("w1"), kNone) << "the float weight must be gone";
  EXPECT_LT(NoiseOf(before, graph, Noise({5, 24}, 3)), 1e-3);
}

TEST_F(Dynamic, GemmKeepsAlphaBetaAndTranspositions) {
  Graph graph = Empty(13);
  const ValueId x = Input(&graph, "x"), y = graph.AddValue("y");
  graph.AddNode("Gemm", "g",
                {x, graph.AddConstant("w", Noise({10, 24}, 1)), graph.AddConstant("c", Noise({5, 1}, 2))},
                {y},
                {{"transA", Attribute::Int(1)},
                 {"transB", Attribute::Int(1)},
                 {"alpha", Attribute::Float(0.5f)},
                 {"beta", Attribute::Float(-2)}});
  graph.AddOutput(y);
  const Graph before = graph;
  EXPECT_EQ(Run(&graph).dynamic, 1);
  EXPECT_LT(NoiseOf(before, graph, Noise({24, 5}, 3)), 1e-3);
}

TEST_F(Dynamic, TablesAreLookedUpAsCodes) {
  Graph graph = Empty(13);
  const ValueId i = graph.AddValue("i", DType::kInt64), y = graph.AddValue("y");
  graph.AddInput(i);
  graph.AddNode("Gather", "lookup", {graph.AddConstant("table", Noise({20, 16}, 1)), i}, {y});
  graph.AddOutput(y);
  const Graph before = graph;
  EXPECT_EQ(Run(&graph).weight_only, 1);
  EXPECT_EQ(Types(graph).at("Gather"), 2);
  EXPECT_LT(NoiseOf(before, graph, Tensor::Of<int64_t>({2, 2}, {0, 19, 7, -3})), 1e-4);
}

TEST_F(Dynamic, GroupedConvTransposeHasItsScalesOnAxis0) {
  Graph graph = Empty(13);
  const ValueId x = Input(&graph, "x"), y = graph.AddValue("y");
  graph.AddNode("ConvTranspose", "up", {x, graph.AddConstant("w", Noise({8, 3, 2, 2}, 1))}, {y},
                {{"group", Attribute::Int(2)}});
  graph.AddOutput(y);
  const Graph before = graph;
  EXPECT_EQ(Opset(graph), 13);
  EXPECT_EQ(Run(&graph).weight_only, 1);
  const Node* dequantize = graph.Producer(graph.node(graph.value(y).producer).input(1));
  EXPECT_EQ(dequantize->Int("axis", 9), 0);
  EXPECT_EQ(graph.value(dequantize->input(1)).constant.size(), 8);
  EXPECT_LT(NoiseOf(before, graph, Noise({1, 8, 4, 4}, 3)), 1e-4);
}

TEST_F(Dynamic, FourBitsNeedOpset21AndBlocksOfTheInnerDimension) {
  options_.weight_bits = 4;
  Graph graph = Empty(21);
  const ValueId x = Input(&graph, "x"), y = graph.AddValue("y");
  graph.AddNode("MatMul", "m", {x, graph.AddConstant("w", Noise({80, 6}, 1))}, {y});
  graph.AddOutput(y);
  const Graph before = graph;
  EXPECT_EQ(Opset(graph), 21);
  EXPECT_EQ(Run(&graph).weight_only, 1);
  const Node* dequantize = graph.Producer(graph.node(graph.value(y).producer).input(1));
  EXPECT_EQ(dequantize->Int("block_size", 0), 32);
  EXPECT_EQ(graph.value(dequantize->input(1)).constant.shape(), (Shape{3, 6}));
  EXPECT_LT(NoiseOf(before, graph, Noise({5, 80}, 3)), 0.02);
}

TEST_F(Dynamic, WhatIsLeftIsNamedWithTheReason) {
  settings_.ignore_op_names = {"skip*"};
  Graph graph = Empty(13);
  const ValueId x = Input(&graph, "x");
  std::vector<ValueId> ends;
  const auto product = [&](const char* name, Tensor weight) {
    ends.push_back(graph.AddValue(name));
    graph.AddNode("MatMul", name, {x, graph.AddConstant(std::string(name) + "_w", std::move(weight))},
                  {ends.back()});
    graph.AddOutput(ends.back());
  };
  product("skipped", Noise({24, 4}, 1));
  product("small", Noise({24, 1}, 2));
  Tensor whole(DType::kFloat, {24, 4});
  for (int64_t i = 0; i < whole.size(); ++i) whole.data<float>()[i] = static_cast<float>(i % 3);
  product("whole", whole);
  Tensor infinite = Noise({24, 4}, 3);
  infinite.data<float>()[5] = INFINITY;
  product("infinite", infinite);
  const DynamicOutcome outcome = Run(&graph);
  EXPECT_EQ(outcome.dynamic, 0);
  std::vector<std::string> reasons;
  for (const LeftAsIs& item : outcome.left) reasons.push_back(item.what + ": " + item.why);
  EXPECT_THAT(reasons,
              ElementsAre("skipped[MatMul]: ignore_op_names", "small[MatMul]: fewer than 32 weights",
                          "whole[MatMul]: its weights are whole numbers", HasSubstr("NaN or infinity")));
  EXPECT_EQ(Types(graph).at("MatMul"), 4);
}

// Of a filter bank, quiet bands count in a logarithm, but have no codes beside loud ones. What 1 is added to
// has none that count.
TEST_F(Dynamic, AProductInFrontOfALogarithmStaysFloat) {
  for (const float least : {1e-6f, 1.0f}) {
    for (const char* type : {"Clip", "Max", "Add"}) {
      Graph graph = Empty(13);
      const ValueId bands = graph.AddValue("bands"), above = graph.AddValue("above"),
                    out = graph.AddValue("out"), features = graph.AddValue("features");
      graph.AddNode("MatMul", "bank", {Input(&graph, "x"), graph.AddConstant("w", Noise({16, 8}, 1))},
                    {bands});
      graph.AddNode(type, "", {bands, graph.AddConstant("least", Tensor::Scalar<float>(least))}, {above});
      graph.AddNode("Log", "", {above}, {out});
      graph.AddNode("MatMul", "next", {out, graph.AddConstant("v", Noise({8, 8}, 2))}, {features});
      graph.AddOutput(features);
      const DynamicOutcome outcome = Run(&graph);
      EXPECT_EQ(outcome.dynamic, least < 1 ? 1 : 2);
      if (least == 1) continue;
      ASSERT_EQ(outcome.left.size(), 1u);
      EXPECT_EQ(outcome.left[0].what, "bank[MatMul]");
      EXPECT_THAT(outcome.left[0].why, HasSubstr("a logarithm reads it"));
    }
  }
}

TEST_F(Dynamic, TheProductsOfASpectrumStayFloat) {
  for (const bool elsewhere : {false, true}) {
    Graph graph = Empty(13);
    const ValueId real = graph.AddValue("real"), part = graph.AddValue("part"),
                  squares = graph.AddValue("squares");
    graph.AddNode("MatMul", "dft", {Input(&graph, "x"), graph.AddConstant("w", Noise({16, 8}, 1))}, {real});
    graph.AddNode("Transpose", "", {real}, {part}, {{"perm", Attribute::Ints({1, 0})}});
    graph.AddNode("Mul", "", {part, part}, {squares});
    graph.AddOutput(squares);
    if (elsewhere) graph.AddOutput(real);
    EXPECT_EQ(Run(&graph).dynamic, elsewhere ? 1 : 0);
  }
}

TEST_F(Dynamic, PartsOfASpectrumMayBeShuffledOften) {
  Graph graph = Empty(13);
  ValueId last = graph.AddValue("dft");
  graph.AddNode("MatMul", "dft", {Input(&graph, "x"), graph.AddConstant("w", Noise({16, 8}, 1))}, {last});
  for (int i = 0; i < 50; ++i) {
    const ValueId left = graph.AddValue("left"), right = graph.AddValue("right"),
                  both = graph.AddValue("both");
    graph.AddNode("Split", "", {last}, {left, right}, {{"axis", Attribute::Int(1)}});
    graph.AddNode("Concat", "", {right, left}, {both}, {{"axis", Attribute::Int(1)}});
    last = both;
  }
  const ValueId squares = graph.AddValue("squares");
  graph.AddNode("Mul", "", {last, last}, {squares});
  graph.AddOutput(squares);
  EXPECT_EQ(Run(&graph).dynamic, 0);
}

TEST_F(Dynamic, AWeightThatStaysForAnotherReaderIsNotDoubled) {
  settings_.ignore_op_names = {"second"};
  Graph graph = Empty(13);
  const ValueId x = Input(&graph, "x"), a = graph.AddValue("a"), b = graph.AddValue("b"),
                w = graph.AddConstant("w", Noise({8, 8, 1, 1}, 1));
  graph.AddNode("Conv", "first", {x, w}, {a});
  graph.AddNode("Conv", "second", {x, w}, {b});
  graph.AddOutput(a);
  graph.AddOutput(b);
  EXPECT_EQ(Run(&graph).weight_only, 0);
  settings_.ignore_op_names = {};
  EXPECT_EQ(Run(&graph).weight_only, 2);
  EXPECT_EQ(Types(graph).at("DequantizeLinear"), 1) << "readers share one";
}

TEST_F(Dynamic, BodiesAreRewrittenWithoutTouchingOtherCopies) {
  Graph graph = Empty(13);
  const ValueId x = Input(&graph, "x"), w = graph.AddConstant("w", Noise({16, 16}, 1)),
                go = graph.AddConstant("go", Tensor::Scalar<bool>(true)), y = graph.AddValue("y");
  (void)w;
  const auto branch = [&](const char* name) {
    auto body = std::make_shared<Graph>();
    body->opset_imports = graph.opset_imports;
    const ValueId out = body->AddValue(name);
    body->AddNode("MatMul", name, {body->AddValue("x"), body->AddValue("w")}, {out});
    body->AddOutput(out);
    Attribute attribute;
    attribute.kind = Attribute::Kind::kGraph;
    attribute.graph = body;
    return attribute;
  };
  graph.AddNode("If", "if", {go}, {y}, {{"then_branch", branch("p")}, {"else_branch", branch("q")}});
  graph.AddOutput(y);
  const Graph before = graph;
  EXPECT_EQ(Run(&graph).dynamic, 2);
  EXPECT_EQ(graph.Find("w"), kNone) << "only the bodies read it";
  EXPECT_EQ(Types(*before.node(before.value(y).producer).attributes.at("then_branch").graph).at("MatMul"), 1);
  EXPECT_LT(NoiseOf(before, graph, Noise({3, 16}, 3)), 1e-3);
  (void)x;
}

}  // namespace
}  // namespace xslim
