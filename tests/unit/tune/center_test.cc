#include "tune/center.h"

#include <gtest/gtest.h>

#include <limits>

#include "channels_fixture.h"
#include "tune/prepare_channels.h"

namespace xslim {
namespace {

// Numbers far from each other: channels like these lie side by side in a tensor of one scale.
Tensor Apart(int64_t channels) {
  Tensor tensor(DType::kFloat, {channels});
  for (int64_t c = 0; c < channels; ++c) tensor.data<float>()[c] = static_cast<float>(c % 3 * 5 - 4);
  return tensor;
}

class CenterTest : public ChannelsTest {
 protected:
  StatisticsByValue Observe(const std::vector<Sample>& samples) {
    return ObserveChannels(graph_, samples, TensorsToCenter(graph_, untouched_), pool_);
  }

  // Centers on samples of `shape`; the outputs must stay what they were.
  CenterResult Run(const Shape& shape) {
    const std::vector<Sample> samples = Samples(shape);
    const Graph before = graph_;
    StatisticsByValue statistics = Observe(samples);
    const CenterResult result = Center(&graph_, &statistics, untouched_);
    ExpectSameOutputs(before, samples[0]);
    // What is said of the new graph's tensors is what they are.
    for (const auto& [id, seen] : Observe(samples)) {
      const ChannelStatistics& said = statistics.at(id);
      for (size_t c = 0; c < seen.lo.size(); ++c) {
        EXPECT_NEAR(said.lo[c], seen.lo[c], 1e-4) << graph_.value(id).name;
        EXPECT_NEAR(said.hi[c], seen.hi[c], 1e-4) << graph_.value(id).name;
        EXPECT_NEAR(said.Mean(c), seen.Mean(c), 1e-4) << graph_.value(id).name;
        EXPECT_NEAR(said.squares[c] / said.count, seen.squares[c] / seen.count, 1e-3);
      }
    }
    // The centers alone do the same to an equal graph.
    Graph again = before;
    EXPECT_TRUE(Recenter(&again, result.centers, untouched_));
    Graph strange = before;
    EXPECT_EQ(Recenter(&strange, {}, untouched_), result.centers.empty());
    ExpectSameConstants(again);
    return result;
  }

  // What one scale has to reach for the tensor.
  float Range(ValueId value, const Shape& shape) {
    float lo = 0, hi = 0;
    Executor executor(graph_, pool_);
    executor.SetTaps({value}, [&](ValueId, const Tensor& t) {
      for (int64_t i = 0; i < t.size(); ++i) {
        lo = std::min(lo, t.data<float>()[i]);
        hi = std::max(hi, t.data<float>()[i]);
      }
    });
    executor.Run({Noise(shape, 1)});
    return hi - lo;
  }

  ValueId Layer(ValueId input, int64_t outputs, int64_t inputs, uint64_t seed) {
    return Op("Conv", {input, Weight(Noise({outputs, inputs, 1, 1}, seed)), Weight(Apart(outputs))});
  }
};

TEST_F(CenterTest, ConvConv) {
  const Shape shape = {1, 3, 6, 6};
  const ValueId middle = Layer(x_, 8, 3, 7);
  graph_.AddOutput(
      Op("Conv", {Op("Identity", {middle}), Weight(Noise({6, 4, 3, 3}, 9))}, {{"group", Attribute::Int(2)}}));
  const float before = Range(middle, shape);
  const CenterResult result = Run(shape);
  EXPECT_EQ(result.groups, 1);
  EXPECT_EQ(result.changed, 1);
  EXPECT_LT(Range(middle, shape), before / 2);
}

// The sum has what both have; pools hand it on.
TEST_F(CenterTest, ResidualConnections) {
  const Shape shape = {1, 3, 6, 6};
  const ValueId first = Layer(x_, 8, 3, 7);
  const ValueId second = Layer(Op("Relu", {Layer(first, 6, 8, 8)}), 8, 6, 9);
  const ValueId sum = Op("Add", {first, second});
  const ValueId pooled =
      Op("AveragePool", {sum},
         {{"kernel_shape", Attribute::Ints({3, 3})}, {"pads", Attribute::Ints({1, 1, 1, 1})}});
  graph_.AddOutput(Layer(pooled, 4, 8, 10));
  graph_.AddOutput(Layer(sum, 4, 8, 11));
  const float before = Range(sum, shape);
  const CenterResult result = Run(shape);
  EXPECT_EQ(result.groups, 1);
  EXPECT_EQ(result.changed, 1);
  EXPECT_EQ(result.centers.size(), 2u);
  EXPECT_LT(Range(sum, shape), before / 2);
}

TEST_F(CenterTest, NormalizationInFrontOfProducts) {
  const Shape shape = {2, 5, 8};
  const ValueId zeros = Weight(Tensor::Of<float>({3}, {0, 0, 0}));
  const ValueId y = Op("LayerNormalization", {x_, Weight(Noise({8}, 4)), Weight(Apart(8))});
  for (uint64_t i = 0; i < 2; ++i)  // one bias, as exporters merge them
    graph_.AddOutput(Op("Add", {zeros, Op("MatMul", {y, Weight(Noise({8, 3}, 6 + i))})}));
  const ValueId flat = Op("Reshape", {y, Weight(Tensor::Of<int64_t>({2}, {-1, 8}))});
  graph_.AddOutput(Op("Gemm", {flat, Weight(Noise({4, 8}, 9))}, {{"transB", Attribute::Int(1)}}));
  const float before = Range(y, shape);
  EXPECT_EQ(Run(shape).changed, 1);
  EXPECT_LT(Range(y, shape), before / 2);
}

// An Add of a vector can take and give back.
TEST_F(CenterTest, AddedVectors) {
  const Shape shape = {5, 8};
  const ValueId first = Op("Add", {Op("Tanh", {x_}), Weight(Apart(8))});
  const ValueId sum = Op("Add", {first, Op("Gemm", {x_, Weight(Noise({8, 8}, 3)), Weight(Apart(8))})});
  graph_.AddOutput(Op("Exp", {Op("Add", {Weight(Noise({8}, 5)), sum})}));
  EXPECT_EQ(Run(shape).changed, 1);
}

// Zeros of a padding, curved functions, outputs, products without an Add, other axes, what stays float.
TEST_F(CenterTest, LeavesAloneWhatCannotGiveBack) {
  const Shape shape = {1, 8, 6, 6};
  const auto read = [&](ValueId y) { graph_.AddOutput(Layer(y, 4, 8, 20)); };
  graph_.AddOutput(Op("Conv", {Layer(x_, 8, 8, 1), Weight(Noise({4, 8, 3, 3}, 2))},
                      {{"pads", Attribute::Ints({0, 0, 1, 1})}}));
  graph_.AddOutput(Op("Conv", {Layer(x_, 8, 8, 3), Weight(Noise({4, 8, 3, 3}, 2))},
                      {{"auto_pad", Attribute::String("SAME_UPPER")}}));
  read(Op("Relu", {Layer(x_, 8, 8, 4)}));
  const ValueId shown = Layer(x_, 8, 8, 5);
  graph_.AddOutput(shown);
  read(shown);
  read(Op("Add", {Layer(x_, 8, 8, 6), x_}));
  graph_.AddOutput(Op("MatMul", {Op("Add", {x_, Weight(Apart(6))}), Weight(Noise({6, 3}, 7))}));
  read(Op("AveragePool", {Layer(x_, 8, 8, 8)},
          {{"kernel_shape", Attribute::Ints({3, 3})},
           {"pads", Attribute::Ints({1, 1, 1, 1})},
           {"count_include_pad", Attribute::Int(1)}}));
  graph_.AddOutput(Op("ConvTranspose", {Layer(x_, 8, 8, 9), Weight(Noise({8, 4, 3, 3}, 10))}));
  const ValueId asked = Layer(x_, 8, 8, 11);
  read(asked);
  untouched_[graph_.value(asked).uses[0].node] = "asked for";
  EXPECT_EQ(Run(shape).groups, 0);
}

// The sum lays the channels of the one along the height of the other.
TEST_F(CenterTest, LeavesSumsOfDifferentRanksAlone) {
  const Graph empty = graph_;
  for (const bool plane_first : {true, false}) {
    graph_ = empty;
    const auto plane = [&] { return Layer(x_, 8, 8, 2); };
    const ValueId before = plane_first ? plane() : kNone;
    const ValueId flat =
        Op("ReduceMax", {x_}, {{"axes", Attribute::Ints({3})}, {"keepdims", Attribute::Int(0)}});
    const ValueId line = Op("Conv", {flat, Weight(Noise({8, 8, 1}, 1)), Weight(Apart(8))});
    graph_.AddOutput(Layer(Op("Add", {plane_first ? before : plane(), line}), 4, 8, 3));
    EXPECT_EQ(Run({1, 8, 8, 8}).groups, 0);
  }
}

TEST_F(CenterTest, LeavesAloneWhatBodiesRead) {
  const ValueId middle = Layer(x_, 8, 3, 7);
  graph_.AddOutput(Layer(middle, 4, 8, 8));
  graph_.AddOutput(ReadInBodies(middle));
  EXPECT_EQ(Run({1, 3, 6, 6}).groups, 0);
}

// The middle of each channel's range is taken where one tensor is all there is; its mean lies elsewhere.
TEST_F(CenterTest, LopsidedChannelsLieAroundZero) {
  const ValueId y = Op("Add", {Op("Exp", {x_}), Weight(Apart(8))});
  graph_.AddOutput(Op("Gemm", {y, Weight(Noise({8, 3}, 3))}));
  const std::vector<Sample> samples = Samples({50, 8});
  StatisticsByValue statistics = Observe(samples);
  EXPECT_EQ(Center(&graph_, &statistics, {}).changed, 1);
  const ChannelStatistics seen = Observe(samples).at(y);
  for (size_t c = 0; c < 8; ++c) EXPECT_NEAR(seen.hi[c], -seen.lo[c], 1e-5);
}

// A Gemm along the first axis, and a product whose Add stays float.
TEST_F(CenterTest, LeavesProductsAloneThatCannotGiveBack) {
  const ValueId turned = Op("Add", {x_, Weight(Apart(8))}), asked = Op("Add", {x_, Weight(Apart(8))});
  graph_.AddOutput(Op("Gemm", {turned, Weight(Noise({8, 8}, 3))}, {{"transA", Attribute::Int(1)}}));
  const ValueId sum = Op("Add", {Op("MatMul", {asked, Weight(Noise({8, 3}, 4))}), Weight(Noise({3}, 5))});
  graph_.AddOutput(sum);
  untouched_[graph_.value(sum).producer] = "asked for";
  EXPECT_EQ(Run({8, 8}).groups, 0);
}

// One run of the samples serves both.
TEST_F(CenterTest, AndEqualizationBeside) {
  Tensor uneven = Noise({8, 6, 1, 1}, 9);
  for (int64_t i = 0; i < uneven.size(); ++i) uneven.data<float>()[i] *= i < 6 ? 100.0f : 1.0f;
  const ValueId centered = Layer(x_, 6, 3, 7);
  const ValueId equalized = Op("Relu", {Op("Conv", {centered, Weight(std::move(uneven))})});
  graph_.AddOutput(Layer(equalized, 4, 8, 10));
  const std::vector<Sample> samples = Samples({1, 3, 6, 6});
  const Graph before = graph_;
  const PreparedChannels both = PrepareChannels(&graph_, {}, samples, {}, pool_);
  EXPECT_EQ(both.centered.changed, 1);
  EXPECT_EQ(both.equalized.groups, 2);
  EXPECT_GE(both.equalized.changed, 1);
  ExpectSameOutputs(before, samples[0]);
  graph_ = before;
  const PreparedChannels neither = PrepareChannels(&graph_, {false, false}, samples, {}, pool_);
  EXPECT_EQ(neither.centered.groups + neither.equalized.groups, 0);
}

TEST_F(CenterTest, LeavesCenteredChannelsAlone) {
  graph_.AddOutput(Layer(Op("Conv", {x_, Weight(Noise({8, 3, 1, 1}, 7))}), 4, 8, 8));
  const CenterResult result = Run({1, 3, 6, 6});
  EXPECT_EQ(result.groups, 1);
  EXPECT_EQ(result.changed, 0);
}

TEST_F(CenterTest, NoSamplesAndNoNumbers) {
  graph_.AddOutput(Layer(Layer(x_, 8, 3, 7), 4, 8, 8));
  StatisticsByValue none = Observe({});
  EXPECT_EQ(Center(&graph_, &none, {}).groups, 0);
  Tensor infinite = Noise({1, 3, 6, 6}, 1);
  infinite.data<float>()[5] = std::numeric_limits<float>::infinity();
  StatisticsByValue statistics = Observe({{infinite}});
  EXPECT_EQ(Center(&graph_, &statistics, {}).groups, 0);
}

}  // namespace
}  // namespace xslim
