// LayerNormalization, RMSNormalization and GroupNormalization below the opsets that brought them, and the two
// meanings of GroupNormalization's scale and bias: one number a group in 18, one a channel since 21.
#include <cstring>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

// Axes from `axis` to the last, counted from the end where the rank is not known.
std::optional<std::vector<int64_t>> AxesFrom(int64_t axis, std::optional<int64_t> rank) {
  if (axis >= 0 && !rank) return std::nullopt;
  std::vector<int64_t> axes;
  for (int64_t at = axis, end = axis >= 0 ? *rank : 0; at < end; ++at) axes.push_back(at);
  return axes;
}

ValueId CastTo(Site& site, ValueId x, DType type) {
  return site.Add("Cast", {x}, {{"to", Attribute::Int(static_cast<int64_t>(type))}});
}

// The mean over `axes`, which are an attribute before opset 18 and an input since.
ValueId Mean(Site& site, ValueId x, const std::vector<int64_t>& axes, int opset) {
  if (opset >= 18) return site.Add("ReduceMean", {x, site.List("axes", axes)});
  return site.Add("ReduceMean", {x}, {{"axes", Attribute::Ints(axes)}});
}

// What stash_type says the statistics are computed in.
DType StashType(Site& site) {
  return site.node().Int("stash_type", 1) == 1 && site.type(0) != DType::kDouble ? DType::kFloat
                                                                                 : site.type(0);
}

// (x - mean) / sqrt(var + epsilon) * scale + bias, over the axes from `axis` on
Obstacle LayerNormTo16(Site& site) {
  const auto axes = AxesFrom(site.node().Int("axis", -1), site.rank(0));
  const DType type = site.type(0), stash = StashType(site);
  if (!axes || type == DType::kUndefined) return Refuse("its rank or element type is not known");
  const auto epsilon = site.Scalar(stash, site.node().Float("epsilon", 1e-5f));
  const auto one = site.Scalar(stash, 1);
  if (!epsilon || !one) return Refuse("its element type is no float");
  const ValueId x = stash == type ? site.input(0) : CastTo(site, site.input(0), stash);
  const ValueId mean = Mean(site, x, *axes, 16);
  const ValueId centred = site.Add("Sub", {x, mean});
  const ValueId variance = Mean(site, site.Add("Mul", {centred, centred}), *axes, 16);
  const ValueId deviation = site.Add("Sqrt", {site.Add("Add", {variance, *epsilon})});
  ValueId y = site.Add("Div", {centred, deviation});
  if (stash != type) y = CastTo(site, y, type);
  if (site.used(1)) site.Redirect(1, mean);
  if (site.used(2)) site.Redirect(2, site.Add("Div", {*one, deviation}));
  const ValueId scale = site.input(1), bias = site.input(2);
  if (bias == kNone) {
    site.Become("Mul", {y, scale});
  } else {
    site.Become("Add", {site.Add("Mul", {y, scale}), bias});
  }
  return std::nullopt;
}

// x / sqrt(mean(x^2) + epsilon) * scale
Obstacle RmsNormTo22(Site& site) {
  const auto axes = AxesFrom(site.node().Int("axis", -1), site.rank(0));
  const DType type = site.type(0), stash = StashType(site);
  if (!axes || type == DType::kUndefined) return Refuse("its rank or element type is not known");
  if (site.type(1) != type) return Refuse("its scale has another element type");
  const auto epsilon = site.Scalar(stash, site.node().Float("epsilon", 1e-5f));
  if (!epsilon) return Refuse("its element type is no float");
  const ValueId x = stash == type ? site.input(0) : CastTo(site, site.input(0), stash);
  const ValueId square = Mean(site, site.Add("Mul", {x, x}), *axes, 22);
  ValueId y = site.Add("Div", {x, site.Add("Sqrt", {site.Add("Add", {square, *epsilon})})});
  if (stash != type) y = CastTo(site, y, type);
  site.Become("Mul", {y, site.input(1)});
  return std::nullopt;
}

// A constant with every element of a float tensor set to `value`.
std::optional<ValueId> Filled(Site& site, DType type, int64_t count, double value) {
  const auto scalar = site.Scalar(type, value);
  if (!scalar) return std::nullopt;
  const Tensor one = *site.facts().constant(*scalar);
  Tensor all(type, {count});
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(all.raw() + static_cast<size_t>(i) * SizeOf(type), one.raw(), SizeOf(type));
  }
  return site.Constant("filled", all);
}

// InstanceNormalization of [N, groups, rest] and back to the shape of x; the last node is `site`'s own.
void AsInstanceNorm(Site& site, int64_t groups, ValueId scale, ValueId bias) {
  const ValueId x = site.input(0);
  const ValueId dims = site.Add("Shape", {x});
  const ValueId rows = site.Add("Reshape", {x, site.List("groups", {0, groups, -1})});
  const ValueId normal = site.Add("InstanceNormalization", {rows, scale, bias},
                                  {{"epsilon", Attribute::Float(site.node().Float("epsilon", 1e-5f))}});
  site.Become("Reshape", {normal, dims});
}

Obstacle GroupNormTo17(Site& site) {
  AsInstanceNorm(site, site.node().Int("num_groups", 1), site.input(1), site.input(2));
  return std::nullopt;
}

// One number a channel, [C], from one a group, [groups].
std::optional<Tensor> PerChannel(const Tensor& groups, int64_t channels) {
  if (groups.rank() != 1 || groups.size() == 0 || channels % groups.size() != 0) return std::nullopt;
  const size_t element = SizeOf(groups.dtype());
  const int64_t each = channels / groups.size();
  Tensor out(groups.dtype(), {channels});
  for (int64_t c = 0; c < channels; ++c) {
    std::memcpy(out.raw() + static_cast<size_t>(c) * element,
                groups.raw() + static_cast<size_t>(c / each) * element, element);
  }
  return out;
}

Obstacle GroupNormTo21(Site& site) {
  const auto scale = site.constant(1), bias = site.constant(2);
  const auto shape = site.shape(0);
  const int64_t channels = shape && shape->size() > 1 ? (*shape)[1] : -1;
  if (scale && bias && channels > 0) {
    const auto wide_scale = PerChannel(*scale, channels), wide_bias = PerChannel(*bias, channels);
    if (wide_scale && wide_bias) {
      site.SetInput(1, site.Constant("scale", *wide_scale));
      site.SetInput(2, site.Constant("bias", *wide_bias));
      return std::nullopt;
    }
  }
  AsInstanceNorm(site, site.node().Int("num_groups", 1), site.input(1), site.input(2));
  return std::nullopt;
}

// Without scale and bias, which follow as Mul and Add of shape [C, 1, ...].
Obstacle GroupNormTo20(Site& site) {
  const auto rank = site.rank(0);
  const DType type = site.type(0);
  const int64_t groups = site.node().Int("num_groups", 1);
  if (!rank || *rank < 2) return Refuse("its rank is not known");
  if (type != DType::kFloat && type != DType::kDouble && site.node().Int("stash_type", 1) != 1)
    return Refuse("stash_type");
  const auto ones = Filled(site, type, groups, 1), zeros = Filled(site, type, groups, 0);
  if (!ones || !zeros) return Refuse("its element type is not known");
  std::vector<int64_t> column(static_cast<size_t>(*rank - 1), 1);
  column[0] = -1;
  const ValueId scale = site.input(1), bias = site.input(2);
  const ValueId wide_scale = site.Add("Reshape", {scale, site.List("column", column)});
  const ValueId wide_bias = site.Add("Reshape", {bias, site.List("column", column)});
  AsInstanceNorm(site, groups, *ones, *zeros);
  site.Insert("Add", {wide_bias}, {});
  site.Insert("Mul", {wide_scale}, {});
  return std::nullopt;
}

}  // namespace

std::vector<Rule> NormRules() {
  return {
      {17, "LayerNormalization", nullptr, LayerNormTo16},
      {18, "GroupNormalization", nullptr, GroupNormTo17},
      {21, "GroupNormalization", GroupNormTo21, GroupNormTo20},
      {23, "RMSNormalization", nullptr, RmsNormTo22},
  };
}

}  // namespace xslim::opset
