// Passes that write out what is implied: bounds, kernel shapes, constants, factors of Gemm.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

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

}  // namespace
}  // namespace xslim
