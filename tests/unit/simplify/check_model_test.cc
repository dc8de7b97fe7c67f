#include "simplify/check_model.h"

#include <gmock/gmock.h>

#include "rewrite_helper.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using namespace testing;
using ::testing::HasSubstr;

// The one fault of a model; "" when it has none.
std::string FaultOf(const Model& m) {
  const std::vector<ModelFault> faults = FindFaults(m.graph);
  EXPECT_LE(faults.size(), 1u);
  return faults.empty() ? "" : faults[0].why;
}

std::string Of(const std::string& type, const std::vector<Shape>& inputs, const Attributes& attributes = {}) {
  Model m;
  std::vector<ValueId> ids;
  for (const Shape& shape : inputs) ids.push_back(m.Input("x" + std::to_string(ids.size()), shape));
  m.Output(m.Op(type, ids, attributes));
  return FaultOf(m);
}

TEST(CheckModel, ShapesThatDoNotGoTogether) {
  EXPECT_THAT(Of("Add", {{2, 3, 4}, {2, 1}}), HasSubstr("sizes that do not broadcast: 3 and 2"));
  EXPECT_THAT(Of("MatMul", {{-1, 3}, {4, 5}}), HasSubstr("inner sizes of a matrix product: 3 and 4"));
  EXPECT_THAT(Of("MatMul", {{7, 3}, {2}}), HasSubstr("3 and 2"));
  EXPECT_THAT(Of("Gemm", {{3, 7}, {5, 4}}, {{"transA", I(1)}, {"transB", I(1)}}), HasSubstr("3 and 4"));
  EXPECT_THAT(Of("Conv", {{1, 4, 8, 8}, {6, 4, 3, 3}}, {{"group", I(2)}}), HasSubstr("4 and 8"));
  EXPECT_THAT(Of("Conv", {{1, 4, 8, 8}, {6, 4, 3}}), HasSubstr("ranks"));
  EXPECT_THAT(Of("ConvTranspose", {{1, 4, 8, 8}, {6, 4, 3, 3}}), HasSubstr("4 and 6"));
  EXPECT_THAT(Of("BatchNormalization", {{1, 4, 8}, {4}, {4}, {4}, {5}}), HasSubstr("4 and 5"));
  EXPECT_THAT(Of("Concat", {{1, 4, 8}, {1, 4, 7}}, {{"axis", I(1)}}), HasSubstr("8 and 7"));
}

TEST(CheckModel, ShapesThatDo) {
  EXPECT_EQ(Of("Add", {{-1, 3, 4}, {3, 1}}), "");
  EXPECT_EQ(Of("MatMul", {{7, 3}, {3}}), "");
  EXPECT_EQ(Of("MatMul", {{3}, {2, 3, 4}}), "");
  EXPECT_EQ(Of("Gemm", {{3, 7}, {4, 3}}, {{"transA", I(1)}, {"transB", I(1)}}), "");
  EXPECT_EQ(Of("Conv", {{-1, -1, 8, 8}, {6, 4, 3, 3}}), "");
  EXPECT_EQ(Of("Conv", {{1, 8, 8}, {6, 4, 3}}, {{"group", I(2)}}), "");
  EXPECT_EQ(Of("ConvTranspose", {{1, 4, 8, 8}, {4, 6, 3, 3}}), "");
  EXPECT_EQ(Of("Concat", {{1, 4, 8}, {1, 3, 8}}, {{"axis", I(-2)}}), "");
}

TEST(CheckModel, WhatTheOperatorDoesNotHave) {
  EXPECT_THAT(Of("Add", {{2}}), HasSubstr("input 1 left out"));
  EXPECT_THAT(Of("Relu", {{2}, {2}}), HasSubstr("input 1"));
  EXPECT_THAT(Of("Concat", {{2}, {2}}), HasSubstr("attribute axis left out"));
  EXPECT_THAT(Of("Relu", {{2}}, {{"alpha", Attribute::Float(1)}}), HasSubstr("attribute alpha"));
  Model m;
  m.Output(m.Op("Add", {m.Input("a", {2}), m.Input("b", {2}, DType::kInt64)}));
  EXPECT_THAT(FaultOf(m), HasSubstr("float32 and int64 together"));
  Model kind;
  kind.Output(
      kind.Op("Concat", {kind.Input("a", {2}), kind.Input("b", {2})}, {{"axis", Attribute::Float(0)}}));
  EXPECT_THAT(FaultOf(kind), HasSubstr("axis"));
}

// Windows, axes and lists that contradict the shapes, also where sizes are open.
TEST(CheckModel, AttributesThatContradictTheShapes) {
  const std::vector<Shape> conv = {{-1, 4, -1, -1}, {6, 4, 3, 3}};
  EXPECT_THAT(Of("Conv", conv, {{"kernel_shape", Is({5, 5})}}), HasSubstr("not that of the weights"));
  EXPECT_THAT(Of("Conv", conv, {{"strides", Is({0, 1})}}), HasSubstr("strides [0,1]"));
  EXPECT_THAT(Of("Conv", conv, {{"dilations", Is({1, -1})}}), HasSubstr("dilations [1,-1]"));
  EXPECT_THAT(Of("Conv", conv, {{"pads", Is({1, 1})}}), HasSubstr("pads [1,1] has 2 entries"));
  EXPECT_THAT(Of("Conv", conv, {{"auto_pad", Attribute::String("SOME")}}), HasSubstr("auto_pad SOME"));
  EXPECT_THAT(Of("ConvTranspose", {{1, 6, 8, 8}, {6, 4, 3, 3}}, {{"strides", Is({1})}}),
              HasSubstr("strides"));
  EXPECT_THAT(Of("MaxPool", {conv[0]}, {{"kernel_shape", Is({2})}}), HasSubstr("kernel_shape"));
  EXPECT_THAT(Of("AveragePool", {{4, 8}}, {{"kernel_shape", Is({2})}}), HasSubstr("rank 2"));
  EXPECT_THAT(Of("Transpose", {conv[0]}, {{"perm", Is({0, 0, 1, 2})}}), HasSubstr("each axis once"));
  EXPECT_THAT(Of("Transpose", {conv[0]}, {{"perm", Is({0, 1})}}), HasSubstr("rank 4"));
  EXPECT_THAT(Of("Concat", {conv[0], conv[0]}, {{"axis", I(7)}}), HasSubstr("axis 7 of a tensor of rank 4"));
  for (const char* type : {"Softmax", "LogSoftmax", "ArgMax", "Split"})
    EXPECT_THAT(Of(type, {conv[0]}, {{"axis", I(-5)}}), HasSubstr("axis -5")) << type;
  EXPECT_THAT(Of("Flatten", {conv[0]}, {{"axis", I(5)}}), HasSubstr("axis 5"));
  EXPECT_THAT(Of("ReduceMean", {conv[0]}, {{"axes", Is({1, 4})}}), HasSubstr("axis 4"));
  EXPECT_THAT(Of("InstanceNormalization", {conv[0], {4}, {5}}), HasSubstr("4 and 5"));
  EXPECT_THAT(Of("DepthToSpace", {{1, 6, 2, 2}}, {{"blocksize", I(2)}}), HasSubstr("6 elements"));
  EXPECT_THAT(Of("Gemm", {{2, 3, 4}, {4, 5}}), HasSubstr("rank 3"));
}

// The inputs that hold lists, of a data input of this shape.
std::string Listed(const std::string& type, const Shape& shape,
                   const std::vector<std::vector<int64_t>>& lists, const Attributes& attributes = {}) {
  Model m;
  std::vector<ValueId> ids = {m.Input("x", shape)};
  for (const auto& list : lists) {
    ids.push_back(
        m.graph.AddConstant("list", Tensor::Of<int64_t>({static_cast<int64_t>(list.size())}, list)));
  }
  m.Output(m.Op(type, ids, attributes));
  return FaultOf(m);
}

TEST(CheckModel, ListsThatContradictTheShapes) {
  EXPECT_THAT(Listed("Gather", {-1, 4}, {{4}}, {{"axis", I(1)}}), HasSubstr("index 4 of an axis of 4"));
  EXPECT_THAT(Listed("Squeeze", {2, 4}, {{1}}), HasSubstr("4 elements"));
  EXPECT_THAT(Listed("Unsqueeze", {2, 4}, {{0, -4}}), HasSubstr("twice"));
  EXPECT_THAT(Listed("Split", {2, 4}, {{5}}, {{"axis", I(1)}}), HasSubstr("4 and 5"));
  EXPECT_THAT(Listed("Slice", {-1, 4}, {{0, 0}, {1}}), HasSubstr("2 and 1"));
  EXPECT_THAT(Listed("Slice", {-1, 4}, {{0}, {1}, {0}, {0}}), HasSubstr("step of 0"));
  EXPECT_THAT(Listed("Reshape", {-1, 4}, {{-1, -1}}), HasSubstr("two sizes open"));
  EXPECT_THAT(Listed("Reshape", {2, 4}, {{3, -1}}), HasSubstr("8 elements in shape [3,-1]"));
  EXPECT_THAT(Listed("Pad", {-1, 4}, {{1, 1}}), HasSubstr("2 and 4"));
  EXPECT_THAT(Listed("Tile", {-1, 4}, {{1, 1, 1}}), HasSubstr("2 and 3"));
}

TEST(CheckModel, AttributesThatRuntimesTake) {
  const std::vector<Shape> conv = {{-1, 4, -1, -1}, {6, 4, 1, 3}};
  EXPECT_EQ(Of("Conv", conv, {{"dilations", Is({0, 2})}}), "");    // of one tap it says nothing
  EXPECT_EQ(Of("Conv", conv, {{"pads", Is({-1, 0, 0, 0})}}), "");  // crops
  EXPECT_EQ(Of("Softmax", {{}}, {{"axis", I(-1)}}), "");
  EXPECT_EQ(Listed("Squeeze", {1, -1}, {{0, 1}}), "");
  EXPECT_EQ(Listed("Reshape", {2, 0}, {{0, 0}}), "");
  EXPECT_EQ(Listed("Reshape", {-1, 4}, {{0, 2, 2}}), "");
  EXPECT_EQ(Listed("Unsqueeze", {2, 4}, {{0, -1}}), "");
}

TEST(CheckModel, AnOperatorThatTheOpsetDoesNotHave) {
  EXPECT_EQ(Of("NoSuchOperator", {{2}}), "opset 17 has no operator NoSuchOperator");
  EXPECT_THAT(Of("Gelu", {{2}}), HasSubstr("no operator Gelu"));
  Model m;
  m.Output(m.Op("NoSuchOperator", {m.Input("x", {2})}));
  EXPECT_NO_THROW(RefuseFaults(m.graph));
  m.graph.node(0).domain = "com.acme";
  EXPECT_EQ(FaultOf(m), "the model does not import its domain com.acme");
  EXPECT_NO_THROW(RefuseFaults(m.graph));
  m.graph.opset_imports["com.acme"] = 1;
  EXPECT_EQ(FaultOf(m), "");
}

TEST(CheckModel, OutputsAreOfTheTypeThatIsComputed) {
  Model m;
  const ValueId y = m.Op("Relu", {m.Input("x", {2})});
  m.Output(y);
  m.graph.value(y).dtype = DType::kInt64;
  EXPECT_EQ(FaultOf(m),
            "computes float32 for output " + m.graph.value(y).name + ", which is declared as int64");
  EXPECT_THROW(RefuseFaults(m.graph), Error);
  m.graph.value(y).dtype = DType::kUndefined;
  EXPECT_EQ(FaultOf(m), "");
}

// The output's shape after the correction, -1 for an open size.
Shape Corrected(const Shape& declared, const Shape& input, int corrected) {
  Model m;
  m.Output(m.Op("Transpose", {m.Input("x", input)}, {{"perm", Attribute::Ints({1, 0})}}));
  Value& output = m.graph.value(m.graph.outputs()[0]);
  output.has_shape = true;
  for (int64_t size : declared) output.dims.push_back({size, size < 0 ? "M" : ""});
  EXPECT_EQ(CorrectShapes(&m.graph, false), corrected);
  Shape shape;
  for (const Dim& dim : m.graph.value(m.graph.outputs()[0]).dims) shape.push_back(dim.size);
  return shape;
}

TEST(CheckModel, WrongOutputShapesAreCorrected) {
  EXPECT_EQ(Corrected({3, 2}, {3, 5}, 1), Shape({5, 3}));
  EXPECT_EQ(Corrected({5}, {3, 5}, 1), Shape({5, 3}));
  EXPECT_EQ(Corrected({7, 7}, {-1, 5}, 1), Shape({5, 7}));  // nobody knows whether the other one is wrong
  EXPECT_EQ(Corrected({5, 3}, {3, 5}, 0), Shape({5, 3}));
  EXPECT_EQ(Corrected({-1, 3}, {3, 5}, 0), Shape({-1, 3}));  // says less, but nothing wrong
  EXPECT_EQ(Corrected({5, 1}, {-1, 5}, 0), Shape({5, 1}));
}

TEST(CheckModel, WrongShapesOfInnerTensorsAreCorrected) {
  Model m;
  const ValueId inner = m.Op("Relu", {m.Input("x", {-1, 20})});
  m.Output(m.Op("Relu", {inner}));
  Value& value = m.graph.value(inner);
  value.has_shape = true;
  value.dims = {{-1, "N"}, {16, ""}};
  EXPECT_EQ(CorrectShapes(&m.graph, false), 1);
  EXPECT_EQ(value.dims[0].symbol, "N");
  EXPECT_EQ(value.dims[1].size, 20);
}

TEST(CheckModel, OpenSizesThatAreKnownAreFilledInWhenAsked) {
  Model m;
  const ValueId inner = m.Op("Relu", {m.Input("x", {-1, 20})});
  m.Output(m.Op("Relu", {inner}));
  Value& output = m.graph.value(m.graph.outputs()[0]);
  output.dtype = DType::kFloat;
  Value& value = m.graph.value(inner);
  value.has_shape = true;
  value.dims = {{-1, "N"}, {-1, "M"}};
  EXPECT_EQ(CorrectShapes(&m.graph, false), 0);
  EXPECT_EQ(value.dims[1].size, -1);
  EXPECT_EQ(CorrectShapes(&m.graph, true), 0);  // none of them was wrong
  EXPECT_EQ(value.dims[0].symbol, "N");
  EXPECT_EQ(value.dims[1].size, 20);
  EXPECT_EQ(value.dims[1].symbol, "");
  ASSERT_TRUE(output.has_shape);  // it had none
  EXPECT_EQ(output.dims[0].size, -1);
  EXPECT_EQ(output.dims[1].size, 20);
}

// Exporters write targets of Reshape as Constant nodes.
TEST(CheckModel, WhatConstantNodesHoldIsKnown) {
  const auto make = [](int64_t rows) {
    Model m;
    const ValueId target =
        m.Op("Constant", {}, {{"value", Attribute::OfTensor(Tensor::Of<int64_t>({2}, {rows, 3}))}});
    m.Output(m.Op("Reshape", {m.Input("x", {2, 6}), target}));
    Value& output = m.graph.value(m.graph.outputs()[0]);
    output.has_shape = true;
    output.dims = {{7, ""}, {3, ""}};
    return m;
  };
  EXPECT_THAT(FaultOf(make(5)), HasSubstr("12"));
  Model good = make(4);
  EXPECT_EQ(FaultOf(good), "");
  EXPECT_EQ(CorrectShapes(&good.graph, false), 1);
  EXPECT_EQ(good.graph.value(good.graph.outputs()[0]).dims[0].size, 4);
  EXPECT_EQ(CountsOf(good.graph).at("Constant"), 1);  // the graph itself keeps its nodes
}

// As those of Resize's scales, which are no integers.
TEST(CheckModel, ScalesThatConstantNodesHoldAreKnown) {
  Model m;
  const ValueId scales =
      m.Op("Constant", {}, {{"value", Attribute::OfTensor(Tensor::Of<float>({4}, {1, 1, 2, 1.5f}))}});
  m.Output(m.Op("Resize", {m.Input("x", {1, 3, 4, 6}), kNone, scales}));
  Value& output = m.graph.value(m.graph.outputs()[0]);
  output.has_shape = true;
  output.dims = {{1, ""}, {3, ""}, {8, ""}, {8, ""}};
  EXPECT_EQ(CorrectShapes(&m.graph, false), 1);
  EXPECT_EQ(output.dims[2].size, 8);
  EXPECT_EQ(output.dims[3].size, 9);
}

TEST(CheckModel, AModelHasOutputs) {
  Model m;
  m.Op("Relu", {m.Input("x", {2})});
  EXPECT_EQ(FaultOf(m), "it has no outputs");
  EXPECT_THROW(RefuseFaults(m.graph), Error);
}

TEST(CheckModel, FatalOnesAreErrorsAndNameTheNode) {
  Model m;
  m.Output(m.Op("Relu", {m.Input("x", {2})}, {{"alpha", Attribute::Float(1)}}));
  EXPECT_NO_THROW(RefuseFaults(m.graph));
  m.Output(m.Op("Add", {m.Input("y", {2})}));
  try {
    RefuseFaults(m.graph);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("Add[Add]: not as opset 17 has it: input 1 left out"));
  }
}

// Inputs and outputs of a node, and of its body.
struct Counts {
  size_t in, out, body_in, body_out;
};

std::string OfControl(const std::string& type, const Counts& counts, Attributes attributes = {}) {
  Model m;
  const auto body = std::make_shared<Graph>();
  body->opset_imports[""] = 17;
  for (size_t i = 0; i < counts.body_in; ++i) body->AddInput(body->AddValue("in" + std::to_string(i)));
  for (size_t i = 0; i < counts.body_out; ++i) {
    const ValueId out = body->AddConstant("out" + std::to_string(i), Tensor::Scalar<float>(0));
    body->AddOutput(out);
  }
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = body;
  if (type == "If")
    attributes.insert({{"then_branch", attribute}, {"else_branch", attribute}});
  else
    attributes["body"] = attribute;
  std::vector<ValueId> inputs, outputs;
  for (size_t i = 0; i < counts.in; ++i)
    inputs.push_back(m.Input("x" + std::to_string(i), {}, DType::kUndefined));
  for (size_t i = 0; i < counts.out; ++i) outputs.push_back(m.graph.AddValue("y" + std::to_string(i)));
  m.graph.AddNode(type, "control", inputs, outputs, attributes);
  m.Output(outputs[0]);
  return FaultOf(m);
}

TEST(CheckModel, BodiesTakeAndMakeWhatTheNodeHas) {
  EXPECT_EQ(OfControl("If", {1, 2, 0, 2}), "");
  EXPECT_EQ(OfControl("If", {1, 1, 0, 2}), "then_branch has 2 outputs instead of 1");
  EXPECT_EQ(OfControl("If", {1, 1, 1, 1}), "then_branch has 1 inputs instead of 0");
  EXPECT_EQ(OfControl("Loop", {3, 2, 3, 3}), "");
  EXPECT_EQ(OfControl("Loop", {2, 1, 2, 2}), "");
  EXPECT_EQ(OfControl("Loop", {3, 2, 2, 3}), "body has 2 inputs instead of 3");
  EXPECT_EQ(OfControl("Loop", {3, 2, 3, 2}), "body has 2 outputs instead of 3");
  EXPECT_EQ(OfControl("Loop", {4, 1, 4, 2}), "has 1 outputs for 2 states");
  const auto scanned = [](int64_t count) { return Attributes{{"num_scan_inputs", I(count)}}; };
  EXPECT_EQ(OfControl("Scan", {2, 2, 2, 2}, scanned(1)), "");
  EXPECT_EQ(OfControl("Scan", {2, 2, 1, 2}, scanned(1)), "body has 1 inputs instead of 2");
  EXPECT_EQ(OfControl("Scan", {2, 2, 2, 3}, scanned(1)), "body has 3 outputs instead of 2");
  EXPECT_EQ(OfControl("Scan", {2, 2, 2, 2}, scanned(3)), "num_scan_inputs is 3 for 2 inputs");
}

TEST(CheckModel, BodiesAreLookedAt) {
  Model m;
  auto body = std::make_shared<Graph>();
  body->opset_imports[""] = 17;
  const ValueId out = body->AddValue("sum", DType::kFloat);
  body->AddNode("Add", "inner", {body->AddValue("x")}, {out});
  body->AddOutput(out);
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = body;
  m.Input("x", {2});
  m.Output(m.Op("If", {m.Input("on", {}, DType::kBool)},
                {{"then_branch", attribute}, {"else_branch", attribute}}));
  const std::vector<ModelFault> faults = FindFaults(m.graph);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].node, "If/inner[Add]");
}

}  // namespace
}  // namespace xslim
