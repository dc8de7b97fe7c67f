#include "tune/weight_rows.h"

#include <gtest/gtest.h>

#include "graph/graph.h"
#include "noise.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

struct Case {
  const char* type;
  Shape x, w;
  std::map<std::string, Attribute> attributes;
};

// row . patch is the operator's own output when all patches are taken in order.
TEST(WeightRows, TimesPatchesGiveTheOperatorsOutput) {
  const std::vector<Case> cases = {
      {"Conv",
       {2, 4, 6, 5},
       {6, 2, 3, 3},
       {{"group", Attribute::Int(2)}, {"pads", Attribute::Ints({1, 0, 1, 2})}}},
      {"Conv",
       {1, 3, 9},
       {2, 3, 3},
       {{"strides", Attribute::Ints({2})}, {"dilations", Attribute::Ints({2})}}},
      {"Conv",
       {1, 4, 5, 5},
       {4, 1, 3, 3},
       {{"group", Attribute::Int(4)}, {"auto_pad", Attribute::String("SAME_UPPER")}}},
      {"Gemm", {5, 7}, {7, 3}, {}},
      {"Gemm", {5, 7}, {3, 7}, {{"transB", Attribute::Int(1)}}},
      {"MatMul", {2, 3, 4}, {4, 6}, {}},
      {"ConvTranspose", {1, 4, 3, 3}, {4, 3, 1, 1}, {{"group", Attribute::Int(2)}}},
  };
  ThreadPool pool(1);
  for (const Case& c : cases) {
    Graph graph;
    graph.opset_imports[""] = 13;
    const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(x);
    const Tensor input = Noise(c.x, 1), weight = Noise(c.w, 2);
    const NodeId id = graph.AddNode(c.type, "n", {x, graph.AddConstant("w", weight)}, {y}, c.attributes);
    graph.AddOutput(y);
    const Tensor expected = Executor(graph, pool).Run({input})[0];
    const std::optional<WeightRows> rows = RowsOf(graph.node(id), weight);
    ASSERT_TRUE(rows) << c.type;
    const bool last = std::string(c.type) == "Gemm" || std::string(c.type) == "MatMul";
    const int64_t axis = last ? expected.rank() - 1 : 1, inner = InnerCount(expected.shape(), axis);
    const int64_t channels = expected.dim(axis), places = expected.size() / channels;
    ASSERT_EQ(rows->groups * rows->rows, channels) << c.type;
    const PatchReader reader(graph.node(id), weight, input,
                             PatchPlaces(graph.node(id), weight, input, places, 3));
    for (int64_t g = 0; g < rows->groups; ++g) {
      const std::vector<float> patches = reader.Of(g, pool);
      ASSERT_EQ(static_cast<int64_t>(patches.size()), places * rows->depth) << c.type;
      for (int64_t p = 0; p < places; ++p) {
        for (int64_t r = 0; r < rows->rows; ++r) {
          double sum = 0;
          for (int64_t d = 0; d < rows->depth; ++d)
            sum += static_cast<double>(weight.data<float>()[rows->At(g, r, d)]) *
                   patches[static_cast<size_t>(p * rows->depth + d)];
          const int64_t at = (p / inner * channels + g * rows->rows + r) * inner + p % inner;
          EXPECT_NEAR(sum, expected.data<float>()[at], 1e-5) << c.type << " group " << g << " place " << p;
        }
      }
    }
  }
}

TEST(WeightRows, ADrawIsPartOfThePatches) {
  ThreadPool pool(1);
  Graph graph;
  graph.opset_imports[""] = 13;
  const Tensor weight = Noise({2, 3, 3, 3}, 1), input = Noise({1, 3, 8, 8}, 2);
  const NodeId id = graph.AddNode("Conv", "n", {graph.AddValue("x"), graph.AddConstant("w", weight)},
                                  {graph.AddValue("y")});
  const std::vector<int64_t> places = PatchPlaces(graph.node(id), weight, input, 5, 7);
  EXPECT_EQ(places.size(), 5u);
  EXPECT_EQ(places, PatchPlaces(graph.node(id), weight, input, 5, 7));
  EXPECT_EQ(PatchReader(graph.node(id), weight, input, places).Of(0, pool).size(), 5u * 27);
}

TEST(WeightRows, NoneForOtherProducts) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const NodeId gemm = graph.AddNode("Gemm", "g", {graph.AddValue("a"), graph.AddValue("b")},
                                    {graph.AddValue("y")}, {{"transA", Attribute::Int(1)}});
  EXPECT_FALSE(RowsOf(graph.node(gemm), Noise({3, 3}, 1)));
  const NodeId matmul =
      graph.AddNode("MatMul", "m", {graph.AddValue("c"), graph.AddValue("d")}, {graph.AddValue("z")});
  EXPECT_FALSE(RowsOf(graph.node(matmul), Noise({2, 3, 3}, 1)));
}

}  // namespace
}  // namespace xslim
