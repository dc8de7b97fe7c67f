// Rules for operators that compute each element from those at the same place, and for those along one axis.
#include <algorithm>
#include <optional>
#include <set>

#include "ops/own.h"
#include "tune/gradient_builder.h"

namespace xslim {
namespace {

constexpr float kStep = 0.01f;  // of difference quotients

// Functions of one number that have a derivative of ordinary size everywhere.
const std::set<std::string>& SmoothFunctions() {
  static const std::set<std::string> names = {
      "HardSigmoid", "HardSwish", "Tanh", "Erf",   "Gelu",      "Softplus",
      "Mish",        "Elu",       "Selu", "Celu",  "LeakyRelu", "Softsign",
      "Swish",       "Sin",       "Cos",  "PRelu", "Atan",      "ThresholdedRelu"};
  return names;
}

// (f(x + h) - f(x - h)) / 2h, with the operator itself as f.
ValueId DifferenceQuotient(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const auto at = [&](float step) {
    std::vector<ValueId> inputs = site.node.inputs;
    inputs[0] = b.Emit("Add", {inputs[0], b.Scalar(step)});
    return b.Emit(site.node.op_type, inputs, site.node.attributes);
  };
  const ValueId above = at(kStep), below = at(-kStep);
  return b.Scaled(b.Emit("Sub", {above, below}), 0.5 / kStep);
}

// power * x^(power - 1), and 0 for power 0, whatever x is.
ValueId PowerDerivative(const GradientSite& site, const Tensor& power) {
  GradientBuilder& b = site.builder;
  Tensor lower = power.Clone();
  for (int64_t i = 0; i < lower.size(); ++i) {
    float& exponent = lower.data<float>()[i];
    if (exponent != 0) exponent -= 1;
  }
  const ValueId rest = b.Emit("Pow", {site.x(0), b.Constant(std::move(lower))});
  return b.Emit("Mul", {b.Constant(power), rest});
}

// Where the output is above 0.
ValueId Positive(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const ValueId positive = b.graph().AddValue("xslim_gradient_positive", DType::kBool);
  b.graph().AddNode("Greater", "xslim_gradient_Greater", {site.y(), b.Scalar(0)}, {positive});
  return positive;
}

// `g` where the output equals the input, else 0.
ValueId WhereEqual(const GradientSite& site, ValueId x) {
  GradientBuilder& b = site.builder;
  const ValueId same = b.graph().AddValue("xslim_gradient_same", DType::kBool);
  b.graph().AddNode("Equal", "xslim_gradient_Equal", {site.y(), x}, {same});
  return b.Emit("Where", {same, site.g[0], b.Scalar(0)});
}

// `g` where the output lies strictly between the bounds (kNone: none), else 0. The input is not needed, so it
// need not be kept.
ValueId WhereBetween(const GradientSite& site, ValueId lo, ValueId hi) {
  return site.builder.Emit(kKeepBetween, {site.g[0], site.y(), lo, hi}, {}, kOwnDomain);
}

bool Unary(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Node& node = site.node;
  const ValueId g = site.g[0], x = site.x(0), y = site.y();
  const auto times = [&](ValueId p, ValueId q) { return b.Emit("Mul", {p, q}); };
  if (node.Is("Sigmoid")) {
    b.Give(x, times(g, b.Emit("Sub", {y, times(y, y)})));
  } else if (node.Is("Relu")) {
    b.Give(x, WhereBetween(site, b.Scalar(0), kNone));
  } else if (node.Is("Clip")) {
    b.Give(x, WhereBetween(site, site.x(1), site.x(2)));
  } else if (node.Is("Neg")) {
    b.Give(x, b.Emit("Neg", {g}));
  } else if (node.Is("Abs")) {
    b.Give(x, times(g, b.Emit("Sign", {x})));
  } else if (node.Is("Exp")) {
    b.Give(x, times(g, y));
  } else if (node.Is("Log")) {
    b.Give(x, b.Emit("Div", {g, x}));
  } else if (node.Is("Sqrt")) {
    // 0 at 0, where it is infinite.
    b.Give(x, b.Scaled(b.Emit("Where", {Positive(site), b.Emit("Div", {g, y}), b.Scalar(0)}), 0.5));
  } else if (node.Is("Reciprocal")) {
    b.Give(x, b.Emit("Neg", {times(g, times(y, y))}));
  } else if (SmoothFunctions().count(node.op_type)) {
    if (node.inputs.size() > 1 && b.Needs(node.input(1))) return false;  // PRelu with a computed slope
    b.Give(x, times(g, DifferenceQuotient(site)));
  } else {
    return false;
  }
  return true;
}

bool Binary(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Node& node = site.node;
  const ValueId g = site.g[0], p = site.x(0), q = site.x(1);
  const auto give = [&](size_t slot, auto&& derivative) {
    if (b.Needs(site.x(slot)))
      b.Give(site.x(slot), b.SumTo(derivative(), site.out_shape(), site.shape(slot)));
  };
  const auto same = [&] { return g; };
  if (node.Is("Add") || node.Is("Sum")) {
    for (size_t i = 0; i < node.inputs.size(); ++i) give(i, same);
  } else if (node.Is("Sub")) {
    give(0, same);
    give(1, [&] { return b.Emit("Neg", {g}); });
  } else if (node.Is("Mul")) {
    give(0, [&] { return b.Emit("Mul", {g, q}); });
    give(1, [&] { return b.Emit("Mul", {g, p}); });
  } else if (node.Is("Div")) {
    give(0, [&] { return b.Emit("Div", {g, q}); });
    give(1, [&] { return b.Emit("Neg", {b.Emit("Div", {b.Emit("Mul", {g, site.y()}), q})}); });
  } else if (node.Is("Pow")) {
    const Tensor* power = b.graph().Constant(q);
    if (power == nullptr) return false;
    give(0, [&] { return b.Emit("Mul", {g, PowerDerivative(site, power->ToFloat32())}); });
  } else if (node.Is("Min") || node.Is("Max")) {
    for (size_t i = 0; i < node.inputs.size(); ++i) give(i, [&] { return WhereEqual(site, site.x(i)); });
  } else if (node.Is("Where")) {
    give(1, [&] { return b.Emit("Where", {p, g, b.Scalar(0)}); });
    give(2, [&] { return b.Emit("Where", {p, b.Scalar(0), g}); });
  } else {
    return false;
  }
  return true;
}

int64_t Axis(const Node& node, int64_t otherwise, int64_t rank) {
  const int64_t axis = node.Int("axis", otherwise);
  return axis < 0 ? axis + rank : axis;
}

bool Softmax(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const int64_t axis = Axis(site.node, -1, static_cast<int64_t>(site.out_shape().size()));
  const ValueId g = site.g[0], y = site.y();
  if (site.node.Is("LogSoftmax")) {
    const ValueId sum = b.SumOver(g, {axis});
    b.Give(site.x(0), b.Emit("Sub", {g, b.Emit("Mul", {b.Emit("Exp", {y}), sum})}));
  } else {
    const ValueId sum = b.SumOver(b.Emit("Mul", {g, y}), {axis});
    b.Give(site.x(0), b.Emit("Mul", {y, b.Emit("Sub", {g, sum})}));
  }
  return true;
}

// What the normalization of x over these axes hands back of s, the derivative by the normalized n:
// (s - mean(s) - n mean(s n)) / deviation; where no mean is taken off x, without that of s.
ValueId ThroughNorm(GradientBuilder& b, ValueId x, ValueId s, const Shape& shape,
                    const std::vector<int64_t>& axes, float epsilon, bool centres = true) {
  double count = 1;
  for (int64_t axis : axes) count *= static_cast<double>(shape[static_cast<size_t>(axis)]);
  const auto mean = [&](ValueId id) { return b.Scaled(b.SumOver(id, axes), 1 / count); };
  const ValueId centred = centres ? b.Emit("Sub", {x, mean(x)}) : x;
  const ValueId variance = mean(b.Emit("Mul", {centred, centred}));
  const ValueId deviation = b.Emit("Sqrt", {b.Emit("Add", {variance, b.Scalar(epsilon)})});
  const ValueId normal = b.Emit("Div", {centred, deviation});
  const ValueId along = b.Emit("Mul", {normal, mean(b.Emit("Mul", {s, normal}))});
  const ValueId rest = b.Emit("Sub", {centres ? b.Emit("Sub", {s, mean(s)}) : s, along});
  return b.Emit("Div", {rest, deviation});
}

bool LayerNorm(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Shape& shape = site.shape(0);
  if (b.Needs(site.x(1)) || b.Needs(site.x(2))) return false;
  std::vector<int64_t> axes;
  for (int64_t i = Axis(site.node, -1, static_cast<int64_t>(shape.size()));
       i < static_cast<int64_t>(shape.size()); ++i)
    axes.push_back(i);
  const ValueId s = b.Emit("Mul", {site.g[0], site.x(1)});
  b.Give(site.x(0), ThroughNorm(b, site.x(0), s, shape, axes, site.node.Float("epsilon", 1e-5f),
                                site.node.Is("LayerNormalization")));
  return true;
}

// Groups of channels; InstanceNormalization: of one channel each.
bool GroupNorm(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const Shape& shape = site.shape(0);
  if (shape.size() < 2 || b.Needs(site.x(1)) || b.Needs(site.x(2))) return false;
  const int64_t channels = shape[1],
                groups = site.node.Is("GroupNormalization") ? site.node.Int("num_groups", 0) : channels;
  // Up to opset 20 a scale belonged to a group.
  if (groups < 1 || channels % groups != 0 || ElementCount(site.shape(1)) != channels) return false;
  Shape per_channel(shape.size() - 1, 1);
  per_channel[0] = channels;
  const Shape grouped = {shape[0], groups, ElementCount(shape) / std::max<int64_t>(shape[0] * groups, 1)};
  const ValueId s = b.Emit("Mul", {site.g[0], b.Reshaped(site.x(1), per_channel)});
  const ValueId dx = ThroughNorm(b, b.Reshaped(site.x(0), grouped), b.Reshaped(s, grouped), grouped, {2},
                                 site.node.Float("epsilon", 1e-5f));
  b.Give(site.x(0), b.Reshaped(dx, shape));
  return true;
}

// The shape of a reduction's result with the axes that it takes as 1; nothing where they are computed.
std::optional<Shape> KeptShape(const GradientSite& site) {
  const Node& node = site.node;
  Shape kept = site.shape(0);
  if (node.Is("GlobalAveragePool") || node.Is("GlobalMaxPool")) {
    for (size_t i = 2; i < kept.size(); ++i) kept[i] = 1;
    return kept;
  }
  std::vector<int64_t> axes = node.Ints("axes");
  if (node.input(1) != kNone) {
    const Tensor* given = site.builder.graph().Constant(node.input(1));
    if (given == nullptr) return std::nullopt;
    axes = given->ToInts();
  }
  if (axes.empty() && node.Int("noop_with_empty_axes", 0) != 0) return std::nullopt;
  for (size_t i = 0; i < kept.size(); ++i) {
    const bool named = std::any_of(axes.begin(), axes.end(), [&](int64_t axis) {
      return axis + (axis < 0 ? static_cast<int64_t>(kept.size()) : 0) == static_cast<int64_t>(i);
    });
    if (axes.empty() || named) kept[i] = 1;
  }
  return kept;
}

bool Averaged(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const std::optional<Shape> kept = KeptShape(site);
  if (!kept) return false;
  const double taken = static_cast<double>(ElementCount(site.shape(0))) /
                       static_cast<double>(std::max<int64_t>(ElementCount(*kept), 1));
  const ValueId g = b.Scaled(b.Reshaped(site.g[0], *kept), site.node.Is("ReduceSum") ? 1 : 1 / taken);
  b.Give(site.x(0), b.Emit("Expand", {g, b.Ints(site.shape(0))}));
  return true;
}

// x / length of x, or twice x.
bool Squared(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const std::optional<Shape> kept = KeptShape(site);
  if (!kept) return false;
  ValueId g = b.Reshaped(site.g[0], *kept);
  if (site.node.Is("ReduceL2")) {
    constexpr float kLeast = 1e-30f;  // where all x are 0, so is what they are multiplied by
    g = b.Emit("Div", {g, b.Emit("Max", {b.Reshaped(site.y(), *kept), b.Scalar(kLeast)})});
  } else {
    g = b.Scaled(g, 2);
  }
  b.Give(site.x(0), b.Emit("Mul", {site.x(0), g}));
  return true;
}

// To all elements that are the extreme.
bool Extreme(const GradientSite& site) {
  GradientBuilder& b = site.builder;
  const std::optional<Shape> kept = KeptShape(site);
  if (!kept) return false;
  const ValueId same = b.graph().AddValue("xslim_gradient_same", DType::kBool);
  b.graph().AddNode("Equal", "xslim_gradient_Equal", {site.x(0), b.Reshaped(site.y(), *kept)}, {same});
  b.Give(site.x(0), b.Emit("Where", {same, b.Reshaped(site.g[0], *kept), b.Scalar(0)}));
  return true;
}

}  // namespace

bool HandOnElementwise(const GradientSite& site) {
  if (site.g[0] == kNone) return false;
  const Node& node = site.node;
  if (Unary(site) || Binary(site)) return true;
  if (node.Is("Softmax") || node.Is("LogSoftmax")) return Softmax(site);
  if (node.Is("LayerNormalization") || node.Is("RMSNormalization")) return LayerNorm(site);
  if (node.Is("InstanceNormalization") || node.Is("GroupNormalization")) return GroupNorm(site);
  if (node.Is("GlobalAveragePool") || node.Is("ReduceMean") || node.Is("ReduceSum")) return Averaged(site);
  if (node.Is("ReduceL2") || node.Is("ReduceSumSquare")) return Squared(site);
  if (node.Is("GlobalMaxPool") || node.Is("ReduceMax") || node.Is("ReduceMin")) return Extreme(site);
  return false;
}

}  // namespace xslim
