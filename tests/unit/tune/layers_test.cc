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

}  // namespace
}  // namespace xslim
