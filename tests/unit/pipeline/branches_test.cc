#include "pipeline/branches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "quant/bodies.h"
#include "small_run.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ValueId Product(Graph* graph, const std::string& name, ValueId x, ValueId weight) {
  const ValueId out = graph->AddValue(name, DType::kFloat);
  graph->AddNode("Gemm", name + "_gemm", {x, weight}, {out});
  return out;
}

// y = Gemm(x) + (max(x) > 0 ? Gemm(Relu(Gemm(x, w of outside))) : Gemm(x)); all samples take the first.
class BranchesTest : public SmallRun {
 protected:
  BranchesTest() {
    Graph graph;
    graph.opset_imports[""] = 13;
    const auto value = [&](const char* name, DType dtype = DType::kFloat) {
      return graph.AddValue(name, dtype);
    };
    const ValueId x = value("x"), most = value("most"), positive = value("positive", DType::kBool),
                  chosen = value("chosen"), y = value("y");
    graph.value(x).has_shape = true;
    graph.value(x).dims = {{2, ""}, {8, ""}};
    graph.AddInput(x);
    graph.AddConstant("outside", Noise({8, 8}, 1));
    const ValueId product = Product(&graph, "product", x, graph.AddConstant("w", Noise({8, 8}, 2)));
    graph.AddNode("ReduceMax", "max", {x}, {most}, {{"keepdims", Attribute::Int(0)}});
    graph.AddNode("Greater", "compare", {most, graph.AddConstant("zero", Tensor::Scalar(0.0f))}, {positive});
    std::map<std::string, Attribute> bodies;
    for (const char* key : {"then_branch", "else_branch"}) {
      Attribute& attribute = bodies[key];
      attribute.kind = Attribute::Kind::kGraph;
      attribute.graph = std::make_shared<Graph>();
      Graph& body = *attribute.graph;
      body.opset_imports = graph.opset_imports;
      const ValueId read = body.AddValue("x", DType::kFloat);
      const std::string prefix = key;
      if (prefix == "then_branch") {
        const ValueId hidden = Product(&body, "hidden", read, body.AddValue("outside", DType::kFloat)),
                      relu = body.AddValue("relu", DType::kFloat);
        body.AddNode("Relu", "relu_node", {hidden}, {relu});
        body.AddOutput(Product(&body, "then_out", relu, body.AddConstant("w_then", Noise({8, 8}, 3))));
      } else {
        body.AddOutput(Product(&body, "else_out", read, body.AddConstant("w_else", Noise({8, 8}, 4))));
      }
    }
    graph.AddNode("If", "choose", {positive}, {chosen}, bodies);
    graph.AddNode("Add", "sum", {product, chosen}, {y});
    graph.AddOutput(y);
    SaveModel(graph, At("m.onnx"));
  }

  static int CountOf(const Graph& graph, const char* type) {
    int count = 0;
    for (NodeId id : graph.Order()) count += graph.node(id).Is(type);
    return count;
  }
};

TEST_F(BranchesTest, TheBranchThatSamplesTakeIsInt8) {
  for (int level : {0, 1}) {
    config_.quantization.finetune_level = level;
    const RunResult result = xslim::Run(config_, options_);
    EXPECT_LT(result.outputs.at(0).snr, 0.01);
    EXPECT_THAT(ReadFile(result.report_path),
                HasSubstr("else_branch stays float: no calibration sample takes it"));
    const Graph written = LoadModel(result.model_path);
    for (NodeId id : written.Order()) {
      const Node& node = written.node(id);
      if (!node.Is("If")) continue;
      const Graph& then = *node.attributes.at("then_branch").graph;
      EXPECT_GE(CountOf(then, "QuantizeLinear"), 3);
      EXPECT_GE(CountOf(then, "DequantizeLinear"), 5);  // weights, too
      // The float weight of outside is read no more.
      EXPECT_THAT(then.FreeNames(), ElementsAre("x"));
      EXPECT_EQ(CountOf(*node.attributes.at("else_branch").graph, "QuantizeLinear"), 0);
      // Both graphs have a pair behind x; the names of one do not hide those of the other.
      for (size_t i = 0; i < then.value_slots(); ++i) {
        const Value& value = then.value(static_cast<ValueId>(i));
        if (value.id == kNone || !IsDefined(value)) continue;
        EXPECT_EQ(written.Find(value.name), kNone) << value.name;
      }
    }
    EXPECT_GE(CountOf(written, "QuantizeLinear"), 2);
  }
}

TEST_F(BranchesTest, IgnoredOperatorsStayFloatInBranches) {
  config_.quantization.ignore_op_types = {"Gemm"};
  const RunResult result = xslim::Run(config_, options_);
  EXPECT_EQ(result.outputs.at(0).snr, 0);
}

}  // namespace
}  // namespace xslim
