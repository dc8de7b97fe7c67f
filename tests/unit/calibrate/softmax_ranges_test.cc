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
SmallGraph Attention() {
  SmallGraph model;
  model.Conv("scores", "x");
  const ValueId shape = model.graph.AddConstant("shape", Tensor::Of<int64_t>({4}, {1, 4, 36, 1}));
  model.Op("Reshape", "rows", {"scores", model.graph.value(shape).name});
  model.Op("Softmax", "p", {"rows"}, {{"axis", Attribute::Int(1)}});
  model.Conv("y", "p");
  model.Output("y");
  return model;
}

std::map<ValueId, float> Ends(const SmallGraph& model, const QuantPlan& plan, float most) {
  StatisticsMap statistics;
  statistics[model.graph.Find("p")].AddSample(std::vector<float>{0, most}.data(), 2, 1);
  return SoftmaxEnds(model.graph, plan, statistics);
}

TEST(SoftmaxEnds, LeaveRoomForOtherData) {
  const SmallGraph model = Attention();
  const ValueId p = model.graph.Find("p");
  EXPECT_THAT(Ends(model, model.Plan(), 0.2f), ElementsAre(Pair(p, FloatEq(0.3f))));
  EXPECT_THAT(Ends(model, model.Plan(), 0.9f), ElementsAre(Pair(p, 1.0f)));
}

TEST(SoftmaxEnds, AFloatSoftmaxSaturates) {
  const SmallGraph model = Attention();
  QuantPlan plan = model.Plan();
  plan.activations.erase(model.graph.Find("scores"));
  EXPECT_THAT(Ends(model, plan, 0.2f), IsEmpty());
}

}  // namespace
}  // namespace xslim
