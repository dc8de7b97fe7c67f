// Logarithms of numbers of very different sizes: an int8 tensor would make zeros of the small ones.
#include <cmath>

#include "small_run.h"

namespace xslim {
namespace {

class LogarithmTest : public SmallRun {
 protected:
  static Graph Spectrum();
};

// y = Log(Clip(MatMul(x * x, w), 1e-6))
Graph LogarithmTest::Spectrum() {
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
  graph.AddNode("Log", "log", {c}, {y});
  graph.AddOutput(y);
  return graph;
}

TEST_F(LogarithmTest, ALogarithmReadsWhatAProductGivesAsFloat) {
  SaveModel(Spectrum(), At("m.onnx"));
  config_.quantization.protect_fragile = false;
  for (Placement placement : {Placement::kXslim, Placement::kFused}) {
    config_.quantization.placement = placement;
    xslim::Run(config_, options_);
    const Graph written = LoadModel(At("out.onnx"));
    const Node& clip = *written.Producer(written.Producer(written.outputs()[0])->input(0));
    ASSERT_TRUE(clip.Is("Clip"));
    EXPECT_TRUE(written.Producer(clip.input(0))->Is("MatMul"));
    EXPECT_TRUE(written.Producer(written.Producer(clip.input(0))->input(0))->Is("DequantizeLinear"));
  }
}

}  // namespace
}  // namespace xslim
