// Activations written out in elementwise operators.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

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

}  // namespace
}  // namespace xslim
