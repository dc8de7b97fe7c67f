#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "simplify/simplify.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Two graphs of operators with one input and one output.
class PartNamesTest : public testing::Test {
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

}  // namespace
}  // namespace xslim
