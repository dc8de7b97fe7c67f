#include "tune/equalize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "channels_fixture.h"

namespace xslim {
namespace {

// Element i is multiplied by 1, 1/4, 1/16 or 1/64, by its index along axis 0: layers like these leave
// channels behind that use a small part of the tensor's range.
Tensor Uneven(Shape shape, uint64_t seed) {
  Tensor tensor = Noise(std::move(shape), seed, 1, -0.4f);
  const int64_t inner = InnerCount(tensor.shape(), 0);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.data<float>()[i] *= std::ldexp(1.0f, static_cast<int>(-2 * (i / inner % 4)));
  return tensor;
}

Tensor Transposed(const Tensor& x) {
  Tensor y(DType::kFloat, {x.dim(1), x.dim(0)});
  for (int64_t i = 0; i < x.size(); ++i)
    y.data<float>()[i % x.dim(1) * x.dim(0) + i / x.dim(1)] = x.data<float>()[i];
  return y;
}

class EqualizeTest : public ChannelsTest {
 protected:
  // Equalizes on samples of `shape`; the outputs must stay what they were.
  EqualizeResult Run(const Shape& shape) {
    const std::vector<Sample> samples = Samples(shape);
    const Graph before = graph_;
    const EqualizeResult result = EqualizeOn(samples);
    ExpectSameOutputs(before, samples[0]);
    // The factors alone do the same to an equal graph.
    Graph again = before;
    EXPECT_TRUE(Rescale(&again, result.factors, untouched_));
    Graph strange = before;
    EXPECT_EQ(Rescale(&strange, {}, untouched_), result.factors.empty());
    ExpectSameConstants(again);
    return result;
  }

  EqualizeResult EqualizeOn(const std::vector<Sample>& samples) {
    return Equalize(&graph_, ObserveChannels(graph_, samples, TensorsToEqualize(graph_, untouched_), pool_),
                    untouched_);
  }

  // The narrowest of the value's channels (axis 1, or the last one) against the widest.
  float Evenness(ValueId value, const Shape& shape, bool last) {
    std::vector<float> most;
    Executor executor(graph_, pool_);
    executor.SetTaps({value}, [&](ValueId, const Tensor& t) {
      const int64_t axis = last ? t.rank() - 1 : 1, inner = InnerCount(t.shape(), axis);
      most.assign(static_cast<size_t>(t.dim(axis)), 0.0f);
      for (int64_t i = 0; i < t.size(); ++i) {
        float& m = most[static_cast<size_t>(i / inner % t.dim(axis))];
        m = std::max(m, std::fabs(t.data<float>()[i]));
      }
    });
    executor.Run({Noise(shape, 1)});
    return *std::min_element(most.begin(), most.end()) / *std::max_element(most.begin(), most.end());
  }
};

TEST_F(EqualizeTest, ConvReluConv) {
  const Shape shape = {1, 3, 6, 6};
  const ValueId middle =
      Op("Relu", {Op("Conv", {x_, Weight(Uneven({8, 3, 1, 1}, 7)), Weight(Uneven({8}, 8))})});
  graph_.AddOutput(Op("Conv", {middle, Weight(Noise({5, 8, 3, 3}, 9))}));
  const float before = Evenness(middle, shape, false);
  const EqualizeResult result = Run(shape);
  EXPECT_EQ(result.groups, 1);
  EXPECT_EQ(result.changed, 1);
  EXPECT_GT(Evenness(middle, shape, false), 4 * before);
}

// A residual connection: what is added has the same factors, and so have all layers that read a sum.
TEST_F(EqualizeTest, LayersInFrontOfSums) {
  const Shape shape = {1, 3, 6, 6};
  const ValueId first = Op("Conv", {x_, Weight(Uneven({8, 3, 1, 1}, 7)), Weight(Uneven({8}, 8))});
  const ValueId inner = Op("Tanh", {Op("Conv", {first, Weight(Noise({6, 8, 1, 1}, 9))})});
  const ValueId second = Op("Relu", {Op("Conv", {inner, Weight(Uneven({8, 6, 1, 1}, 10))})});
  const ValueId sum = Op("Add", {second, first});
  graph_.AddOutput(Op("Conv", {Op("MaxPool", {sum}, {{"kernel_shape", Attribute::Ints({2, 2})}}),
                               Weight(Noise({5, 8, 3, 3}, 11))}));
  const float before = Evenness(sum, shape, false);
  const EqualizeResult result = Run(shape);
  EXPECT_EQ(result.groups, 1);
  EXPECT_EQ(result.changed, 1);
  EXPECT_GT(Evenness(sum, shape, false), 2 * before);
}

TEST_F(EqualizeTest, VectorsAddedToSumsOfProducts) {
  const ValueId first = Op("MatMul", {x_, Weight(Transposed(Uneven({8, 6}, 7)))});
  const ValueId second = Op("Gemm", {x_, Weight(Transposed(Uneven({8, 6}, 9)))});
  const ValueId sum = Op("Add", {Weight(Uneven({8}, 10)), Op("Add", {first, second})});
  graph_.AddOutput(Op("MatMul", {sum, Weight(Noise({8, 3}, 11))}));
  EXPECT_EQ(Run({5, 6}).changed, 1);
}

// One of what is added is no layer's, or an output, or read by what does not commute.
TEST_F(EqualizeTest, SumsThatCannotBeRescaled) {
  const Shape shape = {1, 8, 6, 6};
  const auto layer = [&](ValueId input, uint64_t seed) {
    return Op("Conv", {input, Weight(Uneven({8, 8, 1, 1}, seed))});
  };
  graph_.AddOutput(layer(Op("Add", {layer(x_, 1), x_}), 2));
  const ValueId shown = layer(x_, 3);
  graph_.AddOutput(shown);
  graph_.AddOutput(layer(Op("Add", {layer(x_, 4), shown}), 5));
  const ValueId bent = Op("Add", {layer(x_, 6), layer(x_, 7)});
  graph_.AddOutput(Op("Sigmoid", {bent}));
  graph_.AddOutput(layer(bent, 8));
  EXPECT_EQ(Run(shape).groups, 0);
}

TEST_F(EqualizeTest, GroupsAndTransposedConvolutionsOnBothSides) {
  const Shape shape = {1, 4, 6, 6};
  ValueId y = Op("Conv", {x_, Weight(Uneven({8, 2, 1, 1}, 7))}, {{"group", Attribute::Int(2)}});
  y = Op("MaxPool", {Op("LeakyRelu", {y})}, {{"kernel_shape", Attribute::Ints({2, 2})}});
  y = Op("Conv", {y, Weight(Uneven({8, 1, 3, 3}, 8))}, {{"group", Attribute::Int(8)}});
  y = Op("ConvTranspose",
         {y, Weight(Transposed(Uneven({6, 8}, 9)).Reshaped({8, 6, 1, 1})), Weight(Noise({6}, 3))});
  graph_.AddOutput(Op("Conv", {y, Weight(Noise({2, 3, 1, 1}, 10))}, {{"group", Attribute::Int(2)}}));
  const EqualizeResult result = Run(shape);
  EXPECT_EQ(result.groups, 3);
  EXPECT_EQ(result.changed, 3);
}

TEST_F(EqualizeTest, NormalizationInFrontOfSeveralProducts) {
  const Shape shape = {2, 5, 8};
  const ValueId y = Op("LayerNormalization", {x_, Weight(Uneven({8}, 4)), Weight(Noise({8}, 5))});
  graph_.AddOutput(Op("MatMul", {y, Weight(Noise({8, 3}, 6))}));
  graph_.AddOutput(Op("MatMul", {y, Weight(Noise({8, 4}, 7))}));
  const float before = Evenness(y, shape, true);
  EXPECT_EQ(Run(shape).changed, 1);
  EXPECT_GT(Evenness(y, shape, true), before);
}

TEST_F(EqualizeTest, ProductWithBiasInFrontOfGemm) {
  const Shape shape = {5, 6};
  const ValueId product = Op("MatMul", {x_, Weight(Transposed(Uneven({8, 6}, 4)))});
  const ValueId y = Op("Relu", {Op("Add", {Weight(Uneven({8}, 5)), product})});
  graph_.AddOutput(
      Op("Gemm", {y, Weight(Noise({3, 8}, 6)), Weight(Noise({3}, 7))}, {{"transB", Attribute::Int(1)}}));
  EXPECT_EQ(Run(shape).changed, 1);
}

// A channel that Relu shows the tip of is made as large as others behind it only as far as the pair in front
// of the bias, where all of it counts, can bear that.
TEST_F(EqualizeTest, CountsThePairInFrontOfABias) {
  const ValueId product = Op("MatMul", {x_, Weight(Noise({6, 8}, 4))});
  const ValueId sum = Op(
      "Add", {product, Weight(Tensor::Of<float>({8}, {-0.3f, 0.1f, -0.3f, 0.1f, -0.3f, 0.1f, -0.3f, 0.1f}))});
  graph_.AddOutput(Op("MatMul", {Op("Relu", {sum}), Weight(Noise({8, 3}, 6))}));
  const std::vector<double> factors = Run({64, 6}).factors.begin()->second;
  EXPECT_LT(*std::max_element(factors.begin(), factors.end()), 2.5);
}

// What a PRelu takes almost all of is as wide in front of it as ever, and rounded there.
TEST_F(EqualizeTest, CountsThePairInFrontOfASlope) {
  const ValueId front = Op("Conv", {x_, Weight(Noise({8, 3, 1, 1}, 7)),
                                    Weight(Tensor::Of<float>({8}, {-9, 1, -9, 1, -9, 1, -9, 1}))});
  const ValueId slopes = Weight(Tensor::Of<float>({8, 1, 1}, std::vector<float>(8, 0.01f)));
  graph_.AddOutput(Op("Conv", {Op("PRelu", {front, slopes}), Weight(Noise({5, 8, 1, 1}, 9))}));
  const EqualizeResult result = Run({1, 3, 6, 6});
  EXPECT_EQ(result.groups, 1);
  for (const auto& [name, factors] : result.factors) {
    if (factors.empty()) continue;
    EXPECT_LT(*std::max_element(factors.begin(), factors.end()), 3);
  }
}

// A sum with a vector is read by a sum and by a layer that lets nothing through: of what that reads nothing
// is known.
TEST_F(EqualizeTest, LayersOfZerosBesideSums) {
  const ValueId shifted =
      Op("Add", {Op("MatMul", {x_, Weight(Transposed(Uneven({8, 6}, 7)))}), Weight(Uneven({8}, 8))});
  const ValueId sum = Op("Add", {shifted, Op("MatMul", {x_, Weight(Transposed(Uneven({8, 6}, 9)))})});
  graph_.AddOutput(Op("MatMul", {sum, Weight(Noise({8, 3}, 10))}));
  const Tensor zeros = Tensor::Of<float>({8, 3}, std::vector<float>(24, 0.0f));
  graph_.AddOutput(Op("MatMul", {Op("Relu", {shifted}), Weight(zeros.Clone())}));
  EXPECT_EQ(Run({5, 6}).groups, 1);
}

// As exporters merge them: one vector of ones, one of zeros.
TEST_F(EqualizeTest, VectorsThatSeveralNormalizationsRead) {
  const Shape shape = {2, 5, 8};
  const ValueId zeros = Weight(Tensor::Of<float>({8}, std::vector<float>(8, 0.0f)));
  const ValueId uneven = Weight(Uneven({8}, 4));
  for (uint64_t i = 0; i < 2; ++i) {
    const ValueId y = Op("LayerNormalization", {x_, uneven, zeros});
    graph_.AddOutput(Op("MatMul", {y, Weight(Noise({8, 3}, 6 + i))}));
  }
  EXPECT_EQ(Run(shape).changed, 2);
}

// What is not rescaled goes on sharing them.
TEST_F(EqualizeTest, VectorsThatSeveralOperatorsReadStayOneWhereNothingChanges) {
  const ValueId shared = Weight(Tensor::Of<float>({4}, {0.5f, -0.5f, 0.5f, -0.5f}));
  ValueId y = x_;
  for (int i = 0; i < 3; ++i) y = Op("Tanh", {Op("Mul", {Op("Add", {y, shared}), shared})});
  const ValueId even = Op("Mul", {x_, shared});  // a pair that it does not pay for
  graph_.AddOutput(Op("MatMul", {even, Weight(Tensor::Of<float>({4, 1}, {1, -1, 1, 1}))}));
  const ValueId front = Op("Gemm", {y, Weight(Transposed(Uneven({4, 4}, 7))), shared});
  graph_.AddOutput(Op("Gemm", {front, Weight(Noise({4, 3}, 6))}));
  const size_t readers = graph_.value(shared).uses.size();
  const EqualizeResult result = Run({5, 4});
  EXPECT_EQ(result.groups, 2);
  EXPECT_EQ(result.changed, 1);
  EXPECT_EQ(graph_.value(shared).uses.size(), readers - 1);  // but for that of `front`
}

// RMSNorm as arithmetic, with its gain on either side, and a Reshape in front of the product.
TEST_F(EqualizeTest, GainsAndReshapesInFrontOfProducts) {
  const ValueId left = Op("Mul", {Weight(Uneven({8}, 4)), x_}),
                right = Op("Mul", {x_, Weight(Uneven({8}, 5))});
  const ValueId flat = Op("Reshape", {left, Weight(Tensor::Of<int64_t>({2}, {-1, 8}))});
  const ValueId mixed =
      Op("Reshape", {Op("Mul", {x_, Weight(Uneven({8}, 7))}), Weight(Tensor::Of<int64_t>({2}, {-1, 4}))});
  graph_.AddOutput(Op("MatMul", {flat, Weight(Noise({8, 3}, 6))}));
  graph_.AddOutput(Op("MatMul", {right, Weight(Noise({8, 3}, 8))}));
  graph_.AddOutput(Op("MatMul", {mixed, Weight(Noise({4, 3}, 9))}));  // not along the gain's axis
  const EqualizeResult result = Run({2, 5, 8});
  EXPECT_EQ(result.groups, 2);
  EXPECT_EQ(result.changed, 2);
}

// A weight that a body reads, too, is not its layer's own, and a tensor that one reads must not change.
TEST_F(EqualizeTest, LeavesAloneWhatBodiesRead) {
  const Graph empty = graph_;
  for (const bool weights : {true, false}) {
    graph_ = empty;
    const ValueId weight = Weight(Uneven({8, 3, 1, 1}, 7)), between = Op("Conv", {x_, weight});
    graph_.AddOutput(Op("Conv", {between, Weight(Noise({5, 8, 1, 1}, 9))}));
    graph_.AddOutput(ReadInBodies(weights ? weight : between));
    EXPECT_EQ(Run({1, 3, 6, 6}).groups, 0);
  }
}

// A pool runs along the last axis, which holds the product's channels.
TEST_F(EqualizeTest, PoolsOverTheChannelsOfProducts) {
  const ValueId y = Op("MatMul", {x_, Weight(Transposed(Uneven({8, 6}, 4)))});
  const ValueId pooled =
      Op("MaxPool", {y}, {{"kernel_shape", Attribute::Ints({3})}, {"pads", Attribute::Ints({1, 1})}});
  graph_.AddOutput(Op("MatMul", {pooled, Weight(Noise({8, 3}, 6))}));
  EXPECT_EQ(Run({2, 5, 6}).groups, 0);
}

TEST_F(EqualizeTest, LeavesEvenChannelsAlone) {
  const ValueId y = Op("Conv", {x_, Weight(Tensor::Of<float>({4, 1, 1, 1}, {0.5f, -0.5f, 0.5f, -0.5f}))});
  graph_.AddOutput(Op("Conv", {y, Weight(Tensor::Of<float>({1, 4, 1, 1}, {1, -1, 1, 1}))}));
  const EqualizeResult result = Run({1, 1, 6, 6});
  EXPECT_EQ(result.groups, 1);
  EXPECT_EQ(result.changed, 0);
}

TEST_F(EqualizeTest, LeavesAloneWhatOthersRead) {
  const ValueId y = Op("Conv", {x_, Weight(Uneven({8, 3, 1, 1}, 7))});
  graph_.AddOutput(Op("Conv", {y, Weight(Noise({5, 8, 1, 1}, 9))}));
  graph_.AddOutput(Op("Sigmoid", {y}));  // does not commute with a scale
  const ValueId shown = Op("Conv", {x_, Weight(Uneven({8, 3, 1, 1}, 10))});
  graph_.AddOutput(shown);
  graph_.AddOutput(Op("Conv", {shown, Weight(Noise({5, 8, 1, 1}, 11))}));
  const ValueId shared = Weight(Uneven({3, 3, 1, 1}, 12));
  graph_.AddOutput(Op("Conv", {Op("Conv", {x_, shared}), shared}));
  EXPECT_EQ(Run({1, 3, 6, 6}).groups, 0);
}

TEST_F(EqualizeTest, LeavesAloneWhatStaysFloat) {
  const ValueId y = Op("Conv", {x_, Weight(Uneven({8, 3, 1, 1}, 7))});
  graph_.AddOutput(Op("Conv", {y, Weight(Noise({5, 8, 1, 1}, 9))}));
  untouched_[graph_.value(y).uses[0].node] = "asked for";
  EXPECT_EQ(Run({1, 3, 6, 6}).groups, 0);
}

TEST_F(EqualizeTest, DeadChannelsAndNoSamples) {
  Tensor front = Uneven({8, 3, 1, 1}, 7);
  for (int64_t i = 0; i < 6; ++i) front.data<float>()[i] = 0;  // channels 0 and 1 are always 0
  const ValueId y = Op("Conv", {x_, Weight(front)});
  graph_.AddOutput(Op("Conv", {y, Weight(Noise({5, 8, 1, 1}, 9))}));
  EXPECT_EQ(EqualizeOn({}).changed, 0);
  EXPECT_EQ(Run({1, 3, 6, 6}).changed, 1);
}

}  // namespace
}  // namespace xslim
