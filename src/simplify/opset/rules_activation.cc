// Activations taken apart below the opset that brought them, by the formulas of ONNX's operator documents.
#include <cmath>
#include <numbers>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

Obstacle UnknownType() { return Refuse("its element type is not known or not a float"); }

// alpha * Elu(x / alpha)
Obstacle CeluTo11(Site& site) {
  const auto alpha = site.Scalar(site.type(0), site.node().Float("alpha", 1));
  if (!alpha) return UnknownType();
  const ValueId scaled = site.Add("Div", {site.input(0), *alpha});
  site.Become("Mul", {*alpha, site.Add("Elu", {scaled})});
  return std::nullopt;
}

// x * HardSigmoid(x; 1/6, 1/2)
Obstacle HardSwishTo13(Site& site) {
  const ValueId x = site.input(0);
  const ValueId gate =
      site.Add("HardSigmoid", {x}, {{"alpha", Attribute::Float(1.0f / 6)}, {"beta", Attribute::Float(0.5f)}});
  site.Become("Mul", {x, gate});
  return std::nullopt;
}

// x * tanh(softplus(x))
Obstacle MishTo17(Site& site) {
  const ValueId x = site.input(0);
  site.Become("Mul", {x, site.Add("Tanh", {site.Add("Softplus", {x})})});
  return std::nullopt;
}

// x / 2 * (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) * (x + 0.044715 x^3))
Obstacle GeluTo19(Site& site) {
  const ValueId x = site.input(0);
  const DType type = site.type(0);
  const auto half = site.Scalar(type, 0.5), one = site.Scalar(type, 1);
  if (!half || !one) return UnknownType();
  ValueId bend;
  if (site.node().String("approximate", "none") == "tanh") {
    const ValueId cube = site.Add("Mul", {site.Add("Mul", {x, x}), x});
    const ValueId more = site.Add("Add", {x, site.Add("Mul", {*site.Scalar(type, 0.044715), cube})});
    bend = site.Add("Tanh", {site.Add("Mul", {*site.Scalar(type, std::sqrt(2 / std::numbers::pi)), more})});
  } else {
    bend = site.Add("Erf", {site.Add("Div", {x, *site.Scalar(type, std::numbers::sqrt2)})});
  }
  site.Become("Mul", {site.Add("Mul", {*half, x}), site.Add("Add", {*one, bend})});
  return std::nullopt;
}

// x * sigmoid(alpha * x)
Obstacle SwishTo23(Site& site) {
  const ValueId x = site.input(0);
  const float alpha = site.node().Float("alpha", 1);
  ValueId scaled = x;
  if (alpha != 1) {
    const auto factor = site.Scalar(site.type(0), alpha);
    if (!factor) return UnknownType();
    scaled = site.Add("Mul", {*factor, x});
  }
  site.Become("Mul", {x, site.Add("Sigmoid", {scaled})});
  return std::nullopt;
}

}  // namespace

std::vector<Rule> ActivationRules() {
  return {
      {12, "Celu", nullptr, CeluTo11},   {14, "HardSwish", nullptr, HardSwishTo13},
      {18, "Mish", nullptr, MishTo17},   {20, "Gelu", nullptr, GeluTo19},
      {24, "Swish", nullptr, SwishTo23},
  };
}

}  // namespace xslim::opset
