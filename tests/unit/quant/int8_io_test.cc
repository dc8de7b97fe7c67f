#include "quant/int8_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace xslim {
namespace {

using testing::IsEmpty;

// A graph that is built node by node; names of nodes are those of their outputs.
struct Builder {
  Graph graph;

  Builder() { graph.opset_imports[""] = 13; }
  ValueId Input(const char* name) {
    const ValueId id = graph.AddValue(name, DType::kFloat);
    graph.AddInput(id);
    return id;
  }
  ValueId Op(const char* type, const char* output, std::vector<ValueId> inputs) {
    const ValueId id = graph.AddValue(output, DType::kFloat);
    graph.AddNode(type, output, std::move(inputs), {id});
    return id;
  }
  ValueId Scale(float scale) { return graph.AddConstant("scale", Tensor::Of<float>({}, {scale})); }
  ValueId Zero(int8_t zero) { return graph.AddConstant("zero", Tensor::Of<int8_t>({}, {zero})); }
  ValueId Quantize(const char* output, ValueId x) {
    return Op("QuantizeLinear", output, {x, Scale(0.5f), Zero(3)});
  }
  ValueId Dequantize(const char* output, ValueId x) {
    return Op("DequantizeLinear", output, {x, Scale(0.5f), Zero(3)});
  }
  int64_t Count(const char* type) const {
    int64_t count = 0;
    for (NodeId id : graph.Order()) count += graph.node(id).Is(type);
    return count;
  }
  const Value& Named(const char* name) const { return graph.value(graph.Find(name)); }
};

TEST(Int8Io, BothEndsBecomeCodes) {
  Builder b;
  const ValueId x = b.Dequantize("x_dq", b.Quantize("x_q", b.Input("x")));
  b.graph.AddOutput(b.Dequantize("y", b.Quantize("y_q", b.Op("Relu", "relu", {x}))));
  const std::vector<CodedTensor> coded = MakeIoInt8(&b.graph);
  b.graph.Validate();
  ASSERT_EQ(coded.size(), 2u);
  EXPECT_EQ(Describe(coded[0]), "input x holds codes: value = (code - 3) * 0.5");
  EXPECT_EQ(Describe(coded[1]), "output y holds codes: value = (code - 3) * 0.5");
  EXPECT_EQ(b.Count("QuantizeLinear"), 1);
  EXPECT_EQ(b.Count("DequantizeLinear"), 1);
  EXPECT_EQ(b.Named("x").dtype, DType::kInt8);
  EXPECT_EQ(b.Named("y").dtype, DType::kInt8);
  EXPECT_EQ(b.graph.metadata.at("scale:x"), "0.5");
  EXPECT_EQ(b.graph.metadata.at("zero_point:y"), "3");
}

TEST(Int8Io, LooksThroughDataMovement) {
  Builder b;
  const ValueId moved = b.Op("Transpose", "moved", {b.Input("x")});
  const ValueId inner = b.Op("Relu", "relu", {b.Dequantize("x_dq", b.Quantize("x_q", moved))});
  b.graph.AddOutput(b.Op("Flatten", "y", {b.Dequantize("y_dq", b.Quantize("y_q", inner))}));
  EXPECT_EQ(MakeIoInt8(&b.graph).size(), 2u);
  b.graph.Validate();
  EXPECT_EQ(b.Named("moved").dtype, DType::kInt8);
  EXPECT_EQ(b.Named("y").dtype, DType::kInt8);
  EXPECT_EQ(b.Count("DequantizeLinear"), 1);
}

TEST(Int8Io, InnerReadersOfAnOutputKeepFloats) {
  Builder b;
  const ValueId y = b.Dequantize("y", b.Quantize("y_q", b.Op("Relu", "relu", {b.Input("x")})));
  b.graph.AddOutput(y);
  b.graph.AddOutput(b.Op("Exp", "z", {y}));
  EXPECT_EQ(MakeIoInt8(&b.graph).size(), 1u);
  b.graph.Validate();
  EXPECT_EQ(b.graph.value(b.graph.outputs()[0]).name, "y");
  EXPECT_EQ(b.graph.value(b.graph.outputs()[1]).name, "z");
  EXPECT_EQ(b.Named("y").dtype, DType::kInt8);
  EXPECT_EQ(b.Named("z").dtype, DType::kFloat);
  EXPECT_EQ(b.Count("DequantizeLinear"), 1);
}

TEST(Int8Io, FloatReadersAndFloatResultsStay) {
  Builder b;
  const ValueId x = b.Input("x");
  const ValueId q = b.Dequantize("x_dq", b.Quantize("x_q", x));
  b.graph.AddOutput(b.Op("Add", "y", {q, x}));  // x is read as it is, too
  EXPECT_THAT(MakeIoInt8(&b.graph), IsEmpty());
  EXPECT_EQ(b.Named("x").dtype, DType::kFloat);
  EXPECT_EQ(b.Named("y").dtype, DType::kFloat);
}

TEST(Int8Io, SaysWhyAnEndStaysFloat) {
  Builder b;
  const ValueId x = b.Input("x");
  const ValueId q = b.Dequantize("x_dq", b.Quantize("x_q", x));
  b.graph.AddOutput(b.Op("Add", "y", {q, x}));
  const ValueId relu = b.Op("Relu", "relu", {b.Input("v")});
  const ValueId z = b.Op("Flatten", "z", {b.Dequantize("z_dq", b.Quantize("z_q", relu))});
  b.graph.AddOutput(z);
  b.graph.AddOutput(b.Op("Exp", "w", {z}));
  MakeIoInt8(&b.graph);
  EXPECT_THAT(
      FloatEnds(b.graph),
      testing::ElementsAre("input x stays float: y[Add] reads it", "input v stays float: relu[Relu] reads it",
                           "output y stays float: y[Add] makes it",
                           "output z stays float: its numbers are read elsewhere, too",
                           "output w stays float: w[Exp] makes it"));
}

TEST(Int8Io, OfCodesNothingStaysFloat) {
  Builder b;
  const ValueId x = b.Dequantize("x_dq", b.Quantize("x_q", b.Input("x")));
  b.graph.AddOutput(b.Dequantize("y", b.Quantize("y_q", b.Op("Relu", "relu", {x}))));
  MakeIoInt8(&b.graph);
  EXPECT_THAT(FloatEnds(b.graph), IsEmpty());
}

}  // namespace
}  // namespace xslim
