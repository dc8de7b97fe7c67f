#include <gtest/gtest.h>

#include "noise.h"
#include "pipeline/modes.h"

namespace xslim {
namespace {

// What runtimes ask of an int8 Gemm is done without the simplifier, too.
TEST(SimplifyModel, GemmLosesItsFactorsBeforeInt8WithoutTheSimplifier) {
  for (const bool legalize : {true, false}) {
    Graph graph;
    graph.opset_imports[""] = 13;
    const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(x);
    const NodeId gemm = graph.AddNode(
        "Gemm", "gemm", {x, graph.AddConstant("w", Noise({4, 3}, 1)), graph.AddConstant("b", Noise({3}, 2))},
        {y}, {{"alpha", Attribute::Float(0.5f)}});
    graph.AddOutput(y);
    Config config;
    config.model.skip_onnxsim = true;
    ThreadPool pool(1);
    EXPECT_FALSE(SimplifyModel(&graph, config, legalize, pool));
    EXPECT_EQ(graph.node(gemm).Has("alpha"), !legalize);
  }
}

}  // namespace
}  // namespace xslim
