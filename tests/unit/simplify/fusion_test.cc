// Passes that make one operator of several: pads, products with their bias, duplicates, quotients, slices.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

Model PadInto(const std::string& op, float filler, const Attributes& attributes, bool relu,
              const std::vector<int64_t>& pads = {0, 0, 1, 0, 0, 0, 1, 1}) {
  Model m;
  ValueId x = m.Input("x", {-1, 3, 6, 6});
  if (relu) x = m.Op("Relu", {x});
  x = m.Op("Pad", {x, m.Ints(pads), m.F(filler)});
  std::vector<ValueId> inputs{x};
  if (op == "Conv") inputs.push_back(m.Random({4, 3, 3, 3}));
  m.Output(m.Op(op, inputs, attributes));
  return m;
}
const Attributes kPool = {{"kernel_shape", Is({3, 3})}};

TEST(FusePad, IntoConvAndPools) {
  ExpectRewrite(PadInto("Conv", 0, {{"pads", Is({1, 1, 0, 0})}}, false), {"fuse-pad"}, {{"Conv", 1}});
  ExpectRewrite(PadInto("AveragePool", 0, kPool, false), {"fuse-pad"}, {{"AveragePool", 1}});
  Attributes counted = kPool;
  counted["pads"] = Is({1, 0, 0, 1});
  counted["count_include_pad"] = I(1);
  ExpectRewrite(PadInto("AveragePool", 0, counted, false), {"fuse-pad"}, {{"AveragePool", 1}});
  ExpectRewrite(PadInto("MaxPool", -INFINITY, kPool, false), {"fuse-pad"}, {{"MaxPool", 1}});
  ExpectRewrite(PadInto("MaxPool", 0, kPool, true), {"fuse-pad"}, {{"Relu", 1}, {"MaxPool", 1}});
}

TEST(FusePad, WhatPaddingWouldChangeStays) {
  ExpectUntouched(PadInto("Conv", 1, {}, false), "fuse-pad");
  ExpectUntouched(PadInto("Conv", 0, {}, false, {0, 0, -1, 0, 0, 0, 0, 0}), "fuse-pad");
  ExpectUntouched(PadInto("MaxPool", 0, kPool, false), "fuse-pad");
  ExpectUntouched(PadInto("MaxPool", -INFINITY, kPool, false, {0, 0, 3, 0, 0, 0, 0, 0}), "fuse-pad");
  Attributes uncounted = kPool;
  uncounted["pads"] = Is({1, 1, 1, 1});
  ExpectUntouched(PadInto("AveragePool", 0, uncounted, false), "fuse-pad");
  Attributes ceil = kPool;
  ceil["ceil_mode"] = I(1);
  ceil["strides"] = Is({2, 2});
  ExpectUntouched(PadInto("AveragePool", 0, ceil, false), "fuse-pad");
}

TEST(FuseGemm, MatMulAndBias) {
  for (const Shape& bias : {Shape{4}, Shape{1, 4}, Shape{1}, Shape{}}) {
    Model m;
    m.Output(m.Op("Add", {m.Random(bias), m.Op("MatMul", {m.Input("x", {-1, 3}), m.Random({3, 4})})}));
    ExpectRewrite(m, {"fuse-gemm"}, {{"Gemm", 1}});
  }
}

TEST(FuseGemm, OtherRanksAndWideBiasesStay) {
  Model deep;
  deep.Output(deep.Op(
      "Add", {deep.Op("MatMul", {deep.Input("x", {2, -1, 3}), deep.Random({3, 4})}), deep.Random({4})}));
  ExpectUntouched(deep, "fuse-gemm");
  Model wide;
  wide.Output(wide.Op(
      "Add", {wide.Op("MatMul", {wide.Input("x", {1, 3}), wide.Random({3, 4})}), wide.Random({2, 4})}));
  ExpectUntouched(wide, "fuse-gemm");
}

TEST(MergeDuplicates, EqualOperatorsAndConstants) {
  Model m;
  const ValueId x = m.Input("x", {-1, 4});
  const ValueId a = m.Op("Softmax", {x}, {{"axis", I(1)}}), b = m.Op("Softmax", {x}, {{"axis", I(1)}});
  m.Output(m.Op("Add", {m.Op("Neg", {a}), m.Op("Neg", {b})}));
  ExpectRewrite(m, {"merge-duplicates"}, {{"Softmax", 1}, {"Neg", 1}, {"Add", 1}});
  Model k;
  k.Output(k.Op("Add", {k.Op("Add", {k.Input("x", {-1}), k.F(3)}), k.F(3)}));
  const Graph graph = ExpectRewrite(k, {"merge-constants"}, {{"Add", 2}});
  const std::vector<NodeId> order = graph.Order();
  EXPECT_EQ(graph.node(order[0]).input(1), graph.node(order[1]).input(1));
}

TEST(MergeDuplicates, OtherAttributesAndOutputsStay) {
  Model m;
  const ValueId x = m.Input("x", {-1, 4});
  m.Output(m.Op("Add", {m.Op("Softmax", {x}, {{"axis", I(1)}}), m.Op("Softmax", {x}, {{"axis", I(0)}})}));
  m.Output(m.Op("Neg", {x}));
  m.Output(m.Op("Neg", {x}));
  ExpectUntouched(m, "merge-duplicates");
}

TEST(ReciprocalToDiv, BothForms) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3});
  const ValueId y = m.Op("Mul", {m.Op("Reciprocal", {x}), m.Op("Relu", {x})});
  m.Output(m.Op("Mul", {y, m.Op("Div", {m.F(1), m.Op("Exp", {x})})}));
  ExpectRewrite(m, {"reciprocal-to-div"}, {{"Relu", 1}, {"Exp", 1}, {"Div", 2}});
  SimplifyOptions options;
  options.legalize = true;
  ExpectRewrite(m, {"reciprocal-to-div"},
                {{"Relu", 1}, {"Exp", 1}, {"Reciprocal", 1}, {"Mul", 1}, {"Div", 1}}, options);
  Model other;
  const ValueId z = other.Input("x", {-1, 3});
  other.Output(other.Op("Mul", {other.Op("Div", {other.F(2), z}), z}));
  ExpectUntouched(other, "reciprocal-to-div");
}

Model Slices(const std::vector<std::pair<int64_t, int64_t>>& parts, int opset) {
  Model m(opset);
  const ValueId x = m.Op("Relu", {m.Input("x", {-1, 7})});
  std::vector<ValueId> slices;
  for (const auto& [begin, end] : parts)
    slices.push_back(m.Op("Slice", {x, m.Ints({begin}), m.Ints({end}), m.Ints({-1})}));
  for (ValueId slice : slices) m.Output(slice);
  return m;
}

TEST(SlicesToSplit, PartsOfTheWhole) {
  for (int opset : {11, 13, 18})
    ExpectRewrite(Slices({{3, 5}, {0, 3}, {-2, INT64_MAX}}, opset), {"slices-to-split"},
                  {{"Relu", 1}, {"Split", 1}});
}

TEST(SlicesToSplit, GapsAndOverlapsStay) {
  ExpectUntouched(Slices({{0, 3}, {4, 7}}, 13), "slices-to-split");
  ExpectUntouched(Slices({{0, 4}, {3, 7}}, 13), "slices-to-split");
  ExpectUntouched(Slices({{0, 3}, {3, 6}}, 13), "slices-to-split");
}

TEST(SplitToSlice, OneOutputInUse) {
  Model m(13);
  const auto parts = m.Ops("Split", {m.Input("x", {-1, 7}), m.Ints({2, 4, 1})}, 3, {{"axis", I(1)}});
  m.Output(m.Op("Relu", {parts[1]}));
  ExpectRewrite(m, {"split-to-slice"}, {{"Slice", 1}, {"Relu", 1}});
  m.Output(parts[2]);
  ExpectUntouched(m, "split-to-slice");
}

}  // namespace
}  // namespace xslim
