// What a body reads by name is not taken away, whichever way the passes ask for the one reader of a value.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

// The value is read by both branches of an If, too, which is an output.
void ReadInBody(Model* m, ValueId id) {
  auto body = std::make_shared<Graph>();
  body->opset_imports[""] = m->graph.opset();
  const ValueId x = body->AddValue(m->graph.value(id).name), y = body->AddValue("inner");
  body->AddNode("Neg", "neg", {x}, {y});
  body->AddOutput(y);
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = body;
  m->Output(
      m->Op("If", {m->Input("flag", {}, DType::kBool)}, {{"then_branch", branch}, {"else_branch", branch}}));
}

// `read`: the value that the pass would take away.
void ExpectHeld(Model m, ValueId read, const std::string& pass, bool legalize = false) {
  SimplifyOptions options = OnlyPasses(m.graph, {pass});
  options.legalize = legalize;
  Graph free = m.graph;
  EXPECT_GT(Simplify(&free, options), 0) << pass;
  ReadInBody(&m, read);
  ExpectRewrite(m, {pass}, CountsOf(m.graph), options);
}

TEST(CapturedValues, AResultThatIsScaledIsHeld) {
  Model m;
  const ValueId y = m.Op("Conv", {m.Input("x", {-1, 3, 6, 6}), m.Random({4, 3, 3, 3})});
  m.Output(m.Op("Mul", {y, m.F(2)}));
  ExpectHeld(m, y, "fold-affine");
}

TEST(CapturedValues, AScaledInputIsHeld) {
  Model m;
  const ValueId x = m.Op("Mul", {m.Input("x", {-1, 3, 6, 6}), m.F(2)});
  m.Output(m.Op("Conv", {x, m.Random({4, 3, 3, 3})}));
  ExpectHeld(m, x, "fold-affine-forward", true);
}

TEST(CapturedValues, InversesAreHeld) {
  for (bool reciprocal : {false, true}) {
    Model m;
    const ValueId x = m.Op("Exp", {m.Input("x", {-1, 3})});
    const ValueId inverse = reciprocal ? m.Op("Reciprocal", {x}) : m.Op("Div", {m.F(1), x});
    m.Output(m.Op("Mul", {inverse, m.Op("Relu", {x})}));
    ExpectHeld(m, inverse, "reciprocal-to-div");
  }
}

TEST(CapturedValues, AProductBetweenReshapesIsHeld) {
  Model m;
  const ValueId flat = m.Op("Reshape", {m.Input("x", {2, 5, 3}), m.Ints({-1, 3})});
  const ValueId product = m.Op("MatMul", {flat, m.Random({3, 4})});
  m.Output(m.Op("Reshape", {product, m.Ints({2, 5, 4})}));
  ExpectHeld(m, product, "matmul-between-reshapes");
}

TEST(CapturedValues, AProductBeforeItsBiasIsHeld) {
  Model m;
  const ValueId product = m.Op("MatMul", {m.Input("x", {-1, 3}), m.Random({3, 4})});
  m.Output(m.Op("Add", {product, m.Random({4})}));
  ExpectHeld(m, product, "fuse-gemm");
}

}  // namespace
}  // namespace xslim
