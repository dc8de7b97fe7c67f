#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "small_graph.h"

namespace xslim {
namespace {

const WeightQuant& WeightOf(const QuantPlan& plan, NodeId node) {
  for (const WeightQuant& weight : plan.weights) {
    if (weight.node == node) return weight;
  }
  throw Error("no weight");
}

// Codes and parameters that an exported operator reads in a slot.
struct Written {
  ValueId output;
  Tensor codes;
  float scale;
  int zero_point;
};
Written ReadBy(const Graph& exported, const std::string& output, size_t slot) {
  const Node* reader = exported.Producer(exported.Find(output));
  while (!reader->Is("MatMul") && !reader->Is("Add")) reader = exported.Producer(reader->input(0));
  const ValueId id = reader->input(slot);
  const Node& dequantize = *exported.Producer(id);
  EXPECT_TRUE(dequantize.Is("DequantizeLinear"));
  return {id, *exported.Constant(dequantize.input(0)),
          exported.Constant(dequantize.input(1))->data<float>()[0],
          exported.Constant(dequantize.input(2))->data<int8_t>()[0]};
}

// A MatMul reads a constant per tensor and symmetric, an Add asymmetric: each gets its own codes.
TEST(Export, ReadersOfAConstantWithOtherParametersGetTheirOwnCodes) {
  SmallGraph small;
  const std::string k = small.Constant({4, 6, 6});
  small.Op("MatMul", "product", {"x", k});
  small.Op("Add", "sum", {"product", k});
  small.Op("MatMul", "again", {"sum", k});
  small.Output("again");
  const QuantPlan plan = small.Plan();
  ASSERT_EQ(plan.weights.size(), 3u);
  const WeightQuant &product = WeightOf(plan, small.Node("product")),
                    &sum = WeightOf(plan, small.Node("sum"));
  ASSERT_EQ(product.params.axis, sum.params.axis);
  ASSERT_NE(product.params.zero_point, sum.params.zero_point);
  const Graph exported = ExportQdq(small.graph, plan);
  const Tensor& wanted = *small.graph.Constant(small.graph.Find(k));
  for (const auto& [name, weight] : {std::pair("product", &product), std::pair("sum", &sum)}) {
    const Written written = ReadBy(exported, name, 1);
    EXPECT_TRUE(written.codes.SameBytes(weight->codes)) << name;
    EXPECT_EQ(written.scale, weight->params.scale[0]) << name;
    EXPECT_EQ(written.zero_point, weight->params.zero_point[0]) << name;
    for (int64_t i = 0; i < wanted.size(); ++i) {
      const float value =
          written.scale * static_cast<float>(written.codes.data<int8_t>()[i] - written.zero_point);
      EXPECT_NEAR(value, wanted.data<float>()[i], 0.51f * written.scale) << name;
    }
  }
  EXPECT_EQ(ReadBy(exported, "product", 1).output, ReadBy(exported, "again", 1).output);  // the same: shared
}

// ONNX Runtime aborts where it has to put a pair between data movement and a body that reads its result.
TEST(Export, MovedDataThatABodyReadsHasAPair) {
  SmallGraph small;
  small.Conv("c", "x");
  small.Op("Transpose", "captured", {"c"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  small.Op("Transpose", "alone", {"c"}, {{"perm", Attribute::Ints({0, 3, 2, 1})}});
  small.Op(
      "Slice", "behind",
      {"captured", small.graph.value(small.graph.AddConstant("from", Tensor::Of<int64_t>({1}, {0}))).name,
       small.graph.value(small.graph.AddConstant("to", Tensor::Of<int64_t>({1}, {1}))).name});
  auto body = std::make_shared<Graph>();
  const ValueId y = body->AddValue("y", DType::kFloat);
  body->AddNode("Neg", "neg", {body->AddValue("captured")}, {y});
  body->AddOutput(y);
  small.graph.AddConstant("yes", Tensor::Scalar<bool>(true));
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = body;
  small.Op("If", "chosen", {"yes"}, {{"then_branch", branch}, {"else_branch", branch}});
  for (const char* output : {"chosen", "alone", "behind"}) small.Output(output);
  const Graph exported = ExportQdq(small.graph, small.Plan());
  exported.Validate();
  const Node& pair = *exported.Producer(exported.Find("captured"));
  ASSERT_TRUE(pair.Is("DequantizeLinear"));
  const Node& quantize = *exported.Producer(pair.input(0));
  EXPECT_TRUE(exported.Producer(quantize.input(0))->Is("Transpose"));
  const Node& before = *exported.Producer(exported.Find("c"));
  for (const Node* node : {&pair, &quantize}) {
    EXPECT_EQ(node->input(1), before.input(1));
    EXPECT_EQ(node->input(2), before.input(2));
  }
  EXPECT_TRUE(exported.Producer(exported.Find("alone"))->Is("Transpose"));
  EXPECT_EQ(exported.Producer(exported.Find("behind"))->input(0), exported.Find("captured"));
}

// The types of the operators of a chain, from the end to the first that reads no other one.
std::vector<std::string> Chain(const Graph& exported, const std::string& end) {
  std::vector<std::string> types;
  for (const Node* node = exported.Producer(exported.Find(end)); node != nullptr;
       node = exported.Producer(node->input(0)))
    types.push_back(node->op_type);
  return types;
}

// As XSlim writes it: Conv, pair, MaxPool, pair.
TEST(Export, AnActivationBehindDataMovementGoesWhereTheCodesEnforceIt) {
  for (const float least : {0.0f, -2.0f}) {
    SmallGraph small;
    small.Conv("c", "x");
    small.Op("MaxPool", "p", {"c"}, {{"kernel_shape", Attribute::Ints({1, 1})}});
    small.Op("Relu", "r", {"p"});
    small.Conv("y", "r");
    small.Output("y");
    QuantPlan plan = small.Plan();
    SetRange(&plan, small.graph.Find("r"), least, 2.0f, "");
    const Graph exported = ExportQdq(small.graph, plan);
    exported.Validate();
    std::vector<std::string> wanted = {"DequantizeLinear", "QuantizeLinear", "MaxPool",
                                       "DequantizeLinear", "QuantizeLinear", "Conv",
                                       "DequantizeLinear", "QuantizeLinear"};
    if (least < 0) wanted.insert(wanted.begin() + 2, "Relu");
    EXPECT_EQ(Chain(exported, "r"), wanted) << least;
  }
}

// c has readers that see its negative numbers, and so a pair of its own.
TEST(Export, AnActivationBesideOtherReadersGoesWhereTheCodesEnforceIt) {
  for (const char* type : {"Relu", "Clip"}) {
    SmallGraph small;
    small.Conv("c", "x");
    small.Op(type, "r", {"c"});
    small.Op("Sigmoid", "s", {"c"});
    small.Op("Mul", "y", {"r", "s"});
    small.Output("y");
    QuantPlan plan = small.Plan();
    SetRange(&plan, small.graph.Find("r"), 0.0f, 2.0f, "");
    if (type == std::string("Clip")) {
      small.graph.AddConstant("least", Tensor::Scalar<float>(-0.5f));
      small.graph.SetInput(small.Node("r"), 1, small.graph.Find("least"));
      SetRange(&plan, small.graph.Find("r"), -0.5f, 2.0f, "");
    }
    const Graph exported = ExportQdq(small.graph, plan);
    exported.Validate();
    const Node& first = *exported.Producer(exported.Producer(exported.Find("r"))->input(0));
    EXPECT_EQ(first.input(0), exported.Find("c")) << type;
    EXPECT_EQ(exported.Producer(exported.Find("s_float"))->input(0), exported.Find("c")) << type;
    SetRange(&plan, small.graph.Find("r"), -1.0f, 2.0f, "");
    const Graph kept = ExportQdq(small.graph, plan);
    EXPECT_TRUE(kept.Producer(kept.Producer(kept.Producer(kept.Find("r"))->input(0))->input(0))->Is(type));
  }
}

TEST(Export, OfARowOfActivationsAllGoThatTheCodesBehindItEnforce) {
  SmallGraph small;
  small.Conv("c", "x");
  small.Op("Relu", "r1", {"c"});
  small.Op("Clip", "one", {"r1"});
  small.graph.AddConstant("most", Tensor::Scalar<float>(1.0f));
  small.graph.SetInput(small.Node("one"), 2, small.graph.Find("most"));
  small.Op("Relu", "r2", {"one"});
  small.Output("r2");
  QuantPlan plan = small.Plan();
  SetRange(&plan, small.graph.Find("r2"), 0.0f, 2.0f, "");
  const auto types = [&](const char* clip) {
    std::vector<std::string> row = {"DequantizeLinear", "QuantizeLinear", "Conv", "DequantizeLinear",
                                    "QuantizeLinear"};
    if (clip != nullptr) row.insert(row.begin() + 2, clip);
    return row;
  };
  EXPECT_EQ(Chain(ExportQdq(small.graph, plan), "r2"), types("Clip")) << "its bound has a code in between";
  SetRange(&plan, small.graph.Find("r2"), 0.0f, 1.0f, "");
  EXPECT_EQ(Chain(ExportQdq(small.graph, plan), "r2"), types(nullptr));
}

}  // namespace
}  // namespace xslim
