#include "tune/knobs.h"

#include <gtest/gtest.h>

#include "noise.h"
#include "quant/facts.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

// y = ((x * a) + x) * b + (x * c): three constants on two ways.
struct Model {
  Graph graph;
  ValueId a, b, c;
  explicit Model(float va, float vb, float vc) {
    graph.opset_imports[""] = 13;
    const ValueId x = graph.AddValue("x", DType::kFloat);
    graph.AddInput(x);
    a = graph.AddConstant("a", Tensor::Scalar(va));
    b = graph.AddConstant("b", Tensor::Scalar(vb));
    c = graph.AddConstant("c", Tensor::Scalar(vc));
    const auto binary = [&](const char* type, ValueId p, ValueId q, const char* name) {
      const ValueId out = graph.AddValue(name, DType::kFloat);
      graph.AddNode(type, std::string(name) + "_node", {p, q}, {out});
      return out;
    };
    const ValueId first = binary("Add", binary("Mul", x, a, "xa"), x, "sum");
    const ValueId y = binary("Add", binary("Mul", first, b, "sb"), binary("Mul", x, c, "xc"), "y");
    graph.AddOutput(y);
  }
};

std::vector<Sample> Samples(size_t count) {
  std::vector<Sample> samples;
  for (size_t s = 0; s < count; ++s) samples.push_back({Noise({1, 3000}, s + 1)});
  return samples;
}

Knob Of(ValueId constant, float now, std::vector<float> others) {
  Knob knob{{constant}, {{Tensor::Scalar(now)}}};
  for (float other : others) knob.settings.push_back({Tensor::Scalar(other)});
  return knob;
}

TEST(TurnKnobs, FindsTheSettingsOfTheReference) {
  ThreadPool pool(2);
  const std::vector<Sample> samples = Samples(3);
  const Model wanted(2, 3, 5), now(2.5f, 3.5f, 5);
  const OutputError error(wanted.graph, {"y"}, samples, pool);
  const std::vector<Knob> knobs = {Of(now.a, 2.5f, {2.0f, 1.0f}), Of(now.b, 3.5f, {4.0f, 3.0f}),
                                   Of(now.c, 5, {4, 6})};
  const std::vector<size_t> chosen = TurnKnobs(now.graph, knobs, error, samples, 0.001, pool, nullptr);
  EXPECT_EQ(chosen, (std::vector<size_t>{1, 2, 0}));
  EXPECT_LT(RatiosOf(wanted.graph, error, samples, pool).at(0), 1e-9);
}

TEST(TurnKnobs, LeavesWhatGainsTooLittle) {
  ThreadPool pool(1);
  const std::vector<Sample> samples = Samples(2);
  const Model wanted(2, 3, 5), now(2.5f, 3.5f, 5);
  const OutputError error(wanted.graph, {"y"}, samples, pool);
  const std::vector<Knob> knobs = {Of(now.a, 2.5f, {2.499f})};
  EXPECT_EQ(TurnKnobs(now.graph, knobs, error, samples, 0.1, pool, nullptr), std::vector<size_t>{0});
}

TEST(TurnKnobs, GivesTheSameForAnyNumberOfThreads) {
  const std::vector<Sample> samples = Samples(5);
  const Model wanted(2, 3, 5), now(2.4f, 3.4f, 5.4f);
  std::vector<std::vector<size_t>> all;
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    const OutputError error(wanted.graph, {"y"}, samples, pool);
    all.push_back(TurnKnobs(
        now.graph, {Of(now.a, 2.4f, {2.3f, 2.1f}), Of(now.b, 3.4f, {3.3f, 3.2f}), Of(now.c, 5.4f, {5.1f})},
        error, samples, 0.0, pool, nullptr));
  }
  EXPECT_EQ(all[0], all[1]);
  EXPECT_EQ(all[0], all[2]);
}

TEST(OutputPoints, WidenSmallOutputs) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), wide = graph.AddValue("wide", DType::kFloat),
                mean = graph.AddValue("mean", DType::kFloat), top = graph.AddValue("top", DType::kInt64);
  graph.AddInput(x);
  graph.AddNode("Relu", "r", {x}, {wide});
  graph.AddNode("ReduceMean", "m", {wide}, {mean}, {{"axes", Attribute::Ints({2, 3})}});
  graph.AddNode("ArgMax", "t", {mean}, {top}, {{"axis", Attribute::Int(1)}});
  graph.AddOutput(top);
  ThreadPool pool(1);
  const ValueFacts facts(graph, {Noise({1, 8, 20, 20}, 1)}, pool);
  // The index is no float tensor: what it is computed from stands for it, and that is small.
  EXPECT_EQ(OutputPoints(graph, {}, facts), (std::vector<std::string>{"mean", "wide"}));
}

}  // namespace
}  // namespace xslim
