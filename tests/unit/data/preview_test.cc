#include "data/preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "data/image_codecs.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Red, green, blue of a pixel.
std::vector<int> Pixel(const cv::Mat& image, int y, int x) {
  const cv::Vec3b pixel = image.at<cv::Vec3b>(y, x);
  return {pixel[2], pixel[1], pixel[0]};
}

cv::Mat Decoded(const std::string& png) {
  return DecodeImage(cv::Mat(1, static_cast<int>(png.size()), CV_8U, const_cast<char*>(png.data())), false);
}

TEST(FiguresOf, ChannelsOfBothLayouts) {
  const std::vector<float> red = {0, 1, 2, 3}, green = {4, 4, 4, 4}, blue = {-8, 0, 0, 0};
  std::vector<float> first, last;
  for (const auto& channel : {red, green, blue}) first.insert(first.end(), channel.begin(), channel.end());
  for (size_t i = 0; i < 4; ++i) last.insert(last.end(), {red[i], green[i], blue[i]});
  const FedInput planes = FiguresOf("x", Tensor::Of<float>({1, 3, 2, 2}, first));
  const FedInput pixels = FiguresOf("x", Tensor::Of<float>({1, 2, 2, 3}, last));
  EXPECT_EQ(planes.channel_axis, 1);
  EXPECT_EQ(pixels.channel_axis, 3);
  for (const FedInput& input : {planes, pixels}) {
    ASSERT_EQ(input.channels.size(), 3u);
    EXPECT_EQ(input.channels[0].mean, 1.5);
    EXPECT_EQ(input.channels[1].min, 4);
    EXPECT_EQ(input.channels[1].max, 4);
    EXPECT_EQ(input.channels[2].min, -8);
    EXPECT_EQ(input.channels[2].mean, -2);
  }
}

TEST(FiguresOf, WhatIsNoPictureIsOneChannel) {
  for (const Shape& shape :
       {Shape{12}, Shape{3, 4}, Shape{1, 3, 4, 1}, Shape{1, 4, 3, 1}, Shape{1, 6, 2, 1}}) {
    const FedInput input = FiguresOf("x", Tensor::Of<int64_t>(shape, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
    const bool picture = shape == Shape{1, 4, 3, 1} || shape == Shape{1, 6, 2, 1};
    EXPECT_EQ(input.channel_axis, picture ? 3 : -1) << ToString(shape);
    ASSERT_EQ(input.channels.size(), 1u);
    EXPECT_EQ(input.channels[0].mean, 5.5);
    EXPECT_EQ(input.channels[0].max, 11);
  }
}

TEST(FiguresOf, NanAndNothing) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const FedInput input = FiguresOf("x", Tensor::Of<float>({4}, {1, nan, INFINITY, 3}));
  EXPECT_EQ(input.not_finite, 2);
  EXPECT_EQ(input.channels.at(0).mean, 2);
  EXPECT_TRUE(std::isnan(FiguresOf("x", Tensor::Of<float>({1}, {nan})).channels.at(0).mean));
  EXPECT_TRUE(std::isnan(FiguresOf("x", Tensor::Of<float>({1, 3, 0, 2}, {})).channels.at(0).min));
  EXPECT_THAT(FiguresOf("x", Tensor(DType::kComplex64, {2})).channels, IsEmpty());
  EXPECT_EQ(FiguresOf("x", Tensor(DType::kBool, {0})).channels.size(), 1u);
}

TEST(PreviewPng, ScalesEachInputAndStandsThemBelowOneAnother) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Sample sample = {
      Tensor::Of<float>({1, 3, 2, 2}, {-1, 1, 0, nan, -1, -1, 0, 0, -1, -1, 0, 0}),
      Tensor::Of<float>({2}, {5, 6}),
      Tensor::Of<uint8_t>({2, 2, 2, 1}, {10, 10, 10, 20, 15, 10, 10, 10}),
  };
  std::vector<FedInput> inputs;
  for (const Tensor& tensor : sample) inputs.push_back(FiguresOf("x", tensor));
  const cv::Mat image = Decoded(PreviewPng(sample, inputs));
  ASSERT_EQ(image.rows, 2 + 4 + 2);
  ASSERT_EQ(image.cols, 2 + 4 + 2);
  EXPECT_THAT(Pixel(image, 0, 0), ElementsAre(0, 0, 0));
  EXPECT_THAT(Pixel(image, 0, 1), ElementsAre(255, 0, 0));
  EXPECT_THAT(Pixel(image, 1, 0), ElementsAre(128, 128, 128));
  EXPECT_THAT(Pixel(image, 1, 1), ElementsAre(255, 0, 255));  // NaN
  EXPECT_THAT(Pixel(image, 7, 1), ElementsAre(255, 255, 255));
  EXPECT_THAT(Pixel(image, 6, 6), ElementsAre(128, 128, 128));  // the second picture of the batch
  EXPECT_THAT(Pixel(image, 6, 7), ElementsAre(0, 0, 0));
}

TEST(PreviewPng, ConstantsHugePicturesAndNone) {
  const auto preview = [](const Tensor& tensor) { return PreviewPng({tensor}, {FiguresOf("x", tensor)}); };
  EXPECT_THAT(Pixel(Decoded(preview(Tensor::Of<float>({1, 1, 2, 2}, {3, 3, 3, 3}))), 1, 1),
              ElementsAre(128, 128, 128));
  Tensor wide(DType::kUint8, {1, 1, 2, 100000});
  for (int64_t i = 0; i < wide.size(); ++i)
    wide.data<uint8_t>()[i] = static_cast<uint8_t>(i % 25 == 0 ? 255 : 0);
  const cv::Mat shown = Decoded(preview(wide));  // every 25th column
  EXPECT_EQ(shown.cols, 4000);
  EXPECT_EQ(shown.rows, 1);
  EXPECT_THAT(Pixel(shown, 0, 3999), ElementsAre(255, 255, 255));
  EXPECT_EQ(preview(Tensor::Of<float>({2, 2}, {1, 2, 3, 4})), "");
  EXPECT_EQ(PreviewPng({}, {}), "");
}

}  // namespace
}  // namespace xslim
