#include "tune/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/executor.h"

namespace xslim {
namespace {

// y = Gemm(x) with the weights 1 and 0.3, whose codes 127 and 38 count 1 / 127.5 each: that loses 0.3 -
// 38 / 127.5 of the second input. The bias that correction gives for inputs of these second numbers.
float BiasFor(const std::vector<float>& second) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  const NodeId gemm =
      graph.AddNode("Gemm", "gemm", {x, graph.AddConstant("w", Tensor::Of<float>({1, 2}, {1.0f, 0.3f}))}, {y},
                    {{"transB", Attribute::Int(1)}});
  graph.AddOutput(y);
  QuantPlan plan;
  plan.nodes.insert(gemm);
  plan.weights.push_back({gemm, 1, {}, {}});
  QuantizeWeights(graph, {}, &plan);
  std::vector<Sample> samples;
  for (float number : second) samples.push_back({Tensor::Of<float>({1, 2}, {0.0f, number})});

  ThreadPool pool(1);
  FloatMeans means(graph, plan, samples.size());
  Executor executor(graph, pool);
  for (size_t s = 0; s < samples.size(); ++s) means.See(s, y, executor.Run(samples[s])[0]);
  LayerTuning options;
  options.rounding = false;
  TuneLayers(&graph, &plan, samples, means, options, pool, nullptr);
  return graph.Constant(graph.node(gemm).input(2))->data<float>()[0];
}

constexpr double kLost = 0.3 - 38.0 / 127.5;

// y = b + x W of a MatMul and an Add, for x of two rows: W's columns lose by their codes what Gemm's weights
// above do. The graph and the plan as correction leaves them.
struct Corrected {
  Graph graph;
  QuantPlan plan;
  NodeId add = kNone;

  const float* bias() const { return graph.Constant(graph.node(add).input(0))->data<float>(); }
};

Corrected CorrectBehindProduct(bool quantize_add) {
  Corrected result;
  Graph& graph = result.graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), product = graph.AddValue("product", DType::kFloat),
                y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  const ValueId w = graph.AddConstant("w", Tensor::Of<float>({2, 3}, {1.0f, 1.0f, 0.0f, 0.3f, 0.3f, 1.0f})),
                b = graph.AddConstant("b", Tensor::Of<float>({3}, {-1.0f, 0.0f, 2.0f}));
  const NodeId multiply = graph.AddNode("MatMul", "multiply", {x, w}, {product});
  result.add = graph.AddNode("Add", "add", {b, product}, {y});
  graph.AddOutput(y);
  QuantPlan& plan = result.plan;
  plan.nodes.insert(multiply);
  plan.weights.push_back({multiply, 1, {}, {}});
  if (quantize_add) {
    plan.nodes.insert(result.add);
    plan.weights.push_back({result.add, 0, {}, {}});
  }
  QuantizeWeights(graph, {}, &plan);

  const std::vector<Sample> samples = {{Tensor::Of<float>({1, 2, 2}, {0.0f, 90.0f, 0.0f, 110.0f})}};
  FloatMeans means(graph, plan, samples.size());
  means.See(0, product, Tensor::Of<float>({1, 2, 3}, {27.0f, 27.0f, 90.0f, 33.0f, 33.0f, 110.0f}));
  ThreadPool pool(1);
  LayerTuning options;
  options.rounding = false;
  TuneLayers(&graph, &plan, samples, means, options, pool, nullptr);
  return result;
}

TEST(TuneLayers, BiasesTakeBackWhatAllSamplesLose) {
  EXPECT_NEAR(BiasFor({100, 100, 100, 100}), 100 * kLost, 1e-4);
  EXPECT_NEAR(BiasFor({100}), 100 * kLost, 1e-4);  // one sample cannot tell what is chance
}

TEST(TuneLayers, BiasesDoNotFollowChance) {
  // The standard error, 57.7, is larger than the mean, 10.
  EXPECT_EQ(BiasFor({110, -90, 110, -90}), 0.0f);
  // A mean of 100 with a standard error of 57.7: a third of it is taken for chance.
  EXPECT_NEAR(BiasFor({200, 0, 200, 0}), 100 * kLost * (1 - 1.0 / 3), 1e-4);
}

// Most numbers lie where the Sigmoid is flat: only the last says what the bias has to be. The mean of all
// would take the other way.
TEST(TuneLayers, BiasesKeepTheMeanBehindACurve) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), product = graph.AddValue("product", DType::kFloat),
                y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  const NodeId gemm =
      graph.AddNode("Gemm", "gemm", {x, graph.AddConstant("w", Tensor::Of<float>({1, 2}, {1.0f, 0.3f}))},
                    {product}, {{"transB", Attribute::Int(1)}});
  graph.AddNode("Sigmoid", "gate", {product}, {y});
  graph.AddOutput(y);
  QuantPlan plan;
  plan.nodes.insert(gemm);
  plan.weights.push_back({gemm, 1, {}, {}});
  QuantizeWeights(graph, {}, &plan);
  const std::vector<Sample> samples = {
      {Tensor::Of<float>({4, 2}, {0.0f, -90.0f, 0.0f, -90.0f, 0.0f, -90.0f, 0.0f, 5.0f})}};
  FloatMeans means(graph, plan, samples.size());
  means.See(0, product, Tensor::Of<float>({4, 1}, {-27.0f, -27.0f, -27.0f, 1.5f}));
  ThreadPool pool(1);
  LayerTuning options;
  options.rounding = false;
  TuneLayers(&graph, &plan, samples, means, options, pool, nullptr);
  EXPECT_NEAR(graph.Constant(graph.node(gemm).input(2))->data<float>()[0], 5 * kLost, 1e-4);
}

TEST(TuneLayers, WhatAnAddBringsToAProductIsItsBias) {
  const Corrected result = CorrectBehindProduct(false);
  EXPECT_NEAR(result.bias()[0], -1 + 100 * kLost, 1e-4);
  EXPECT_NEAR(result.bias()[1], 100 * kLost, 1e-4);
  EXPECT_NEAR(result.bias()[2], 2 + 100 * (1 - 127 / 127.5), 1e-4);
}

TEST(TuneLayers, AnInt8AddGetsCodesOfItsMovedVector) {
  const Corrected result = CorrectBehindProduct(true);
  EXPECT_NEAR(result.bias()[2], 2 + 100 * (1 - 127 / 127.5), 1e-4);
  const WeightQuant& vector = result.plan.weights.back();
  const float scale = vector.params.scale[0];
  for (int c = 0; c < 3; ++c) {
    const int code = vector.codes.data<int8_t>()[c] - vector.params.zero_point[0];
    EXPECT_NEAR(static_cast<float>(code) * scale, result.bias()[c], scale / 2 + 1e-6f);
  }
}

}  // namespace
}  // namespace xslim
