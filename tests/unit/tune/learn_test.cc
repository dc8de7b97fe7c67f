#include "tune/learn.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "noise.h"
#include "runtime/executor.h"
#include "tune/layers.h"
#include "tune/learning_graph.h"

namespace xslim {
namespace {

// y = Conv3x3(Relu(Conv1x1(x))) + depthwise Conv of the same, and a MatMul on top; its plan, with codes that
// are up to `off` steps from the nearest ones.
struct Model {
  Graph graph;
  QuantPlan plan;
  std::vector<Sample> learned, held;
  ThreadPool pool;

  explicit Model(int off, int threads = 2) : pool(threads) {
    graph.opset_imports[""] = 13;
    const auto value = [&](const char* name) { return graph.AddValue(name, DType::kFloat); };
    const ValueId x = value("x"), a = value("a"), b = value("b"), c = value("c"), d = value("d"),
                  e = value("e"), y = value("y");
    graph.AddInput(x);
    const auto weight = [&](const char* name, Shape shape, uint64_t seed) {
      return graph.AddConstant(name, Noise(std::move(shape), seed));
    };
    graph.AddNode("Conv", "first", {x, weight("w1", {12, 4, 1, 1}, 1)}, {a});
    graph.AddNode("Relu", "relu", {a}, {b});
    graph.AddNode("Conv", "second", {b, weight("w2", {6, 12, 3, 3}, 2)}, {c},
                  {{"pads", Attribute::Ints({1, 1, 1, 1})}});
    graph.AddNode("Conv", "third", {c, weight("w3", {6, 1, 3, 3}, 3)}, {d},
                  {{"group", Attribute::Int(6)}, {"strides", Attribute::Ints({2, 2})}});
    graph.AddNode("Add", "sum", {d, d}, {e});
    graph.AddNode("MatMul", "last", {e, weight("w4", {7, 5}, 4)}, {y});
    graph.AddOutput(y);
    for (uint64_t s = 0; s < 16; ++s)
      (s % 4 == 0 ? held : learned).push_back({Noise({1, 4, 16, 16}, 50 + s)});
    const ValueFacts facts(graph, held[0], pool);
    plan = PlacePlan(graph, facts, {});
    SetRanges();
    Random random(9);
    for (WeightQuant& quant : plan.weights) {
      quant.codes = quant.codes.Clone();
      for (int64_t i = 0; i < quant.codes.size(); ++i) {
        int8_t& code = quant.codes.data<int8_t>()[i];
        const int moved = static_cast<int>(random.Below(static_cast<uint64_t>(2 * off + 1))) - off;
        code = static_cast<int8_t>(std::clamp(code + moved, -127, 127));
      }
    }
  }

  // A fifth wider than what one sample shows.
  void SetRanges() {
    std::vector<ValueId> taps;
    for (const auto& [id, quant] : plan.activations) taps.push_back(id);
    Executor executor(graph, pool);
    executor.SetTaps(taps, [&](ValueId id, const Tensor& tensor) {
      const auto [lo, hi] = std::minmax_element(tensor.data<float>(), tensor.data<float>() + tensor.size());
      SetRange(&plan, id, 1.2f * std::min(*lo, 0.0f), 1.2f * std::max(*hi, 0.0f), "seen");
    });
    executor.Run(held[0]);
  }

  OutputError Error(const Graph& reference, const std::vector<Sample>& samples) {
    return OutputError(reference, {"y"}, samples, pool);
  }

  LearnResult Run(
      const Graph& learned_from, const LearnOptions& options = {},
      const CorrectBiases& correct = [](Graph*, QuantPlan*) {}) {
    const Graph reference = graph;
    const OutputError learned_error = Error(learned_from, learned), held_error = Error(reference, held);
    return Learn(&graph, &plan, {learned, learned_error}, {held, held_error}, options, correct, pool,
                 [](int64_t, int64_t) {});
  }
};

TEST(Learn, TakesBackWhatBadCodesDo) {
  Model model(6);
  std::vector<Tensor> before;
  for (const WeightQuant& weight : model.plan.weights) before.push_back(weight.codes);
  const LearnResult result = model.Run(model.graph);
  ASSERT_EQ(result.end, LearnEnd::kKept);
  EXPECT_EQ(result.biases, 3u);
  EXPECT_EQ(result.weights, 4u);
  EXPECT_TRUE(result.stopped.empty());
  EXPECT_GT(result.before_unrounded, 1e-4);
  EXPECT_LT(result.after_unrounded, 0.5 * result.before_unrounded);
  EXPECT_LT(result.after, result.before);
  int64_t changed = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    for (int64_t j = 0; j < before[i].size(); ++j)
      changed += before[i].data<int8_t>()[j] != model.plan.weights[i].codes.data<int8_t>()[j];
  }
  EXPECT_EQ(changed, result.codes);
  EXPECT_GT(changed, 0);
}

TEST(Learn, IsUndoneWhereHeldBackSamplesDoNotAgree) {
  Model model(6);
  Graph other = model.graph;  // learning follows a model that is another one
  other.SetConstant(other.Find("w2"), Noise({6, 12, 3, 3}, 77));
  std::vector<Tensor> before;
  for (const WeightQuant& weight : model.plan.weights) before.push_back(weight.codes.Clone());
  const LearnResult result = model.Run(other);
  EXPECT_EQ(result.end, LearnEnd::kUndone);
  EXPECT_EQ(result.codes, 0);
  EXPECT_EQ(result.after, result.before);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(before[i].SameBytes(model.plan.weights[i].codes));
  for (const Layer& layer : FindLayers(model.graph, model.plan)) {
    const Tensor* bias = model.graph.Constant(model.graph.node(layer.node).input(2));
    if (bias == nullptr) continue;
    for (int64_t i = 0; i < bias->size(); ++i) EXPECT_EQ(bias->data<float>()[i], 0.0f);
  }
}

TEST(Learn, SaysThatItFailedAndWhy) {
  Model model(6);
  const Graph graph = model.graph;
  std::vector<Tensor> before;
  for (const WeightQuant& weight : model.plan.weights) before.push_back(weight.codes.Clone());
  const LearnResult result = model.Run(
      model.graph, {}, [](Graph*, QuantPlan*) { throw xslim::Error("cannot go on", "an operator"); });
  EXPECT_EQ(result.end, LearnEnd::kFailed);
  EXPECT_EQ(result.why, "an operator: cannot go on");
  EXPECT_EQ(result.codes, 0);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(before[i].SameBytes(model.plan.weights[i].codes));
  for (NodeId id : graph.Order()) EXPECT_EQ(model.graph.node(id).inputs, graph.node(id).inputs);
}

TEST(Learn, GoesNoFurtherWithoutMemory) {
  Model model(6);
  EXPECT_THROW(model.Run(model.graph, {}, [](Graph*, QuantPlan*) { throw OutOfMemory("too much"); }),
               OutOfMemory);
}

TEST(Learn, LeavesWeightsAloneThatMakeLittleOfTheNoise) {
  Model model(0);
  for (const auto& [id, quant] : model.plan.activations)
    SetRange(&model.plan, id, -2000, 2000, "far too wide");
  const LearnResult result = model.Run(model.graph);
  EXPECT_EQ(result.end, LearnEnd::kNothingToGain);
  EXPECT_LT(result.before_unrounded, 0.1 * result.before);
}

// The ceiling is the run's, no failure of learning.
TEST(Learn, IsNotUndoneForACeilingThatCannotBeKept) {
  if (ResidentBytes() == 0) GTEST_SKIP() << "the system does not tell";
  Model model(6);
  const OutputError learned_error = model.Error(model.graph, model.learned),
                    held_error = model.Error(model.graph, model.held);
  const auto learn = [&](const SampleLanes& lanes) {
    return Learn(
        &model.graph, &model.plan, {model.learned, learned_error}, {model.held, held_error}, {},
        [](Graph*, QuantPlan*) {}, lanes, [](int64_t, int64_t) {});
  };
  EXPECT_THROW(learn({model.pool, MemoryCeiling(1)}), CeilingTooLow);
}

TEST(Learn, GivesTheSameForAnyNumberOfThreads) {
  Model one(6, 1), three(6, 3);
  LearnOptions options;
  options.steps = 16;
  options.batch = 3;
  ASSERT_EQ(one.Run(one.graph, options).end, LearnEnd::kKept);
  ASSERT_EQ(three.Run(three.graph, options).end, LearnEnd::kKept);
  for (size_t i = 0; i < one.plan.weights.size(); ++i)
    EXPECT_TRUE(one.plan.weights[i].codes.SameBytes(three.plan.weights[i].codes));
  for (const Layer& layer : FindLayers(one.graph, one.plan)) {
    const Tensor *a = one.graph.Constant(one.graph.node(layer.node).input(2)),
                 *b = three.graph.Constant(three.graph.node(layer.node).input(2));
    ASSERT_EQ(a == nullptr, b == nullptr);
    if (a != nullptr) {
      EXPECT_TRUE(a->SameBytes(*b));
    }
  }
}

TEST(ClippedGraph, ClipsAndDoesNotRound) {
  Model model(0);
  const Graph clipped = ClippedGraph(model.graph, model.plan, model.pool);
  for (NodeId id : clipped.Order()) {
    EXPECT_FALSE(clipped.node(id).Is("QuantizeLinear"));
    EXPECT_FALSE(clipped.node(id).Is("DequantizeLinear"));
  }
  // With ranges that nothing passes and the weights' own rounding, little is left of the noise.
  const OutputError error = model.Error(model.graph, model.held);
  const double unrounded = RatiosOf(clipped, error, model.held, model.pool).at(0),
               rounded = RatiosOf(ExportQdq(model.graph, model.plan), error, model.held, model.pool).at(0);
  EXPECT_GT(unrounded, 1e-7);
  EXPECT_LT(unrounded, 0.5 * rounded);
}

}  // namespace
}  // namespace xslim
