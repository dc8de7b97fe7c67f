// windows-to-1d, tiles-to-resize, and what they make room for.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

// Unsqueeze -> windows -> Squeeze, as TensorFlow computes a layer along time.
struct Row {
  int64_t axis = 2;
  Attributes conv;
  const char* pool = "MaxPool";
  Shape kernel = {1, 2};
  std::vector<int64_t> dropped = {2};
};

Model OneRow(const Row& row) {
  Model m;
  ValueId x = m.Op("Unsqueeze", {m.Op("Abs", {m.Input("x", {-1, 4, 9})}), m.Ints({row.axis})});
  x = m.Op("Conv", {x, m.Random(row.axis == 2 ? Shape{6, 2, 1, 3} : Shape{6, 2, 3, 1}), m.Random({6})},
           row.conv);
  x = m.Op("Relu", {x});
  x = m.Op(row.pool, {x}, {{"kernel_shape", Is(row.kernel)}, {"strides", Is(row.kernel)}});
  m.Output(m.Op("Neg", {m.Op("Squeeze", {x, m.Ints(row.dropped)})}));
  return m;
}

const Attributes kFirst = {
    {"group", I(2)}, {"pads", Is({0, 2, 0, 1})}, {"strides", Is({1, 2})}, {"dilations", Is({1, 2})}};
const Attributes kSecond = {{"group", I(2)}, {"pads", Is({2, 0, 1, 0})}, {"kernel_shape", Is({3, 1})}};

TEST(WindowsTo1d, TheRowGoes) {
  for (const char* pool : {"MaxPool", "AveragePool"}) {
    const Counts left = {{"Abs", 1}, {"Conv", 1}, {"Relu", 1}, {pool, 1}, {"Neg", 1}};
    ExpectRewrite(OneRow({.conv = kFirst, .pool = pool}), {"windows-to-1d"}, left);
    ExpectRewrite(OneRow({3, kSecond, pool, {2, 1}, {3}}), {"windows-to-1d"}, left);
  }
}

TEST(WindowsTo1d, ThroughReshapesAndConvTranspose) {
  Model m;
  ValueId x = m.Op("Reshape", {m.Input("x", {-1, 9, 4}), m.Ints({-1, 2, 1, 18})});
  x = m.Op("ConvTranspose", {x, m.Random({2, 3, 1, 4})},
           {{"strides", Is({1, 2})}, {"output_padding", Is({0, 1})}});
  m.Output(m.Op("Reshape", {x, m.Ints({-1, 3, 39})}));
  ExpectRewrite(m, {"windows-to-1d"}, {{"Reshape", 1}, {"ConvTranspose", 1}});
}

TEST(WindowsTo1d, WindowsThatSeeTheRowStay) {
  ExpectUntouched(OneRow({.conv = {{"group", I(2)}, {"pads", Is({1, 0, 1, 0})}}, .kernel = {3, 2}}),
                  "windows-to-1d");
  ExpectUntouched(OneRow({.conv = {{"group", I(2)}, {"strides", Is({2, 1})}}}), "windows-to-1d");
  Model read = OneRow({.conv = kFirst});  // a result on the way is asked for, in four dimensions
  read.Output(read.graph.node(read.graph.Order()[2]).outputs[0]);
  ExpectUntouched(read, "windows-to-1d");
  Model flat;  // what stands behind drops more than the row
  ValueId x = flat.Op("Unsqueeze", {flat.Input("x", {2, 4, 3}), flat.Ints({2})});
  x = flat.Op("Conv", {x, flat.Random({5, 4, 1, 3})});
  flat.Output(flat.Op("Squeeze", {x, flat.Ints({2, 3})}));
  ExpectUntouched(flat, "windows-to-1d");
  Model bound;  // not valid; what the Clip cuts off is not what was computed
  const ValueId row = bound.Op("Unsqueeze", {bound.Input("x", {2, 4, 3}), bound.Ints({2})});
  x = bound.Op("Clip", {row, bound.Op("Conv", {row, bound.Random({4, 4, 1, 1})})});
  bound.Output(bound.Op("Squeeze", {x, bound.Ints({2})}));
  EXPECT_EQ(WindowsTo1d(&bound.graph, {}), 0);
}

// Bias, normalization and padding of two layers of a causal network.
TEST(WindowsTo1d, WhatStoodOutsideMeetsTheConv) {
  Model m;
  ValueId x = m.Input("x", {-1, 9, 4});
  x = m.Op("Transpose", {m.Op("Unsqueeze", {x, m.Ints({-3})})}, {{"perm", Is({0, 3, 1, 2})}});
  for (int layer = 0; layer < 2; ++layer) {
    if (layer > 0) x = m.Op("Unsqueeze", {m.Op("Pad", {x, m.Ints({0, 0, 2, 0, 0, 0})}), m.Ints({2})});
    x = m.Op("Squeeze", {m.Op("Conv", {x, m.Random({4, 4, 1, 3})}), m.Ints({2})});
    x = m.Op("Relu", {m.Op("Mul", {m.Op("Add", {x, m.Random({1, 4, 1})}), m.Random({1, 4, 1})})});
  }
  m.Output(x);
  ExpectRewrite(
      m,
      {"windows-to-1d", "merge-transposes", "merge-reshapes", "remove-identities", "fold-affine", "fuse-pad"},
      {{"Transpose", 1}, {"Conv", 2}, {"Relu", 2}});
}

TEST(MergeTransposes, BehindSplit) {
  const auto model = [](const std::vector<int64_t>& second, int64_t axis) {
    Model m;
    const ValueId x = m.Op("Abs", {m.Input("x", {-1, 4, 2, 6})});
    const std::vector<ValueId> parts = m.Ops("Split", {x}, 2, {{"axis", I(axis)}});
    m.Output(m.Op("Relu", {m.Op("Transpose", {parts[0]}, {{"perm", Is({0, 3, 1, 2})}})}));
    m.Output(m.Op("Transpose", {parts[1]}, {{"perm", Is(second)}}));
    return m;
  };
  for (int64_t axis : {-1, 1, 2})
    ExpectRewrite(model({0, 3, 1, 2}, axis), {"merge-transposes"},
                  {{"Abs", 1}, {"Transpose", 1}, {"Split", 1}, {"Relu", 1}});
  ExpectUntouched(model({0, 2, 3, 1}, -1), "merge-transposes");
}

// Channels that are shuffled between layers of a network in NHWC.
TEST(MergeTransposes, AroundShuffledChannels) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 6, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
  x = m.Op("Transpose", {m.Op("Reshape", {x, m.Ints({-1, 4, 5, 2, 3})})}, {{"perm", Is({0, 1, 2, 4, 3})}});
  x = m.Op("Reshape", {x, m.Ints({-1, 4, 5, 6})});
  m.Output(m.Op("Relu", {m.Op("Transpose", {x}, {{"perm", Is({0, 3, 1, 2})}})}));
  const Graph graph = ExpectRewrite(m, {"merge-transposes"}, {{"Reshape", 2}, {"Transpose", 1}, {"Relu", 1}});
  EXPECT_EQ(graph.node(graph.Order()[1]).Ints("perm"), (std::vector<int64_t>{0, 2, 1, 3, 4}));
}

TEST(MergeTransposes, InFrontOfUnsqueeze) {
  for (int opset : {11, 17}) {
    Model m(opset);
    const ValueId x = m.Input("x", {-1, 3, 4});
    const ValueId wide = opset < 13 ? m.Op("Unsqueeze", {x}, {{"axes", Is({1, -1})}})
                                    : m.Op("Unsqueeze", {x, m.Ints({1, -1})});
    m.Output(m.Op("Transpose", {wide}, {{"perm", Is({4, 0, 3, 1, 2})}}));
    const Graph graph = ExpectRewrite(m, {"merge-transposes"}, {{"Transpose", 1}, {"Unsqueeze", 1}});
    EXPECT_TRUE(graph.node(graph.Order()[0]).Is("Transpose"));
  }
  Model m;  // only axes of size 1 move
  const ValueId wide = m.Op("Unsqueeze", {m.Input("x", {-1, 3, 4}), m.Ints({1})});
  m.Output(m.Op("Transpose", {wide}, {{"perm", Is({0, 2, 1, 3})}}));
  ExpectRewrite(m, {"merge-transposes"}, {{"Unsqueeze", 1}});
}

// Keras's UpSampling2D of x[N, 3, 4, 5] by 2 and 3, in NHWC as TensorFlow computes it.
Model UpSampling(bool columns_too, const std::vector<int64_t>& perm = {0, 2, 3, 4, 1}) {
  Model m;
  ValueId x = m.Op("Abs", {m.Input("x", {-1, 3, 4, 5})});
  x = m.Op("Tile", {m.Op("Unsqueeze", {x, m.Ints({3})}), m.Ints({1, 1, 1, 2, 1})});
  x = m.Op("Transpose", {x}, {{"perm", Is(perm)}});
  x = m.Op("Reshape", {x, m.Ints({-1, 8, 5, 1, 3})});
  if (columns_too) x = m.Op("Tile", {x, m.Ints({1, 1, 1, 3, 1})});
  x = m.Op("Reshape", {x, m.Ints({-1, 8, columns_too ? 15 : 5, 3})});
  m.Output(m.Op("Neg", {m.Op("Transpose", {x}, {{"perm", Is({0, 3, 1, 2})}})}));
  return m;
}

TEST(TilesToResize, RowsAndColumns) {
  const std::vector<std::string> passes = {"tiles-to-resize", "merge-transposes", "merge-reshapes",
                                           "remove-identities"};
  const Graph graph = ExpectRewrite(UpSampling(true), passes, {{"Abs", 1}, {"Resize", 1}, {"Neg", 1}});
  const Tensor* scales = graph.Constant(graph.node(graph.Order()[1]).input(2));
  ASSERT_NE(scales, nullptr);
  EXPECT_TRUE(scales->SameBytes(Tensor::Of<float>({4}, {1, 1, 2, 3})));
}

TEST(TilesToResize, OneTileAndOtherOrdersStay) {
  ExpectUntouched(UpSampling(false), "tiles-to-resize");
  Model heads;  // repeated as a whole, not element by element
  ValueId x = heads.Op("Tile", {heads.Input("x", {-1, 3, 4}), heads.Ints({1, 2, 1})});
  heads.Output(heads.Op("Tile", {x, heads.Ints({1, 1, 2})}));
  ExpectUntouched(heads, "tiles-to-resize");
  // The Transpose takes rows and repeats apart.
  ExpectRewrite(UpSampling(true, {0, 3, 2, 4, 1}), {"tiles-to-resize"},
                {{"Abs", 1}, {"Unsqueeze", 1}, {"Reshape", 6}, {"Resize", 2}, {"Transpose", 2}, {"Neg", 1}});
}

TEST(TilesToResize, ResizesThatRepeatWholeTimesBecomeOne) {
  const auto model = [](std::vector<ValueId> (*operands)(Model*, float), float first, float second) {
    Model m;
    ValueId x = m.Input("x", {1, 2, 4, 4});
    for (const float times : {first, second}) {
      std::vector<ValueId> inputs = operands(&m, times);
      inputs.insert(inputs.begin(), x);
      x = m.Op("Resize", std::move(inputs),
               {{"coordinate_transformation_mode", Attribute::String("asymmetric")},
                {"nearest_mode", Attribute::String("floor")}});
    }
    m.Output(x);
    return m;
  };
  const auto scales = [](Model* m, float times) {
    return std::vector{kNone, m->Const(Tensor::Of<float>({4}, {1, 1, times, 1}))};
  };
  ExpectRewrite(model(scales, 2, 3), {"tiles-to-resize"}, {{"Resize", 1}});
  ExpectUntouched(model(scales, 1.25f, 2), "tiles-to-resize");
  ExpectUntouched(model(scales, 2, 1.25f), "tiles-to-resize");
  const auto sizes = [](Model* m, float size) {  // as older exporters write them: no scales
    return std::vector{kNone, m->Const(Tensor(DType::kFloat, {0})),
                       m->Ints({1, 2, static_cast<int64_t>(size), 4})};
  };
  ExpectUntouched(model(sizes, 5, 9), "tiles-to-resize");
}

TEST(MergeTransposes, ThroughResize) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 4, 5, 3})}, {{"perm", Is({0, 3, 1, 2})}});
  x = m.Op("Resize", {x, kNone, m.Const(Tensor::Of<float>({4}, {1, 1, 2, 1.5f}))},
           {{"mode", Attribute::String("linear")}});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 2, 3, 1})}}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"}, {{"Resize", 1}});
  Model sizes;
  x = sizes.Op("Transpose", {sizes.Input("x", {2, 4, 5, 3})}, {{"perm", Is({0, 3, 1, 2})}});
  x = sizes.Op("Resize", {x, kNone, kNone, sizes.Ints({2, 3, 8, 6})});
  sizes.Output(sizes.Op("Transpose", {x}, {{"perm", Is({0, 2, 3, 1})}}));
  ExpectUntouched(sizes, "merge-transposes");
}

// Five dimensions with channels last: ONNX Runtime has only the nearest there.
TEST(MergeTransposes, WhereRuntimesInterpolate) {
  const auto model = [](const char* mode) {
    Model m;
    ValueId x = m.Op("Transpose", {m.Input("x", {-1, 4, 5, 6, 3})}, {{"perm", Is({0, 4, 1, 2, 3})}});
    x = m.Op("Resize", {x, kNone, m.Const(Tensor::Of<float>({5}, {1, 1, 2, 2, 2}))},
             {{"mode", Attribute::String(mode)}});
    m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 2, 3, 4, 1})}}));
    return m;
  };
  ExpectRewrite(model("nearest"), {"merge-transposes", "remove-identities"}, {{"Resize", 1}});
  ExpectUntouched(model("linear"), "merge-transposes");
}

// A size that is kept is looked up in the tensor as it is once the Relu stands in front.
TEST(MergeTransposes, OpenSizesBehindAnOperatorThatMoved) {
  Model m;
  const Attributes perm = {{"perm", Is({2, 0, 1, 3})}};
  ValueId x = m.Op("Transpose", {m.Input("x", {6, -1, -1, 5})}, perm);
  x = m.Op("Transpose", {m.Op("Relu", {x})}, perm);
  x = m.Op("Reshape", {x, m.Ints({0, 0, 2, 3, 5})});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({3, 2, 0, 1, 4})}}));
  ExpectRewrite(m, {"merge-transposes"}, {{"Relu", 1}, {"Transpose", 2}, {"Reshape", 1}});
}

}  // namespace
}  // namespace xslim
