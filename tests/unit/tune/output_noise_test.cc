#include "tune/output_noise.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// The output is the input.
class OutputNoiseTest : public testing::Test {
 protected:
  OutputNoiseTest() {
    graph_.opset_imports[""] = 13;
    const ValueId x = graph_.AddValue("x", DType::kFloat), y = graph_.AddValue("y", DType::kFloat);
    graph_.AddInput(x);
    graph_.AddNode("Identity", "same", {x}, {y});
    graph_.AddOutput(y);
  }

  // Of one sample whose output is `reference` in the float graph and `value` in another.
  double Ratio(const Tensor& reference, const Tensor& value) {
    const OutputNoise noise(graph_, std::vector<OutputParts>(1), {{reference}}, pool_);
    return noise.Ratios({{noise.Of(0, 0, value)}})[0];
  }

  Graph graph_;
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

TEST_F(OutputNoiseTest, AnotherShapeHasAsMuchNoiseAsSignal) {
  EXPECT_NEAR(Ratio(Tensor::Of<float>({2}, {1, 2}), Tensor::Of<float>({3}, {1, 2, 3})), 1, 1e-6);
}

}  // namespace
}  // namespace xslim
