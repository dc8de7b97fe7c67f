#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/function.h"
#include "simplify/opset/convert.h"
#include "simplify/opset/facts.h"
#include "simplify/opset/signature.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// x, float32 of the given sizes, and one node that makes y from it and from constants.
struct One {
  Graph graph;
  ValueId x, y;
  NodeId node = kNone;

  One(int opset, const std::string& op_type, std::map<std::string, Attribute> attributes = {},
      const std::vector<Tensor>& constants = {}, const Shape& sizes = {2, 6, 4}, DType type = DType::kFloat) {
    graph.opset_imports[""] = opset;
    graph.ir_version = 8;
    x = graph.AddValue("x", type);
    graph.value(x).has_shape = true;
    for (int64_t size : sizes) graph.value(x).dims.push_back({size, ""});
    graph.AddInput(x);
    y = graph.AddValue("y");
    std::vector<ValueId> inputs{x};
    for (const Tensor& tensor : constants) {
      inputs.push_back(tensor.defined() ? graph.AddConstant("c", tensor) : kNone);
    }
    node = graph.AddNode(op_type, "n", inputs, {y}, std::move(attributes));
    graph.AddOutput(y);
  }
  std::vector<OpsetObstacle> Convert(int opset) { return ConvertOpset(&graph, opset); }
  const Node& at() const { return graph.node(node); }
  std::vector<std::string> Types() const {
    std::vector<std::string> types;
    for (NodeId id : graph.Order()) types.push_back(graph.node(id).op_type);
    return types;
  }
};

TEST(OpsetTest, SignaturesFollowTheVersions) {
  EXPECT_EQ(opset::FindSignature("Clip", 10)->inputs.size(), 1u);
  EXPECT_EQ(opset::FindSignature("Clip", 13)->inputs.size(), 3u);
  EXPECT_EQ(opset::FindSignature("Clip", 24)->since, 13);
  EXPECT_EQ(opset::FindSignature("Gelu", 19), nullptr);
  EXPECT_EQ(opset::FindSignature("Upsample", 10), nullptr);  // deprecated
  EXPECT_EQ(opset::FindSignature("NoSuchThing", 20), nullptr);
  EXPECT_EQ(opset::FirstOpset("Gelu"), 20);
  const opset::Signature& resize = *opset::FindSignature("Resize", 13);
  EXPECT_TRUE(opset::IsDefault(Attribute::Float(-0.75f), *resize.Find("cubic_coeff_a")));
  EXPECT_TRUE(opset::IsDefault(Attribute::String("nearest"), *resize.Find("mode")));
  EXPECT_FALSE(opset::IsDefault(Attribute::Int(1), *resize.Find("exclude_outside")));
}

TEST(OpsetTest, AttributesBecomeInputsAndBack) {
  One clip(7, "Clip", {{"min", Attribute::Float(0)}, {"max", Attribute::Float(6)}});
  ASSERT_TRUE(clip.Convert(24).empty());
  EXPECT_TRUE(clip.at().attributes.empty());
  EXPECT_EQ(clip.graph.Constant(clip.at().input(2))->data<float>()[0], 6.0f);
  EXPECT_EQ(clip.graph.opset(), 24);
  EXPECT_EQ(clip.graph.ir_version, 12);
  ASSERT_TRUE(clip.Convert(7).empty());
  EXPECT_EQ(clip.at().Float("max", 0), 6.0f);
  EXPECT_EQ(clip.at().inputs.size(), 1u);
  EXPECT_EQ(clip.graph.ir_version, 4);
}

TEST(OpsetTest, AxesCountFromTheFrontBelow11) {
  One squeeze(13, "Squeeze", {}, {Tensor::Of<int64_t>({1}, {-1})}, {3, 4, 1});
  ASSERT_TRUE(squeeze.Convert(12).empty());
  EXPECT_THAT(squeeze.at().Ints("axes"), ElementsAre(-1));
  ASSERT_TRUE(squeeze.Convert(10).empty());
  EXPECT_THAT(squeeze.at().Ints("axes"), ElementsAre(2));
}

// What vision transformers begin with: a Reshape whose target is put together from sizes.
TEST(OpsetTest, RanksFollowFromComputedShapes) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const auto add = [&](const std::string& op, const std::vector<ValueId>& inputs,
                       std::map<std::string, Attribute> attributes = {}) {
    const ValueId out = graph.AddValue(op + "_out");
    graph.AddNode(op, op, inputs, {out}, std::move(attributes));
    return out;
  };
  const auto ints = [&](const std::vector<int64_t>& values) {
    const Tensor list = Tensor::Of<int64_t>({static_cast<int64_t>(values.size())}, values);
    return add("Constant", {}, {{"value", Attribute::OfTensor(list)}});
  };
  const ValueId x = graph.AddValue("x", DType::kFloat);
  graph.value(x).has_shape = true;
  graph.value(x).dims = {{-1, "N"}, {4, ""}, {4, ""}};
  graph.AddInput(x);
  const ValueId shape = add("Shape", {x});
  const ValueId rows = add("Slice", {shape, ints({0}), ints({1}), ints({0})});
  const Attribute last = Attribute::OfTensor(Tensor::Scalar<int64_t>(2));
  const ValueId columns = add("Gather", {shape, add("Constant", {}, {{"value", last}})});
  const ValueId target = add("Concat", {rows, ints({-1}), add("Unsqueeze", {columns, ints({0})})},
                             {{"axis", Attribute::Int(0)}});
  const ValueId mean = add("ReduceMean", {add("Reshape", {x, target})}, {{"axes", Attribute::Ints({-1})}});
  graph.AddOutput(add("Softmax", {mean}, {{"axis", Attribute::Int(-1)}}));
  const std::vector<OpsetObstacle> obstacles = ConvertOpset(&graph, 9);
  ASSERT_TRUE(obstacles.empty()) << Describe(obstacles, true);
  for (NodeId id : graph.Order()) {
    if (graph.node(id).Is("ReduceMean")) {
      EXPECT_THAT(graph.node(id).Ints("axes"), ElementsAre(2));
    }
  }
}

TEST(OpsetTest, DefaultsAreDroppedAndOtherValuesRefused) {
  One plain(21, "AveragePool", {{"kernel_shape", Attribute::Ints({2})}, {"ceil_mode", Attribute::Int(0)}});
  ASSERT_TRUE(plain.Convert(7).empty());
  EXPECT_FALSE(plain.at().Has("ceil_mode"));
  One ceil(21, "AveragePool", {{"kernel_shape", Attribute::Ints({2})}, {"ceil_mode", Attribute::Int(1)}});
  const auto obstacles = ceil.Convert(7);
  ASSERT_EQ(obstacles.size(), 1u);
  EXPECT_EQ(obstacles[0].version, 10);
  EXPECT_THAT(Describe(obstacles, true), HasSubstr("n[AveragePool] (attribute ceil_mode: not in opset 9)"));
  EXPECT_THAT(Describe(obstacles, true), HasSubstr("lowest opset that this model can have is 10"));
}

TEST(OpsetTest, PoolsThatCountBeyondThePaddingStayOnTheirSide) {
  const std::map<std::string, Attribute> counting = {{"kernel_shape", Attribute::Ints({3})},
                                                     {"ceil_mode", Attribute::Int(1)},
                                                     {"count_include_pad", Attribute::Int(1)}};
  EXPECT_EQ(One(19, "AveragePool", counting).Convert(18).size(), 1u);
  EXPECT_EQ(One(18, "AveragePool", counting).Convert(19).size(), 1u);
  EXPECT_TRUE(One(17, "AveragePool", counting).Convert(13).empty());
}

TEST(OpsetTest, AFailureChangesNothing) {
  One grid(20, "NonZero");
  grid.graph.AddNode("Gelu", "g", {grid.x}, {grid.graph.AddValue("z")});
  grid.graph.AddOutput(grid.graph.Find("z"));
  EXPECT_FALSE(grid.Convert(8).empty());
  EXPECT_EQ(grid.graph.opset(), 20);
  EXPECT_THAT(grid.Types(), ElementsAre("NonZero", "Gelu"));
}

TEST(OpsetTest, ElementTypesThatATargetLacksAreRefused) {
  One relu(13, "Relu", {}, {}, {4}, DType::kBFloat16);
  const auto obstacles = relu.Convert(12);
  ASSERT_EQ(obstacles.size(), 1u);
  EXPECT_THAT(obstacles[0].why, HasSubstr("bfloat16 at input 0"));
  EXPECT_EQ(obstacles[0].version, 13);
  // The type of a value in the middle follows from its producer.
  One cast(14, "Cast", {{"to", Attribute::Int(3)}});
  cast.graph.AddNode("Relu", "r", {cast.y}, {cast.graph.AddValue("z")});
  cast.graph.AddOutput(cast.graph.Find("z"));
  EXPECT_THAT(cast.Convert(13).at(0).why, HasSubstr("int8"));
}

TEST(OpsetTest, SoftmaxKeepsItsRows) {
  One last(11, "Softmax", {{"axis", Attribute::Int(2)}});
  ASSERT_TRUE(last.Convert(13).empty());
  EXPECT_THAT(last.Types(), ElementsAre("Softmax"));
  EXPECT_EQ(last.at().Int("axis", 0), -1);
  One flat(11, "Softmax");
  ASSERT_TRUE(flat.Convert(13).empty());
  EXPECT_THAT(flat.Types(), ElementsAre("Shape", "Flatten", "Softmax", "Reshape"));
  EXPECT_EQ(flat.graph.value(flat.graph.outputs()[0]).name, "y");
  One inner(13, "Softmax", {{"axis", Attribute::Int(1)}});
  ASSERT_TRUE(inner.Convert(11).empty());
  EXPECT_THAT(inner.Types(), ElementsAre("Transpose", "Softmax", "Transpose"));
}

TEST(OpsetTest, SplitTellsUnequalParts) {
  One even(18, "Split", {{"num_outputs", Attribute::Int(2)}, {"axis", Attribute::Int(1)}});
  even.graph.SetOutput(even.node, 1, even.graph.AddValue("y1"));
  One uneven(18, "Split", {{"num_outputs", Attribute::Int(2)}, {"axis", Attribute::Int(1)}}, {}, {2, 5});
  uneven.graph.SetOutput(uneven.node, 1, uneven.graph.AddValue("y1"));
  ASSERT_TRUE(even.Convert(11).empty());
  EXPECT_FALSE(even.at().Has("split"));
  ASSERT_TRUE(uneven.Convert(11).empty());
  EXPECT_THAT(uneven.at().Ints("split"), ElementsAre(3, 2));
}

TEST(OpsetTest, RangeIsCountedBelow11) {
  const Tensor one = Tensor::Scalar<int64_t>(1), many = Tensor::Scalar<int64_t>(9);
  One range(13, "Range", {}, {many, one}, {}, DType::kInt64);
  ASSERT_TRUE(range.Convert(9).empty());
  EXPECT_EQ(range.at().op_type, "Add");
  One unknown(13, "Range", {}, {many, one}, {}, DType::kInt16);
  EXPECT_THAT(unknown.Convert(9).at(0).why, HasSubstr("int16"));
}

TEST(OpsetTest, EnlargingByWholeNumbersReachesOpset10) {
  const auto resize = [](const char* rounding, float scale) {
    return One(13, "Resize", {{"nearest_mode", Attribute::String(rounding)}},
               {Tensor(), Tensor::Of<float>({4}, {1, 1, scale, 2})}, {1, 2, 4, 4});
  };
  One twice = resize("round_prefer_floor", 2);
  ASSERT_TRUE(twice.Convert(10).empty());
  EXPECT_TRUE(twice.at().attributes.empty() || !twice.at().Has("nearest_mode"));
  EXPECT_FALSE(resize("ceil", 2).Convert(10).empty());
  EXPECT_FALSE(resize("round_prefer_floor", 1.5f).Convert(10).empty());
}

// ONNX Runtime takes empty scales of an input with a default for scales, and refuses to load them beside
// sizes.
TEST(OpsetTest, EmptyScalesBesideSizesGoWhereTheyAreAnInput) {
  const Tensor none = Tensor::Of<float>({0}, {}), sizes = Tensor::Of<int64_t>({4}, {1, 2, 8, 8});
  for (const bool input : {false, true}) {
    One resize(11, "Resize", {}, {none, none, sizes}, {1, 2, 4, 4});
    const ValueId scales = resize.at().input(2);
    if (input) resize.graph.AddInput(scales);
    ASSERT_TRUE(resize.Convert(13).empty());
    EXPECT_EQ(resize.at().input(2), input ? kNone : scales);
    EXPECT_NE(resize.at().input(3), kNone);
  }
}

TEST(OpsetTest, WhatIsComputedFromConstantsIsFoldedFirst) {
  One pad(13, "Pad", {}, {Tensor::Of<int64_t>({6}, {0, 0, 1, 0, 0, 1})});
  const ValueId list = pad.graph.AddValue("list"), halves = pad.at().input(1);
  pad.graph.AddNode("Mul", "m", {halves, pad.graph.AddConstant("two", Tensor::Scalar<int64_t>(2))}, {list});
  const ValueId first = pad.graph.AddValue("first"), second = pad.graph.AddValue("second"),
                both = pad.graph.AddValue("both");
  pad.graph.AddNode("Reshape", "r", {list, pad.graph.AddConstant("s", Tensor::Of<int64_t>({2}, {3, 2}))},
                    {first});
  pad.graph.AddNode("Reshape", "q", {first, pad.graph.AddConstant("t", Tensor::Of<int64_t>({1}, {-1}))},
                    {second});
  pad.graph.AddNode("Identity", "i", {second}, {both});
  pad.graph.SetInput(pad.node, 1, both);
  ASSERT_TRUE(pad.Convert(9).empty());
  EXPECT_THAT(pad.at().Ints("pads"), ElementsAre(0, 0, 2, 0, 0, 2));
}

TEST(OpsetTest, BodiesFollow) {
  One outer(11, "Relu");
  auto body = std::make_shared<Graph>();
  body->opset_imports[""] = 11;
  const ValueId inner = body->AddValue("x"), out = body->AddValue("t", DType::kFloat);
  body->AddNode("Squeeze", "s", {inner}, {out}, {{"axes", Attribute::Ints({0})}});
  body->AddOutput(out);
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = body;
  const ValueId condition = outer.graph.AddConstant("true", Tensor(DType::kBool, {}));
  const ValueId z = outer.graph.AddValue("z");
  const NodeId id =
      outer.graph.AddNode("If", "i", {condition}, {z}, {{"then_branch", branch}, {"else_branch", branch}});
  outer.graph.AddOutput(z);
  ASSERT_TRUE(outer.Convert(13).empty());
  const Graph& converted = *outer.graph.node(id).attributes.at("then_branch").graph;
  EXPECT_EQ(converted.opset(), 13);
  EXPECT_FALSE(converted.node(0).Has("axes"));
  EXPECT_TRUE(body->node(0).Has("axes"));  // the body of the graph that was given is another
}

// A function of one operator.
std::shared_ptr<Function> Wrapper(const std::string& name, const std::string& op_type) {
  auto function = std::make_shared<Function>();
  function->domain = "lib";
  function->name = name;
  function->body.opset_imports[""] = 17;
  const ValueId in = function->body.AddValue("in"), out = function->body.AddValue("out");
  function->body.AddInput(in);
  function->body.AddNode(op_type, "inner", {in}, {out});
  function->body.AddOutput(out);
  return function;
}

// Neg is the same in 13 and 17; Relu takes other types in 13.
TEST(OpsetTest, FunctionsOfOperatorsThatChangedAreOpened) {
  One model(17, "Abs");
  model.graph.opset_imports["lib"] = 1;
  model.graph.functions = {Wrapper("kept", "Neg"), Wrapper("opened", "Relu")};
  for (const char* name : {"kept", "opened"}) {
    const ValueId out = model.graph.AddValue(std::string(name) + "_out");
    model.graph.AddNode(name, std::string("call_") + name, {model.x}, {out}, {}, "lib");
    model.graph.AddOutput(out);
  }
  ASSERT_TRUE(model.Convert(13).empty());
  EXPECT_THAT(model.Types(), UnorderedElementsAre("Abs", "kept", "Relu"));
  ASSERT_EQ(model.graph.functions.size(), 1u);
  EXPECT_EQ(model.graph.functions[0]->name, "kept");
  EXPECT_EQ(model.graph.ir_version, 8);  // files had no functions before
}

// The tables have no GroupNormalization between 18, where it is deprecated, and 21.
TEST(OpsetTest, ADeprecatedOperatorIsTakenApartWhereItDidNotExist) {
  const Tensor three = Tensor::Of<float>({3}, {1, 2, 3});
  One norm(18, "GroupNormalization", {{"num_groups", Attribute::Int(3)}}, {three, three});
  One later = norm;
  ASSERT_TRUE(later.Convert(20).empty());
  EXPECT_THAT(later.Types(), ElementsAre("GroupNormalization"));
  for (One* each : {&norm, &later}) {
    ASSERT_TRUE(each->Convert(13).empty());
    EXPECT_THAT(each->Types(), UnorderedElementsAre("Shape", "Reshape", "InstanceNormalization", "Reshape"));
  }
  One model(20, "Abs");
  model.graph.opset_imports["lib"] = 1;
  const auto opened = Wrapper("opened", "GroupNormalization");
  std::vector<ValueId> inputs{model.x};
  for (const char* name : {"scale", "bias"}) {
    opened->body.AddInput(opened->body.AddValue(name));
    opened->body.node(0).inputs.push_back(kNone);
    opened->body.SetInput(0, inputs.size(), opened->body.Find(name));
    inputs.push_back(model.graph.AddConstant(name, Tensor::Of<float>({1}, {1})));
  }
  model.graph.functions = {opened};
  model.graph.AddNode("opened", "call", inputs, {model.graph.AddValue("z")}, {}, "lib");
  model.graph.AddOutput(model.graph.Find("z"));
  ASSERT_TRUE(model.Convert(17).empty());
  EXPECT_TRUE(model.graph.functions.empty());
}

TEST(OpsetTest, OtherDomainsAndUnknownOperatorsStay) {
  One custom(20, "Relu");
  custom.graph.AddNode("Fancy", "f", {custom.x}, {custom.graph.AddValue("z")},
                       {{"axes", Attribute::Ints({-1})}}, "com.example");
  custom.graph.AddOutput(custom.graph.Find("z"));
  custom.graph.opset_imports["com.example"] = 3;
  ASSERT_TRUE(custom.Convert(9).empty());
  EXPECT_EQ(custom.graph.opset_imports.at("com.example"), 3);
  EXPECT_THAT(custom.Types(), ElementsAre("Relu", "Fancy"));
}

TEST(OpsetTest, FactsFollowListsThatAreComputed) {
  One reshape(13, "Shape");
  const ValueId one = reshape.graph.AddConstant("one", Tensor::Of<int64_t>({1}, {1}));
  const ValueId size = reshape.graph.AddValue("size"), out = reshape.graph.AddValue("out");
  reshape.graph.AddNode("Gather", "g", {reshape.y, one}, {size});
  reshape.graph.AddNode("Reshape", "r", {reshape.x, size}, {out});
  const opset::GraphFacts facts(reshape.graph, 13, nullptr);
  EXPECT_THAT(*facts.ints(size), ElementsAre(6));
  EXPECT_EQ(facts.rank(out), 1);
  EXPECT_EQ(facts.type(out), DType::kFloat);
}

}  // namespace
}  // namespace xslim
