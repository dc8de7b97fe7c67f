// The passes that make one operator of several, and those that merge duplicates, transposes and slices.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

// d / sqrt(mean(d^2) + e) in the forms that exporters write.
enum class Square { kPow, kMul };
enum class Quotient { kDiv, kReciprocal, kOneOver, kPower, kScaledInverse, kShifted };
struct NormForm {
  Square square = Square::kPow;
  Quotient quotient = Quotient::kDiv;
  bool scale = true, bias = true, centered = true;
  std::vector<int64_t> axes = {-1};
  Shape parameter = {6};
};

ValueId Mean(Model& m, ValueId x, const std::vector<int64_t>& axes) {
  if (m.graph.opset() >= 18) return m.Op("ReduceMean", {x, m.Ints(axes)});
  return m.Op("ReduceMean", {x}, {{"axes", Is(axes)}});
}

Model Norm(const NormForm& form, int opset) {
  Model m(opset);
  const ValueId x = m.Op("Abs", {m.Input("x", {-1, 5, 6})});
  const ValueId d = form.centered ? m.Op("Sub", {x, Mean(m, x, form.axes)}) : x;
  const ValueId square = form.square == Square::kPow ? m.Op("Pow", {d, m.F(2)}) : m.Op("Mul", {d, d});
  const ValueId variance = m.Op("Add", {Mean(m, square, form.axes), m.F(1e-5f)});
  ValueId y = kNone;
  if (form.quotient == Quotient::kScaledInverse || form.quotient == Quotient::kShifted) {
    const ValueId s = m.Op("Mul", {m.Op("Reciprocal", {m.Op("Sqrt", {variance})}), m.Random(form.parameter)});
    const ValueId bias = m.Random(form.parameter);
    if (form.quotient == Quotient::kShifted) {
      const ValueId shift = m.Op("Sub", {bias, m.Op("Mul", {Mean(m, x, form.axes), s})});
      y = m.Op("Add", {m.Op("Mul", {x, s}), shift});
    } else {
      y = m.Op("Mul", {d, s});
      if (form.bias) y = m.Op("Add", {y, bias});
    }
    m.Output(y);
    return m;
  }
  if (form.quotient == Quotient::kDiv) y = m.Op("Div", {d, m.Op("Sqrt", {variance})});
  if (form.quotient == Quotient::kReciprocal)
    y = m.Op("Mul", {m.Op("Reciprocal", {m.Op("Sqrt", {variance})}), d});
  if (form.quotient == Quotient::kOneOver)
    y = m.Op("Mul", {d, m.Op("Div", {m.F(1), m.Op("Sqrt", {variance})})});
  if (form.quotient == Quotient::kPower) y = m.Op("Mul", {d, m.Op("Pow", {variance, m.F(-0.5f)})});
  if (form.scale) y = m.Op("Mul", {m.Random(form.parameter), y});
  if (form.bias) y = m.Op("Add", {y, m.Random(form.parameter)});
  m.Output(y);
  return m;
}

TEST(FuseLayerNorm, AllForms) {
  const Counts fused = {{"Abs", 1}, {"LayerNormalization", 1}};
  for (Square square : {Square::kPow, Square::kMul}) {
    for (Quotient quotient : {Quotient::kDiv, Quotient::kReciprocal, Quotient::kOneOver, Quotient::kPower}) {
      ExpectRewrite(Norm({square, quotient}, 17), {"fuse-layer-norm"}, fused);
    }
  }
  for (Quotient quotient :
       {Quotient::kScaledInverse, Quotient::kShifted}) {  // one mean for both, as exported
    ExpectRewrite(Norm({Square::kMul, quotient}, 17), {"merge-duplicates", "fuse-layer-norm"}, fused);
  }
  ExpectRewrite(Norm({}, 18), {"fuse-layer-norm"}, fused);
  ExpectRewrite(Norm({.bias = false}, 17), {"fuse-layer-norm"}, fused);
  ExpectRewrite(Norm({.scale = false, .bias = false}, 17), {"fuse-layer-norm"}, fused);
  ExpectRewrite(Norm({.axes = {1, 2}, .parameter = {1, 5, 6}}, 17), {"fuse-layer-norm"}, fused);
  ExpectRewrite(Norm({.axes = {2}, .parameter = {1, 1, 6}}, 17), {"fuse-layer-norm"}, fused);
}

// Flax: the variance as a difference of means.
enum class CutOff { kNone, kMax, kRelu };
Model FlaxNorm(CutOff cut, bool shifted, const std::vector<int64_t>& square_axes = {-1}) {
  Model m(17);
  const ValueId x = m.Op("Abs", {m.Input("x", {-1, 5, 6})});
  const ValueId mean = Mean(m, x, {-1});
  ValueId v = m.Op("Sub", {Mean(m, m.Op("Mul", {x, x}), square_axes), m.Op("Mul", {mean, mean})});
  if (cut == CutOff::kMax) v = m.Op("Max", {m.F(0), v});
  if (cut == CutOff::kRelu) v = m.Op("Relu", {v});
  const ValueId root = m.Op("Sqrt", {m.Op("Add", {v, m.F(1e-6f)})});
  const ValueId s = m.Op("Mul", {m.Op("Reciprocal", {root}), m.Random({6})});
  const ValueId bias = m.Random({6});
  if (shifted) {
    m.Output(m.Op("Add", {m.Op("Mul", {x, s}), m.Op("Sub", {bias, m.Op("Mul", {mean, s})})}));
  } else {
    m.Output(m.Op("Add", {m.Op("Mul", {m.Op("Sub", {x, mean}), s}), bias}));
  }
  return m;
}

TEST(FuseLayerNorm, OfMeansOfSquares) {
  for (CutOff cut : {CutOff::kNone, CutOff::kMax, CutOff::kRelu}) {
    for (bool shifted : {false, true})
      ExpectRewrite(FlaxNorm(cut, shifted), {"fuse-layer-norm"}, {{"Abs", 1}, {"LayerNormalization", 1}});
  }
  ExpectUntouched(FlaxNorm(CutOff::kNone, false, {1, 2}), "fuse-layer-norm");
}

// Keras, whose means tf2onnx writes as a pool where there are three axes.
Model KerasNorm(const char* mean_type, const Shape& dims) {
  Model m(17);
  const ValueId x = m.Op("Abs", {m.Input("x", dims)});
  const auto mean_of = [&](ValueId of) {
    return mean_type == std::string("ReduceMean") ? Mean(m, of, {-1}) : m.Op(mean_type, {of});
  };
  const ValueId mean = mean_of(x), d = m.Op("Sub", {x, mean});
  const ValueId root = m.Op("Sqrt", {m.Op("Add", {mean_of(m.Op("Mul", {d, d})), m.F(1e-3f)})});
  const ValueId s = m.Op("Div", {m.Random({1, 1, 6}), root});
  const ValueId shift = m.Op("Add", {m.Op("Mul", {m.Op("Neg", {mean}), s}), m.Random({1, 1, 6})});
  m.Output(m.Op("Add", {m.Op("Mul", {x, s}), shift}));
  return m;
}

TEST(FuseLayerNorm, OfKeras) {
  for (const char* mean : {"ReduceMean", "GlobalAveragePool"})
    ExpectRewrite(KerasNorm(mean, {-1, 5, 6}), {"fuse-layer-norm"}, {{"Abs", 1}, {"LayerNormalization", 1}});
  ExpectUntouched(KerasNorm("GlobalAveragePool", {-1, 5, 6, 6}), "fuse-layer-norm");
  ExpectUntouched(KerasNorm("GlobalMaxPool", {-1, 5, 6}), "fuse-layer-norm");
}

TEST(FuseLayerNorm, OtherAxesScalesAndOpsetsStay) {
  ExpectUntouched(Norm({.axes = {1}}, 17), "fuse-layer-norm");
  ExpectUntouched(Norm({.quotient = Quotient::kScaledInverse, .parameter = {5, 1}}, 17), "fuse-layer-norm");
  ExpectUntouched(Norm({}, 13), "fuse-layer-norm");
  ExpectUntouched(Norm({.centered = false}, 17), "fuse-layer-norm");
  // A scale per row is not one per element: the norm is fused, the scale stays.
  ExpectRewrite(Norm({.bias = false, .parameter = {5, 1}}, 17), {"fuse-layer-norm"},
                {{"Abs", 1}, {"LayerNormalization", 1}, {"Mul", 1}});
}

TEST(FuseLayerNorm, QuantizingRaisesTheOpset) {
  for (const NormForm& form :
       {NormForm{}, NormForm{.parameter = {1, 1, 6}}, NormForm{.scale = false, .bias = false}}) {
    SimplifyOptions options = OnlyPasses(Norm(form, 13).graph, {"fuse-layer-norm"});
    options.highest_opset = 24;
    const Graph graph =
        ExpectRewrite(Norm(form, 13), {"fuse-layer-norm"}, {{"Abs", 1}, {"LayerNormalization", 1}}, options);
    EXPECT_EQ(graph.opset(), 17);
  }
}

TEST(FuseRmsNorm, FromOpset23) {
  const NormForm form = {.bias = false, .centered = false};
  ExpectRewrite(Norm(form, 23), {"fuse-rms-norm"}, {{"Abs", 1}, {"RMSNormalization", 1}});
  ExpectRewrite(Norm({.quotient = Quotient::kScaledInverse, .bias = false, .centered = false}, 23),
                {"fuse-rms-norm"}, {{"Abs", 1}, {"RMSNormalization", 1}});
  ExpectUntouched(Norm(form, 22), "fuse-rms-norm");
  ExpectUntouched(Norm({.centered = false, .axes = {1}}, 23), "fuse-rms-norm");
}

Model Activation(int opset, ValueId (*make)(Model&, ValueId)) {
  Model m(opset);
  m.Output(m.Op("Neg", {make(m, m.Op("Abs", {m.Input("x", {-1, 7})}))}));
  return m;
}
ValueId ErfGelu(Model& m, ValueId x) {
  const ValueId e = m.Op("Add", {m.Op("Erf", {m.Op("Div", {x, m.F(1.41421356f)})}), m.F(1)});
  return m.Op("Mul", {m.Op("Mul", {x, e}), m.F(0.5f)});
}
ValueId HalfFirstGelu(Model& m, ValueId x) {
  const ValueId e = m.Op("Add", {m.F(1), m.Op("Erf", {m.Op("Mul", {x, m.F(0.70710678f)})})});
  return m.Op("Mul", {m.Op("Mul", {x, m.F(0.5f)}), e});
}
ValueId TanhGelu(Model& m, ValueId x) {
  const ValueId cube = m.Op("Mul", {m.Op("Pow", {x, m.F(3)}), m.F(0.044715f)});
  const ValueId t = m.Op("Tanh", {m.Op("Mul", {m.Op("Add", {x, cube}), m.F(0.79788456f)})});
  return m.Op("Mul", {m.Op("Mul", {m.F(0.5f), x}), m.Op("Add", {t, m.F(1)})});
}
ValueId Relu6(Model& m, ValueId x) { return m.Op("Clip", {m.Op("Add", {x, m.F(3)}), m.F(0), m.F(6)}); }
ValueId LongHardSwish(Model& m, ValueId x) { return m.Op("Div", {m.Op("Mul", {x, Relu6(m, x)}), m.F(6)}); }
ValueId LongHardSigmoid(Model& m, ValueId x) { return m.Op("Mul", {Relu6(m, x), m.F(1.0f / 6)}); }
ValueId GatedHardSwish(Model& m, ValueId x) {
  return m.Op("Mul", {m.Op("HardSigmoid", {x}, {{"alpha", Attribute::Float(1.0f / 6)}}), x});
}
ValueId LongMish(Model& m, ValueId x) { return m.Op("Mul", {x, m.Op("Tanh", {m.Op("Softplus", {x})})}); }
ValueId Silu(Model& m, ValueId x) { return m.Op("Mul", {x, m.Op("Sigmoid", {x})}); }
ValueId QuickGelu(Model& m, ValueId x) {
  return m.Op("Mul", {x, m.Op("Sigmoid", {m.Op("Mul", {x, m.F(1.702f)})})});
}
ValueId ShiftedHardSwish(Model& m, ValueId x) {
  const ValueId clip = m.Op("Clip", {m.Op("Add", {x, m.F(3)}), m.F(0), m.F(5)});
  return m.Op("Div", {m.Op("Mul", {x, clip}), m.F(6)});
}
ValueId LeakingGelu(Model& m, ValueId x) {  // its Erf is read by the graph's second output, too
  const ValueId y = ErfGelu(m, x);
  for (NodeId id : m.graph.Order()) {
    if (m.graph.node(id).Is("Erf")) m.Output(m.graph.node(id).outputs[0]);
  }
  return y;
}

TEST(FuseActivations, RecognisedByTheirValues) {
  const auto expect = [](int opset, ValueId (*make)(Model&, ValueId), const char* op) {
    ExpectRewrite(Activation(opset, make), {"fuse-activations"}, {{"Abs", 1}, {op, 1}, {"Neg", 1}});
  };
  expect(20, ErfGelu, "Gelu");
  expect(20, HalfFirstGelu, "Gelu");
  expect(20, TanhGelu, "Gelu");
  expect(14, LongHardSwish, "HardSwish");
  expect(14, GatedHardSwish, "HardSwish");
  expect(13, LongHardSigmoid, "HardSigmoid");
  expect(18, LongMish, "Mish");
  expect(24, Silu, "Swish");
}

TEST(FuseActivations, TanhAndErfAreToldApart) {
  const Graph graph =
      ExpectRewrite(Activation(20, TanhGelu), {"fuse-activations"}, {{"Abs", 1}, {"Gelu", 1}, {"Neg", 1}});
  for (NodeId id : graph.Order()) {
    if (!graph.node(id).Is("Gelu")) continue;
    EXPECT_EQ(graph.node(id).String("approximate", "none"), "tanh");
  }
}

TEST(FuseActivations, OtherFunctionsAndOlderOpsetsStay) {
  for (auto make : {QuickGelu, ShiftedHardSwish, LeakingGelu})
    ExpectUntouched(Activation(24, make), "fuse-activations");
  ExpectUntouched(Activation(19, ErfGelu), "fuse-activations");
  ExpectUntouched(Activation(17, LongMish), "fuse-activations");
  ExpectUntouched(Activation(23, Silu), "fuse-activations");
}

struct Computing {
  Model m;
  ValueId y;
};
Computing MakeConv(bool bias = true) {
  Computing c;
  const ValueId x = c.m.Input("x", {-1, 3, 6, 6});
  std::vector<ValueId> inputs{x, c.m.Random({4, 3, 3, 3})};
  if (bias) inputs.push_back(c.m.Random({4}));
  c.y = c.m.Op("Conv", inputs);
  return c;
}
Computing MakeTransposed(int64_t group) {
  Computing c;
  const ValueId x = c.m.Input("x", {-1, 6, 5, 5});
  c.y =
      c.m.Op("ConvTranspose", {x, c.m.Random({6, 4 / group, 3, 3}), c.m.Random({4})}, {{"group", I(group)}});
  return c;
}
Computing MakeGemm(int64_t transposed) {
  Computing c;
  const ValueId x = c.m.Input("x", {-1, 3});
  c.y = c.m.Op("Gemm", {x, c.m.Random(transposed ? Shape{4, 3} : Shape{3, 4}), c.m.Random({4})},
               {{"transB", I(transposed)}});
  return c;
}

TEST(FuseBatchNorm, IntoWhatComputes) {
  for (Computing c :
       {MakeConv(), MakeConv(false), MakeTransposed(1), MakeTransposed(2), MakeGemm(0), MakeGemm(1)}) {
    const std::string type = c.m.graph.node(c.m.graph.Order()[0]).op_type;
    c.m.Output(c.m.Op("BatchNormalization",
                      {c.y, c.m.Random({4}), c.m.Random({4}), c.m.Random({4}), c.m.Const(Positive({4}, 3))}));
    ExpectRewrite(c.m, {"fuse-batch-norm"}, {{type, 1}});
  }
}

// Weights and bias that are outputs of the model, too, keep their numbers there.
TEST(FuseBatchNorm, ConstantsThatAreOutputsStay) {
  Computing c = MakeConv();
  const Node conv = c.m.graph.node(c.m.graph.Order()[0]);
  c.m.Output(c.m.Op("BatchNormalization",
                    {c.y, c.m.Random({4}), c.m.Random({4}), c.m.Random({4}), c.m.Const(Positive({4}, 3))}));
  for (size_t slot : {1, 2}) c.m.Output(conv.inputs[slot]);
  ExpectRewrite(c.m, {"fuse-batch-norm"}, {{"Conv", 1}});
}

// Of rank 2 to 4; one of unknown rank (of a custom operator's result, say) is left as it is.
TEST(BatchNormToAffine, TheRankIsFollowed) {
  const auto options = [](const Model& m) {
    SimplifyOptions made = OnlyPasses(m.graph, {"batch-norm-to-affine"});
    made.legalize = true;
    return made;
  };
  const auto make = [](Model* m, ValueId x) {
    m->Output(m->Op("BatchNormalization",
                    {x, m->Random({4}), m->Random({4}), m->Random({4}), m->Const(Positive({4}, 3))}));
  };
  for (const std::vector<int64_t>& target : {std::vector<int64_t>{-1, 4}, {-1, 4, 3}, {-1, 4, 1, 3}}) {
    Model m;
    make(&m, m.Op("Reshape", {m.Input("x", {-1, 12}), m.Ints(target)}));
    ExpectRewrite(m, {"batch-norm-to-affine"}, {{"Reshape", 1}, {"Mul", 1}, {"Add", 1}}, options(m));
  }
  Model unknown;
  const ValueId x = unknown.Input("x", {-1, 12}), sizes = unknown.Input("sizes", {2}, DType::kInt64);
  unknown.graph.value(sizes).has_shape = false;  // and with it the rank that Reshape gives
  make(&unknown, unknown.Op("Reshape", {x, sizes}));
  Graph graph = unknown.graph;
  Simplify(&graph, options(unknown));
  EXPECT_EQ(CountsOf(graph), CountsOf(unknown.graph));
}

// As LeViT has it: channels of tokens, and another axis that merely is as long.
TEST(FuseBatchNorm, IntoProductsOfTokens) {
  const auto make = [](const std::vector<int64_t>& target, int64_t channels) {
    Model m;
    const ValueId weight = m.Random({3, 4});
    const ValueId x = m.Op("MatMul", {m.Input("x", {-1, 4, 3}), weight});
    const ValueId y = m.Op("BatchNormalization",
                           {m.Op("Reshape", {x, m.Ints(target)}), m.Random({channels}), m.Random({channels}),
                            m.Random({channels}), m.Const(Positive({channels}, 3))});
    m.Output(y);
    m.Output(m.Op("MatMul", {m.Input("z", {2, 3}), weight}));  // reads the weights as they were
    return m;
  };
  ExpectRewrite(make({-1, 4}, 4), {"fuse-batch-norm"}, {{"MatMul", 2}, {"Add", 1}, {"Reshape", 1}});
  ExpectUntouched(make({-1, 4, 4}, 4), "fuse-batch-norm");
  ExpectUntouched(make({-1, 2}, 2), "fuse-batch-norm");
}

TEST(FuseBatchNorm, AResultThatIsReadElsewhereStays) {
  Computing c = MakeConv();
  c.m.Output(c.y);
  c.m.Output(c.m.Op("BatchNormalization",
                    {c.y, c.m.Random({4}), c.m.Random({4}), c.m.Random({4}), c.m.Const(Positive({4}, 3))}));
  ExpectUntouched(c.m, "fuse-batch-norm");
}

TEST(FoldAffine, ConstantsOnBothSides) {
  for (const char* op : {"Add", "Sub", "Mul", "Div"}) {
    for (bool constant_first : {false, true}) {
      for (const Shape& shape : {Shape{}, Shape{1}, Shape{4, 1, 1}, Shape{1, 4, 1, 1}}) {
        if (op == std::string("Div") && constant_first) continue;
        for (Computing c : {MakeConv(), MakeTransposed(2)}) {
          const std::string type = c.m.graph.node(c.m.graph.Order()[0]).op_type;
          const ValueId k = c.m.Const(Positive(shape, 9));
          c.m.Output(
              c.m.Op(op, constant_first ? std::vector<ValueId>{k, c.y} : std::vector<ValueId>{c.y, k}));
          ExpectRewrite(c.m, {"fold-affine"}, {{type, 1}});
        }
      }
      if (op == std::string("Div") && constant_first) continue;
      Computing g = MakeGemm(1);
      const ValueId k = g.m.Const(Positive({1, 4}, 9));
      g.m.Output(g.m.Op(op, constant_first ? std::vector<ValueId>{k, g.y} : std::vector<ValueId>{g.y, k}));
      ExpectRewrite(g.m, {"fold-affine"}, {{"Gemm", 1}});
    }
  }
}

TEST(FoldAffine, OtherConstantsStay) {
  for (const Shape& shape : {Shape{4}, Shape{4, 1}, Shape{1, 1, 4, 4}, Shape{1, 1, 1, 1, 1}}) {
    Computing c = MakeConv();
    c.m.Output(c.m.Op("Mul", {c.y, c.m.Const(Positive(shape, 9))}));
    ExpectUntouched(c.m, "fold-affine");
  }
  Computing c = MakeConv();
  c.m.Output(c.m.Op("Div", {c.m.F(2), c.y}));
  ExpectUntouched(c.m, "fold-affine");
}

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

TEST(MergeTransposes, ThroughElementwiseOperators) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 3, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
  x = m.Op("Mul", {m.F(2), m.Op("Relu", {x})});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 3, 1, 2})}}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"}, {{"Relu", 1}, {"Mul", 1}});
}

TEST(MergeTransposes, TwoInARowAndTwoSideBySide) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 3, 4})}, {{"perm", Is({1, 2, 0})}});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({1, 0, 2})}}));
  ExpectRewrite(m, {"merge-transposes"}, {{"Transpose", 1}});
  Model n;
  const Attributes perm = {{"perm", Is({2, 0, 1})}};
  const ValueId a = n.Op("Transpose", {n.Input("a", {-1, 3, 4})}, perm),
                b = n.Op("Transpose", {n.Input("b", {-1, 3, 4})}, perm);
  n.Output(n.Op("Sub", {a, b}));
  ExpectRewrite(n, {"merge-transposes"}, {{"Sub", 1}, {"Transpose", 1}});
}

TEST(MergeTransposes, TheFirstOfTwoMayBeReadElsewhere) {
  Model m;
  const ValueId x = m.Op("Abs", {m.Input("x", {-1, 3, 4})});
  const ValueId turned = m.Op("Transpose", {x}, {{"perm", Is({1, 2, 0})}});
  m.Output(m.Op("Softmax", {turned}));
  m.Output(m.Op("Relu", {m.Op("Transpose", {turned}, {{"perm", Is({2, 0, 1})}})}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"},
                {{"Abs", 1}, {"Transpose", 1}, {"Softmax", 1}, {"Relu", 1}});
}

// As TensorFlow's exporter writes a layer: NCHW only around the convolution.
TEST(MergeTransposes, ThroughBiasesAndSlopes) {
  Model m;
  const Attributes to_first = {{"perm", Is({0, 3, 1, 2})}}, to_last = {{"perm", Is({0, 2, 3, 1})}};
  ValueId x = m.Op("Conv", {m.Input("x", {-1, 3, 6, 5}), m.Random({4, 3, 1, 1})});
  x = m.Op("Add", {m.Op("Transpose", {x}, to_last), m.Random({4})});
  x = m.Op("PRelu", {m.Op("Mul", {m.Random({1, 6, 1, 1}), x}), m.Random({1, 1, 4})});
  m.Output(m.Op("Conv", {m.Op("Transpose", {x}, to_first), m.Random({2, 4, 1, 1})}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities"},
                {{"Conv", 2}, {"Add", 1}, {"Mul", 1}, {"PRelu", 1}});
  Model wide;  // numbers along two axes
  ValueId y = wide.Op("Transpose", {wide.Input("x", {-1, 3, 4})}, {{"perm", Is({0, 2, 1})}});
  y = wide.Op("Add", {y, wide.Op("Pow", {wide.F(0.5f), wide.Random({4, 3})})});
  wide.Output(wide.Op("Transpose", {wide.Op("Max", {wide.Random({2, 4, 3}), y})}, {{"perm", Is({0, 2, 1})}}));
  ExpectRewrite(wide, {"fold-constants", "merge-transposes", "remove-identities"}, {{"Add", 1}, {"Max", 1}});
}

// Squeeze and excitation in NHWC.
TEST(MergeTransposes, BesideOneNumberPerChannel) {
  const auto model = [](const Shape& beside, const std::vector<int64_t>& back) {
    Model m;
    ValueId x = m.Op("Transpose", {m.Op("Abs", {m.Input("x", {-1, 3, 4, 5})})}, {{"perm", Is({0, 2, 3, 1})}});
    x = m.Op("Relu", {m.Op("Div", {m.Input("scale", beside), x})});
    m.Output(m.Op("Neg", {m.Op("Transpose", {x}, {{"perm", Is(back)}})}));
    return m;
  };
  const std::vector<std::string> passes = {"merge-transposes", "remove-identities", "transposes-to-reshapes"};
  const Counts left = {{"Abs", 1}, {"Div", 1}, {"Relu", 1}, {"Neg", 1}, {"Reshape", 1}};
  ExpectRewrite(model({-1, 1, 1, 3}, {0, 3, 1, 2}), passes, left);
  ExpectRewrite(model({-1, 1, 1, 1}, {0, 3, 1, 2}), passes,
                {{"Abs", 1}, {"Div", 1}, {"Relu", 1}, {"Neg", 1}});
  ExpectUntouched(model({-1, 4, 1, 3}, {0, 3, 1, 2}), "merge-transposes");
  ExpectUntouched(model({3}, {0, 3, 1, 2}), "merge-transposes");
  ExpectUntouched(model({-1, 1, 1, 3}, {0, 2, 3, 1}), "merge-transposes");
}

TEST(MergeTransposes, ThroughConcat) {
  const auto model = [](const std::vector<int64_t>& second, int64_t axis) {
    Model m;
    const ValueId a = m.Op("Transpose", {m.Input("a", {-1, 3, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
    const ValueId b = m.Op("Transpose", {m.Input("b", {-1, 3, 4, 5})}, {{"perm", Is(second)}});
    m.Output(m.Op("Relu", {m.Op("Concat", {a, b}, {{"axis", I(axis)}})}));
    return m;
  };
  for (int64_t axis : {-1, 1, 2, 3})
    ExpectRewrite(model({0, 2, 3, 1}, axis), {"merge-transposes"},
                  {{"Concat", 1}, {"Transpose", 1}, {"Relu", 1}});
  Model mixed;  // 4, 5, 3 and 3, 5, 4: joined along axis 1
  const ValueId a = mixed.Op("Transpose", {mixed.Input("a", {-1, 3, 4, 5})}, {{"perm", Is({0, 2, 3, 1})}});
  const ValueId b = mixed.Op("Transpose", {mixed.Input("b", {-1, 5, 7, 3})}, {{"perm", Is({0, 2, 1, 3})}});
  mixed.Output(mixed.Op("Concat", {a, b}, {{"axis", I(1)}}));
  ExpectUntouched(mixed, "merge-transposes");
}

TEST(MergeTransposes, WhatKnowsAxesStays) {
  Model m;
  ValueId x = m.Op("Transpose", {m.Input("x", {-1, 3, 4})}, {{"perm", Is({0, 2, 1})}});
  x = m.Op("Mul", {m.Random({3}), m.Op("Softmax", {x}, {{"axis", I(1)}})});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 2, 1})}}));
  ExpectUntouched(m, "merge-transposes");
}

TEST(TransposesToReshapes, WhereOnlyAxesOfSizeOneMove) {
  Model m;
  const ValueId x = m.Input("x", {1, 6, 1, 5});
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({0, 2, 1, 3})}}));
  m.Output(m.Op("Transpose", {x}, {{"perm", Is({3, 0, 1, 2})}}));
  ExpectRewrite(m, {"transposes-to-reshapes"}, {{"Reshape", 1}, {"Transpose", 1}});
}

TEST(TransposesToReshapes, MergesFirst) {
  Model m;
  const ValueId x = m.Op("Transpose", {m.Input("x", {1, 6, 1, 5})}, {{"perm", Is({0, 2, 1, 3})}});
  m.Output(m.Op("Transpose", {m.Op("Exp", {x})}, {{"perm", Is({0, 2, 1, 3})}}));
  ExpectRewrite(m, {"merge-transposes", "remove-identities", "transposes-to-reshapes"}, {{"Exp", 1}});
}

TEST(TransposesToReshapes, LeavesOpenSizesAlone) {
  Model m;
  m.Output(m.Op("Transpose", {m.Input("x", {-1, 6, 1, 5})}, {{"perm", Is({1, 0, 2, 3})}}));
  ExpectUntouched(m, "transposes-to-reshapes");
  // Two open sizes, either of which may be 0.
  Model two;
  two.Output(two.Op("Transpose", {two.Input("x", {-1, -1, 1, 5})}, {{"perm", Is({0, 2, 1, 3})}}));
  ExpectUntouched(two, "transposes-to-reshapes");
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

TEST(ExplicitClipBounds, TheMissingOneIsWritten) {
  Model m;
  const ValueId x = m.Input("x", {-1, 3});
  m.Output(m.Op("Clip", {m.Op("Clip", {x, m.F(0)}), kNone, m.F(1)}));
  const Graph graph = ExpectRewrite(m, {"explicit-clip-bounds"}, {{"Clip", 2}});
  for (NodeId id : graph.Order()) {
    EXPECT_NE(graph.Constant(graph.node(id).input(1)), nullptr);
    EXPECT_NE(graph.Constant(graph.node(id).input(2)), nullptr);
  }
  Model whole;
  whole.Output(whole.Op("Clip", {whole.Input("x", {2}), whole.F(0), whole.F(1)}));
  Graph same = whole.graph;
  EXPECT_EQ(Simplify(&same, OnlyPasses(same, {"explicit-clip-bounds"})), 0);
}

TEST(KernelShapes, TheyFollowTheWeights) {
  Model m;
  const ValueId x = m.Op("Conv", {m.Input("x", {-1, 3, 9, 9}), m.Random({4, 3, 3, 5})});
  m.Output(m.Op("ConvTranspose", {x, m.Random({4, 2, 2, 1})}));
  const Graph graph = ExpectRewrite(m, {"kernel-shapes"}, {{"Conv", 1}, {"ConvTranspose", 1}});
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    const std::vector<int64_t> wanted =
        node.Is("Conv") ? std::vector<int64_t>{3, 5} : std::vector<int64_t>{2, 1};
    EXPECT_EQ(node.Ints("kernel_shape"), wanted);
  }
}

TEST(KernelShapes, OpenOnesStayOpen) {
  Model m;
  m.Output(m.Op("Conv", {m.Input("x", {1, 3, 9, 9}), m.Input("w", {4, 3, -1, -1})}));
  Graph graph = m.graph;
  EXPECT_EQ(Simplify(&graph, OnlyPasses(graph, {"kernel-shapes"})), 0);
}

// A body knows no shapes of what it reads from outside.
TEST(KernelShapes, BodiesGetThemAndLastPassesToo) {
  Model inner;
  const ValueId x =
      inner.Op("Conv", {inner.Op("Reshape", {inner.graph.AddValue("x"), inner.Ints({1, 3, 4, 1})}),
                        inner.Random({4, 3, 2, 1})});
  inner.Output(inner.Op("Transpose", {x}, {{"perm", Is({0, 1, 3, 2})}}));
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = std::make_shared<Graph>(inner.graph);
  Model m;
  m.Input("x", {12});
  const ValueId flag = m.Input("flag", {}, DType::kBool);
  m.Output(m.Op("If", {flag}, {{"then_branch", branch}, {"else_branch", branch}}));
  Graph only = m.graph;
  EXPECT_EQ(RunInBodies(&only, {}, KernelShapes), 2);
  EXPECT_GT(Simplify(&m.graph, {}), 0);
  for (const Graph* graph : {&only, &m.graph}) {
    const Graph& body = *graph->node(graph->Order()[0]).attributes.at("then_branch").graph;
    bool found = false;
    for (NodeId id : body.Order()) {
      const Node& node = body.node(id);
      EXPECT_FALSE(graph == &m.graph && node.Is("Transpose"));
      if (!node.Is("Conv")) continue;
      found = true;
      EXPECT_EQ(node.Ints("kernel_shape"), (std::vector<int64_t>{2, 1}));
    }
    EXPECT_TRUE(found);
  }
  EXPECT_FALSE(branch.graph->node(1).Has("kernel_shape"))
      << "the body of the graph that was given is another";
}

TEST(FoldConstants, GrowthIsLimited) {
  Model m;
  const ValueId x = m.Input("x", {1});
  m.Output(m.Op("Add", {x, m.Op("Neg", {m.Random({1})})}));
  m.Output(m.Op("Add", {x, m.Op("Expand", {m.Random({1}), m.Ints({1 << 20})})}));
  ExpectRewrite(m, {"fold-constants"}, {{"Add", 2}, {"Expand", 1}});
}

TEST(Constants, NodesBecomeInitializers) {
  Model m;
  m.Output(m.Op(
      "Add", {m.Input("x", {3}), m.Op("Constant", {}, {{"value", Attribute::OfTensor(Noise({3}, 5, 4))}})}));
  ExpectRewrite(m, {"constants-to-initializers"}, {{"Add", 1}});
}

TEST(Legalizing, GemmLosesItsFactors) {
  SimplifyOptions options;
  options.legalize = true;
  const Attributes factors = {
      {"alpha", Attribute::Float(0.5f)}, {"beta", Attribute::Float(3)}, {"transA", I(1)}, {"transB", I(1)}};
  Model m;
  m.Output(m.Op("Gemm", {m.Input("x", {3, 2}), m.Random({4, 3}), m.Random({4})}, factors));
  const Graph plain = ExpectRewrite(m, {"plain-gemm"}, {{"Transpose", 1}, {"Gemm", 1}}, options);
  for (NodeId id : plain.Order()) {
    const Node& node = plain.node(id);
    EXPECT_EQ(node.Float("alpha", 1) + node.Float("beta", 1), 2);
    EXPECT_EQ(node.Int("transA", 0), 0);
    EXPECT_EQ(node.Int("transB", 0), node.Is("Gemm") ? 1 : 0);
  }
  Model open;  // factors that no constant takes
  open.Output(open.Op("Gemm", {open.Input("x", {3, 2}), open.Input("w", {4, 3})}, factors));
  ExpectRewrite(open, {"plain-gemm"}, {{"Gemm", 1}}, options);
}

TEST(Legalizing, DivAndBatchNormAndForwardAffine) {
  SimplifyOptions options;
  options.legalize = true;
  Model m;
  ValueId x = m.Op("Div", {m.Input("x", {-1, 3, 6, 6}), m.F(4)});
  x = m.Op("BatchNormalization", {x, m.Random({3}), m.Random({3}), m.Random({3}), m.Const(Positive({3}, 3))});
  m.Output(x);
  ExpectRewrite(m, {"div-to-mul"}, {{"Mul", 2}, {"Add", 1}}, options);
  Model c;
  const ValueId scaled = c.Op("Add", {c.Op("Mul", {c.Input("x", {-1, 3, 6, 6}), c.F(2)}), c.F(1)});
  c.Output(c.Op("Conv", {scaled, c.Random({4, 3, 3, 3})}));
  ExpectRewrite(c, {"fold-affine-forward"}, {{"Conv", 1}}, options);
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
