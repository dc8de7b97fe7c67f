#include "tune/gradient.h"

#include <gtest/gtest.h>

#include <cmath>

#include "noise.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

// One operator with float inputs x0, x1 ... and what else it reads.
struct Case {
  std::string type;
  std::vector<Tensor> inputs;  // differentiated
  std::vector<Tensor> constants;
  std::map<std::string, Attribute> attributes;
  size_t outputs = 1;
  float tolerance = 0.02f;
  int opset = 18;
};

void Check(const Case& test) {
  SCOPED_TRACE(test.type);
  Graph graph;
  graph.opset_imports[""] = test.opset;
  std::vector<ValueId> inputs, outputs;
  std::set<ValueId> wanted;
  for (size_t i = 0; i < test.inputs.size(); ++i) {
    inputs.push_back(graph.AddValue("x" + std::to_string(i), DType::kFloat));
    graph.AddInput(inputs.back());
    wanted.insert(inputs.back());
  }
  for (const Tensor& constant : test.constants)
    inputs.push_back(constant.defined() ? graph.AddConstant("c", constant) : kNone);
  for (size_t i = 0; i < test.outputs; ++i)
    outputs.push_back(graph.AddValue("y" + std::to_string(i), DType::kFloat));
  graph.AddNode(test.type, "node", inputs, outputs, test.attributes);
  // Only the last output is weighted.
  graph.AddOutput(outputs.back());
  ThreadPool pool(2);
  const ValueFacts facts(graph, test.inputs, pool);
  const Tensor weight = Noise(facts.of(outputs.back()).shape, 99, 2);
  const auto loss = [&](const std::vector<Tensor>& x) {
    Executor executor(graph, pool);
    const Tensor y = executor.Run(x).at(0);
    double sum = 0;
    for (int64_t i = 0; i < y.size(); ++i)
      sum += static_cast<double>(y.data<float>()[i]) * weight.data<float>()[i];
    return sum;
  };
  Graph both = graph;
  const ValueId seed = both.AddConstant("seed", weight);
  const Gradient gradient = AddGradient(&both, facts, {{outputs.back(), seed}}, wanted, pool);
  ASSERT_TRUE(gradient.stopped.empty());
  ASSERT_EQ(gradient.of.size(), test.inputs.size());
  std::map<ValueId, Tensor> found;
  Executor executor(both, pool);
  std::vector<ValueId> taps;
  for (const auto& [value, derivative] : gradient.of) taps.push_back(derivative);
  executor.SetTaps(taps, [&](ValueId id, const Tensor& tensor) { found[id] = tensor.Clone(); });
  executor.Run(test.inputs);
  for (size_t i = 0; i < test.inputs.size(); ++i) {
    const Tensor& derivative =
        gradient.of.at(inputs[i]) == seed ? weight : found.at(gradient.of.at(inputs[i]));
    ASSERT_EQ(derivative.shape(), test.inputs[i].shape());
    for (int64_t e = 0; e < test.inputs[i].size(); e += 1 + test.inputs[i].size() / 17) {
      std::vector<Tensor> above = test.inputs, below = test.inputs;
      constexpr float kStep = 1e-2f;
      above[i] = above[i].Clone();
      below[i] = below[i].Clone();
      above[i].data<float>()[e] += kStep;
      below[i].data<float>()[e] -= kStep;
      const double wanted_value = (loss(above) - loss(below)) / (2 * kStep);
      EXPECT_NEAR(derivative.data<float>()[e], wanted_value, test.tolerance * (1 + std::fabs(wanted_value)))
          << "input " << i << " element " << e;
    }
  }
}

Attribute Ints(std::vector<int64_t> values) { return Attribute::Ints(std::move(values)); }
Tensor List(const std::vector<int64_t>& values) {
  return Tensor::Of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

// A kernel of the input's size: padded to a full convolution it would take as many times the multiply-adds as
// the input has places.
TEST(Gradient, LargeKernelsArePaddedOnlyWhereItPays) {
  for (const int64_t kernel : {3, 16}) {
    Graph graph;
    graph.opset_imports[""] = 18;
    const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(x);
    graph.AddNode("Conv", "conv", {x, graph.AddConstant("w", Noise({4, 2, kernel, kernel}, 1))}, {y});
    graph.AddOutput(y);
    ThreadPool pool(1);
    const ValueFacts facts(graph, {Noise({1, 2, 16, 16}, 2)}, pool);
    const ValueId seed = graph.AddConstant("seed", Noise(facts.of(y).shape, 3));
    const ValueId back = AddGradient(&graph, facts, {{y, seed}}, {x}, pool).of.at(x);
    EXPECT_EQ(graph.Producer(back)->op_type, kernel == 3 ? "Conv" : "ConvTranspose");
  }
}

TEST(Gradient, Convolutions) {
  Check({"Conv", {Noise({2, 4, 9, 8}, 1, 2)}, {Noise({6, 4, 3, 3}, 2, 2)}, {{"pads", Ints({1, 1, 1, 1})}}});
  Check({"Conv",
         {Noise({1, 4, 9, 8}, 1, 2)},
         {Noise({6, 2, 3, 2}, 2, 2), Noise({6}, 3, 2)},
         {{"group", Attribute::Int(2)}}});
  Check({"Conv",
         {Noise({1, 4, 10, 9}, 1, 2)},
         {Noise({4, 1, 3, 3}, 2, 2)},
         {{"group", Attribute::Int(4)}, {"strides", Ints({2, 2})}, {"pads", Ints({1, 1, 1, 1})}}});
  Check({"Conv",
         {Noise({1, 3, 11, 12}, 1, 2)},
         {Noise({5, 3, 3, 3}, 2, 2)},
         {{"strides", Ints({2, 3})}, {"pads", Ints({0, 1, 1, 0})}}});
  Check({"Conv", {Noise({1, 3, 11, 12}, 1, 2)}, {Noise({5, 3, 1, 1}, 2, 2)}, {{"strides", Ints({2, 2})}}});
  Check({"Conv",
         {Noise({1, 3, 11, 12}, 1, 2)},
         {Noise({5, 3, 3, 3}, 2, 2)},
         {{"dilations", Ints({2, 1})}, {"auto_pad", Attribute::String("SAME_UPPER")}}});
  Check({"Conv", {Noise({1, 3, 11}, 1, 2)}, {Noise({5, 3, 2}, 2, 2)}, {{"pads", Ints({3, 0})}}});
  Check({"Conv", {Noise({1, 3, 12, 7}, 1, 2)}, {Noise({5, 3, 12, 3}, 2, 2)}, {{"pads", Ints({0, 1, 0, 1})}}});
  Check({"Conv", {Noise({1, 4, 7, 7}, 1, 2)}, {Noise({4, 1, 7, 7}, 2, 2)}, {{"group", Attribute::Int(4)}}});
  Check({"ConvTranspose",
         {Noise({1, 4, 5, 6}, 1, 2)},
         {Noise({4, 3, 2, 2}, 2, 2)},
         {{"strides", Ints({2, 2})}}});
  Check({"ConvTranspose",
         {Noise({1, 4, 5, 6}, 1, 2)},
         {Noise({4, 3, 3, 3}, 2, 2)},
         {{"strides", Ints({2, 2})},
          {"pads", Ints({1, 1, 1, 1})},
          {"output_padding", Ints({1, 1})},
          {"group", Attribute::Int(2)}}});
}

TEST(Gradient, Products) {
  Check({"MatMul", {Noise({3, 4, 5}, 1, 2), Noise({3, 5, 6}, 2, 2)}, {}, {}});
  Check({"MatMul", {Noise({3, 4, 5}, 1, 2), Noise({5, 6}, 2, 2)}, {}, {}});
  Check({"MatMul", {Noise({2, 1, 4, 5}, 1, 2), Noise({3, 5, 6}, 2, 2)}, {}, {}});
  Check({"Gemm",
         {Noise({4, 5}, 1, 2), Noise({5, 6}, 2, 2)},
         {Noise({6}, 3, 2)},
         {{"alpha", Attribute::Float(0.5f)}}});
  Check({"Gemm", {Noise({4, 5}, 1, 2), Noise({6, 5}, 2, 2)}, {}, {{"transB", Attribute::Int(1)}}});
}

TEST(Gradient, Windows) {
  Check({"AveragePool",
         {Noise({1, 3, 8, 8}, 1, 2)},
         {},
         {{"kernel_shape", Ints({2, 2})}, {"strides", Ints({2, 2})}}});
  Check({"MaxPool",
         {Noise({1, 3, 7, 7}, 1, 20)},
         {},
         {{"kernel_shape", Ints({3, 3})}, {"pads", Ints({1, 1, 1, 1})}}});
  Check({"GlobalAveragePool", {Noise({2, 3, 4, 5}, 1, 2)}, {}, {}});
  Check({"ReduceMean", {Noise({2, 3, 4, 5}, 1, 2)}, {List({1, -1})}, {{"keepdims", Attribute::Int(0)}}});
  Check({"GlobalMaxPool", {Noise({2, 3, 4, 5}, 1, 20)}, {}, {}});
  Check({"ReduceMax", {Noise({2, 3, 4, 5}, 1, 20)}, {List({1, -1})}, {{"keepdims", Attribute::Int(0)}}});
  Check({"ReduceMin", {Noise({2, 3, 4, 5}, 1, 20)}, {List({0})}, {}});
  Check({"Resize",
         {Noise({1, 2, 3, 4}, 1, 2)},
         {Tensor(), Tensor::Of<float>({4}, {1, 1, 2, 3})},
         {{"mode", Attribute::String("nearest")},
          {"coordinate_transformation_mode", Attribute::String("asymmetric")},
          {"nearest_mode", Attribute::String("floor")}}});
}

// Away from whole numbers, where functions have kinks.
Tensor Smooth(Shape shape, uint64_t seed) {
  Tensor tensor = Noise(std::move(shape), seed, 6);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.data<float>()[i] = std::floor(tensor.data<float>()[i] * 10) / 10 + 0.05f;
  return tensor;
}

TEST(Gradient, Elementwise) {
  for (const char* type : {"Sigmoid", "Relu", "Neg", "Abs", "Exp", "HardSigmoid", "HardSwish", "Tanh", "Erf",
                           "Softplus", "Elu", "LeakyRelu"})
    Check({type, {Smooth({3, 40}, 4)}, {}, {}});
  Check({"Clip", {Smooth({3, 40}, 4)}, {Tensor::Scalar(-1.0f), Tensor::Scalar(2.0f)}, {}});
  Tensor positive = Noise({3, 40}, 4, 2);
  for (int64_t i = 0; i < positive.size(); ++i) positive.data<float>()[i] += 2.0f;
  for (const char* type : {"Sqrt", "Log", "Reciprocal"}) Check({type, {positive}, {}, {}});
  for (const char* type : {"Add", "Sub", "Mul", "Min", "Max"})
    Check({type, {Noise({2, 3, 4}, 5, 20), Noise({3, 1}, 6, 20)}, {}, {}});
  Check({"Div", {Noise({2, 3, 40}, 5, 2), positive}, {}, {}});
  Check({"Pow", {positive}, {Tensor::Scalar(2.0f)}, {}});
  Check({"Softmax", {Noise({2, 5, 3}, 5, 2)}, {}, {{"axis", Attribute::Int(1)}}});
  Check({"LogSoftmax", {Noise({2, 5, 3}, 5, 2)}, {}, {}});
  Check({"LayerNormalization", {Noise({2, 5, 8}, 5, 2)}, {Noise({8}, 6, 2), Noise({8}, 7, 2)}, {}});
  Check({"RMSNormalization", {Noise({2, 5, 8}, 5, 2)}, {Noise({8}, 6, 2)}, {}, 1, 0.02f, 23});
  Check({"InstanceNormalization", {Noise({2, 3, 4, 5}, 5, 2)}, {Noise({3}, 6, 2), Noise({3}, 7, 2)}, {}});
  Check({"GroupNormalization",
         {Noise({2, 6, 4}, 5, 2)},
         {Noise({6}, 6, 2), Noise({6}, 7, 2)},
         {{"num_groups", Attribute::Int(2)}},
         1,
         0.02f,
         21});
}

TEST(Gradient, Lengths) {
  Check({"ReduceL2", {Noise({2, 3, 4, 5}, 1, 2)}, {List({1, -1})}, {{"keepdims", Attribute::Int(0)}}});
  Check({"ReduceL2", {Noise({2, 3}, 1, 2)}, {}, {}});
  Check({"ReduceSumSquare", {Noise({2, 3, 4}, 1, 2)}, {List({-1})}, {}});
}

// Where a step of a difference quotient would be longer than x.
TEST(Gradient, PowNearZero) {
  const Tensor x = Tensor::Of<float>({4}, {1e-4f, 3e-4f, 2.5e-3f, 0});
  for (double power : {0.5, -0.5, 1.5, 2.0, 1.0, 0.0}) {
    SCOPED_TRACE(power);
    Graph graph;
    graph.opset_imports[""] = 13;
    const ValueId in = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(in);
    const ValueId exponent = graph.AddConstant("p", Tensor::Scalar(static_cast<float>(power)));
    graph.AddNode("Pow", "pow", {in, exponent}, {y});
    graph.AddOutput(y);
    ThreadPool pool(1);
    const ValueFacts facts(graph, {x}, pool);
    Graph both = graph;
    const Tensor weight = Tensor::Of<float>({4}, {1, -2, 3, 4});
    const Gradient gradient = AddGradient(&both, facts, {{y, both.AddConstant("w", weight)}}, {in}, pool);
    ASSERT_TRUE(gradient.stopped.empty());
    Tensor found;
    Executor executor(both, pool);
    executor.SetTaps({gradient.of.at(in)}, [&](ValueId, const Tensor& tensor) { found = tensor.Clone(); });
    executor.Run({x});
    ASSERT_TRUE(found.defined());
    for (int64_t i = 0; i < 3; ++i) {
      const double at = x.data<float>()[i];
      const double wanted = weight.data<float>()[i] * power * std::pow(at, power - 1);
      EXPECT_NEAR(found.data<float>()[i], wanted, 1e-5 * std::fabs(wanted));
    }
    // At 0 itself: a constant, and x.
    if (power == 0 || power == 1) {
      EXPECT_EQ(found.data<float>()[3], power == 0 ? 0.0f : 4.0f);
    }
  }
}

TEST(Gradient, Moves) {
  Check({"Reshape", {Noise({2, 6}, 5, 2)}, {List({3, 4})}, {}});
  Check({"Transpose", {Noise({2, 6, 3}, 5, 2)}, {}, {{"perm", Ints({2, 0, 1})}}});
  Check({"Concat", {Noise({2, 6}, 5, 2), Noise({2, 3}, 6, 2)}, {}, {{"axis", Attribute::Int(-1)}}});
  Check({"Split", {Noise({2, 6}, 5, 2)}, {List({2, 4})}, {{"axis", Attribute::Int(1)}}, 2});
  Check({"Slice", {Noise({4, 6}, 5, 2)}, {List({0, 5}), List({3, 0}), List({0, 1}), List({1, -2})}, {}});
  Check({"Pad", {Noise({4, 6}, 5, 2)}, {List({1, 0, 0, 2})}, {}});
  Check({"Gather", {Noise({4, 6}, 5, 2)}, {List({1, 1, 3})}, {{"axis", Attribute::Int(1)}}});
  Check({"Expand", {Noise({4, 1}, 5, 2)}, {List({2, 4, 3})}, {}});
  Check({"DepthToSpace", {Noise({1, 8, 2, 3}, 5, 2)}, {}, {{"blocksize", Attribute::Int(2)}}});
}

// y = -x + x + x.
TEST(Gradient, SumsOverReaders) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), a = graph.AddValue("a", DType::kFloat),
                b = graph.AddValue("b", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  graph.AddNode("Neg", "neg", {x}, {a});
  graph.AddNode("Add", "add", {a, x}, {b});
  graph.AddNode("Add", "again", {b, x}, {y});
  graph.AddOutput(y);
  ThreadPool pool(1);
  const ValueFacts facts(graph, {Noise({5}, 1, 2)}, pool);
  Graph both = graph;
  const Tensor weight = Noise({5}, 2, 2);
  const Gradient gradient = AddGradient(&both, facts, {{y, both.AddConstant("w", weight)}}, {x}, pool);
  EXPECT_TRUE(gradient.stopped.empty());
  Tensor found;
  Executor executor(both, pool);
  executor.SetTaps({gradient.of.at(x)}, [&](ValueId, const Tensor& tensor) { found = tensor.Clone(); });
  executor.Run({Noise({5}, 1, 2)});
  for (int64_t i = 0; i < 5; ++i) EXPECT_FLOAT_EQ(found.data<float>()[i], weight.data<float>()[i]);
}

// x -> a -> s -> y and a -> y; there is no rule for s. What arrives at a by the other way is not all of it.
TEST(Gradient, PartsOfADerivativeAreNone) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), a = graph.AddValue("a", DType::kFloat),
                s = graph.AddValue("s", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  graph.AddNode("Neg", "neg", {x}, {a});
  const NodeId sum =
      graph.AddNode("CumSum", "sum", {a, graph.AddConstant("axis", Tensor::Scalar<int64_t>(0))}, {s});
  graph.AddNode("Add", "add", {a, s}, {y});
  graph.AddOutput(y);
  ThreadPool pool(1);
  const ValueFacts facts(graph, {Noise({5}, 1, 2)}, pool);
  Graph both = graph;
  const Gradient gradient =
      AddGradient(&both, facts, {{y, both.AddConstant("w", Noise({5}, 2, 2))}}, {x, a, s}, pool);
  EXPECT_EQ(gradient.stopped, std::vector<NodeId>{sum});
  EXPECT_EQ(gradient.of.count(x), 0u);
  EXPECT_EQ(gradient.of.count(a), 0u);
  EXPECT_EQ(gradient.of.count(s), 1u);
}

// The same with an estimate: what CumSum hands on costs as much as what arrives behind it.
TEST(Gradient, EstimatesPassWhatHasNoRule) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), s = graph.AddValue("s", DType::kFloat);
  graph.AddInput(x);
  const NodeId sum =
      graph.AddNode("CumSum", "sum", {x, graph.AddConstant("axis", Tensor::Scalar<int64_t>(0))}, {s});
  graph.AddOutput(s);
  ThreadPool pool(1);
  const Tensor input = Noise({50}, 1, 2), weight = Noise({50}, 2, 2);
  const ValueFacts facts(graph, {input}, pool);
  Graph both = graph;
  const Gradient gradient =
      AddGradient(&both, facts, {{s, both.AddConstant("w", weight)}}, {x}, pool, WithoutRule::kEstimate);
  EXPECT_EQ(gradient.stopped, std::vector<NodeId>{sum});
  Tensor found, output;
  Executor executor(both, pool);
  executor.SetTaps({gradient.of.at(x), s},
                   [&](ValueId id, const Tensor& tensor) { (id == s ? output : found) = tensor.Clone(); });
  executor.Run({input});
  double before = 0, behind = 0;
  int64_t positive = 0;
  for (int64_t i = 0; i < 50; ++i) {
    const double at_x = static_cast<double>(found.data<float>()[i]) * input.data<float>()[i],
                 at_s = static_cast<double>(weight.data<float>()[i]) * output.data<float>()[i];
    before += at_x * at_x;
    behind += at_s * at_s;
    positive += found.data<float>()[i] > 0;
    EXPECT_FLOAT_EQ(std::fabs(found.data<float>()[i]), std::fabs(found.data<float>()[0]));
  }
  EXPECT_NEAR(before, behind, 1e-4 * behind);
  EXPECT_GT(positive, 10);
  EXPECT_LT(positive, 40);
}

// The derivatives by `wanted` when the sum of s, with weights, is estimated back through what makes it.
std::map<ValueId, Tensor> Estimated(const Graph& graph, ValueId s, const std::vector<Tensor>& inputs,
                                    const std::set<ValueId>& wanted) {
  ThreadPool pool(1);
  const ValueFacts facts(graph, inputs, pool);
  Graph both = graph;
  const ValueId weight = both.AddConstant("w", Noise(facts.of(s).shape, 2, 100));
  const Gradient gradient = AddGradient(&both, facts, {{s, weight}}, wanted, pool, WithoutRule::kEstimate);
  EXPECT_EQ(gradient.stopped.size(), 1u);
  std::vector<ValueId> taps;
  std::map<ValueId, ValueId> of;
  for (const auto& [value, derivative] : gradient.of) {
    taps.push_back(derivative);
    of[derivative] = value;
  }
  std::map<ValueId, Tensor> found;
  Executor executor(both, pool);
  executor.SetTaps(taps, [&](ValueId id, const Tensor& tensor) { found[of.at(id)] = tensor.Clone(); });
  executor.Run(inputs);
  return found;
}

// sum (g x)^2
double CostOf(const Tensor& g, const Tensor& x) {
  double cost = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double at = static_cast<double>(g.data<float>()[i]) * x.data<float>()[i];
    cost += at * at;
  }
  return cost;
}

// Each input for itself: the relative errors of one cost what those of the output do. What is all zero (the
// first state of an LSTM) has none.
TEST(Gradient, EstimatesGoToEveryInput) {
  Graph graph;
  graph.opset_imports[""] = 13;
  std::vector<ValueId> inputs;
  for (const char* name : {"x", "state", "cell"}) {
    inputs.push_back(graph.AddValue(name, DType::kFloat));
    graph.AddInput(inputs.back());
  }
  const ValueId y = graph.AddValue("y", DType::kFloat);
  graph.AddOutput(y);
  const ValueId w = graph.AddConstant("W", Noise({1, 16, 3}, 4)),
                r = graph.AddConstant("R", Noise({1, 16, 4}, 5));
  graph.AddNode("LSTM", "lstm", {inputs[0], w, r, kNone, kNone, inputs[1], inputs[2]}, {y},
                {{"hidden_size", Attribute::Int(4)}});
  const std::vector<Tensor> samples = {Noise({5, 2, 3}, 1, 2), Noise({1, 2, 4}, 3, 2),
                                       Noise({1, 2, 4}, 6, 0)};
  const std::map<ValueId, Tensor> found = Estimated(graph, y, samples, {inputs.begin(), inputs.end()});
  ASSERT_EQ(found.size(), 3u);
  const double cost = CostOf(found.at(inputs[0]), samples[0]);
  EXPECT_GT(cost, 4);  // an infinite derivative, if it were divided by a state of next to nothing
  EXPECT_NEAR(CostOf(found.at(inputs[1]), samples[1]), cost, 1e-4 * cost);
  for (int64_t i = 0; i < samples[2].size(); ++i) EXPECT_EQ(found.at(inputs[2]).data<float>()[i], 0);
}

TEST(Gradient, EstimatesGoToWhatABodyReads) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), s = graph.AddValue("s", DType::kFloat);
  graph.AddInput(x);
  Attribute body;
  body.kind = Attribute::Kind::kGraph;
  body.graph = std::make_shared<Graph>();
  body.graph->opset_imports = graph.opset_imports;
  const ValueId read = body.graph->AddValue("x", DType::kFloat),
                out = body.graph->AddValue("body_out", DType::kFloat);
  body.graph->AddNode("Exp", "exp", {read}, {out});
  body.graph->AddOutput(out);
  graph.AddNode("If", "if", {graph.AddConstant("yes", Tensor::Scalar(true))}, {s},
                {{"then_branch", body}, {"else_branch", body}});
  graph.AddOutput(s);
  const Tensor input = Noise({50}, 1, 2);
  const std::map<ValueId, Tensor> found = Estimated(graph, s, {input}, {x});
  ASSERT_EQ(found.size(), 1u);
  double cost = 0;
  const Tensor weight = Noise({50}, 2, 100);
  for (int64_t i = 0; i < 50; ++i) {
    const double at = static_cast<double>(weight.data<float>()[i]) * std::exp(input.data<float>()[i]);
    cost += at * at;
  }
  EXPECT_NEAR(CostOf(found.at(x), input), cost, 1e-4 * cost);
}

}  // namespace
}  // namespace xslim
