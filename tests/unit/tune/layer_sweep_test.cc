#include "tune/layer_sweep.h"

#include <gtest/gtest.h>

#include <map>

#include "kernels/kernels.h"
#include "noise.h"
#include "quant/plan.h"
#include "runtime/executor.h"
#include "tune/layers.h"

namespace xslim {
namespace {

class Source : public SampleSource {
 public:
  int64_t size() const override { return 12; }
  Sample at(int64_t index) const override {
    return {Noise({1, 4, 8, 8}, static_cast<uint64_t>(index) + 100, 2, -0.2f)};
  }
  std::string Describe() const override { return "noise"; }
};

// Conv, Relu, Conv with a skip around the second.
struct Model {
  Graph graph;
  NodeId first, second;
  Model() {
    graph.opset_imports[""] = 13;
    const ValueId x = graph.AddValue("x", DType::kFloat), a = graph.AddValue("a", DType::kFloat),
                  r = graph.AddValue("r", DType::kFloat), b = graph.AddValue("b", DType::kFloat),
                  y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(x);
    const auto pads = Attribute::Ints({1, 1, 1, 1});
    first = graph.AddNode("Conv", "first", {x, graph.AddConstant("w1", Noise({6, 4, 3, 3}, 1))}, {a},
                          {{"pads", pads}});
    graph.AddNode("Relu", "relu", {a}, {r});
    second = graph.AddNode("Conv", "second", {r, graph.AddConstant("w2", Noise({6, 6, 3, 3}, 2))}, {b},
                           {{"pads", pads}});
    graph.AddNode("Add", "add", {r, b}, {y});
    graph.AddOutput(y);
  }
};

// plan: without ranges.
QuantPlan PlanOf(const Graph& graph, QuantPlan plan, ThreadPool& pool) {
  std::map<ValueId, kernels::MinMax> seen;
  std::vector<ValueId> taps;
  for (const auto& [id, quant] : plan.activations) taps.push_back(id);
  Executor executor(graph, pool);
  executor.SetTaps(taps, [&](ValueId id, const Tensor& tensor) {
    kernels::MinMax range;
    kernels::Active().min_max(tensor.data<float>(), tensor.size(), &range);
    seen[id].min = std::min(seen[id].min, range.min);
    seen[id].max = std::max(seen[id].max, range.max);
  });
  for (int64_t s = 0; s < Source().size(); ++s) executor.Run(Source().at(s));
  for (const auto& [id, range] : seen) SetRange(&plan, id, std::min(range.min, 0.0f), range.max, "test");
  return plan;
}

// SNR of the quantized graph on samples that nothing was tuned on.
double Snr(const Graph& reference, const Graph& exported, ThreadPool& pool) {
  Executor a(reference, pool), b(exported, pool);
  double noise = 0, signal = 0;
  for (uint64_t s = 0; s < 4; ++s) {
    const Sample sample = {Noise({1, 4, 8, 8}, 900 + s, 2, -0.2f)};
    const Tensor x = a.Run(sample)[0], y = b.Run(sample)[0];
    for (int64_t i = 0; i < x.size(); ++i) {
      const double difference = y.data<float>()[i] - x.data<float>()[i];
      noise += difference * difference;
      signal += static_cast<double>(x.data<float>()[i]) * x.data<float>()[i];
    }
  }
  return noise / signal;
}

TEST(LayerSweep, ShowsEachLayerItsQuantizedInputAndItsOutput) {
  ThreadPool pool(2);
  const Model model;
  const ValueFacts facts(model.graph, Source().at(0), pool);
  const QuantPlan plan = PlanOf(model.graph, PlacePlan(model.graph, facts, {}), pool);
  const Graph exported = ExportQdq(model.graph, plan);
  const std::vector<Sample> samples = {Source().at(0), Source().at(1), Source().at(2)};
  // What an executor sees.
  std::map<ValueId, std::vector<Tensor>> expected;
  const ValueId in = exported.node(model.second).input(0), out = exported.node(model.second).outputs[0];
  Executor executor(exported, pool);
  executor.SetTaps({in, out},
                   [&](ValueId id, const Tensor& tensor) { expected[id].push_back(tensor.Clone()); });
  for (const Sample& sample : samples) executor.Run(sample);

  // Outputs are kept from the first call to the second, or computed anew under a ceiling.
  for (int64_t ceiling : {0, 1}) {
    LayerSweep sweep(exported, pool, MemoryCeiling(ceiling));
    int visits = 0;
    sweep.Run(samples, {model.second}, [&](NodeId node) {
      ++visits;
      for (size_t s = 0; s < sweep.samples(); ++s)
        EXPECT_TRUE(sweep.Input(node, 0, s).SameBytes(expected[in][s]));
      for (int turn = 0; turn < 2; ++turn) {
        std::vector<int> seen(sweep.samples(), 0);
        sweep.ForEachOutput([&](size_t s, const Tensor& y) {
          ++seen[s];
          EXPECT_TRUE(y.SameBytes(expected[out][s]));
        });
        EXPECT_EQ(seen, std::vector<int>(sweep.samples(), 1));
      }
    });
    EXPECT_EQ(visits, 1);
  }
}

// Results of operators without inputs but constants: of one whose body reads the sample, and of one that has
// none but those.
TEST(LayerSweep, StoresWhatBodiesReadAndCodesOfConstants) {
  ThreadPool pool(1);
  for (const bool body : {true, false}) {
    Graph graph;
    graph.opset_imports[""] = 13;
    const ValueId x = graph.AddValue("x", DType::kFloat), a = graph.AddValue("a", DType::kFloat),
                  y = graph.AddValue("y", DType::kFloat), z = graph.AddValue("z", DType::kFloat);
    graph.AddInput(x);
    if (body) {
      Attribute branch;
      branch.kind = Attribute::Kind::kGraph;
      branch.graph = std::make_shared<Graph>();
      branch.graph->opset_imports = graph.opset_imports;
      const ValueId captured = branch.graph->AddValue("x"),
                    made = branch.graph->AddValue("made", DType::kFloat);
      branch.graph->AddNode("Neg", "neg", {captured}, {made});
      branch.graph->AddOutput(made);
      graph.AddNode("If", "if", {graph.AddConstant("flag", Tensor(DType::kBool, {}))}, {a},
                    {{"then_branch", branch}, {"else_branch", branch}});
    } else {
      graph.AddNode("Neg", "neg", {graph.AddConstant("k", Noise({1, 4, 8, 8}, 3))}, {a});
    }
    const NodeId conv =
        graph.AddNode("Conv", "conv", {a, graph.AddConstant("w", Noise({6, 4, 1, 1}, 1))}, {y});
    graph.AddNode("ReduceMean", "mean", {x}, {z});
    for (ValueId id : {y, z}) graph.AddOutput(id);
    const Sample sample = Source().at(0);
    const ValueFacts facts(graph, sample, pool);
    QuantPlan plan = PlaceOnly(graph, facts, {}, {conv}, {});
    QuantizeWeights(graph, {}, &plan);
    const Graph exported = ExportQdq(graph, PlanOf(graph, std::move(plan), pool));
    ASSERT_TRUE(exported.Producer(exported.node(conv).input(0))->Is("DequantizeLinear"));
    Tensor expected;
    Executor executor(exported, pool);
    executor.SetTaps({exported.node(conv).input(0)},
                     [&](ValueId, const Tensor& tensor) { expected = tensor.Clone(); });
    executor.Run(sample);
    LayerSweep sweep(exported, pool, MemoryCeiling(0));
    int visits = 0;
    sweep.Run({sample}, {conv}, [&](NodeId node) {
      ++visits;
      EXPECT_TRUE(sweep.Input(node, 0, 0).SameBytes(expected));
    });
    EXPECT_EQ(visits, 1);
  }
}

// Each operator asks what is in front of it only once.
TEST(LayerSweep, TakesLinearTimeBehindConstantsThatMeetOften) {
  ThreadPool pool(1);
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  ValueId last = graph.AddConstant("k", Noise({4}, 3));
  for (int i = 0; i < 60; ++i) {
    const ValueId less = graph.AddValue("less", DType::kFloat), sum = graph.AddValue("sum", DType::kFloat);
    graph.AddNode("Neg", "", {last}, {less});
    graph.AddNode("Add", "", {last, less}, {sum});
    last = sum;
  }
  const NodeId product = graph.AddNode("Mul", "mul", {x, last}, {y});
  graph.AddOutput(y);
  int visits = 0;
  LayerSweep(graph, pool).Run({{Noise({1, 4}, 1)}}, {product}, [&](NodeId) { ++visits; });
  EXPECT_EQ(visits, 1);
}

TEST(TuneLayers, LowersTheNoiseAndGivesTheSameForAnyNumberOfThreads) {
  std::vector<Tensor> codes, biases;
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    Model model;
    const Graph reference = model.graph;
    const ValueFacts facts(model.graph, Source().at(0), pool);
    QuantPlan plan = PlanOf(model.graph, PlacePlan(model.graph, facts, {}), pool);
    const double before = Snr(reference, ExportQdq(model.graph, plan), pool);
    const std::vector<Sample> samples = DrawSamples(Source(), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10, 1, pool);
    FloatMeans means(reference, plan, samples.size());
    EXPECT_EQ(means.values().size(), 2u);
    Executor executor(reference, pool);
    size_t at = 0;
    executor.SetTaps({means.values().begin(), means.values().end()},
                     [&](ValueId id, const Tensor& tensor) { means.See(at, id, tensor); });
    for (; at < samples.size(); ++at) executor.Run(samples[at]);
    const LayerTuningResult result = TuneLayers(&model.graph, &plan, samples, means, {}, pool, nullptr);
    EXPECT_EQ(result.rounded, 2);
    EXPECT_EQ(result.biases, 2);
    const double after = Snr(reference, ExportQdq(model.graph, plan), pool);
    EXPECT_LT(after, before);
    codes.push_back(plan.weights[1].codes);
    biases.push_back(*model.graph.Constant(model.graph.node(model.second).input(2)));
  }
  EXPECT_TRUE(codes[0].SameBytes(codes[1]));
  EXPECT_TRUE(biases[0].SameBytes(biases[1]));
}

}  // namespace
}  // namespace xslim
