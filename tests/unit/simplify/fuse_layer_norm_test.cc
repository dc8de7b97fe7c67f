// Layer norms and RMS norms in the forms that exporters write.
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

}  // namespace
}  // namespace xslim
