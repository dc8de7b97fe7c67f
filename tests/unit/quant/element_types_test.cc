#include "quant/element_types.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "graph/function.h"
#include "ops/operator.h"
#include "simplify/opset/signature.h"
#include "xslim/config.h"

namespace xslim {
namespace {

Node OfType(const char* type) {
  Node node;
  node.op_type = type;
  return node;
}

TEST(ElementTypes, TableIsFoundFromEndToEnd) {
  for (const char* type : {"Abs", "Xor", "Where", "MatMul", "LayerNormalization", "TopK", "QLinearConv"})
    EXPECT_NE(FindTypes(OfType(type), kHighestOpset), nullptr) << type;
  EXPECT_EQ(FindTypes(OfType("NoSuch"), kHighestOpset), nullptr);
  Node other = OfType("Abs");
  other.domain = "com.microsoft";
  EXPECT_EQ(FindTypes(other, kHighestOpset), nullptr);
  for (const char* type :
       {"Attention", "FusedConv", "MatMulNBits", "SkipLayerNormalization", "TransposeMatMul"}) {
    other.op_type = type;
    EXPECT_NE(FindTypes(other, kHighestOpset), nullptr) << type;
  }
}

// Without a row an operator cannot become a 16-bit one. Those that work on sequences, optionals, texts or
// bodies have none.
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
                                            "StringSplit"};
  std::set<std::string> without;
  for (const OperatorRow* row : AllOperators()) {
    if (*row->domain == '\0' && FindTypes(OfType(row->op_type), kHighestOpset) == nullptr)
      without.insert(row->op_type);
  }
  EXPECT_EQ(without, exceptions);
}

TEST(ElementTypes, LettersOfSlots) {
  const OperatorTypes& where = *FindTypes(OfType("Where"), kHighestOpset);
  EXPECT_EQ(InputLetter(where, 0), 'b');
  EXPECT_EQ(InputLetter(where, 2), 'T');
  EXPECT_EQ(InputLetter(where, 3), '?');
  const OperatorTypes& concat = *FindTypes(OfType("Concat"), kHighestOpset);
  EXPECT_EQ(InputLetter(concat, 7), 'T');
  const OperatorTypes& resize = *FindTypes(OfType("Resize"), kHighestOpset);
  EXPECT_EQ(InputLetter(resize, 2), 'f');
  EXPECT_EQ(OutputLetter(*FindTypes(OfType("TopK"), kHighestOpset), 1), 'i');
}

TEST(ElementTypes, LettersFollowTheOpset) {
  EXPECT_EQ(InputLetter(*FindTypes(OfType("Resize"), 10), 1), 'f') << "scales";
  EXPECT_EQ(InputLetter(*FindTypes(OfType("Resize"), 11), 1), 'U') << "roi";
  EXPECT_EQ(OutputLetter(*FindTypes(OfType("Dropout"), 9), 1), 'T');
  EXPECT_EQ(OutputLetter(*FindTypes(OfType("Dropout"), 10), 1), 'b');
}

// What the schema of each opset says of one slot.
void ExpectFits(const opset::Signature& schema, const opset::Formal* formal, const OperatorTypes& types,
                char letter, int opset, const std::string& slot) {
  const auto allowed = [&](DType type) {
    return (schema.variables[static_cast<size_t>(formal->variable)] >> static_cast<int>(type) & 1) != 0;
  };
  const std::string at = schema.op_type + ", opset " + std::to_string(opset) + ", " + slot;
  EXPECT_EQ(MayBeFloat(letter) || letter == 'f', allowed(DType::kFloat)) << at;
  if (!MayBeFloat(letter)) return;
  EXPECT_TRUE(types.float16_since == 0 || opset < types.float16_since || allowed(DType::kFloat16)) << at;
  EXPECT_TRUE(types.bfloat16_since == 0 || opset < types.bfloat16_since || allowed(DType::kBFloat16)) << at;
}

TEST(ElementTypes, EachSlotFitsTheSchemaOfEachOpset) {
  // Comparison of floats came later than the operator; such a node is in no valid model.
  const auto exempt = [](const std::string& type, int opset) { return type == "Equal" && opset < 11; };
  int checked = 0;
  for (const OperatorRow* row : AllOperators()) {
    for (int opset = kLowestOpset; opset <= kHighestOpset && *row->domain == '\0'; ++opset) {
      const OperatorTypes* types = FindTypes(OfType(row->op_type), opset);
      const opset::Signature* schema = opset::FindSignature(row->op_type, opset);
      if (types == nullptr || schema == nullptr || exempt(row->op_type, opset)) continue;
      for (size_t i = 0; schema->Input(i) != nullptr && i < 12; ++i)
        ExpectFits(*schema, schema->Input(i), *types, InputLetter(*types, i), opset,
                   "input " + std::to_string(i));
      for (size_t i = 0; schema->Output(i) != nullptr && i < 6; ++i)
        ExpectFits(*schema, schema->Output(i), *types, OutputLetter(*types, i), opset,
                   "output " + std::to_string(i));
      ++checked;
    }
  }
  EXPECT_GT(checked, 1000);
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

TEST(ElementTypes, UnknownOperatorsFollowTheirReaders) {
  Graph graph;
  graph.opset_imports[""] = 17;
  const ValueId x = graph.AddValue("x", DType::kFloat), count = graph.AddValue("count", DType::kInt64);
  graph.AddInput(x);
  graph.AddInput(count);
  const auto made = [&](const char* type, std::vector<ValueId> inputs, const char* name) {
    const ValueId y = graph.AddValue(name);
    graph.AddNode(type, name, std::move(inputs), {y});
    return y;
  };
  const ValueId floats = made("NoSuch", {x}, "floats"), places = made("NoSuch", {x}, "places"),
                open = made("NoSuch", {x}, "open");
  const ValueId turned = made("Transpose", {floats}, "turned");
  made("MatMul", {turned, graph.AddConstant("w", Tensor::Of<float>({1}, {1}))}, "product");
  const ValueId sum = made("Add", {places, count}, "sum"), after = made("Relu", {open}, "after");
  const ValueId declared = made("NoSuch", {after}, "declared"), y = made("Sqrt", {declared}, "y");
  graph.value(y).dtype = DType::kFloat;
  InferElementTypes(&graph);
  for (ValueId id : {floats, turned, declared}) EXPECT_EQ(graph.value(id).dtype, DType::kFloat);
  for (ValueId id : {places, sum}) EXPECT_EQ(graph.value(id).dtype, DType::kInt64);
  for (ValueId id : {open, after}) EXPECT_EQ(graph.value(id).dtype, DType::kUndefined);
}

TEST(ElementTypes, CallsFollowTheirFunctions) {
  Graph graph;
  graph.opset_imports[""] = 17;
  graph.opset_imports["own"] = 1;
  auto function = std::make_shared<Function>();
  function->domain = "own";
  function->name = "Half";
  function->body.opset_imports[""] = 17;
  const ValueId in = function->body.AddValue("in"), out = function->body.AddValue("out");
  function->body.AddInput(in);
  function->body.AddNode("Cast", "cast", {in}, {out}, {{"to", Attribute::Int(10)}});
  function->body.AddOutput(out);
  graph.functions.push_back(function);
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y"), z = graph.AddValue("z");
  graph.AddInput(x);
  graph.AddNode("Half", "call", {x}, {y}, {}, "own");
  graph.AddNode("Relu", "relu", {y}, {z});
  InferElementTypes(&graph);
  EXPECT_EQ(graph.value(z).dtype, DType::kFloat16);
  EXPECT_EQ(graph.node(graph.value(y).producer).op_type, "Half") << "calls stay";
}

}  // namespace
}  // namespace xslim
