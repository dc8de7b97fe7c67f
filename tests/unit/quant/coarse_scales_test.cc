#include "quant/coarse_scales.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A convolution whose weights of output channel 0, or of all, are multiplied by `factor`.
std::vector<std::string> Coarse(float factor, bool all, float range) {
  SmallGraph small;
  small.Conv("c", "x");
  small.Output("c");
  const ValueId weight = small.graph.node(small.Node("c")).input(1);
  Tensor scaled = small.graph.Constant(weight)->Clone();
  for (int64_t i = 0; i < (all ? scaled.size() : scaled.size() / 4); ++i) scaled.data<float>()[i] *= factor;
  small.graph.SetConstant(weight, scaled);
  QuantPlan plan = small.Plan();
  QuantizeWeights(small.graph, {}, &plan);
  SetRange(&plan, small.graph.Find("c"), -range, range, "");
  std::vector<std::string> names = CoarseTensors(small.graph, plan);
  for (std::string& name : names) {
    if (name == small.graph.value(weight).name) name = "weight";
  }
  return names;
}

TEST(CoarseScales, NamesWhatTheLeastScaleErases) {
  EXPECT_THAT(Coarse(1, true, 1), IsEmpty());
  EXPECT_THAT(Coarse(1e-7f, true, 1), ElementsAre("weight"));
  EXPECT_THAT(Coarse(1, true, 1e-6f), ElementsAre("c"));
  EXPECT_THAT(Coarse(1e-4f, true, 1e-4f), IsEmpty());
}

TEST(CoarseScales, AChannelThatIsNothingBesideTheOthersIsNoLoss) {
  EXPECT_THAT(Coarse(1e-7f, false, 1), IsEmpty());
  EXPECT_THAT(Coarse(0, true, 1), IsEmpty());
}

TEST(CoarseScales, AnEpsilonThatTheSumCannotShowIsNoLoss) {
  for (const float range : {1.0f, 1e-4f}) {
    SmallGraph small;
    small.Conv("c", "x");
    small.graph.AddConstant("epsilon", Tensor::Scalar<float>(1e-6f));
    small.Op("Add", "sum", {"c", "epsilon"});
    small.Output("sum");
    QuantPlan plan = small.Plan();
    SetRange(&plan, small.graph.Find("sum"), -range, range, "");
    const std::vector<std::string> coarse = CoarseTensors(small.graph, plan);
    EXPECT_EQ(std::count(coarse.begin(), coarse.end(), "epsilon"), range == 1.0f ? 0 : 1);
  }
}

}  // namespace
}  // namespace xslim
