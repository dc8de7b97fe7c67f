#include "quant/selected.h"

#include <gtest/gtest.h>

#include "small_graph.h"

namespace xslim {
namespace {

class SelectedTest : public ::testing::Test {
 protected:
  // An operator that makes integers beside or in the place of floats.
  ValueId Op(const char* type, const std::string& name, std::vector<ValueId> inputs, std::vector<DType> types,
             std::map<std::string, Attribute> attributes = {}) {
    std::vector<ValueId> outputs;
    for (size_t i = 0; i < types.size(); ++i)
      outputs.push_back(model_.graph.AddValue(name + (i == 0 ? "" : std::to_string(i)), types[i]));
    model_.graph.AddNode(type, name, std::move(inputs), outputs, std::move(attributes));
    return outputs.back();
  }
  ValueId Find(const char* name) const { return model_.graph.Find(name); }
  std::map<ValueId, NodeId> Selected() {
    ThreadPool pool(1);
    const ValueFacts facts(model_.graph, model_.sample, pool);
    return FindSelected(model_.graph, facts);
  }

  SmallGraph model_;
};

TEST_F(SelectedTest, WhatTopKTakesAndWhatItsIndicesGather) {
  const ValueId two = model_.graph.AddConstant("two", Tensor::Of<int64_t>({1}, {2}));
  model_.Op("Sigmoid", "scores", {"x"});
  const ValueId indices = Op("TopK", "best", {Find("scores"), two}, {DType::kFloat, DType::kInt64});
  model_.Op("Tanh", "boxes", {"x"});
  Op("GatherElements", "chosen", {Find("boxes"), indices}, {DType::kFloat}, {{"axis", Attribute::Int(3)}});
  model_.Op("Concat", "y", {"chosen", "best"}, {{"axis", Attribute::Int(3)}});
  model_.Conv("c", "y");
  model_.Output("c");
  const std::map<ValueId, NodeId> selected = Selected();
  for (const char* name : {"best", "best1", "chosen", "y"}) {
    ASSERT_TRUE(selected.count(Find(name))) << name;
    EXPECT_EQ(selected.at(Find(name)), model_.Node("best"));
  }
  for (const char* name : {"scores", "boxes", "c"}) EXPECT_FALSE(selected.count(Find(name))) << name;
}

// The end of a sentence, say: rounding does not change it.
TEST_F(SelectedTest, WhatIntegersSelectIsNotOfTheKind) {
  const ValueId ids = model_.graph.AddConstant("ids", Tensor::Of<int64_t>({3}, {5, 9, 2}));
  const ValueId end = Op("ArgMax", "end", {ids}, {DType::kInt64});
  Op("Gather", "y", {Find("x"), end}, {DType::kFloat}, {{"axis", Attribute::Int(3)}});
  model_.Output("y");
  EXPECT_TRUE(Selected().empty());
}

}  // namespace
}  // namespace xslim
