#include "quant/element_types.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "ops/operator.h"

namespace xslim {
namespace {

Node OfType(const char* type) {
  Node node;
  node.op_type = type;
  return node;
}

TEST(ElementTypes, TableIsFoundFromEndToEnd) {
  for (const char* type : {"Abs", "Xor", "Where", "MatMul", "LayerNormalization", "TopK", "QLinearConv"})
    EXPECT_NE(FindTypes(OfType(type)), nullptr) << type;
  EXPECT_EQ(FindTypes(OfType("NoSuch")), nullptr);
  Node other = OfType("Abs");
  other.domain = "com.microsoft";
  EXPECT_EQ(FindTypes(other), nullptr);
}

// Without a row an operator cannot become a 16-bit one. Those that work on sequences, optionals, texts or
// bodies have none, nor has ONNX Runtime's operator in the domain of ONNX.
TEST(ElementTypes, EveryOperatorHasARow) {
  const std::set<std::string> exceptions = {"ConcatFromSequence",
                                            "If",
                                            "Loop",
                                            "Optional",
                                            "OptionalGetElement",
                                            "OptionalHasElement",
                                            "Scan",
                                            "SequenceAt",
                                            "SequenceConstruct",
                                            "SequenceEmpty",
                                            "SequenceErase",
                                            "SequenceInsert",
                                            "SequenceLength",
                                            "SequenceMap",
                                            "SplitToSequence",
                                            "StringConcat",
                                            "StringNormalizer",
                                            "StringSplit",
                                            "SimplifiedLayerNormalization"};
  std::set<std::string> without;
  for (const OperatorRow* row : AllOperators()) {
    if (*row->domain == '\0' && FindTypes(OfType(row->op_type)) == nullptr) without.insert(row->op_type);
  }
  EXPECT_EQ(without, exceptions);
}

TEST(ElementTypes, LettersOfSlots) {
  const OperatorTypes& where = *FindTypes(OfType("Where"));
  EXPECT_EQ(InputLetter(where, 0), 'b');
  EXPECT_EQ(InputLetter(where, 2), 'T');
  EXPECT_EQ(InputLetter(where, 3), '?');
  const OperatorTypes& concat = *FindTypes(OfType("Concat"));
  EXPECT_EQ(InputLetter(concat, 7), 'T');
  const OperatorTypes& resize = *FindTypes(OfType("Resize"));
  EXPECT_EQ(InputLetter(resize, 2), 'f');
  EXPECT_EQ(OutputLetter(*FindTypes(OfType("TopK")), 1), 'i');
}

TEST(ElementTypes, FollowsInputsConstantsAndAttributes) {
  Graph graph;
  graph.opset_imports[""] = 17;
  const ValueId x = graph.AddValue("x", DType::kFloat16);
  graph.AddInput(x);
  const auto made = [&](const char* type, std::vector<ValueId> inputs,
                        std::map<std::string, Attribute> attributes = {}) {
    const ValueId y = graph.AddValue(type);
    graph.AddNode(type, type, std::move(inputs), {y}, std::move(attributes));
    return y;
  };
  const ValueId relu = made("Relu", {x});
  const ValueId shape = made("Shape", {relu});
  const ValueId cast = made("Cast", {shape}, {{"to", Attribute::Int(1)}});
  const ValueId less = made("Less", {relu, x});
  const ValueId where = made("Where", {less, cast, graph.AddConstant("c", Tensor::Scalar<float>(1))});
  const ValueId fill = made("ConstantOfShape", {shape});
  const ValueId unknown = made("NoSuch", {relu});
  const ValueId after = made("Relu", {unknown});
  InferElementTypes(&graph);
  EXPECT_EQ(graph.value(relu).dtype, DType::kFloat16);
  EXPECT_EQ(graph.value(shape).dtype, DType::kInt64);
  EXPECT_EQ(graph.value(cast).dtype, DType::kFloat);
  EXPECT_EQ(graph.value(less).dtype, DType::kBool);
  EXPECT_EQ(graph.value(where).dtype, DType::kFloat);
  EXPECT_EQ(graph.value(fill).dtype, DType::kFloat);
  EXPECT_EQ(graph.value(unknown).dtype, DType::kUndefined);
  EXPECT_EQ(graph.value(after).dtype, DType::kUndefined);
}

}  // namespace
}  // namespace xslim
