#include "quant/bias_room.h"

#include <algorithm>
#include <cmath>

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
  roomy.codes = weight.codes.Clone();
  const AxisView view = channels == 1 ? AxisView{1, 1, weight.codes.size()}
                                      : ViewAround(weight.codes.shape(), weight.params.axis);
  int8_t* codes = roomy.codes.data<int8_t>();
  for (int64_t i = 0; i < weight.codes.size(); ++i) {
    const auto channel = static_cast<size_t>(i / view.inner % view.axis);
    const int32_t zero = weight.params.zero_point[channel];
    const float steps =
        static_cast<float>(codes[i] - zero) * (weight.params.scale[channel] / scales[channel]);
    codes[i] = static_cast<int8_t>(std::clamp(static_cast<int>(std::nearbyint(steps)) + zero, -128, 127));
  }
  roomy.params.scale = std::move(scales);
  return roomy;
}

}  // namespace xslim
