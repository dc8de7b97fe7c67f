// Logarithms of numbers of very different sizes, and quotients by them: an int8 tensor would make zeros of
// the small ones.
#include <cmath>

#include "small_run.h"

namespace xslim {
namespace {

class LogarithmTest : public SmallRun {
 protected:
  static Graph Spectrum(bool logarithm);
};

// y = Log(Clip(MatMul(x * x, w), 1e-6)), or 1 / Clip(...)
Graph LogarithmTest::Spectrum(bool logarithm) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const auto value = [&](const std::string& name) { return AddRows(&graph, name); };
  const ValueId x = value("x"), s = value("s"), p = value("p"), c = value("c"), y = value("y");
  std::vector<float> w(64, 0.0f);
  for (size_t i = 0; i < 8; ++i) w[9 * i] = 1.0f;
  graph.AddInput(x);
  graph.AddNode("Mul", "squares", {x, x}, {s});
  graph.AddNode("MatMul", "product", {s, graph.AddConstant("w", Tensor::Of<float>({8, 8}, w))}, {p});
  graph.AddNode("Clip", "clip", {p, graph.AddConstant("least", Tensor::Of<float>({}, {1e-6f}))}, {c});
  if (logarithm) {
    graph.AddNode("Log", "log", {c}, {y});
  } else {
    graph.AddNode("Div", "div", {graph.AddConstant("one", Tensor::Of<float>({}, {1})), c}, {y});
  }
  graph.AddOutput(y);
  return graph;
}

// The product of a filter bank is float; what is divided by one is float32, but the product's numbers are
// int8.
TEST_F(LogarithmTest, TheyReadWhatAProductGivesAsFloat) {
  config_.quantization.protect_fragile = false;
  for (const bool logarithm : {true, false}) {
    SaveModel(Spectrum(logarithm), At("m.onnx"));
    for (Placement placement : {Placement::kXslim, Placement::kFused}) {
      config_.quantization.placement = placement;
      xslim::Run(config_, options_);
      const Graph written = LoadModel(At("out.onnx"));
      const Node& end = *written.Producer(written.outputs()[0]);
      const Node& clip = *written.Producer(end.input(logarithm ? 0 : 1));
      ASSERT_TRUE(clip.Is("Clip"));
      const Node& product = *written.Producer(clip.input(0));
      EXPECT_TRUE(product.Is("MatMul"));
      EXPECT_EQ(written.Producer(product.input(0))->Is("DequantizeLinear"), !logarithm);
    }
  }
}

}  // namespace
}  // namespace xslim
