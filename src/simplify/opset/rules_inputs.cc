// Attributes that became inputs, and back where the input is a constant.
#include <algorithm>
#include <cstdint>
#include <limits>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

// One attribute and the input that took its place.
struct Place {
  const char* attribute;
  size_t slot;
};

void ListToInput(Site& site, Place place) {
  if (!site.node().Has(place.attribute)) return;
  const std::vector<int64_t> values = site.node().Ints(place.attribute);
  site.Erase(place.attribute);
  site.SetInput(place.slot, site.List(place.attribute, values));
}

Obstacle ListToAttribute(Site& site, Place place) {
  if (!site.has(place.slot)) return std::nullopt;
  const auto values = site.ints(place.slot);
  if (!values) return std::string("its ") + place.attribute + " are not constant";
  site.Set(place.attribute, Attribute::Ints(*values));
  site.DropInput(place.slot);
  return std::nullopt;
}

// The number in a constant of one element that a float attribute holds exactly.
std::optional<float> ExactScalar(const std::optional<Tensor>& tensor) {
  if (!tensor || tensor->size() != 1) return std::nullopt;
  switch (tensor->dtype()) {
    case DType::kDouble: {
      const double value = tensor->data<double>()[0];
      const float narrow = static_cast<float>(value);
      return static_cast<double>(narrow) == value ? std::optional<float>(narrow) : std::nullopt;
    }
    case DType::kFloat:
    case DType::kFloat16:
      return tensor->ToFloat32().data<float>()[0];
    default:
      return std::nullopt;
  }
}

// A float attribute becomes an input of input 0's element type.
Obstacle NumberToInput(Site& site, Place place) {
  if (!site.node().Has(place.attribute)) return std::nullopt;
  const float value = site.node().Float(place.attribute, 0);
  const auto scalar = site.Scalar(site.type(0), value);
  if (!scalar) return Refuse("its element type is not known");
  site.Erase(place.attribute);
  site.SetInput(place.slot, *scalar);
  return std::nullopt;
}

// ---- 9, 10
Obstacle SliceTo10(Site& site) {
  ListToInput(site, {"starts", 1});
  ListToInput(site, {"ends", 2});
  ListToInput(site, {"axes", 3});
  return std::nullopt;
}

Obstacle SliceTo9(Site& site) {
  if (site.has(4)) {
    const auto steps = site.ints(4);
    if (!steps || std::any_of(steps->begin(), steps->end(), [](int64_t s) { return s != 1; }))
      return Refuse("it has steps");
    site.DropInput(4);
  }
  for (const Place place : {Place{"axes", 3}, Place{"ends", 2}, Place{"starts", 1}}) {
    if (Obstacle obstacle = ListToAttribute(site, place)) return obstacle;
  }
  return std::nullopt;
}

Obstacle TopKTo10(Site& site) {
  const int64_t k = site.node().Int("k", 1);
  site.Erase("k");
  site.SetInput(1, site.List("k", {k}));
  return std::nullopt;
}

Obstacle TopKTo9(Site& site) {
  const auto k = site.ints(1);
  if (!k || k->size() != 1) return Refuse("its k is not constant");
  site.Set("k", Attribute::Int(k->front()));
  site.DropInput(1);
  return std::nullopt;
}

// ---- 11, 12
Obstacle ClipTo11(Site& site) {
  Obstacle obstacle = NumberToInput(site, {"min", 1});
  return obstacle ? obstacle : NumberToInput(site, {"max", 2});
}

// Bounds that are computed: Min(max, Max(min, x)), as Clip is defined.
Obstacle ClipTo10(Site& site) {
  const auto low = ExactScalar(site.constant(1)), high = ExactScalar(site.constant(2));
  if ((low || !site.has(1)) && (high || !site.has(2))) {
    site.DropInput(2);
    site.DropInput(1);
    if (low) site.Set("min", Attribute::Float(*low));
    if (high) site.Set("max", Attribute::Float(*high));
    return std::nullopt;
  }
  ValueId x = site.input(0);
  const ValueId bounds[] = {site.input(1), site.input(2)};
  if (bounds[0] != kNone && bounds[1] != kNone) x = site.Add("Max", {x, bounds[0]});
  site.Become(bounds[1] == kNone ? "Max" : "Min", {x, bounds[1] == kNone ? bounds[0] : bounds[1]});
  return std::nullopt;
}

Obstacle PadTo11(Site& site) {
  ListToInput(site, {"pads", 1});
  return NumberToInput(site, {"value", 2});
}

Obstacle PadTo10(Site& site) {
  if (site.has(2)) {
    const auto value = ExactScalar(site.constant(2));
    if (!value) return Refuse("its padding value is not a constant float");
    site.Set("value", Attribute::Float(*value));
    site.DropInput(2);
  }
  return ListToAttribute(site, {"pads", 1});
}

// Axes of Pad that were left out mean all of them.
Obstacle PadTo17(Site& site) {
  if (!site.has(3)) return std::nullopt;
  const auto axes = site.ints(3), pads = site.ints(1);
  const auto rank = site.rank(0);
  if (!axes || !pads || !rank || pads->size() != 2 * axes->size())
    return Refuse("its axes or pads are not constant, or the rank is not known");
  std::vector<int64_t> all(static_cast<size_t>(2 * *rank), 0);
  for (size_t i = 0; i < axes->size(); ++i) {
    const int64_t axis = (*axes)[i] + ((*axes)[i] < 0 ? *rank : 0);
    if (axis < 0 || axis >= *rank) return Refuse("it has an axis that is not there");
    all[static_cast<size_t>(axis)] = (*pads)[i];
    all[static_cast<size_t>(axis + *rank)] = (*pads)[i + axes->size()];
  }
  site.DropInput(3);
  site.SetInput(1, site.List("pads", all));
  return std::nullopt;
}

Obstacle DropoutTo12(Site& site) {
  if (!site.node().Has("ratio")) return std::nullopt;
  const float ratio = site.node().Float("ratio", 0.5f);
  site.Erase("ratio");
  site.SetInput(1, *site.Scalar(DType::kFloat, ratio));
  return std::nullopt;
}

Obstacle DropoutTo11(Site& site) {
  if (site.has(2)) {
    const auto training = site.constant(2);
    if (!training || training->dtype() != DType::kBool || training->size() != 1 || training->data<bool>()[0])
      return Refuse("it may be in training mode");
    site.DropInput(2);
  }
  if (site.has(1)) {
    // In inference the ratio has no effect.
    if (const auto ratio = ExactScalar(site.constant(1))) site.Set("ratio", Attribute::Float(*ratio));
    site.DropInput(1);
  }
  site.Erase("seed");
  return std::nullopt;
}

// The mask had the type of the data before.
Obstacle NoMask(Site& site) {
  return site.used(1) ? Refuse("its mask has another element type") : std::nullopt;
}

// ---- 13, 18
Obstacle AxesToInput(Site& site) {
  ListToInput(site, {"axes", 1});
  return std::nullopt;
}

Obstacle AxesToAttribute(Site& site) { return ListToAttribute(site, {"axes", 1}); }

Obstacle ReduceAxesToAttribute(Site& site) {
  const bool nothing = site.node().Int("noop_with_empty_axes", 0) != 0;
  const auto axes = site.ints(1);
  if (site.has(1) && !axes) return Refuse("its axes are not constant");
  const bool empty = !axes || axes->empty();
  if (empty && nothing) {
    const std::string& op = site.node().op_type;
    if (op != "ReduceSum" && op != "ReduceMean" && op != "ReduceMax" && op != "ReduceMin" &&
        op != "ReduceProd")
      return Refuse("noop_with_empty_axes without axes");
    site.Become("Identity", {site.input(0)});
    return std::nullopt;
  }
  site.DropInput(1);
  site.Erase("noop_with_empty_axes");
  if (!empty) site.Set("axes", Attribute::Ints(*axes));
  return std::nullopt;
}

Obstacle SplitTo13(Site& site) {
  ListToInput(site, {"split", 1});
  return std::nullopt;
}

Obstacle SplitTo12(Site& site) { return ListToAttribute(site, {"split", 1}); }

Obstacle SplitTo18(Site& site) {
  if (!site.has(1)) site.Set("num_outputs", Attribute::Int(static_cast<int64_t>(site.node().outputs.size())));
  return std::nullopt;
}

// From 18 on the last part may be smaller; before it the parts must be told then.
Obstacle SplitTo17(Site& site) {
  if (site.has(1)) return std::nullopt;
  const auto parts = static_cast<int64_t>(site.node().outputs.size());
  const int64_t axis = site.node().Int("axis", 0);
  site.Erase("num_outputs");
  const auto shape = site.shape(0);
  const int64_t rank = shape ? static_cast<int64_t>(shape->size()) : 0;
  const int64_t at = axis + (axis < 0 ? rank : 0);
  const int64_t size = at >= 0 && at < rank ? (*shape)[static_cast<size_t>(at)] : -1;
  if (size >= 0) {
    if (size % parts == 0) return std::nullopt;
    const int64_t chunk = (size + parts - 1) / parts;
    std::vector<int64_t> sizes(static_cast<size_t>(parts), chunk);
    sizes.back() = size - chunk * (parts - 1);
    if (sizes.back() < 0) return Refuse("it has more parts than its input can fill");
    site.SetInput(1, site.List("split", sizes));
    return std::nullopt;
  }
  // Sizes that are known at run time only: chunk = (size + parts - 1) / parts.
  const ValueId dims = site.Add("Shape", {site.input(0)});
  const ValueId whole = site.Add("Gather", {dims, site.List("axis", {axis})});
  const ValueId more = site.Add("Add", {whole, site.List("round", {parts - 1})});
  const ValueId chunk = site.Add("Div", {more, site.List("parts", {parts})});
  const ValueId others = site.Add("Mul", {chunk, site.List("others", {parts - 1})});
  std::vector<ValueId> sizes(static_cast<size_t>(parts), chunk);
  sizes.back() = site.Add("Sub", {whole, others});
  site.SetInput(1, site.Add("Concat", sizes, {{"axis", Attribute::Int(0)}}));
  return std::nullopt;
}

// ---- 20
Obstacle DftTo20(Site& site) {
  const int64_t axis = site.node().Int("axis", 1);
  site.Erase("axis");
  site.SetInput(2, site.Constant("axis", Tensor::Scalar<int64_t>(axis)));
  return std::nullopt;
}

Obstacle DftTo19(Site& site) {
  const auto axis = site.has(2) ? site.ints(2) : std::optional(std::vector<int64_t>{-2});
  const auto rank = site.rank(0);
  if (!axis || axis->size() != 1) return Refuse("its axis is not constant");
  if (axis->front() < 0 && !rank) return Refuse("its axis counts from the end and the rank is not known");
  site.DropInput(2);
  site.Set("axis", Attribute::Int(axis->front() + (axis->front() < 0 ? *rank : 0)));
  return std::nullopt;
}

}  // namespace

std::vector<Rule> InputRules() {
  std::vector<Rule> rules = {
      {10, "Slice", SliceTo10, SliceTo9},
      {10, "TopK", TopKTo10, TopKTo9},
      {10, "Dropout", NoMask, NoMask},
      {11, "Clip", ClipTo11, ClipTo10},
      {11, "Pad", PadTo11, PadTo10},
      {12, "Dropout", DropoutTo12, DropoutTo11},
      {13, "Squeeze", AxesToInput, AxesToAttribute},
      {13, "Unsqueeze", AxesToInput, AxesToAttribute},
      {13, "ReduceSum", AxesToInput, ReduceAxesToAttribute},
      {13, "Split", SplitTo13, SplitTo12},
      {18, "Split", SplitTo18, SplitTo17},
      {18, "Pad", nullptr, PadTo17},
      {20, "DFT", DftTo20, DftTo19},
  };
  for (const char* type : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                           "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}) {
    rules.push_back({18, type, AxesToInput, ReduceAxesToAttribute});
  }
  return rules;
}

}  // namespace xslim::opset
