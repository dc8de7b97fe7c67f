#include "quant/bias_room.h"

#include <gtest/gtest.h>

#include <cmath>

#include "small_graph.h"

namespace xslim {
namespace {

WeightQuant TwoChannels() {
  WeightQuant weight{0, 1, {0, {0.5f, 0x1p-20f}, {0, 0}}, {}};
  weight.codes = Tensor::Of<int8_t>({2, 3}, {10, -20, 127, 100, -127, 3});
  return weight;
}

TEST(BiasRoom, AChannelThatIsNothingBesideItsBiasGetsALargerScale) {
  const std::optional<WeightQuant> roomy =
      WithRoomForBias(TwoChannels(), Tensor::Of<float>({2}, {100, -64}), 0x1p-6f);
  ASSERT_TRUE(roomy.has_value());
  EXPECT_EQ(roomy->params.scale, (std::vector<float>{0.5f, 0x1p-18f}));
  EXPECT_EQ(std::vector<int8_t>(roomy->codes.data<int8_t>(), roomy->codes.data<int8_t>() + 6),
            (std::vector<int8_t>{10, -20, 127, 25, -32, 1}));
  EXPECT_FALSE(WithRoomForBias(TwoChannels(), Tensor::Of<float>({2}, {100, -16}), 0x1p-6f));
  EXPECT_FALSE(WithRoomForBias(TwoChannels(), Tensor::Of<float>({3}, {1, 2, 3}), 0x1p-6f));
}

TEST(BiasRoom, OneScaleHasRoomForAllBiases) {
  WeightQuant weight{0, 1, {-1, {0x1p-20f}, {0}}, Tensor::Of<int8_t>({1, 2}, {100, -127})};
  const std::optional<WeightQuant> roomy = WithRoomForBias(weight, Tensor::Of<float>({2}, {1, 64}), 0x1p-6f);
  ASSERT_TRUE(roomy.has_value());
  EXPECT_EQ(roomy->params.scale, std::vector<float>{0x1p-18f});
  EXPECT_EQ(roomy->codes.data<int8_t>()[0], 25);
}

// In the written graph no bias passes 2^31 steps of input scale x weight scale.
TEST(BiasRoom, TheWrittenGraphHasIt) {
  SmallGraph small;
  Tensor weights(DType::kFloat, {4, 4, 1, 1});
  for (int64_t i = 0; i < 16; ++i) weights.data<float>()[i] = i < 12 ? 0.5f : 1e-7f;
  small.graph.AddConstant("w", weights);
  small.graph.AddConstant("b", Tensor::Of<float>({4}, {1, 1, 1, 50}));
  small.Op("Conv", "y", {"x", "w", "b"}, {{"kernel_shape", Attribute::Ints({1, 1})}});
  small.Output("y");
  const QuantPlan plan = small.Plan();
  const float input = plan.activations.at(small.graph.Find("x")).params.scale[0];
  ASSERT_GT(50 / (input * plan.weights.at(0).params.scale.at(3)), 0x1p31f);
  const Graph exported = ExportQdq(small.graph, plan);
  const Node* conv = exported.Producer(exported.Find("y_float"));
  ASSERT_NE(conv, nullptr);
  const Tensor& scale = *exported.Constant(exported.Producer(conv->input(1))->input(1));
  EXPECT_EQ(scale.data<float>()[0], plan.weights.at(0).params.scale.at(0));
  EXPECT_LE(50 / (input * scale.data<float>()[3]), 0x1.001p30f);
}

}  // namespace
}  // namespace xslim
