#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Eval;
using testing::Eval1;
using testing::EvalOptions;

std::vector<float> Values(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

const Tensor& Ramp() {
  static const Tensor ramp = Tensor::Of<float>({1, 1, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  return ramp;
}

TEST(PoolTest, MaxPoolWithPadsAndStride) {
  const Tensor y = Eval1("MaxPool", {Ramp()},
                         {{"kernel_shape", Attribute::Ints({2, 2})},
                          {"strides", Attribute::Ints({2, 2})},
                          {"pads", Attribute::Ints({1, 1, 0, 0})}});
  EXPECT_EQ(y.shape(), (Shape{1, 1, 2, 2}));
  EXPECT_EQ(Values(y), (std::vector<float>{1, 3, 9, 11}));
}

// The fast rows and the walk that also finds indices agree, for odd strides and dilations.
TEST(PoolTest, MaxPoolPathsAgree) {
  Tensor x(DType::kFloat, {2, 3, 11, 13});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i * 7919 % 1009);
  for (int64_t stride : {1, 2, 3}) {
    for (int64_t dilation : {1, 2}) {
      const testing::Attributes attributes{{"kernel_shape", Attribute::Ints({3, 2})},
                                           {"strides", Attribute::Ints({stride, stride})},
                                           {"dilations", Attribute::Ints({dilation, dilation})},
                                           {"pads", Attribute::Ints({1, 1, 1, 0})}};
      EvalOptions two;
      two.num_outputs = 2;
      two.threads = 2;
      const std::vector<Tensor> walked = Eval("MaxPool", {x}, attributes, two);
      EXPECT_TRUE(walked[0].SameBytes(Eval1("MaxPool", {x}, attributes)));
      for (int64_t i = 0; i < walked[1].size(); ++i) {
        EXPECT_EQ(x.data<float>()[walked[1].data<int64_t>()[i]], walked[0].data<float>()[i]);
      }
    }
  }
}

// Width 5, window 2, stride 3, padding 1 + 2: the ceil'd third window starts at 5, in the padding, and is
// dropped.
// An axis of one element between or behind others: these keep their order, and so do indices by columns.
TEST(PoolTest, FlatVolumesAreImages) {
  Tensor x(DType::kFloat, {1, 2, 9, 11});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i * 7919 % 1009);
  EvalOptions options;
  options.num_outputs = 2;
  const Attribute by_columns = Attribute::Int(1);
  const auto want = Eval("MaxPool", {x},
                         {{"kernel_shape", Attribute::Ints({4, 3})}, {"storage_order", by_columns}}, options);
  const Tensor mean = Eval1("AveragePool", {x}, {{"kernel_shape", Attribute::Ints({4, 3})}});
  for (const auto& [shape, kernel] : std::vector<std::pair<Shape, std::vector<int64_t>>>{
           {{1, 2, 9, 11, 1}, {4, 3, 1}}, {{1, 2, 9, 1, 11}, {4, 1, 3}}, {{1, 2, 1, 9, 11}, {1, 4, 3}}}) {
    SCOPED_TRACE(ToString(shape));
    const testing::Attributes attributes{{"kernel_shape", Attribute::Ints(kernel)},
                                         {"storage_order", by_columns}};
    const auto got = Eval("MaxPool", {x.Reshaped(shape)}, attributes, options);
    const Tensor alone = Eval1("MaxPool", {x.Reshaped(shape)}, attributes);
    const Tensor average =
        Eval1("AveragePool", {x.Reshaped(shape)}, {{"kernel_shape", Attribute::Ints(kernel)}});
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(got[i].Reshaped(want[i].shape()).SameBytes(want[i])) << i;
    EXPECT_EQ(Values(alone), Values(want[0]));
    EXPECT_EQ(Values(average), Values(mean));
  }
}

// Signals as rows, images of width or height 1 and volumes.
TEST(PoolTest, SignalsAlongAnyAxisAgree) {
  Tensor x(DType::kFloat, {2, 3, 37});
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i * 7919 % 1009);
  const std::vector<Shape> axes = {{1, 0}, {0, 1}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  for (const char* op : {"MaxPool", "AveragePool"}) {
    for (int64_t stride : {1, 2, 3}) {
      const auto run = [&](const Shape& along) {
        Shape shape{2, 3};
        std::vector<int64_t> kernel, strides, pads(2 * along.size(), 0);
        for (size_t i = 0; i < along.size(); ++i) {
          shape.push_back(along[i] ? 37 : 1);
          kernel.push_back(along[i] ? 4 : 1);
          strides.push_back(along[i] ? stride : 1);
          if (along[i]) pads[i] = pads[along.size() + i] = 2;
        }
        EvalOptions options;
        options.num_outputs = std::string(op) == "MaxPool" ? 2 : 1;
        const testing::Attributes attributes{{"kernel_shape", Attribute::Ints(kernel)},
                                             {"strides", Attribute::Ints(strides)},
                                             {"pads", Attribute::Ints(pads)}};
        std::vector<Tensor> results = Eval(op, {x.Reshaped(shape)}, attributes, options);
        results.push_back(Eval1(op, {x.Reshaped(shape)}, attributes));  // without indices
        return results;
      };
      const std::vector<Tensor> want = run({1});
      for (const Shape& along : axes) {
        const std::vector<Tensor> got = run(along);
        for (size_t i = 0; i < want.size(); ++i)
          EXPECT_TRUE(got[i].Reshaped(want[i].shape()).SameBytes(want[i]))
              << op << " output " << i << " stride " << stride << " along " << ToString(along);
      }
      // By hand: output 3 sees elements 3*stride - 2 to 3*stride + 1.
      const float* from = x.data<float>() + 3 * stride - 2;
      const float most = std::max({from[0], from[1], from[2], from[3]});
      EXPECT_EQ(Values(want.back())[3],
                want.size() == 3 ? most : (from[0] + from[1] + from[2] + from[3]) / 4.0f);
    }
  }
}

TEST(PoolTest, SamePaddingOfLargeStridesStartsInsideOfTheInput) {
  // (1 - 1) * 5 + 1 - 4 elements of padding: -1 before the row, -2 behind it.
  const testing::Attributes attributes{{"kernel_shape", Attribute::Ints({1, 1})},
                                       {"strides", Attribute::Ints({5, 5})},
                                       {"auto_pad", Attribute::String("SAME_UPPER")}};
  const Tensor x = Tensor::Of<float>({1, 1, 4, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  EvalOptions two;
  two.num_outputs = 2;
  EXPECT_EQ(Values(Eval1("MaxPool", {x}, attributes)), Values(Eval("MaxPool", {x}, attributes, two)[0]));
  EXPECT_EQ(Values(Eval1("MaxPool", {x}, attributes)), (std::vector<float>{5}));
  EXPECT_EQ(Values(Eval1("AveragePool", {x}, attributes)), (std::vector<float>{5}));
  EXPECT_EQ(Eval1("MaxPool", {Tensor(DType::kFloat, {1, 2, 0, 4})}, attributes).shape(), (Shape{1, 2, 0, 1}));
}

TEST(PoolTest, CeilModeDropsWindowsInThePadding) {
  const Tensor x = Tensor::Of<float>({1, 1, 5}, {1, 2, 3, 4, 5});
  const Tensor y = Eval1("MaxPool", {x},
                         {{"kernel_shape", Attribute::Ints({2})},
                          {"strides", Attribute::Ints({3})},
                          {"pads", Attribute::Ints({1, 2})},
                          {"ceil_mode", Attribute::Int(1)}});
  EXPECT_EQ(Values(y), (std::vector<float>{1, 4}));
}

TEST(PoolTest, AverageCountsPaddingOnlyWhenAsked) {
  const testing::Attributes base{{"kernel_shape", Attribute::Ints({2, 2})},
                                 {"pads", Attribute::Ints({1, 1, 0, 0})},
                                 {"strides", Attribute::Ints({2, 2})}};
  EXPECT_EQ(Values(Eval1("AveragePool", {Ramp()}, base)), (std::vector<float>{1, 2.5f, 7, 8.5f}));
  testing::Attributes padded = base;
  padded["count_include_pad"] = Attribute::Int(1);
  EXPECT_EQ(Values(Eval1("AveragePool", {Ramp()}, padded)), (std::vector<float>{0.25f, 1.25f, 3.5f, 8.5f}));
}

TEST(PoolTest, GlobalForms) {
  EXPECT_EQ(Values(Eval1("GlobalAveragePool", {Ramp()})), (std::vector<float>{6.5f}));
  EXPECT_EQ(Values(Eval1("GlobalMaxPool", {Ramp()})), (std::vector<float>{12}));
}

TEST(PoolTest, NanIsTheMaximum) {
  Tensor x = Ramp().Clone();
  x.data<float>()[0] = std::nanf("");
  const Tensor y = Eval1("MaxPool", {x}, {{"kernel_shape", Attribute::Ints({3, 3})}});
  EXPECT_TRUE(std::isnan(y.data<float>()[0]));
  EXPECT_EQ(y.data<float>()[1], 12);
}

TEST(PoolTest, AWindowLargerThanTheInputIsAnError) {
  EXPECT_THROW(Eval1("MaxPool", {Ramp()}, {{"kernel_shape", Attribute::Ints({4, 4})}}), Error);
}

TEST(PoolTest, ShortFloatsHaveIndicesToo) {
  Tensor x(DType::kBFloat16, {1, 1, 4});
  for (int64_t i = 0; i < 4; ++i) x.data<BFloat16>()[i] = ToBFloat16(static_cast<float>(i % 3));
  EvalOptions both;
  both.num_outputs = 2;
  const std::vector<Tensor> y = Eval("MaxPool", {x}, {{"kernel_shape", Attribute::Ints({2})}}, both);
  EXPECT_EQ(y[0].dtype(), DType::kBFloat16);
  testing::ExpectNear(y[0].ToFloat32(), testing::F({1, 1, 3}, {1, 2, 2}));
  EXPECT_TRUE(y[1].SameBytes(testing::I64({1, 1, 3}, {1, 2, 2})));
}

}  // namespace
}  // namespace xslim
