// fold-shapes, rebuild-shapes, remove-identities, merge-reshapes, inline-if, bodies.
#include "rewrite_helper.h"
#include "simplify/macs.h"
#include "simplify/shape_facts.h"

namespace xslim {
namespace {

using namespace testing;

// x[N,6,4] -> Reshape to [N, 3, 2, 4] with sizes taken from x
Model ReshapeBySizes(int64_t batch) {
  Model m;
  const ValueId x = m.Input("x", {batch, 6, 4});
  std::vector<ValueId> parts;
  m.Dim(x, 0, &parts);
  parts.push_back(m.Ints({3}));
  parts.push_back(m.Ints({2}));
  m.Dim(x, 2, &parts);
  m.Output(m.Op("Relu", {m.Op("Reshape", {x, m.Op("Concat", parts, {{"axis", I(0)}})})}));
  return m;
}

TEST(FoldShapes, ReshapeTargetsBecomeConstants) {
  ExpectRewrite(ReshapeBySizes(5), {"fold-shapes"}, {{"Reshape", 1}, {"Relu", 1}});
  const Graph graph = ExpectRewrite(ReshapeBySizes(-1), {"fold-shapes"}, {{"Reshape", 1}, {"Relu", 1}});
  const Tensor* target = graph.Constant(graph.node(graph.Order()[0]).input(1));
  ASSERT_NE(target, nullptr);
  EXPECT_EQ(target->ToInts(), (std::vector<int64_t>{-1, 3, 2, 4}));
}

TEST(FoldShapes, TwoSymbolicSizesTakeZeroAndMinusOne) {
  Model m;
  const ValueId x = m.Input("x", {-1, -1, 8});
  std::vector<ValueId> parts;
  m.Dim(x, 0, &parts);
  m.Dim(x, 1, &parts);
  parts.push_back(m.Ints({2}));
  parts.push_back(m.Ints({4}));
  m.Output(m.Op("Reshape", {x, m.Op("Concat", parts, {{"axis", I(0)}})}));
  const Graph graph = ExpectRewrite(m, {"fold-shapes"}, {{"Reshape", 1}});
  EXPECT_EQ(graph.Constant(graph.node(graph.Order()[0]).input(1))->ToInts(),
            (std::vector<int64_t>{0, 0, 2, 4}));
}

TEST(FoldShapes, DivisionOfAKnownSize) {
  Model m;
  const ValueId x = m.Input("x", {1, 4, 6, 6});
  const ValueId half = m.Op("Div", {m.Op("Gather", {m.Op("Shape", {x}), m.Int(1)}), m.Int(2)});
  const ValueId end = m.Op("Unsqueeze", {half, m.Ints({0})});
  m.Output(m.Op("Slice", {x, m.Ints({0}), end, m.Ints({1})}));
  ExpectRewrite(m, {"fold-shapes"}, {{"Slice", 1}});
}

TEST(FoldShapes, ASizeThatDependsOnDataStays) {
  Model m;
  const ValueId x = m.Input("x", {4, 4}), n = m.Input("n", {1}, DType::kBool);
  const ValueId count = m.Op("Cast", {n}, {{"to", I(7)}});
  const ValueId shape = m.Op("Concat", {m.Op("Add", {count, m.Ints({1})}), m.Ints({4, 4})}, {{"axis", I(0)}});
  m.Output(m.Op("Expand", {x, shape}));
  ExpectUntouched(m, "fold-shapes");
}

// TensorFlow computes sizes in int32.
ValueId Int32s(Model* m, const std::vector<int32_t>& numbers) {
  return m->Const(Tensor::Of<int32_t>({static_cast<int64_t>(numbers.size())}, numbers));
}

TEST(FoldShapes, SizesPassInt32) {
  Model m;
  const ValueId x = m.Input("x", {-1, 6, 4});
  const ValueId shape = m.Op("Cast", {m.Op("Shape", {x})}, {{"to", I(6)}});
  const ValueId batch = m.Op("Slice", {shape, m.Ints({0}), m.Ints({1}), m.Ints({0})});
  const ValueId rest = m.Op("ReduceProd", {m.Op("Gather", {shape, m.Ints({1, 2})})}, {{"axes", Is({0})}});
  const ValueId target = m.Op("Concat", {batch, rest}, {{"axis", I(0)}});
  m.Output(m.Op("Relu", {m.Op("Reshape", {x, m.Op("Cast", {target}, {{"to", I(7)}})})}));
  const Graph graph = ExpectRewrite(m, {"fold-shapes"}, {{"Reshape", 1}, {"Relu", 1}});
  EXPECT_EQ(graph.Constant(graph.node(graph.Order()[0]).input(1))->ToInts(), (std::vector<int64_t>{-1, 24}));
}

TEST(FoldShapes, TheEndOfASliceInInt32) {
  Model m;
  const ValueId x = m.Input("x", {-1, 6});
  const ValueId shape = m.Op("Cast", {m.Op("Shape", {x})}, {{"to", I(6)}});
  const ValueId batch = m.Op("Slice", {shape, m.Ints({0}), m.Ints({1}), m.Ints({0})});
  const ValueId ends = m.Op("Concat", {batch, Int32s(&m, {4})}, {{"axis", I(0)}});
  m.Output(m.Op("Slice", {x, Int32s(&m, {0, 0}), ends, Int32s(&m, {0, 1})}));
  ExpectRewrite(m, {"fold-shapes"}, {{"Slice", 1}});
}

TEST(FoldShapes, TheLargerOfTwoBatches) {
  Model m;
  const ValueId x = m.Input("x", {-1, 6, 4});
  std::vector<ValueId> parts;
  m.Dim(x, 0, &parts);
  m.Dim(m.Op("Relu", {x}), 0, &parts);
  const ValueId larger = m.Op("Max", {m.Op("Max", {parts[0], parts[1]}), m.Ints({0})});
  m.Output(m.Op("Reshape", {x, m.Op("Concat", {larger, m.Ints({24})}, {{"axis", I(0)}})}));
  ExpectRewrite(m, {"fold-shapes"}, {{"Reshape", 1}});
}

// Keras and Paddle make the states of an open batch.
Model States(const char* op_type, int64_t gates, float number) {
  Model m;
  const ValueId x = m.Op("Abs", {m.Input("x", {5, -1, 3})});
  std::vector<ValueId> parts;
  m.Dim(x, 1, &parts);
  parts.push_back(m.Ints({4}));
  const ValueId half = m.Op(
      "Unsqueeze", {m.Op("Expand", {m.F(number), m.Op("Concat", parts, {{"axis", I(0)}})}), m.Ints({0})});
  const ValueId state = m.Op("Concat", {half, half}, {{"axis", I(0)}});
  std::vector<ValueId> inputs = {x,    m.Random({2, gates * 4, 3}), m.Random({2, gates * 4, 4}), kNone, kNone,
                                 state};
  if (gates == 4) inputs.push_back(state);
  m.Output(m.Op(op_type, inputs, {{"hidden_size", I(4)}, {"direction", Attribute::String("bidirectional")}}));
  return m;
}

TEST(ZeroStates, TheyGo) {
  ExpectRewrite(States("LSTM", 4, 0), {"zero-states"}, {{"Abs", 1}, {"LSTM", 1}});
  ExpectRewrite(States("GRU", 3, 0), {"zero-states"}, {{"Abs", 1}, {"GRU", 1}});
  ExpectUntouched(States("LSTM", 4, 0.5f), "zero-states");
}

// The class token of vision transformers: Expand [1,1,4] to [N,1,4] by way of Where(Equal(...)).
TEST(RebuildShapes, LeavesShapeAndConcat) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3, 4});
  std::vector<ValueId> parts;
  m.Dim(x, 0, &parts);
  parts.push_back(m.Ints({-1}));
  parts.push_back(m.Ints({-1}));
  const ValueId wanted = m.Op("Concat", parts, {{"axis", I(0)}});
  const ValueId ones = m.Ints({1, 1, 1});
  const ValueId is = m.Op("Equal", {wanted, m.Op("Mul", {ones, m.Int(-1)})});
  const ValueId token = m.Random({1, 1, 4});
  m.Output(m.Op("Concat", {m.Op("Expand", {token, m.Op("Where", {is, ones, wanted})}), x}, {{"axis", I(1)}}));
  ExpectRewrite(m, {"fold-constants", "fold-shapes", "rebuild-shapes"},
                {{"Shape", 1}, {"Concat", 2}, {"Expand", 1}});
}

TEST(RebuildShapes, WhatIsShortStays) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3});
  m.Output(m.Op("Expand", {m.Random({1}), m.Op("Shape", {x})}));
  ExpectUntouched(m, "rebuild-shapes");
}

TEST(RemoveIdentities, WhatChangesNothingGoes) {
  Model m;
  ValueId x = m.Input("x", {-1, 3, 4});
  x = m.Op("Relu", {x});
  x = m.Op("Identity", {x});
  x = m.Op("Dropout", {x});
  x = m.Op("Cast", {x}, {{"to", I(1)}});
  x = m.Op("Reshape", {x, m.Ints({0, 3, -1})});
  x = m.Op("Transpose", {x}, {{"perm", Is({0, 1, 2})}});
  x = m.Op("Slice", {x, m.Ints({0}), m.Ints({INT64_MAX}), m.Ints({0})});
  x = m.Op("Slice", {x, m.Ints({0, 0}), m.Ints({1'000'000'000, 1'000'000'000}), m.Ints({0, 1})});
  x = m.Op("Pad", {x, m.Ints({0, 0, 0, 0, 0, 0})});
  x = m.Op("Concat", {x}, {{"axis", I(0)}});
  x = m.Op("Tile", {x, m.Ints({1, 1, 1})});
  x = m.Op("Expand", {x, m.Ints({1, 3, 4})});
  x = m.Op("Mul", {m.F(1), x});
  x = m.Op("Div", {x, m.Const(Tensor::Of<float>({1}, {1}))});
  x = m.Op("Pow", {x, m.F(1)});
  x = m.Op("Add", {x, m.F(0)});
  x = m.Op("Sub", {x, m.F(0)});
  m.Output(x);
  ExpectRewrite(m, {"remove-identities"}, {{"Relu", 1}});
}

TEST(RemoveIdentities, WhatChangesSomethingStays) {
  Model m;
  ValueId x = m.Input("x", {-1, 3});
  x = m.Op("Sub", {m.F(0), x});
  x = m.Op("Div", {m.F(1), x});
  x = m.Op("Add", {x, m.Const(Tensor::Of<float>({1, 1, 1}, {0}))});  // one axis more
  x = m.Op("Mul", {x, m.Const(Tensor::Of<float>({2, 1, 1}, {1, 1}))});
  x = m.Op("Slice", {x, m.Ints({INT64_MAX}), m.Ints({INT64_MIN}), m.Ints({2}), m.Ints({-1})});
  m.Output(x);
  ExpectUntouched(m, "remove-identities");
}

TEST(RemoveIdentities, AnInputThatIsAnOutputKeepsItsIdentity) {
  Model m;
  m.Output(m.Op("Identity", {m.Input("x", {2})}));
  ExpectUntouched(m, "remove-identities");
}

TEST(MergeReshapes, AChainBecomesOne) {
  Model m;
  ValueId x = m.Input("x", {-1, 4, 1, 1});
  x = m.Op("Squeeze", {m.Op("Relu", {x}), m.Ints({2, 3})});
  x = m.Op("Reshape", {x, m.Ints({-1, 2, 2})});
  x = m.Op("Unsqueeze", {x, m.Ints({1})});
  x = m.Op("Flatten", {x}, {{"axis", I(1)}});
  m.Output(x);
  ExpectRewrite(m, {"merge-reshapes"}, {{"Relu", 1}, {"Reshape", 1}});
}

TEST(MergeReshapes, BackAgainIsNothing) {
  Model m;
  ValueId x = m.Op("Relu", {m.Input("x", {-1, 4})});
  x = m.Op("Squeeze", {m.Op("Unsqueeze", {x, m.Ints({1})}), m.Ints({1})});
  m.Output(m.Op("Relu", {x}));
  ExpectRewrite(m, {"merge-reshapes"}, {{"Relu", 2}});
}

TEST(MergeReshapes, AMiddleThatIsReadElsewhereStays) {
  Model m;
  const ValueId x = m.Op("Reshape", {m.Input("x", {4, 3}), m.Ints({2, 6})});
  m.Output(m.Op("Relu", {x}));
  m.Output(m.Op("Reshape", {x, m.Ints({3, 4})}));
  ExpectUntouched(m, "merge-reshapes");
}

std::shared_ptr<Graph> Body(const std::string& op, const std::string& captured, bool twice) {
  auto body = std::make_shared<Graph>();
  body->opset_imports[""] = 17;
  const ValueId x = body->AddValue(captured), middle = body->AddValue("middle"), y = body->AddValue("result");
  body->AddNode("Identity", "identity", {x}, {middle});
  body->AddNode(op, "work", twice ? std::vector<ValueId>{middle, middle} : std::vector<ValueId>{middle}, {y});
  body->AddOutput(y);
  return body;
}

Attribute GraphAttribute(std::shared_ptr<Graph> graph) {
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = std::move(graph);
  return attribute;
}

Model IfModel(ValueId (*condition)(Model&)) {
  Model m;
  const ValueId c = condition(m), x = m.Input("x", {2, 3});
  const ValueId r = m.Op("Relu", {x});
  const std::string name = m.graph.value(r).name;
  m.Output(m.Op("If", {c},
                {{"then_branch", GraphAttribute(Body("Neg", name, false))},
                 {"else_branch", GraphAttribute(Body("Add", name, true))}}));
  return m;
}

ValueId False(Model& m) {
  Tensor tensor(DType::kBool, {});
  tensor.data<bool>()[0] = false;
  return m.Const(tensor);
}

TEST(InlineIf, TheBranchTakenIsLeft) {
  ExpectRewrite(IfModel(False), {"inline-if"}, {{"Relu", 1}, {"Identity", 2}, {"Add", 1}});
  ExpectRewrite(IfModel(False), {"inline-if", "remove-identities"}, {{"Relu", 1}, {"Add", 1}});
}

TEST(InlineIf, AnUnknownConditionStaysAndBodiesAreSimplified) {
  const Model m = IfModel([](Model& model) { return model.Input("c", {}, DType::kBool); });
  const Graph graph = ExpectRewrite(m, {"inline-if", "remove-identities"}, {{"Relu", 1}, {"If", 1}});
  const auto bodyOf = [](const Graph& g) {
    return g.node(g.Order().back()).attributes.at("then_branch").graph;
  };
  EXPECT_EQ(CountsOf(*bodyOf(graph)), (Counts{{"Neg", 1}}));
  EXPECT_EQ(CountsOf(*bodyOf(m.graph)), (Counts{{"Identity", 1}, {"Neg", 1}})) << "the original is untouched";
}

TEST(ShapeFacts, SizesOfConvolutionsAreFollowed) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3, 9, -1});
  const Attributes same = {{"pads", Is({1, 1, 1, 1})}},
                   half = {{"strides", Is({2, 2})}, {"pads", Is({1, 1, 1, 1})}};
  const ValueId a = m.Op("Conv", {x, m.Random({4, 3, 3, 3})}, same),
                b = m.Op("Conv", {a, m.Random({5, 4, 3, 3})}, half),
                c = m.Op("Conv", {a, m.Random({5, 4, 3, 3})}, half), d = m.Op("Add", {b, c});
  m.Output(d);
  const ShapeFacts facts(m.graph, false);
  EXPECT_EQ(facts.DimOf(b, 2), 5);
  EXPECT_EQ(facts.DimOf(b, 1), 5);
  EXPECT_EQ(facts.DimOf(b, 3), -1);
  EXPECT_TRUE(facts.SameShape(b, c));
  EXPECT_TRUE(facts.SameShape(b, d));
  EXPECT_FALSE(facts.SameShape(a, b));
  EXPECT_EQ((*facts.of(a).dims)[3], (*facts.of(x).dims)[3]);
}

TEST(ShapeFacts, StatesOfRecurrentOperators) {
  for (int64_t layout : {0, 1}) {
    Model m;
    const ValueId x = m.Input("x", layout == 0 ? Shape{5, -1, 3} : Shape{-1, 5, 3});
    const ValueId y = m.graph.AddValue("y"), h = m.graph.AddValue("h"), last = m.graph.AddValue("last");
    const ValueId w = m.Random({2, 16, 3}), r = m.Random({2, 16, 4});
    m.graph.AddNode("LSTM", "whole", {x, w, r}, {y}, {{"layout", I(layout)}});
    m.graph.AddNode("LSTM", "state", {x, w, r}, {kNone, h, last}, {{"layout", I(layout)}});
    for (ValueId id : {y, h, last}) m.Output(id);
    const ShapeFacts facts(m.graph, false);
    EXPECT_EQ(facts.RankOf(y), 4);
    EXPECT_EQ(facts.DimOf(y, layout == 0 ? 0 : 1), 5);
    EXPECT_EQ(facts.DimOf(y, layout == 0 ? 1 : 2), 2);
    EXPECT_EQ(facts.RankOf(h), 3);
    EXPECT_TRUE(facts.SameShape(h, last));
    EXPECT_EQ((*facts.of(h).dims)[layout == 0 ? 1 : 0], (*facts.of(x).dims)[layout == 0 ? 1 : 0]);
    EXPECT_EQ(facts.DimOf(h, 2), 4);
  }
}

TEST(CountMacs, OneSampleOfAnOpenBatch) {
  Model m;
  ValueId x = m.Op("Relu", {m.Input("x", {-1, 3, 8, 8})});
  x = m.Op("Conv", {x, m.Random({4, 3, 3, 3})});                                      // 4 * 36 * 27
  x = m.Op("ConvTranspose", {x, m.Random({4, 2, 2, 2})}, {{"strides", Is({2, 2})}});  // 4 * 36 * 8
  x = m.Op("Reshape", {x, m.Ints({0, 288})});
  x = m.Op("Gemm", {x, m.Random({10, 288})}, {{"transB", I(1)}});  // 10 * 288
  m.Output(m.Op("MatMul", {x, m.Random({10, 6})}));                // 10 * 6
  EXPECT_EQ(CountMacs(m.graph), 4 * 36 * 27 + 4 * 36 * 8 + 10 * 288 + 10 * 6);
  Model recurrent;  // 7 steps of 2 sequences, in both directions
  recurrent.Output(recurrent.Op(
      "GRU", {recurrent.Input("x", {7, 2, 5}), recurrent.Random({2, 12, 5}), recurrent.Random({2, 12, 4})},
      {{"hidden_size", I(4)}, {"direction", Attribute::String("bidirectional")}}));
  EXPECT_EQ(CountMacs(recurrent.graph), 7 * 2 * (2 * 12 * 5 + 2 * 12 * 4));
  Model open;  // the number of tokens is not known
  open.Output(open.Op("MatMul", {open.Input("x", {1, -1, 4}), open.Random({4, 4})}));
  EXPECT_EQ(CountMacs(open.graph), -1);
  Model vast;
  const Shape sizes = {int64_t{1} << 40, int64_t{1} << 40};
  vast.Output(vast.Op("MatMul", {vast.Input("a", sizes), vast.Input("b", sizes)}));
  EXPECT_EQ(CountMacs(vast.graph), -1) << "no 64 bits hold them";
}

TEST(ShapeFacts, SymbolsMultiplyAndDivide) {
  SymbolTable table;
  const Size n = table.Dimension(0, 0), h = table.Dimension(0, 1);
  const Size nh6 = table.Multiply(table.Multiply(n, h), Number(6));
  EXPECT_EQ(table.Divide(nh6, table.Multiply(h, Number(3))), table.Multiply(n, Number(2)));
  EXPECT_EQ(table.Divide(nh6, Number(4)), std::nullopt);
  EXPECT_EQ(table.Divide(n, h), std::nullopt);
  EXPECT_EQ(ReshapeTarget({n, h}, {n, h, Number(0)}), std::nullopt);
  EXPECT_EQ(ReshapeTarget({n, h}, {h, n}), std::nullopt);
}

}  // namespace
}  // namespace xslim
