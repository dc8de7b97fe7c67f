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

TEST(CheckModel, OthersAreNotJudged) {
  EXPECT_EQ(Of("NoSuchOperator", {{2}}), "");
  EXPECT_EQ(Of("Gelu", {{2}}), "");  // not in opset 17
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
