#include "pipeline/half_transposes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

struct Product {
  // y = MatMul(Transpose(x, perm), right), or the other way round.
  Product(std::vector<int64_t> perm, bool left) {
    graph.opset_imports[""] = 17;
    const ValueId x = Value("x", perm.size()), t = graph.AddValue("t"), y = graph.AddValue("y");
    other = Value("other", 3);
    graph.AddInput(x);
    transpose = graph.AddNode("Transpose", "transpose", {x}, {t}, {{"perm", Attribute::Ints(perm)}});
    product = graph.AddNode("MatMul", "product", {left ? t : other, left ? other : t}, {y});
    graph.AddOutput(y);
  }
  ValueId Value(const char* name, size_t rank) {
    const ValueId id = graph.AddValue(name, DType::kFloat);
    graph.value(id).has_shape = true;
    for (size_t i = 0; i < rank; ++i) graph.value(id).dims.push_back({-1, std::string(name) + char('0' + i)});
    return id;
  }
  Product& Constant(Shape shape) {
    graph.SetConstant(other, Tensor(DType::kFloat, std::move(shape)));
    return *this;
  }
  Product& Input() {
    graph.AddInput(other);
    return *this;
  }
  std::map<NodeId, std::string> Kept() { return TransposesToKeep({&graph, nullptr}); }

  Graph graph;
  ValueId other;
  NodeId transpose, product;
};

TEST(HalfTransposes, SidesOfDifferentRank) {
  for (bool left : {true, false}) {
    Product made({1, 0, 2}, left);
    EXPECT_THAT(made.Constant({4, 4}).Kept(),
                ElementsAre(Pair(made.transpose, StartsWith("ONNX Runtime may crash"))));
  }
  EXPECT_EQ(Product({1, 2, 0}, true).Constant({4, 4}).Kept().size(), 1u);
  EXPECT_EQ(Product({1, 2, 0, 3}, true).Input().Kept().size(), 1u);
}

TEST(HalfTransposes, AFactorInBetween) {
  for (const auto& [size, kept] : {std::pair(1, 1u), std::pair(4, 0u)}) {
    Product made({1, 0, 2}, true);
    const ValueId scaled = made.graph.AddValue("scaled"), t = made.graph.node(made.transpose).outputs[0];
    const ValueId factor = made.graph.AddConstant("factor", Tensor(DType::kFloat, {size}));
    made.graph.AddNode("Mul", "scale", {t, factor}, {scaled});
    made.graph.SetInput(made.product, 0, scaled);
    EXPECT_EQ(made.Constant({4, 4}).Kept().size(), kept);
  }
}

TEST(HalfTransposes, ARankThatIsNotKnown) { EXPECT_EQ(Product({1, 0, 2}, true).Kept().size(), 1u); }

TEST(HalfTransposes, WhatOnnxRuntimeFusesOrLeavesStays16Bit) {
  EXPECT_THAT(Product({1, 0, 2}, true).Input().Kept(), IsEmpty());
  EXPECT_THAT(Product({1, 0, 2}, true).Constant({3, 4, 4}).Kept(), IsEmpty());
  for (const std::vector<int64_t>& perm :
       std::vector<std::vector<int64_t>>{{0, 2, 1}, {2, 0, 1}, {2, 1, 0}, {1, 0}, {1, 0, 2, 3}}) {
    EXPECT_THAT(Product(perm, true).Constant({4, 4}).Kept(), IsEmpty());
  }
}

}  // namespace
}  // namespace xslim
