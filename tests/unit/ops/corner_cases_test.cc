// Attributes and inputs at the edge of what an operator takes, and beyond it: found by random models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval_helper.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using testing::Attributes;
using testing::Eval1;
using testing::EvalOptions;
using testing::F;
using testing::I64;
using testing::Values;

Tensor Ramp(Shape shape) {
  Tensor x(DType::kFloat, std::move(shape));
  for (int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = static_cast<float>(i);
  return x;
}

Tensor Codes(Shape shape) {
  Tensor x(DType::kInt8, std::move(shape));
  for (int64_t i = 0; i < x.size(); ++i) x.data<int8_t>()[i] = static_cast<int8_t>(i % 7 - 3);
  return x;
}

// Evaluates to an Error that says `part`.
void ExpectRefused(const std::string& op_type, const std::vector<Tensor>& inputs,
                   const Attributes& attributes, const std::string& part) {
  try {
    Eval1(op_type, inputs, attributes);
    ADD_FAILURE() << op_type << " took it; expected an error with: " << part;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr(part)) << op_type;
  }
}

// Three columns, a window of one, stride 3: -2 columns of padding leave the middle one (the operator's
// formula).
TEST(CornerCases, PoolWithSamePaddingSkipsElements) {
  const Attributes attributes{{"kernel_shape", Attribute::Ints({1, 1})},
                              {"strides", Attribute::Ints({1, 3})},
                              {"auto_pad", Attribute::String("SAME_UPPER")}};
  EXPECT_EQ(Values<float>(Eval1("MaxPool", {Ramp({1, 1, 2, 3})}, attributes)), (std::vector<float>{1, 4}));
  EXPECT_EQ(Values<float>(Eval1("AveragePool", {Ramp({1, 1, 2, 3})}, attributes)),
            (std::vector<float>{1, 4}));
}

TEST(CornerCases, TransposedConvolutionWithSamePaddingNeverAdds) {
  const Attributes attributes{{"strides", Attribute::Ints({3})},
                              {"auto_pad", Attribute::String("SAME_UPPER")}};
  const Tensor y = Eval1("ConvTranspose", {F({1, 1, 3}, {1, 2, 3}), F({1, 1, 2}, {1, 10})}, attributes);
  EXPECT_EQ(y.shape(), (Shape{1, 1, 8}));
  EXPECT_EQ(Values<float>(y), (std::vector<float>{1, 10, 0, 2, 20, 0, 3, 30}));
}

// The size comes from the scales alone, and what lies outside of an integer image gets the value cut to
// integers.
TEST(CornerCases, ResizeOfARegion) {
  Tensor x(DType::kInt8, {1, 1, 1, 4});
  for (int64_t i = 0; i < 4; ++i) x.data<int8_t>()[i] = static_cast<int8_t>(10 * (i + 1));
  const Tensor y = Eval1("Resize", {x, F({8}, {0, 0, 0, 0.5f, 1, 1, 1, 1.5f}), F({4}, {1, 1, 1, 0.75f})},
                         {{"mode", Attribute::String("nearest")},
                          {"coordinate_transformation_mode", Attribute::String("tf_crop_and_resize")},
                          {"extrapolation_value", Attribute::Float(-300)}});
  ASSERT_EQ(y.shape(), (Shape{1, 1, 1, 3}));
  EXPECT_EQ(Values<int8_t>(y), (std::vector<int8_t>{20, 40, -128}));  // positions 1.5, 3 and 4.5
}

TEST(CornerCases, ResizeOfARegionFarAwayOrNowhereIsAllExtrapolation) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    for (const float at : {5.0f, -7.0f, 1e10f, 1e30f, -inf, inf, std::nanf("")}) {
      const Tensor y = Eval1("Resize", {Ramp({2, 3}), F({4}, {0, at, 1, at}), F({2}, {1, 1})},
                             {{"mode", Attribute::String(mode)},
                              {"exclude_outside", Attribute::Int(1)},
                              {"coordinate_transformation_mode", Attribute::String("tf_crop_and_resize")},
                              {"extrapolation_value", Attribute::Float(9)}});
      EXPECT_EQ(Values<float>(y), std::vector<float>(6, 9)) << mode << " " << at;
    }
  }
}

TEST(CornerCases, ThresholdedReluOfNanIsZero) {
  const Tensor y = Eval1("ThresholdedRelu", {F({3}, {std::nanf(""), 2, 0.5f})});
  EXPECT_EQ(Values<float>(y), (std::vector<float>{0, 2, 0}));
}

TEST(CornerCases, LpPoolOfAHugeOrderEnds) {
  const Tensor y =
      Eval1("GlobalLpPool", {F({1, 1, 3}, {0.5f, 1, 0.25f})}, {{"p", Attribute::Int(int64_t{1} << 46)}});
  EXPECT_NEAR(y.data<float>()[0], 1.0f, 1e-6);
  const Tensor cubes = Eval1("GlobalLpPool", {F({1, 1, 2}, {-3, 4})}, {{"p", Attribute::Int(5)}});
  EXPECT_NEAR(cubes.data<float>()[0], std::pow(243.0 + 1024.0, 0.2), 1e-5);
}

TEST(CornerCases, WindowsOutOfRangeAreRefused) {
  const Tensor x = Ramp({1, 2, 5, 5}), w = Ramp({2, 2, 3, 3});
  const int64_t huge = int64_t{1} << 62;
  for (const std::vector<int64_t>& pads :
       {std::vector<int64_t>{-1, 0, 0, 0}, {huge, huge, huge, huge}, {0, 0, 0, int64_t{1} << 31}}) {
    ExpectRefused("Conv", {x, w}, {{"pads", Attribute::Ints(pads)}}, "pads");
    ExpectRefused("ConvTranspose", {x, w}, {{"pads", Attribute::Ints(pads)}}, "pads");
    ExpectRefused("ConvInteger", {Codes({1, 2, 5, 5}), Codes({2, 2, 3, 3})},
                  {{"pads", Attribute::Ints(pads)}}, "pads");
    ExpectRefused("MaxPool", {x},
                  {{"kernel_shape", Attribute::Ints({2, 2})}, {"pads", Attribute::Ints(pads)}}, "pads");
  }
  for (const int64_t stride : {int64_t{0}, int64_t{-2}, huge}) {
    const Attributes attributes{{"kernel_shape", Attribute::Ints({3, 3})},
                                {"strides", Attribute::Ints({1, stride})}};
    ExpectRefused("Conv", {x, w}, attributes, "strides");
    ExpectRefused("ConvInteger", {Codes({1, 2, 5, 5}), Codes({2, 2, 3, 3})}, attributes, "strides");
    ExpectRefused("AveragePool", {x}, attributes, "strides");
  }
  ExpectRefused("ConvTranspose", {x, w}, {{"output_padding", Attribute::Ints({-1, 0})}}, "output_padding");
}

TEST(CornerCases, StepsOfUnfoldedWindowsOutOfRangeAreRefused) {
  const int64_t huge = int64_t{1} << 62;
  const std::vector<Tensor> unfolded{Ramp({1, 2, 3}), I64({1}, {4}), I64({1}, {2})};
  const std::vector<Tensor> deformed{Ramp({1, 1, 1, 3}), Ramp({1, 1, 1, 1}), Ramp({1, 2, 1, 3})};
  const std::vector<Tensor> pooled{Ramp({1, 1, 2}), I64({1, 1, 2}, {1, 2})};
  for (const int64_t step : {int64_t{0}, int64_t{-1}, huge}) {
    for (const char* key : {"strides", "dilations"}) {
      ExpectRefused("Col2Im", unfolded, {{key, Attribute::Ints({step})}}, key);
      ExpectRefused("DeformConv", deformed, {{key, Attribute::Ints({1, step})}}, key);
    }
    ExpectRefused("MaxUnpool", pooled,
                  {{"kernel_shape", Attribute::Ints({2})}, {"strides", Attribute::Ints({step})}}, "strides");
    ExpectRefused("MaxUnpool", pooled, {{"kernel_shape", Attribute::Ints({step})}}, "kernel_shape");
  }
  ExpectRefused("Col2Im", unfolded, {{"pads", Attribute::Ints({huge, huge})}}, "pads");
  ExpectRefused("DeformConv", deformed, {{"pads", Attribute::Ints({huge, huge, huge, huge})}}, "pads");
  ExpectRefused("MaxUnpool", pooled,
                {{"kernel_shape", Attribute::Ints({2})}, {"pads", Attribute::Ints({huge, huge})}}, "pads");
}

// Any number divides a tensor's no channels; there is no end of so many groups.
TEST(CornerCases, GroupsOfNoChannelsAreRefused) {
  const Attribute many = Attribute::Int(int64_t{1} << 62);
  ExpectRefused("Conv", {Ramp({1, 0, 5, 5}), Ramp({0, 0, 3, 3})}, {{"group", many}}, "does not divide");
  ExpectRefused("ConvTranspose", {Ramp({1, 0, 5, 5}), Ramp({0, 4, 3, 3})}, {{"group", many}},
                "does not divide");
  const std::vector<Tensor> deformed{Ramp({1, 0, 5, 5}), Ramp({0, 0, 3, 3}), Ramp({1, 0, 3, 3})};
  ExpectRefused("DeformConv", deformed, {{"group", many}}, "do not fit");
  ExpectRefused("DeformConv", deformed, {{"offset_group", many}}, "do not fit");
  ExpectRefused("GroupNormalization", {Ramp({1, 0, 5}), Ramp({0}), Ramp({0})}, {{"num_groups", many}},
                "does not divide");
}

// What lies before a part that nobody wants is counted all the same.
TEST(CornerCases, PartsOutsideOfTheAxisAreRefused) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{-1, 5}, {5, -1}, {most, most}, {most, 5}, {1, 2}}) {
    ExpectRefused("SplitToSequence", {Ramp({4}), I64({2}, sizes)}, {}, "does not fit");
    Node node;
    node.op_type = "Split";
    node.outputs = {kNone, 2};
    const Tensor x = Ramp({4}), split = I64({2}, sizes);
    ThreadPool pool(1);
    std::shared_ptr<void> state;
    EvalContext context(node, 18, {&x, &split}, pool, nullptr, state, {}, nullptr);
    EXPECT_THROW(FindOperator("", "Split", 18)->evaluate(context), Error) << sizes[0] << " " << sizes[1];
  }
}

// As ONNX's shape inference has it: only a transposed convolution takes them, for lists of ones and zeros.
TEST(CornerCases, EmptyListsOfWindowsAreRefused) {
  const Tensor x = Ramp({1, 2, 5, 5}), w = Ramp({2, 2, 3, 3});
  const Attribute none = Attribute::Ints({});
  for (const char* key : {"strides", "dilations", "pads", "kernel_shape"}) {
    ExpectRefused("Conv", {x, w}, {{key, none}}, key);
    Attributes of_pool{{"kernel_shape", Attribute::Ints({3, 3})}};
    of_pool.insert_or_assign(key, none);
    ExpectRefused("MaxPool", {x}, of_pool, key);
    ExpectRefused("AveragePool", {x}, of_pool, key);
  }
  ExpectRefused("ConvTranspose", {x, w}, {{"pads", none}}, "pads");
  ExpectRefused("ConvTranspose", {x, w}, {{"kernel_shape", none}}, "kernel_shape");
  const Tensor plain = Eval1("ConvTranspose", {x, w});
  for (const char* key : {"strides", "dilations", "output_padding", "output_shape"}) {
    const Tensor y = Eval1("ConvTranspose", {x, w}, {{key, none}});
    EXPECT_EQ(y.shape(), plain.shape()) << key;
    EXPECT_EQ(Values<float>(y), Values<float>(plain)) << key;
  }
}

TEST(CornerCases, PaddingBeyondAllMemoryIsRefused) {
  const int64_t most = std::numeric_limits<int32_t>::max();
  ExpectRefused("Conv", {Ramp({1, 1, 2, 2, 2}), Ramp({1, 1, 1, 1, 2})},
                {{"pads", Attribute::Ints({most, most, most, most, most, most})},
                 {"strides", Attribute::Ints({most, most, most})}},
                "too large");
}

TEST(CornerCases, IntegerProductsWantMatrices) {
  const Tensor scalar = Tensor::Scalar<int8_t>(3);
  ExpectRefused("MatMulInteger", {Codes({4, 2}), scalar}, {}, "scalar");
  ExpectRefused("MatMulInteger", {scalar, Codes({2, 2})}, {}, "scalar");
  const Tensor scale = Tensor::Scalar<float>(0.5f), empty = Codes({0});
  ExpectRefused("QLinearMatMul", {Codes({2, 2}), scale, scalar, Codes({2, 2}), scale, scalar, scale, empty},
                {}, "y_zero_point");
}

TEST(CornerCases, InputsThatMustBeOneElement) {
  ExpectRefused("Trilu", {Ramp({2, 2}), I64({0}, {})}, {}, "one element");
  ExpectRefused("Dropout", {Ramp({2, 2}), F({}, {0.5f}), testing::B({2}, {false, true})}, {}, "one element");
}

// The square of the block must not wrap around to 0.
TEST(CornerCases, BlockSizeOutOfRange) {
  const Attributes attributes{{"blocksize", Attribute::Int(int64_t{1} << 32)}};
  ExpectRefused("DepthToSpace", {Ramp({1, 4, 2, 2})}, attributes, "blocksize");
  ExpectRefused("SpaceToDepth", {Ramp({1, 4, 2, 2})}, attributes, "blocksize");
}

}  // namespace
}  // namespace xslim
