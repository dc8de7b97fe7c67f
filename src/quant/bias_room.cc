#include "quant/bias_room.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "quant/weight_codes.h"

namespace xslim {
namespace {

constexpr float kMostSteps = 0x1p30f;

}  // namespace

std::optional<WeightQuant> WithRoomForBias(const WeightQuant& weight, const Tensor& bias, float input_scale) {
  const size_t channels = weight.params.scale.size();
  const auto count = static_cast<size_t>(bias.size());
  if (bias.dtype() != DType::kFloat || (channels != 1 && channels != count)) return std::nullopt;
  std::vector<float> scales = weight.params.scale;
  for (size_t i = 0; i < count; ++i) {
    const float least = std::fabs(bias.data<float>()[i]) / (input_scale * kMostSteps);
    float& scale = scales[channels == 1 ? 0 : i];
    if (std::isfinite(least)) scale = std::max(scale, least);
  }
  if (scales == weight.params.scale) return std::nullopt;
  WeightQuant roomy = weight;
  roomy.params.scale = std::move(scales);
  const AxisView view = ViewAround(weight.codes.shape(), weight.params.axis);
  const int8_t* codes = weight.codes.data<int8_t>();
  Tensor numbers(DType::kFloat, weight.codes.shape());
  for (int64_t i = 0; i < weight.codes.size(); ++i) {
    const auto channel = static_cast<size_t>(i / view.inner % view.axis);
    numbers.data<float>()[i] =
        static_cast<float>(codes[i] - weight.params.zero_point[channel]) * weight.params.scale[channel];
  }
  roomy.codes = EncodeInt8(numbers, roomy.params);
  return roomy;
}

}  // namespace xslim
