// Batch norms, factors and summands go into the weights around them, or become Mul and Add.
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

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

}  // namespace
}  // namespace xslim
