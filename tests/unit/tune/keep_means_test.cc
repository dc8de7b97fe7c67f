#include "tune/keep_means.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "data/samples.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

// Each channel (axis 1) around a mean of its own.
Tensor Uneven(Shape shape, uint64_t seed) {
  Random random(seed);
  Tensor tensor(DType::kFloat, std::move(shape));
  const int64_t inner = InnerCount(tensor.shape(), 1);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.data<float>()[i] = random.Unit() + static_cast<float>(i / inner % tensor.dim(1));
  return tensor;
}

struct Case {
  const char* type;
  Shape input, weight;
  std::map<std::string, int64_t> ints;
  int64_t stride;
  bool bias;
};

class KeepMeansTest : public ::testing::TestWithParam<Case> {
 protected:
  KeepMeansTest() : pool_(2) {
    const Case& c = GetParam();
    graph_.opset_imports[""] = 13;
    const ValueId x = graph_.AddValue("x", DType::kFloat), y = graph_.AddValue("y", DType::kFloat);
    graph_.AddInput(x);
    Tensor weight = Uneven(c.weight, 77);
    for (int64_t i = 0; i < weight.size(); ++i) weight.data<float>()[i] -= 1.3f;
    std::vector<ValueId> inputs = {x, graph_.AddConstant("w", weight)};
    const bool product = std::string(c.type) == "MatMul";  // its bias is the vector of an Add
    if (c.bias && !product) {
      const int64_t outputs = std::string(c.type) == "ConvTranspose" ? c.weight[1] * c.ints.at("group")
                              : c.ints.count("transB")               ? c.weight[0]
                              : std::string(c.type) == "Gemm"        ? c.weight[1]
                                                                     : c.weight[0];
      inputs.push_back(graph_.AddConstant("b", Uneven({1, outputs}, 5).Reshaped({outputs})));
    }
    std::map<std::string, Attribute> attributes;
    for (const auto& [name, value] : c.ints) attributes[name] = Attribute::Int(value);
    if (c.stride > 1) attributes["strides"] = Attribute::Ints({c.stride, c.stride});
    const ValueId result = product ? graph_.AddValue("product", DType::kFloat) : y;
    node_ = graph_.AddNode(c.type, "layer", inputs, {result}, attributes);
    if (product) {
      const ValueId vector = graph_.AddConstant("b", Uneven({1, c.weight[1]}, 5).Reshaped({c.weight[1]}));
      graph_.AddNode("Add", "add", {result, vector}, {y});
    }
    graph_.AddOutput(y);
    plan_.nodes.insert(node_);
    plan_.weights.push_back({node_, 1, {}, {}});
    QuantizeWeights(graph_, {}, &plan_);
    for (uint64_t s = 0; s < 5; ++s) samples_.push_back({Uneven(c.input, s + 1)});
  }

  ChannelMeans Means() {
    const ChannelAxis channels = InputChannels(graph_, graph_.node(node_));
    return {{channels, MeansOf([](const Sample& sample) { return sample[0]; })}};
  }

  // Means of the output's channels over all samples, in float or with what the codes stand for.
  std::vector<double> OutputMeans(bool quantized) {
    Graph graph = graph_;
    if (quantized) {
      Tensor weight = graph.Constant(graph.node(node_).input(1))->Clone();
      const QuantParams& params = plan_.weights[0].params;
      const int64_t inner = params.axis < 0 ? 1 : InnerCount(weight.shape(), params.axis);
      for (int64_t i = 0; i < weight.size(); ++i) {
        const int64_t channel = params.axis < 0 ? 0 : i / inner % weight.dim(params.axis);
        weight.data<float>()[i] =
            params.scale[static_cast<size_t>(channel)] * plan_.weights[0].codes.data<int8_t>()[i];
      }
      graph.SetConstant(graph.node(node_).input(1), weight);
    }
    const auto coarse = plan_.activations.find(graph.inputs()[0]);
    Executor executor(graph, pool_);
    return MeansOf([&](const Sample& sample) {
      Tensor x = sample[0].Clone();
      if (quantized && coarse != plan_.activations.end()) {
        const QuantParams& params = coarse->second.params;
        for (int64_t i = 0; i < x.size(); ++i) {
          const float code =
              std::nearbyint(x.data<float>()[i] / params.scale[0]) + static_cast<float>(params.zero_point[0]);
          x.data<float>()[i] = params.scale[0] * (std::min(std::max(code, -128.0f), 127.0f) -
                                                  static_cast<float>(params.zero_point[0]));
        }
      }
      return executor.Run({x})[0];
    });
  }

  // Of axis 1, over all samples.
  template <typename F>
  std::vector<double> MeansOf(const F& tensor_of) const {
    std::vector<double> means;
    double count = 0;
    for (const Sample& sample : samples_) {
      const Tensor y = tensor_of(sample);
      const int64_t inner = InnerCount(y.shape(), 1);
      means.resize(static_cast<size_t>(y.dim(1)));
      for (int64_t i = 0; i < y.size(); ++i)
        means[static_cast<size_t>(i / inner % y.dim(1))] += y.data<float>()[i];
      count += static_cast<double>(y.size() / y.dim(1));
    }
    for (double& mean : means) mean /= count;
    return means;
  }

  static double Distance(const std::vector<double>& a, const std::vector<double>& b) {
    double most = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) most = std::max(most, std::fabs(a[i] - b[i]));
    return most;
  }

  ThreadPool pool_;
  Graph graph_;
  NodeId node_ = kNone;
  QuantPlan plan_;
  std::vector<Sample> samples_;
};

TEST_P(KeepMeansTest, OutputsKeepTheirMeans) {
  const std::vector<double> wanted = OutputMeans(false);
  const double before = Distance(OutputMeans(true), wanted);
  EXPECT_EQ(KeepMeans(&graph_, &plan_, Means(), {}), 1);
  EXPECT_GT(before, 2e-3);
  EXPECT_LT(Distance(OutputMeans(true), wanted), before / 50);
}

TEST_P(KeepMeansTest, AlsoWhereTheInputIsRounded) {
  const ValueId x = graph_.inputs()[0];
  plan_.activations[x] = {};
  SetRange(&plan_, x, 0.0f, 3.2f, "cuts the largest channels");
  const std::vector<double> wanted = OutputMeans(false);
  const double before = Distance(OutputMeans(true), wanted);
  KeepMeans(&graph_, &plan_, Means(), RoundingMeans(graph_, plan_, samples_, pool_));
  EXPECT_GT(before, 2e-3);
  EXPECT_LT(Distance(OutputMeans(true), wanted), before / 50);
}

INSTANTIATE_TEST_SUITE_P(
    Layers, KeepMeansTest,
    ::testing::Values(Case{"Conv", {1, 6, 5, 7}, {4, 6, 1, 1}, {{"group", 1}}, 1, true},
                      Case{"Conv", {2, 6, 5, 7}, {4, 3, 1, 1}, {{"group", 2}}, 1, false},
                      // each tap sees the whole plane
                      Case{"Conv", {1, 4, 6, 6}, {4, 1, 2, 2}, {{"group", 4}}, 2, true},
                      // each output sums one tap
                      Case{"ConvTranspose", {1, 4, 5, 5}, {4, 3, 2, 2}, {{"group", 1}}, 2, true},
                      Case{"ConvTranspose", {1, 4, 5, 5}, {4, 3, 2, 2}, {{"group", 2}}, 2, false},
                      Case{"Gemm", {3, 8}, {8, 5}, {}, 1, true},
                      Case{"Gemm", {3, 8}, {5, 8}, {{"transB", 1}}, 1, false},
                      Case{"MatMul", {3, 8}, {8, 5}, {}, 1, true}));

TEST(KeepMeans, LeavesAloneWhatHasNoFiniteMeans) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  const ValueId bias = graph.AddConstant("b", Tensor::Of<float>({1}, {0.5f}));
  const NodeId node = graph.AddNode(
      "Conv", "layer", {x, graph.AddConstant("w", Tensor::Of<float>({1, 1, 1, 1}, {0.3f})), bias}, {y});
  graph.AddOutput(y);
  QuantPlan plan;
  plan.nodes.insert(node);
  plan.weights.push_back({node, 1, {}, {}});
  QuantizeWeights(graph, {}, &plan);
  EXPECT_EQ(KeepMeans(&graph, &plan, {{{x, 1}, {std::nan("")}}}, {}), 0);
  EXPECT_EQ(KeepMeans(&graph, &plan, {{{x, 1}, {}}}, {}), 0);
  EXPECT_EQ(KeepMeans(&graph, &plan, {{{x, 1}, {0.5, 0.5}}}, {}), 0);
  EXPECT_EQ(KeepMeans(&graph, &plan, {}, {}), 0);
  EXPECT_EQ(graph.Constant(bias)->data<float>()[0], 0.5f);
}

}  // namespace
}  // namespace xslim
