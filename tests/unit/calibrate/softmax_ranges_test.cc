#include "calibrate/softmax_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::IsEmpty;
using ::testing::Pair;

// Conv -> Reshape -> Softmax -> Conv.
SmallGraph Attention(int64_t axis = 1) {
  SmallGraph model;
  model.Conv("scores", "x");
  const ValueId shape = model.graph.AddConstant("shape", Tensor::Of<int64_t>({4}, {1, 4, 36, 1}));
  model.Op("Reshape", "rows", {"scores", model.graph.value(shape).name});
  model.Op("Softmax", "p", {"rows"}, {{"axis", Attribute::Int(axis)}});
  model.Conv("y", "p");
  model.Output("y");
  return model;
}

std::map<ValueId, float> Ends(const SmallGraph& model, const QuantPlan& plan, float most) {
  StatisticsMap statistics;
  statistics[model.graph.Find("p")].AddSample(std::vector<float>{0, most}.data(), 2, 1);
  ThreadPool pool(1);
  return SoftmaxEnds(model.graph, ValueFacts(model.graph, model.sample, pool), plan, statistics);
}

TEST(SoftmaxEnds, LeaveRoomForOtherData) {
  const SmallGraph model = Attention();
  const ValueId p = model.graph.Find("p");
  EXPECT_THAT(Ends(model, model.Plan(), 0.4f), ElementsAre(Pair(p, FloatEq(0.6f))));
  EXPECT_THAT(Ends(model, model.Plan(), 0.9f), ElementsAre(Pair(p, 1.0f)));
}

TEST(SoftmaxEnds, AlsoBehindDataMovement) {
  SmallGraph model;
  model.Conv("scores", "x");
  model.Op("Softmax", "s", {"scores"}, {{"axis", Attribute::Int(1)}});
  model.Op("Transpose", "p", {"s"}, {{"perm", Attribute::Ints({0, 1, 3, 2})}});
  model.Conv("y", "p");
  model.Output("y");
  const QuantPlan plan = model.Plan();
  ASSERT_EQ(plan.activations.count(model.graph.Find("p")), 1u);
  EXPECT_THAT(Ends(model, plan, 0.4f), ElementsAre(Pair(model.graph.Find("p"), FloatEq(0.6f))));
}

// ONNX Runtime's products of the table of an axis with 4 elements pass 32 bits from 594 steps for 1 on.
TEST(SoftmaxEnds, StepsAreNotTooSmallForTheAxis) {
  const SmallGraph model = Attention();
  const auto ends = Ends(model, model.Plan(), 0.26f);
  ASSERT_EQ(ends.size(), 1u);
  EXPECT_THAT(ends.begin()->second, FloatEq(0.43f));
  EXPECT_LT(255 / ends.begin()->second, 593.6f);

  const SmallGraph one = Attention(-1);  // whose elements are all 1
  EXPECT_THAT(Ends(one, one.Plan(), 1.0f), ElementsAre(Pair(one.graph.Find("p"), FloatEq(1.72f))));
}

TEST(SoftmaxEnds, AFloatSoftmaxSaturates) {
  const SmallGraph model = Attention();
  QuantPlan plan = model.Plan();
  plan.activations.erase(model.graph.Find("scores"));
  EXPECT_THAT(Ends(model, plan, 0.2f), IsEmpty());
}

}  // namespace
}  // namespace xslim
