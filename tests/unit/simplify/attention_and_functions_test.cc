// One product for query, key and value; products between Reshapes; calls of the functions that SpacemiT's
// runtime knows.
#include "graph/function.h"
#include "rewrite_helper.h"

namespace xslim {
namespace {

using namespace testing;

enum class Cut { kSplit, kGathers };

// timm's attention: [n, 5, 3, 2, 4] turned by 2 0 3 1 4.
Model Attention(Cut cut, int64_t parts = 3, bool product_is_output = false) {
  Model m;
  const ValueId x = m.Op("Relu", {m.Input("x", {-1, 5, 8})});
  const ValueId product = m.Op("MatMul", {x, m.Random({8, parts * 8})});
  if (product_is_output) m.Output(product);
  ValueId y = m.Op("Add", {m.Random({parts * 8}), product});
  y = m.Op("Transpose", {m.Op("Reshape", {y, m.Ints({-1, 5, parts, 2, 4})})},
           {{"perm", Is({2, 0, 3, 1, 4})}});
  if (cut == Cut::kGathers) {
    for (int64_t i = 0; i < parts; ++i) m.Output(m.Op("Abs", {m.Op("Gather", {y, m.Int(i - parts)})}));
    return m;
  }
  for (ValueId part : m.Ops("Split", {y, m.Ints(std::vector<int64_t>(static_cast<size_t>(parts), 1))},
                            static_cast<int>(parts)))
    m.Output(m.Op("Abs", {m.Op("Squeeze", {part, m.Ints({0})})}));
  return m;
}

TEST(SplitQkv, ThreeProductsWithoutTheAxisOfTheParts) {
  const Counts left = {{"Relu", 1}, {"MatMul", 3}, {"Add", 3}, {"Reshape", 3}, {"Transpose", 3}, {"Abs", 3}};
  ExpectRewrite(Attention(Cut::kSplit), {"split-qkv"}, left);
  ExpectRewrite(Attention(Cut::kGathers), {"split-qkv"}, left);
}

TEST(SplitQkv, OtherPlacesOfTheParts) {
  Model last;  // [.., heads, size, 3]
  const ValueId rows = last.Op("Gemm", {last.Input("x", {-1, 6}), last.Random({24, 6}), last.Random({24})},
                               {{"transB", I(1)}, {"alpha", Attribute::Float(0.5f)}});
  const ValueId parts = last.Op("Reshape", {rows, last.Ints({-1, 2, 4, 3})});
  for (int64_t i : {2, 0, 1})
    last.Output(last.Op("Abs", {last.Op("Gather", {parts, last.Int(i)}, {{"axis", I(-1)}})}));
  ExpectRewrite(last, {"split-qkv"}, {{"Gemm", 3}, {"Reshape", 3}, {"Abs", 3}});

  Model inner;  // within each head: [n, heads, 2 + 2 + 4]
  const ValueId y = inner.Op("MatMul", {inner.Input("x", {-1, 6}), inner.Random({6, 24})});
  for (ValueId part :
       inner.Ops("Split", {inner.Op("Reshape", {y, inner.Ints({-1, 3, 8})}), inner.Ints({2, 2, 4})}, 3,
                 {{"axis", I(2)}}))
    inner.Output(inner.Op("Abs", {part}));
  ExpectRewrite(inner, {"split-qkv"}, {{"MatMul", 3}, {"Reshape", 3}, {"Abs", 3}});

  Model squeezed;  // torch.nn.MultiheadAttention, with the rank in between
  ValueId z = squeezed.Op("MatMul", {squeezed.Input("x", {5, -1, 8}), squeezed.Random({8, 24})});
  z = squeezed.Op("Reshape", {z, squeezed.Ints({1, 5, -1, 3, 8})});
  z = squeezed.Op("Squeeze",
                  {squeezed.Op("Transpose", {z}, {{"perm", Is({3, 1, 2, 0, 4})}}), squeezed.Ints({3})});
  for (int64_t i : {0, 1, 2})
    squeezed.Output(squeezed.Op("Abs", {squeezed.Op("Gather", {z, squeezed.Int(i)})}));
  ExpectRewrite(squeezed, {"split-qkv"}, {{"MatMul", 3}, {"Reshape", 3}, {"Abs", 3}});
}

TEST(SplitQkv, WhatIsNoQueryKeyValueStays) {
  ExpectUntouched(Attention(Cut::kSplit, 4), "split-qkv");
  ExpectUntouched(Attention(Cut::kGathers, 3, true), "split-qkv");
  Model rows;  // cut along the tokens
  ValueId y = rows.Op("MatMul", {rows.Input("x", {3, 4, 6}), rows.Random({6, 8})});
  y = rows.Op("Reshape", {y, rows.Ints({3, 4, 2, 4})});
  for (int64_t i : {0, 1, 2}) rows.Output(rows.Op("Abs", {rows.Op("Gather", {y, rows.Int(i)})}));
  ExpectUntouched(rows, "split-qkv");
}

Graph WithFunctions(const Model& m, const Counts& left) {
  SimplifyOptions options = OnlyPasses(m.graph, {"fuse-windows", "fuse-yolo-decode"});
  Graph plain = m.graph;
  EXPECT_EQ(Simplify(&plain, options), 0);  // not asked for
  options.functions = true;
  return ExpectRewrite(m, {"functions"}, left, options);
}

TEST(SpacemitFunctions, WindowsThereAndBack) {
  Model m;
  const Attributes perm = {{"perm", Is({0, 1, 3, 2, 4, 5})}};
  ValueId x = m.Op("Reshape", {m.Input("x", {1, 8, 12, 3}), m.Ints({1, 2, 4, 3, 4, 3})});
  x = m.Op("Reshape", {m.Op("Transpose", {x}, perm), m.Ints({-1, 3})});
  x = m.Op("Reshape", {m.Op("Abs", {x}), m.Ints({-1, 2, 3, 4, 4, 3})});
  m.Output(m.Op("Reshape", {m.Op("Transpose", {x}, perm), m.Ints({1, 96, 3})}));
  const Graph graph = WithFunctions(m, {{"WindowPartition", 1}, {"Abs", 1}, {"WindowReverse", 1}});
  EXPECT_EQ(graph.functions.size(), 2u);
  EXPECT_EQ(graph.opset_imports.at("spacemit_functions"), 1);
  for (NodeId id : graph.Order()) {
    if (graph.node(id).Is("Abs")) continue;
    EXPECT_EQ(graph.node(id).domain, "spacemit_functions");
    EXPECT_EQ(graph.node(id).Int("window_size", 0), 4);
  }
}

// The tail of an exported YOLO with 16 or fewer bins per side; `step`: how far apart the two boxes' corners
// are cut.
Model Yolo(bool with_slices, int64_t cut = 2) {
  Model m;
  const ValueId x = m.Op("Relu", {m.Input("x", {-1, 4 * 6 + 3, 10})});
  const auto parts = m.Ops("Split", {x, m.Ints({24, 3})}, 2, {{"axis", I(1)}});
  ValueId d =
      m.Op("Transpose", {m.Op("Reshape", {parts[0], m.Ints({0, 4, 6, -1})})}, {{"perm", Is({0, 2, 1, 3})}});
  d = m.Op("Conv", {m.Op("Softmax", {d}, {{"axis", I(1)}}), m.Random({1, 6, 1, 1})});
  d = m.Op("Reshape", {d, m.Ints({0, 4, -1})});
  std::vector<ValueId> sides;
  if (with_slices) {
    sides = {m.Op("Slice", {d, m.Ints({0}), m.Ints({cut}), m.Ints({1})}),
             m.Op("Slice", {d, m.Ints({4 - cut}), m.Ints({4}), m.Ints({1})})};
  } else {
    sides = m.Ops("Split", {d, m.Ints({2, 2})}, 2, {{"axis", I(1)}});
  }
  const ValueId anchors = m.Random({1, cut, 10});
  const ValueId low = m.Op("Sub", {anchors, sides[0]}), high = m.Op("Add", {anchors, sides[1]});
  const ValueId center = m.Op("Div", {m.Op("Add", {low, high}), m.F(2)});
  const ValueId boxes = m.Op("Concat", {center, m.Op("Sub", {high, low})}, {{"axis", I(1)}});
  m.Output(m.Op("Concat", {m.Op("Mul", {boxes, m.Random({1, 10})}), m.Op("Sigmoid", {parts[1]})},
                {{"axis", I(1)}}));
  return m;
}

TEST(SpacemitFunctions, YoloDecode) {
  for (bool with_slices : {false, true}) {
    const Graph graph = WithFunctions(Yolo(with_slices), {{"Relu", 1}, {"YoloDecode", 1}});
    const Node& call = graph.node(graph.Order().back());
    EXPECT_EQ(call.Int("num_class", 0), 3);
    EXPECT_EQ(call.Int("reg_max", 0), 6);
    EXPECT_EQ(call.inputs.size(), 5u);
  }
}

TEST(SpacemitFunctions, OtherBoxesStay) {
  const Model m = Yolo(true, 1);  // of four distances the first and the last
  WithFunctions(m, CountsOf(m.graph));
}

// TensorFlow's Dense on three axes.
Model Rows(const std::vector<int64_t>& back, const Shape& input = {-1, 3, 8}) {
  Model m;
  const ValueId x = m.Op("Relu", {m.Input("x", input)});
  const ValueId rows = m.Op("MatMul", {m.Op("Reshape", {x, m.Ints({-1, 8})}), m.Random({8, 6})});
  m.Output(m.Op("Relu", {m.Op("Reshape", {rows, m.Ints(back)})}));
  return m;
}

TEST(MatMulBetweenReshapes, OfRows) {
  ExpectRewrite(Rows({-1, 3, 6}), {"matmul-between-reshapes"}, {{"Relu", 2}, {"MatMul", 1}});
  ExpectRewrite(Rows({-1, 2, 3, 6}, {-1, 2, 3, 8}), {"matmul-between-reshapes"},
                {{"Relu", 2}, {"MatMul", 1}});
  ExpectUntouched(Rows({-1, 6, 3}), "matmul-between-reshapes");
  ExpectUntouched(Rows({-1, 1, 6}), "matmul-between-reshapes");
  ExpectUntouched(Rows({-1, 3, 6}, {-1, 6, 4}), "matmul-between-reshapes");
}

// As tf2onnx writes einsum: batch and heads are one axis of the product.
Model Heads(const std::vector<int64_t>& back) {
  Model m;
  const ValueId x = m.Input("x", {-1, 5, 2, 4}), other = m.Op("Abs", {x});
  const auto joined = [&](ValueId id) {
    return m.Op("Reshape", {m.Op("Transpose", {id}, {{"perm", Is({0, 2, 1, 3})}}), m.Ints({-1, 5, 4})});
  };
  const ValueId turned = m.Op("Transpose", {joined(other)}, {{"perm", Is({0, 2, 1})}});
  m.Output(m.Op("Neg", {m.Op("Reshape", {m.Op("MatMul", {joined(x), turned}), m.Ints(back)})}));
  return m;
}

TEST(MatMulBetweenReshapes, OfHeads) {
  const std::vector<std::string> passes = {"matmul-between-reshapes", "merge-transposes"};
  ExpectRewrite(Heads({-1, 2, 5, 5}), passes, {{"Abs", 1}, {"Transpose", 2}, {"MatMul", 1}, {"Neg", 1}});
  ExpectRewrite(Heads({-1, 1, 5, 5}), passes,
                {{"Abs", 1}, {"Transpose", 2}, {"Reshape", 3}, {"MatMul", 1}, {"Neg", 1}});
}

}  // namespace
}  // namespace xslim
