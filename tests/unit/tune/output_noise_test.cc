#include "tune/output_noise.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tune/variants.h"

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// The output is the input.
Graph Same(DType type) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", type), y = graph.AddValue("y", type);
  graph.AddInput(x);
  graph.AddNode("Identity", "same", {x}, {y});
  graph.AddOutput(y);
  return graph;
}

class OutputNoiseTest : public testing::Test {
 protected:
  // Of one sample whose output is `reference` in the float graph and `value` in another.
  double Ratio(const Tensor& reference, const Tensor& value) {
    const OutputNoise noise(graph_, std::vector<OutputParts>(1), {{reference}}, pool_);
    return noise.Ratios({{noise.Of(0, 0, value)}})[0];
  }

  Graph graph_ = Same(DType::kFloat);
  ThreadPool pool_{1};
};

TEST_F(OutputNoiseTest, ElementsThatAreNotFiniteInTheFloatGraphSayNothing) {
  const Tensor masked = Tensor::Of<float>({4}, {1, -kInf, 3, std::numeric_limits<float>::quiet_NaN()});
  EXPECT_EQ(Ratio(masked, masked), 0);
  EXPECT_NEAR(Ratio(masked, Tensor::Of<float>({4}, {2, -kInf, 3, 7})), 0.1, 1e-6);
  const Tensor nothing = Tensor::Of<float>({2}, {kInf, -kInf});
  EXPECT_EQ(Ratio(nothing, Tensor::Of<float>({2}, {1, 2})), 0);
}

TEST_F(OutputNoiseTest, InfinitiesOfItsOwnLoseAnOutput) {
  EXPECT_GT(Ratio(Tensor::Of<float>({2}, {1, 2}), Tensor::Of<float>({2}, {1, kInf})), 1e20);
}

TEST_F(OutputNoiseTest, AnImageInBytesIsMeasuredLikeFloats) {
  OutputParts bytes;
  bytes.rounded = true;
  const Graph of_bytes = Same(DType::kUint8);
  const Tensor image = Tensor::Of<uint8_t>({2}, {30, 40}), other = Tensor::Of<uint8_t>({2}, {30, 90});
  const OutputNoise noise(of_bytes, {bytes}, {{image}}, pool_);
  EXPECT_NEAR(noise.Ratios({{noise.Of(0, 0, other)}}).at(0), 1, 1e-6);
  const OutputNoise none(of_bytes, std::vector<OutputParts>(1), {{image}}, pool_);
  EXPECT_TRUE(none.rows().empty());
}

TEST_F(OutputNoiseTest, SilentSamplesAreLeftOutOfTheMean) {
  const OutputNoise noise(graph_, std::vector<OutputParts>(1),
                          {{Tensor::Of<float>({1}, {10})}, {Tensor::Of<float>({1}, {0.1f})}}, pool_);
  const Tensor off = Tensor::Of<float>({1}, {11});
  EXPECT_NEAR(noise.Ratios({{noise.Of(0, 0, off), noise.Of(0, 1, off)}}).at(0), 0.01, 1e-6);
}

TEST_F(OutputNoiseTest, AnotherShapeHasAsMuchNoiseAsSignal) {
  EXPECT_NEAR(Ratio(Tensor::Of<float>({2}, {1, 2}), Tensor::Of<float>({3}, {1, 2, 3})), 1, 1e-6);
}

// What is not kept of the float graph is computed anew.
TEST_F(OutputNoiseTest, TheBoundOnWhatIsKeptChangesNothing) {
  Graph other = graph_;
  const ValueId y = other.outputs()[0];
  other.RemoveNode(other.value(y).producer);
  other.AddNode("Mul", "more", {other.Find("x"), other.AddConstant("c", Tensor::Of<float>({1}, {1.1f}))},
                {y});
  const std::vector<Sample> samples = {{Tensor::Of<float>({2}, {1, 2})}, {Tensor::Of<float>({2}, {3, 5})}};
  const auto ratios = [&](int64_t bytes, size_t kept) {
    const OutputNoise noise(graph_, std::vector<OutputParts>(1), samples, pool_, bytes);
    EXPECT_EQ(noise.Keeps(0), kept > 0);
    EXPECT_EQ(noise.Keeps(1), kept > 1);
    return NoiseOf(other, noise, samples, pool_);
  };
  const NoiseRatios all = ratios(16, 2);
  EXPECT_NEAR(all.at(0), 0.01, 1e-6);
  EXPECT_EQ(ratios(15, 1), all);
  EXPECT_EQ(ratios(0, 0), all);
}

TEST_F(OutputNoiseTest, TheFirstSamplesCanBeMeasuredAlone) {
  const std::vector<Sample> samples = {{Tensor::Of<float>({2}, {1, 2})}, {Tensor::Of<float>({2}, {3, 5})}};
  const OutputNoise noise(graph_, std::vector<OutputParts>(1), samples, pool_);
  EXPECT_NEAR(noise.Ratios({{noise.Of(0, 0, Tensor::Of<float>({2}, {2, 2}))}})[0], 0.2, 1e-6);
}

}  // namespace
}  // namespace xslim
