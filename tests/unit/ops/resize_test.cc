#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval_helper.h"

namespace xslim {
namespace {

using testing::Eval;
using testing::Eval1;
using testing::EvalOptions;

const Tensor& Square() {
  static const Tensor square = Tensor::Of<float>({1, 1, 2, 2}, {1, 2, 3, 4});
  return square;
}
Tensor Scales(float h, float w) { return Tensor::Of<float>({4}, {1, 1, h, w}); }
std::vector<float> Values(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.size()};
}

TEST(ResizeTest, NearestByTwo) {
  const Tensor y = Eval1("Resize", {Square(), Tensor(), Scales(2, 2)});
  EXPECT_EQ(Values(y), (std::vector<float>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4}));
  EvalOptions old;
  old.opset = 9;
  EXPECT_TRUE(Eval1("Upsample", {Square(), Scales(2, 2)}, {}, old).SameBytes(y));
}

TEST(ResizeTest, LinearCoordinates) {
  const Tensor x = Tensor::Of<float>({1, 1, 1, 2}, {0, 4});
  auto run = [&](const char* mode) {
    return Values(Eval1("Resize", {x, Tensor(), Scales(1, 2)},
                        {{"mode", Attribute::String("linear")},
                         {"coordinate_transformation_mode", Attribute::String(mode)}}));
  };
  EXPECT_EQ(run("half_pixel"), (std::vector<float>{0, 1, 3, 4}));
  EXPECT_EQ(run("asymmetric"), (std::vector<float>{0, 2, 4, 4}));
  EXPECT_NEAR(run("align_corners")[1], 4.0 / 3, 1e-6);
  EXPECT_THROW(run("sideways"), Error);
}

TEST(ResizeTest, SizesKeepTheAspectRatio) {
  const Tensor sizes = Tensor::Of<int64_t>({2}, {4, 7});
  auto run = [&](const char* policy) {
    return Eval1("Resize", {Square(), Tensor(), Tensor(), sizes},
                 {{"axes", Attribute::Ints({2, 3})}, {"keep_aspect_ratio_policy", Attribute::String(policy)}})
        .shape();
  };
  EXPECT_EQ(run("stretch"), (Shape{1, 1, 4, 7}));
  EXPECT_EQ(run("not_larger"), (Shape{1, 1, 4, 4}));
  EXPECT_EQ(run("not_smaller"), (Shape{1, 1, 7, 7}));
}

TEST(ResizeTest, CubicKeepsAConstant) {
  Tensor x(DType::kFloat, {1, 1, 5, 5});
  for (int64_t i = 0; i < 25; ++i) x.data<float>()[i] = 3;
  for (int64_t antialias : {0, 1}) {
    const Tensor y = Eval1("Resize", {x, Tensor(), Scales(0.6f, 1.7f)},
                           {{"mode", Attribute::String("cubic")}, {"antialias", Attribute::Int(antialias)}});
    EXPECT_EQ(y.shape(), (Shape{1, 1, 3, 8}));
    for (int64_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y.data<float>()[i], 3, 1e-5);
  }
}

TEST(ResizeTest, CropFillsWhatLiesOutside) {
  const Tensor roi = Tensor::Of<float>({8}, {0, 0, 0, 0, 1, 1, 1, 2});
  const Tensor y = Eval1("Resize", {Square(), roi, Tensor(), Tensor::Of<int64_t>({4}, {1, 1, 2, 3})},
                         {{"mode", Attribute::String("linear")},
                          {"coordinate_transformation_mode", Attribute::String("tf_crop_and_resize")},
                          {"extrapolation_value", Attribute::Float(9)}});
  EXPECT_EQ(Values(y), (std::vector<float>{1, 2, 9, 3, 4, 9}));
}

TEST(ResizeTest, NearestTakesAnyType) {
  const Tensor x = Tensor::Of<uint8_t>({1, 1, 1, 3}, {1, 2, 3});
  EXPECT_EQ(Eval1("Resize", {x, Tensor(), Scales(2, 1)}).ToInts(), (std::vector<int64_t>{1, 2, 3, 1, 2, 3}));
}

}  // namespace
}  // namespace xslim
