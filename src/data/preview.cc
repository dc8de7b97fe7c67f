#include "data/preview.h"

#include <algorithm>

#include "data/image_codecs.h"

namespace xslim {
namespace {

constexpr int64_t kPictures = 8, kLongest = 4096, kGap = 4;
const cv::Vec3b kNotFinite = {255, 0, 255};
constexpr uint8_t kGrey = 128;

// As MakeImageSettings chooses it.
int AxisOfChannels(const Tensor& tensor) {
  if (tensor.rank() != 4 || tensor.size() == 0) return -1;
  const auto is_channels = [&](int axis) { return tensor.dim(axis) == 1 || tensor.dim(axis) == 3; };
  const int axis = is_channels(1) ? 1 : is_channels(3) ? 3 : -1;
  const bool sides = tensor.dim(axis == 1 ? 2 : 1) > 1 && tensor.dim(axis == 1 ? 3 : 2) > 1;
  return sides ? axis : -1;
}

// Pictures of a tensor, in elements.
struct Layout {
  Layout(const Shape& shape, int channel_axis)
      : channels(shape[static_cast<size_t>(channel_axis)]),
        height(shape[channel_axis == 1 ? 2 : 1]),
        width(shape[channel_axis == 1 ? 3 : 2]),
        shown(std::min(shape[0], kPictures)),
        every((std::max(height, width) + kLongest - 1) / kLongest),
        first(channel_axis == 1) {}

  int64_t At(int64_t n, int64_t c, int64_t y, int64_t x) const {
    return first ? ((n * channels + c) * height + y) * width + x
                 : ((n * height + y) * width + x) * channels + c;
  }
  int64_t rows() const { return (height + every - 1) / every; }
  int64_t columns() const { return (width + every - 1) / every; }
  int64_t row_of_pictures() const { return shown * (columns() + kGap) - kGap; }

  int64_t channels, height, width, shown, every;
  bool first;  // channels stand before the sides
};

void Draw(const Tensor& tensor, const FedInput& input, int64_t top, cv::Mat* image) {
  const Layout of(input.shape, input.channel_axis);
  const Tensor floats = tensor.ToFloat32();
  const float* values = floats.data<float>();
  double low = INFINITY, high = -INFINITY;
  for (const ChannelFigures& channel : input.channels) {
    low = std::min(low, std::isnan(channel.min) ? low : channel.min);
    high = std::max(high, std::isnan(channel.max) ? high : channel.max);
  }
  for (int64_t n = 0; n < of.shown; ++n) {
    for (int64_t y = 0; y < of.rows(); ++y) {
      for (int64_t x = 0; x < of.columns(); ++x) {
        const int64_t column = n * (of.columns() + kGap) + x;
        auto& pixel = image->at<cv::Vec3b>(static_cast<int>(top + y), static_cast<int>(column));
        for (int64_t c = 0; c < 3; ++c) {
          const double value = values[of.At(n, std::min(c, of.channels - 1), y * of.every, x * of.every)];
          if (!std::isfinite(value)) {
            pixel = kNotFinite;
            break;
          }
          pixel[static_cast<int>(2 - c)] =  // OpenCV stores blue first
              high > low ? static_cast<uint8_t>(std::lround((value - low) / (high - low) * 255)) : kGrey;
        }
      }
    }
  }
}

}  // namespace

FedInput FiguresOf(const std::string& name, const Tensor& tensor) {
  FedInput input{name, tensor.dtype(), tensor.shape(), AxisOfChannels(tensor), {}, 0};
  if (tensor.dtype() == DType::kComplex64 || tensor.dtype() == DType::kComplex128) {
    input.channel_axis = -1;
    return input;
  }
  const bool pictures = input.channel_axis >= 0;
  const int64_t channels = pictures ? tensor.dim(input.channel_axis) : 1;
  const int64_t inner = pictures ? InnerCount(input.shape, input.channel_axis) : 1;
  const Tensor floats = tensor.ToFloat32();
  const float* values = floats.data<float>();
  input.channels.resize(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c) {
    double low = INFINITY, high = -INFINITY, sum = 0;
    int64_t count = 0;
    for (int64_t begin = c * inner; begin < floats.size(); begin += channels * inner) {
      for (int64_t i = begin; i < begin + inner; ++i) {
        const double value = values[i];
        if (!std::isfinite(value)) continue;
        low = std::min(low, value);
        high = std::max(high, value);
        sum += value;
        ++count;
      }
    }
    input.not_finite -= count;
    if (count > 0) input.channels[static_cast<size_t>(c)] = {low, sum / static_cast<double>(count), high};
  }
  input.not_finite += floats.size();
  return input;
}

std::string PreviewPng(const Sample& sample, const std::vector<FedInput>& inputs) {
  int64_t width = 0, height = -kGap;
  for (const FedInput& input : inputs) {
    if (input.channel_axis < 0) continue;
    const Layout of(input.shape, input.channel_axis);
    width = std::max(width, of.row_of_pictures());
    height += of.rows() + kGap;
  }
  if (width == 0) return "";
  cv::Mat image(static_cast<int>(height), static_cast<int>(width), CV_8UC3, cv::Scalar::all(kGrey));
  int64_t top = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].channel_axis < 0) continue;
    Draw(sample[i], inputs[i], top, &image);
    top += Layout(inputs[i].shape, inputs[i].channel_axis).rows() + kGap;
  }
  return EncodePng(image);
}

}  // namespace xslim
