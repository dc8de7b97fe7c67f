#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rewrite_helper.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace testing;

// Two graphs of operators with one input and one output.
class PartNamesTest : public ::testing::Test {
 protected:
  PartNamesTest() {
    for (Graph* graph : {&before_, &after_}) graph->AddInput(graph->AddValue("x", DType::kFloat));
  }

  static NodeId Op(Graph* graph, const std::string& type, const std::string& name, const std::string& input,
                   const std::string& output) {
    const ValueId from = graph->Find(input), old = graph->Find(output);
    return graph->AddNode(type, name, {from}, {old == kNone ? graph->AddValue(output) : old});
  }

  std::vector<std::string> PartsOf(const std::string& name) {
    NameParts(before_, &after_);
    for (NodeId id : after_.Order()) {
      if (after_.node(id).name == name) return after_.node(id).parts;
    }
    ADD_FAILURE() << name;
    return {};
  }

  Graph before_, after_;
};

// From the new operator's output back to the values that are still computed; what lies behind those is
// another operator's.
TEST_F(PartNamesTest, AreWhatMadeTheOutputOfValuesThatAreStillThere) {
  Op(&before_, "Relu", "first", "x", "a");
  Op(&before_, "Neg", "second", "a", "b");
  Op(&before_, "Abs", "third", "b", "c");
  Op(&after_, "Relu", "first", "x", "a");
  Op(&after_, "Fused", "one", "a", "c");
  EXPECT_THAT(PartsOf("one"), ElementsAre("second", "third"));
  EXPECT_THAT(PartsOf("first"), IsEmpty());
}

TEST_F(PartNamesTest, WhatAnotherNewOperatorComputesIsItsPart) {
  Op(&before_, "Relu", "first", "x", "a");
  Op(&before_, "Neg", "second", "a", "b");
  Op(&after_, "Clip", "one", "x", "a");
  Op(&after_, "Fused", "two", "a", "b");
  EXPECT_THAT(PartsOf("one"), ElementsAre("first"));
  EXPECT_THAT(PartsOf("two"), ElementsAre("second"));
}

TEST_F(PartNamesTest, AnOperatorThatIsKeptIsNoPart) {
  Op(&before_, "Relu", "first", "x", "a");
  Op(&before_, "Neg", "second", "a", "b");
  Op(&after_, "Relu", "first", "x", "a2");  // of the same name and type, whatever it is called that it makes
  Op(&after_, "Fused", "one", "x", "b");
  EXPECT_THAT(PartsOf("one"), ElementsAre("second"));
}

TEST_F(PartNamesTest, AnotherTypeUnderTheOldNameIsANewOperator) {
  Op(&before_, "Div", "scale", "x", "a");
  Op(&after_, "Mul", "scale", "x", "a");
  EXPECT_THAT(PartsOf("scale"), ElementsAre("scale"));
}

TEST_F(PartNamesTest, ConstantsAreNobodysPart) {
  const ValueId k = before_.AddValue("k");
  before_.AddNode("Constant", "number", {}, {k});
  before_.AddNode("Mul", "product", {before_.Find("x"), k}, {before_.AddValue("y")});
  Op(&after_, "Fused", "one", "x", "y");
  EXPECT_THAT(PartsOf("one"), ElementsAre("product"));
}

TEST_F(PartNamesTest, NamesOfTheFileStandForThose) {
  const NodeId twice = Op(&before_, "Relu", "relu_7", "x", "a");
  before_.node(twice).shared_name = "relu";
  Op(&before_, "Neg", "second", "a", "b");
  Op(&after_, "Fused", "one", "x", "b");
  EXPECT_THAT(PartsOf("one"), ElementsAre("relu", "second"));
}

// A product that became several: their outputs are new.
TEST_F(PartNamesTest, ANameWithASuffixComesFromTheStem) {
  Op(&before_, "MatMul", "att_qkv", "x", "joined");
  Op(&before_, "Relu", "last", "joined", "y");
  Op(&after_, "MatMul", "att_qkv_q_1", "x", "q");
  Op(&after_, "Relu", "last", "q", "y");
  EXPECT_THAT(PartsOf("att_qkv_q_1"), ElementsAre("att_qkv"));
  EXPECT_THAT(PartsOf("last"), IsEmpty());
}

TEST_F(PartNamesTest, TheStemOfAnOperatorThatIsKeptIsNot) {
  Op(&before_, "MatMul", "att", "x", "y");
  Op(&after_, "MatMul", "att", "x", "y");
  Op(&after_, "Relu", "att_relu", "y", "z");
  EXPECT_THAT(PartsOf("att_relu"), IsEmpty());
}

TEST_F(PartNamesTest, WhatIsLeftOfNoOperatorIsGone) {
  Op(&before_, "Conv", "layer", "x", "a");
  Op(&before_, "BatchNormalization", "norm", "a", "b");
  Op(&before_, "Dropout", "drop", "b", "c");
  Op(&before_, "Neg", "second", "c", "d");
  Op(&before_, "Abs", "third", "d", "e");
  Op(&after_, "Conv", "layer", "x", "b");
  Op(&after_, "Fused", "one", "b", "e");
  EXPECT_THAT(PartsOf("one"), ElementsAre("drop", "second", "third"));
  ASSERT_EQ(after_.gone.size(), 1);
  EXPECT_EQ(after_.gone.at("norm").type, "BatchNormalization");
  EXPECT_EQ(after_.gone.at("norm").into, "layer[Conv]");
}

TEST_F(PartNamesTest, WhatNothingReadsAnyMoreIsGoneIntoNothing) {
  Op(&before_, "Relu", "first", "x", "a");
  Op(&before_, "Neg", "unused", "x", "b");
  Op(&after_, "Relu", "first", "x", "a");
  EXPECT_THAT(PartsOf("first"), IsEmpty());
  EXPECT_EQ(after_.gone.at("unused").into, "");
}

// Ignore lists take the names of what the user sees; what keeps its own name has no other.
TEST(NameParts, OperatorsMadeOfSeveralHaveTheNamesOfAll) {
  Model m(20);
  const ValueId normal = m.Op("Conv", {m.Input("x", {1, 3, 4, 4}), m.Random({8, 3, 1, 1})});
  const ValueId wide = m.Op("BatchNormalization", {normal, m.Const(Positive({8}, 1)), m.Random({8}),
                                                   m.Random({8}), m.Const(Positive({8}, 2))});
  const ValueId inner = m.Op("Erf", {m.Op("Div", {wide, m.F(std::sqrt(2.0f))})});
  const ValueId product = m.Op("Mul", {wide, m.Op("Add", {inner, m.F(1)})});
  m.graph.AddNode("Mul", "half", {product, m.F(0.5f)}, {m.graph.AddValue("y")});
  m.Output(m.graph.Find("y"));
  for (NodeId id : m.graph.Order()) {
    if (m.graph.node(id).Is("Erf")) m.graph.node(id).shared_name = "of_two";
  }
  const Graph before = m.graph;
  Simplify(&m.graph, {});
  NameParts(before, &m.graph);
  ASSERT_EQ(CountsOf(m.graph), (Counts{{"Conv", 1}, {"Gelu", 1}}));
  for (NodeId id : m.graph.Order()) {
    const Node& node = m.graph.node(id);
    const std::vector<std::string> parts = {"Add", "Div", "Mul", "half", "of_two"};
    EXPECT_EQ(node.parts, node.Is("Gelu") ? parts : std::vector<std::string>()) << node.Title();
  }
}

TEST(NameParts, InBodiesToo) {
  const auto gelu = [](Graph* graph, ValueId x) {
    const auto op = [&](const char* type, std::vector<ValueId> inputs) {
      const ValueId made = graph->AddValue(std::string(type) + "_out");
      graph->AddNode(type, graph->UniqueNodeName(type), std::move(inputs), {made});
      return made;
    };
    const auto number = [&](float value) { return graph->AddConstant("k", Tensor::Scalar(value)); };
    const ValueId erf = op("Erf", {op("Div", {x, number(std::sqrt(2.0f))})});
    return op("Mul", {op("Mul", {x, op("Add", {erf, number(1)})}), number(0.5f)});
  };
  Model m(20);
  const auto body = std::make_shared<Graph>();
  body->opset_imports[""] = 20;
  const ValueId x = m.Input("x", {2, 3});
  const ValueId seen = body->AddValue("x", DType::kFloat);
  body->AddOutput(gelu(body.get(), seen));
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = body;
  m.Output(x);
  m.Output(m.Op("If", {m.Input("on", {}, DType::kBool)},
                {{"then_branch", attribute}, {"else_branch", attribute}}));
  const Graph before = m.graph;
  Simplify(&m.graph, {});
  NameParts(before, &m.graph);
  for (NodeId id : m.graph.Order()) {
    for (const char* branch : {"then_branch", "else_branch"}) {
      const Graph& after = *m.graph.node(id).attributes.at(branch).graph;
      const std::vector<NodeId> order = after.Order();
      ASSERT_EQ(order.size(), 1u);
      EXPECT_EQ(after.node(order[0]).parts.size(), 5u);
    }
  }
}

}  // namespace
}  // namespace xslim
