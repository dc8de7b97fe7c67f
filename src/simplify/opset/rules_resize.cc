// Upsample 7 and 9, Resize 10, 11, 13, 18 and 19.
#include <algorithm>
#include <cmath>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

constexpr const char* kCoordinates = "coordinate_transformation_mode";

Obstacle UpsampleTo9(Site& site) {
  const std::vector<float> scales = site.node().Floats("scales");
  site.Erase("scales");
  site.SetInput(1, site.Constant("scales", Tensor::Of<float>({static_cast<int64_t>(scales.size())}, scales)));
  return std::nullopt;
}

Obstacle UpsampleTo8(Site& site) {
  const auto scales = FloatsOf(site.constant(1));
  if (!scales) return Refuse("its scales are not constant");
  site.DropInput(1);
  site.Set("scales", Attribute::Floats(*scales));
  return std::nullopt;
}

Obstacle UpsampleTo10(Site& site) {
  site.Become("Resize", site.node().inputs, site.node().attributes);
  return std::nullopt;
}

Obstacle ResizeTo9(Site& site) {
  const auto scales = FloatsOf(site.constant(1));
  if (!scales || std::any_of(scales->begin(), scales->end(), [](float s) { return s < 1; }))
    return Refuse("it shrinks, or its scales are not constant, and Upsample only grows");
  site.Become("Upsample", site.node().inputs, site.node().attributes);
  return std::nullopt;
}

// How opset 10 picks the nearest pixel: up where an axis shrinks, else down. Nothing when it does both.
std::optional<std::string> NearestMode(const std::optional<std::vector<float>>& scales) {
  if (!scales) return std::nullopt;
  const bool shrinks = std::any_of(scales->begin(), scales->end(), [](float s) { return s < 1; });
  const bool grows = std::any_of(scales->begin(), scales->end(), [](float s) { return s > 1; });
  if (shrinks && grows) return std::nullopt;
  return shrinks ? "ceil" : "floor";
}

// 10 takes (X, scales) and maps coordinates asymmetrically; 11 takes (X, roi, scales).
Obstacle ResizeTo11(Site& site) {
  const bool nearest = site.node().String("mode", "nearest") == "nearest";
  const auto mode = NearestMode(FloatsOf(site.constant(1)));
  if (nearest && !mode) return Refuse("whether its axes grow or shrink is not the same or not known");
  const ValueId scales = site.input(1);
  site.SetInput(1, site.Constant("roi", Tensor::Of<float>({0}, {})));
  site.SetInput(2, scales);
  site.Set(kCoordinates, Attribute::String("asymmetric"));
  if (nearest) site.Set("nearest_mode", Attribute::String(*mode));
  return std::nullopt;
}

// The scales that sizes mean, where the input's shape is known.
std::optional<std::vector<float>> ScalesOf(Site& site) {
  if (const auto sizes = site.ints(3)) {
    const auto shape = site.shape(0);
    if (!shape || shape->size() != sizes->size()) return std::nullopt;
    std::vector<float> scales;
    for (size_t i = 0; i < sizes->size(); ++i) {
      // Only those that a float scale gives back exactly.
      if ((*shape)[i] <= 0 || ((*sizes)[i] % (*shape)[i] != 0 && (*shape)[i] % (*sizes)[i] != 0))
        return std::nullopt;
      scales.push_back(static_cast<float>((*sizes)[i]) / static_cast<float>((*shape)[i]));
    }
    return scales;
  }
  return site.has(3) ? std::nullopt : FloatsOf(site.constant(2));
}

// Enlarging by whole numbers about the pixels' centres takes the same elements as rounding down does: none
// lies half way.
bool RepeatsElements(const Node& node, const std::optional<std::vector<float>>& scales) {
  const std::string coordinates = node.String(kCoordinates, "half_pixel"),
                    rounding = node.String("nearest_mode", "round_prefer_floor");
  return (coordinates == "half_pixel" || coordinates == "pytorch_half_pixel") &&
         (rounding == "round_prefer_floor" || rounding == "round_prefer_ceil") && scales &&
         std::all_of(scales->begin(), scales->end(), [](float s) { return s >= 1 && s == std::floor(s); });
}

Obstacle ResizeTo10(Site& site) {
  const Node& node = site.node();
  const std::string mode = node.String("mode", "nearest"),
                    coordinates = node.String(kCoordinates, "half_pixel");
  const auto scales = ScalesOf(site);
  if (mode == "cubic") return Refuse("mode cubic");
  const bool repeats = mode == "nearest" && RepeatsElements(node, scales);
  if (coordinates != "asymmetric" && !repeats) return kCoordinates + (" " + coordinates);
  if (site.has(3) && !scales) return Refuse("its sizes are not constant multiples of its input's");
  if (mode == "nearest" && !repeats) {
    const std::string rounding = node.String("nearest_mode", "round_prefer_floor");
    const auto wanted = NearestMode(scales);
    if (!wanted || *wanted != rounding) return "nearest_mode " + rounding;
  }
  if (node.Int("exclude_outside", 0) != 0) return Refuse("exclude_outside");
  const ValueId given = site.input(2);
  site.DropInput(3);
  site.DropInput(2);
  site.SetInput(
      1, scales ? site.Constant("scales", Tensor::Of<float>({static_cast<int64_t>(scales->size())}, *scales))
                : given);
  for (const char* attribute :
       {kCoordinates, "nearest_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value"}) {
    site.Erase(attribute);
  }
  return std::nullopt;
}

Obstacle ResizeTo13(Site& site) {
  if (site.node().String(kCoordinates, "half_pixel") == "tf_half_pixel_for_nn")
    return Refuse("coordinate_transformation_mode tf_half_pixel_for_nn");
  // Beside sizes, before 13 scales had to be given, if only as an empty tensor. From 13 on runtimes know one
  // by its being constant only: not an input of the model that holds a default.
  if (site.has(3) && site.has(2) && !site.constant(2) && site.shape(2) == Shape{0}) site.DropInput(2);
  return std::nullopt;
}

// Before 13, roi and scales had to be given, if only as empty tensors.
Obstacle ResizeTo12(Site& site) {
  for (const size_t slot : {size_t{1}, size_t{2}}) {
    if (!site.has(slot))
      site.SetInput(slot, site.Constant(slot == 1 ? "roi" : "scales", Tensor::Of<float>({0}, {})));
  }
  return std::nullopt;
}

// 18 can name the axes that its scales, sizes and roi are for.
Obstacle ResizeTo17(Site& site) {
  Node& node = site.node();
  if (node.String("keep_aspect_ratio_policy", "stretch") != "stretch")
    return Refuse("keep_aspect_ratio_policy");
  if (!node.Has("axes")) return std::nullopt;
  const std::vector<int64_t> axes = node.Ints("axes");
  const auto rank = site.rank(0);
  if (!rank) return Refuse("it names axes and the rank is not known");
  if (site.has(1) && node.String(kCoordinates, "half_pixel") == "tf_crop_and_resize")
    return Refuse("it names axes and has a region");
  const auto scales = FloatsOf(site.constant(2));
  const auto sizes = site.ints(3);
  const auto shape = site.shape(0);
  if ((site.has(2) && !scales) || (site.has(3) && !sizes))
    return Refuse("its scales or sizes are not constant");
  std::vector<float> all_scales(static_cast<size_t>(*rank), 1.0f);
  std::vector<int64_t> all_sizes = *shape;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] + (axes[i] < 0 ? *rank : 0);
    if (axis < 0 || axis >= *rank || (scales && i >= scales->size()) || (sizes && i >= sizes->size()))
      return Refuse("its axes do not fit its input");
    if (scales) all_scales[static_cast<size_t>(axis)] = (*scales)[i];
    if (sizes) all_sizes[static_cast<size_t>(axis)] = (*sizes)[i];
  }
  if (sizes && std::any_of(all_sizes.begin(), all_sizes.end(), [](int64_t s) { return s < 0; }))
    return Refuse("it names axes and the sizes of the others are not known");
  site.Erase("axes");
  if (scales) site.SetInput(2, site.Constant("scales", Tensor::Of<float>({*rank}, all_scales)));
  if (sizes) site.SetInput(3, site.List("sizes", all_sizes));
  if (site.has(1)) site.SetInput(1, kNone);
  return std::nullopt;
}

Obstacle ResizeTo18(Site& site) {
  const std::string mode = site.node().String(kCoordinates, "half_pixel");
  return mode == "half_pixel_symmetric" ? Obstacle(kCoordinates + (" " + mode)) : std::nullopt;
}

}  // namespace

std::vector<Rule> ResizeRules() {
  return {
      {9, "Upsample", UpsampleTo9, UpsampleTo8}, {10, "Upsample", UpsampleTo10, nullptr},
      {10, "Resize", nullptr, ResizeTo9},        {11, "Resize", ResizeTo11, ResizeTo10},
      {13, "Resize", ResizeTo13, ResizeTo12},    {18, "Resize", nullptr, ResizeTo17},
      {19, "Resize", nullptr, ResizeTo18},
  };
}

}  // namespace xslim::opset
