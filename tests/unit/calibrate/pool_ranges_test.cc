#include "calibrate/pool_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::IsEmpty;

// Conv -> GlobalAveragePool over 36 elements -> Reshape -> Gemm.
SmallGraph Pooled() {
  SmallGraph model;
  model.Conv("image", "x");
  model.Op("GlobalAveragePool", "pooled", {"image"});
  const ValueId shape = model.graph.AddConstant("shape", Tensor::Of<int64_t>({2}, {1, 4}));
  model.Op("Reshape", "row", {"pooled", model.graph.value(shape).name});
  model.Op("Gemm", "y", {"row", model.Constant({4, 4})});
  model.Output("y");
  return model;
}

// The only range that is widened is that of `name`, to lo .. hi, which ONNX Runtime can compute.
void ExpectRange(const SmallGraph& model, QuantPlan plan, const char* name, float lo, float hi) {
  const ValueId id = model.graph.Find(name);
  ASSERT_EQ(plan.activations.count(id), 1u);
  ThreadPool pool(1);
  const ValueFacts facts(model.graph, model.sample, pool);
  const auto ranges = PoolRanges(model.graph, facts, plan);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges.begin()->first, id);
  EXPECT_FLOAT_EQ(ranges.begin()->second.lo, lo);
  EXPECT_FLOAT_EQ(ranges.begin()->second.hi, hi);
  SetRange(&plan, id, lo, hi, "");
  const float image = plan.activations.at(model.graph.Find("image")).params.scale[0];
  EXPECT_LT(image / (36 * plan.activations.at(id).params.scale[0]), 129);
}

TEST(PoolRanges, AreWideEnoughForTheInputsScale) {
  const SmallGraph model = Pooled();
  QuantPlan plan = model.Plan();  // all -2 .. 2
  SetRange(&plan, model.graph.Find("pooled"), 0, 0, "");
  ExpectRange(model, plan, "pooled", 0, 4.0f / (128 * 36));
  SetRange(&plan, model.graph.Find("pooled"), -1e-5f, 3e-5f, "");
  ExpectRange(model, plan, "pooled", -1.0f / (128 * 36), 3.0f / (128 * 36));
}

TEST(PoolRanges, AlsoBehindDataMovement) {
  const SmallGraph model = Pooled();
  QuantPlan plan = model.Plan();
  const ActivationQuant pair = plan.activations.at(model.graph.Find("pooled"));
  plan.activations.erase(model.graph.Find("pooled"));
  plan.activations.emplace(model.graph.Find("row"), pair);
  SetRange(&plan, model.graph.Find("row"), 0, 1e-6f, "");
  ExpectRange(model, plan, "row", 0, 4.0f / (128 * 36));
}

TEST(PoolRanges, OthersStay) {
  const SmallGraph model = Pooled();
  QuantPlan plan = model.Plan();
  ThreadPool pool(1);
  const ValueFacts facts(model.graph, model.sample, pool);
  SetRange(&plan, model.graph.Find("pooled"), 0, 5.0f / (128 * 36), "");
  EXPECT_THAT(PoolRanges(model.graph, facts, plan), IsEmpty());
  SetRange(&plan, model.graph.Find("pooled"), 0, 0, "");
  plan.activations.erase(model.graph.Find("image"));  // a float pooling
  EXPECT_THAT(PoolRanges(model.graph, facts, plan), IsEmpty());
}

}  // namespace
}  // namespace xslim
