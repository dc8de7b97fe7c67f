// Before: d = x - ReduceMean(x); y = d / Sqrt(ReduceMean(d^2) + epsilon) [* scale] [+ bias]
// After:  y = LayerNormalization(x, scale, bias) (opset 17), where the means are over the last axes
//
// Before: y = x / Sqrt(ReduceMean(x^2) + epsilon) [* scale]
// After:  y = RMSNormalization(x, scale) (opset 23)
//
// The variance may also be ReduceMean(x^2) - ReduceMean(x)^2, with what is below 0 cut off or not (Flax).
// d^2 is Pow or Mul; the root is Sqrt or Pow 0.5; the quotient is Div, or Mul by Reciprocal, 1 / root or
// Pow -0.5, which may have the scale in it; or y = x s + (bias - mean s) with s = scale / root, whose last
// part may be bias + -mean s (Keras). A mean over the last of three axes may be a GlobalAveragePool
// (tf2onnx).
#include <algorithm>
#include <set>

#include "base/log.h"
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

constexpr int64_t kMostOnes = 1 << 16;  // elements of a scale that the model does not have

struct Match {
  ValueId x = kNone, scale = kNone, bias = kNone;
  float epsilon = 0;
  NodeId end = kNone;
  size_t axes = 0;          // the last ones
  std::set<NodeId> inside;  // what the fused operator replaces
};

class Matcher {
 public:
  Matcher(const Graph& graph, const ShapeFacts& facts) : graph_(graph), facts_(facts) {}

  // `centered`: with the mean taken off (LayerNormalization).
  std::optional<Match> From(const Node& node, bool centered) {
    match_ = Match();
    match_.inside.insert(node.id);
    match_.end = node.id;
    ValueId d = kNone;
    const ValueId variance = Quotient(node, &d);
    if (variance == kNone || !IsVarianceOf(variance, d, centered)) return std::nullopt;
    if (match_.scale != kNone) {
      if (!PerElement(match_.scale)) return std::nullopt;
      if (centered) Bias();
    } else {
      ScaleAndBias(centered);
    }
    return Closed() ? std::optional<Match>(match_) : std::nullopt;
  }

  // The form of TensorFlow's batch normalization: node = x * s + (bias - mean * s), s = scale / root.
  std::optional<Match> FromShifted(const Node& node) {
    if (!node.Is("Add") || node.inputs.size() != 2) return std::nullopt;
    for (size_t side = 0; side < 2; ++side) {
      match_ = Match();
      match_.inside.insert(node.id);
      match_.end = node.id;
      const Node* product = Enter(node.inputs[side], "Mul");
      const Node* shifted = product == nullptr ? nullptr : MeanTimesScale(node.inputs[1 - side]);
      if (shifted == nullptr) continue;
      for (size_t slot = 0; slot < 2; ++slot) {
        const Match before = match_;
        const ValueId s = product->input(slot), mean = Mean(OtherInput(*shifted, s));
        match_.x = product->input(1 - slot);
        const ValueId variance = mean == kNone ? kNone : ScaledInverse(s);
        if (variance != kNone && match_.scale != kNone && IsVarianceAround(variance, mean) &&
            match_.x == product->input(1 - slot) && PerElement(match_.scale) && PerElement(match_.bias) &&
            Closed())
          return match_;
        match_ = before;
      }
    }
    return std::nullopt;
  }

 private:
  const Node* Enter(ValueId id, const char* type) {
    const Node* node = ProducerOfType(graph_, id, type);
    if (node != nullptr) match_.inside.insert(node->id);
    return node;
  }

  const Node* EnterMean(ValueId id) {
    const Node* mean = Enter(id, "ReduceMean");
    return mean != nullptr ? mean : Enter(id, "GlobalAveragePool");
  }

  // id = bias - mean s or bias + -mean s: returns the product, notes the bias.
  const Node* MeanTimesScale(ValueId id) {
    minus_mean_ = false;
    if (const Node* shift = Enter(id, "Sub")) {
      match_.bias = shift->input(0);
      return Enter(shift->input(1), "Mul");
    }
    const Node* sum = Enter(id, "Add");
    if (sum == nullptr) return nullptr;
    minus_mean_ = true;
    const size_t bias = graph_.Constant(sum->input(0)) != nullptr ? 0 : 1;
    match_.bias = sum->input(bias);
    return Enter(sum->input(1 - bias), "Mul");
  }

  // What stands for the mean in that product.
  ValueId Mean(ValueId id) {
    if (!minus_mean_) return id;
    const Node* neg = Enter(id, "Neg");
    return neg == nullptr ? kNone : neg->input(0);
  }

  // node = d / sqrt(v): returns v and d.
  ValueId Quotient(const Node& node, ValueId* d) {
    if (node.inputs.size() != 2) return kNone;
    if (node.Is("Div")) {
      *d = node.inputs[0];
      return Root(node.inputs[1]);
    }
    if (!node.Is("Mul")) return kNone;
    for (size_t side = 0; side < 2; ++side) {
      *d = node.inputs[1 - side];
      const Match before = match_;
      const ValueId v = ScaledInverse(node.inputs[side]);
      if (v != kNone) return v;
      match_ = before;
    }
    return kNone;
  }

  // id = 1 / sqrt(v), or that times a constant, which is the scale then: returns v.
  ValueId ScaledInverse(ValueId id) {
    const Match before = match_;
    const ValueId v = InverseRoot(id);
    if (v != kNone) return v;
    match_ = before;
    if (const Node* div = Enter(id, "Div")) {  // scale / root
      match_.scale = div->input(0);
      return match_.scale == kNone || graph_.Constant(match_.scale) == nullptr ? kNone : Root(div->input(1));
    }
    const Node* mul = Enter(id, "Mul");
    for (size_t side = 0; mul != nullptr && side < 2; ++side) {
      if (mul->input(side) == kNone || graph_.Constant(mul->input(side)) == nullptr) continue;
      match_.scale = mul->input(side);
      return InverseRoot(mul->input(1 - side));
    }
    return kNone;
  }

  ValueId Root(ValueId id) {
    if (const Node* sqrt = Enter(id, "Sqrt")) return sqrt->input(0);
    const Node* pow = Enter(id, "Pow");
    return pow != nullptr && ScalarIs(graph_, pow->input(1), 0.5f) ? pow->input(0) : kNone;
  }

  ValueId InverseRoot(ValueId id) {
    if (const Node* reciprocal = Enter(id, "Reciprocal")) return Root(reciprocal->input(0));
    if (const Node* div = Enter(id, "Div"))
      return ScalarOf(graph_, div->input(0)) == 1.0f ? Root(div->input(1)) : kNone;
    const Node* pow = Enter(id, "Pow");
    return pow != nullptr && ScalarIs(graph_, pow->input(1), -0.5f) ? pow->input(0) : kNone;
  }

  // Whether id is the variance that goes with d (plus epsilon): of x, when d = x - mean, or without a mean.
  bool IsVarianceOf(ValueId id, ValueId d, bool centered) {
    const Match before = match_;
    if (Variance(id) == d) return centered ? Center(d) : Plain(d);
    match_ = before;
    ValueId mean = kNone;
    if (!centered || !Moments(id, &mean)) return false;
    const ValueId x = match_.x;
    return Center(d) && match_.x == x && graph_.Producer(d)->input(1) == mean;
  }

  // The same where only the mean is at hand.
  bool IsVarianceAround(ValueId id, ValueId mean) {
    const Match before = match_;
    const ValueId d = Variance(id);
    if (d != kNone && Center(d) && graph_.Producer(d)->input(1) == mean) return true;
    match_ = before;
    ValueId found = kNone;
    return Moments(id, &found) && found == mean;
  }

  // id = v + epsilon: returns v, notes epsilon.
  ValueId WithoutEpsilon(ValueId id) {
    const Node* add = Enter(id, "Add");
    for (size_t side = 0; add != nullptr && add->inputs.size() == 2 && side < 2; ++side) {
      const std::optional<float> epsilon = ScalarOf(graph_, add->inputs[1 - side]);
      if (!epsilon) continue;
      match_.epsilon = *epsilon;
      return add->inputs[side];
    }
    return kNone;
  }

  // id = ReduceMean(d^2) + epsilon: returns d, notes epsilon and axes.
  ValueId Variance(ValueId id) {
    const Node* mean = EnterMean(WithoutEpsilon(id));
    const auto axes = mean == nullptr ? std::nullopt : LastAxes(*mean);
    if (!axes) return kNone;
    match_.axes = *axes;
    return RootOfSquare(mean->input(0));
  }

  // id = ReduceMean(x^2) - mean^2 + epsilon, mean = ReduceMean(x): notes x, epsilon and axes.
  bool Moments(ValueId id, ValueId* mean) {
    ValueId v = WithoutEpsilon(id);
    if (const Node* relu = Enter(v, "Relu")) {
      v = relu->input(0);
    } else if (const Node* max = Enter(v, "Max")) {
      const size_t zero = max->inputs.size() == 2 && ScalarOf(graph_, max->inputs[0]) == 0.0f ? 0 : 1;
      if (max->inputs.size() != 2 || ScalarOf(graph_, max->inputs[zero]) != 0.0f) return false;
      v = max->inputs[1 - zero];
    }
    const Node* sub = Enter(v, "Sub");
    const Node* squares = sub == nullptr ? nullptr : EnterMean(sub->input(0));
    if (squares == nullptr) return false;
    const auto axes = LastAxes(*squares);
    match_.x = RootOfSquare(squares->input(0));
    *mean = RootOfSquare(sub->input(1));
    const Node* average = *mean == kNone ? nullptr : EnterMean(*mean);
    if (!axes || match_.x == kNone || average == nullptr || average->input(0) != match_.x) return false;
    match_.axes = *axes;
    return LastAxes(*average) == axes;
  }

  ValueId RootOfSquare(ValueId id) {
    if (const Node* pow = Enter(id, "Pow"))
      return ScalarIs(graph_, pow->input(1), 2.0f) ? pow->input(0) : kNone;
    const Node* mul = Enter(id, "Mul");
    return mul != nullptr && mul->input(0) == mul->input(1) ? mul->input(0) : kNone;
  }

  // d = x - ReduceMean(x) over the same axes.
  bool Center(ValueId d) {
    const Node* sub = Enter(d, "Sub");
    if (sub == nullptr) return false;
    match_.x = sub->input(0);
    const Node* mean = EnterMean(sub->input(1));
    return mean != nullptr && mean->input(0) == match_.x && LastAxes(*mean) == match_.axes;
  }

  bool Plain(ValueId d) {
    match_.x = d;
    return true;
  }

  // How many axes a mean that keeps its dimensions takes, when these are the last ones.
  std::optional<size_t> LastAxes(const Node& mean) const {
    if (mean.Is("GlobalAveragePool"))
      return facts_.RankOf(mean.input(0)) == 3 ? std::optional<size_t>(1) : std::nullopt;
    if (mean.Int("keepdims", 1) != 1) return std::nullopt;
    const auto axes = IntsOf(graph_, mean, 1, "axes");
    if (!axes || axes->empty()) return std::nullopt;
    const int64_t rank = facts_.RankOf(mean.input(0));
    std::set<int64_t> from_end;
    for (int64_t axis : *axes) {
      if (axis >= 0 && rank < 0) return std::nullopt;
      from_end.insert(axis < 0 ? axis : axis - rank);
    }
    for (size_t i = 1; i <= axes->size(); ++i) {
      if (!from_end.count(-static_cast<int64_t>(i))) return std::nullopt;
    }
    return axes->size();
  }

  // A constant with one number per element of the last axes, leading axes of 1 aside.
  bool PerElement(ValueId id) const {
    const Tensor* tensor = graph_.Constant(id);
    if (tensor == nullptr || tensor->dtype() != DType::kFloat) return false;
    const size_t rank = tensor->shape().size();
    if (rank < match_.axes || tensor->size() < 2) return false;
    if (rank > match_.axes && static_cast<int64_t>(rank) > facts_.RankOf(match_.x)) return false;
    for (size_t i = 0; i < rank - match_.axes; ++i) {
      if (tensor->shape()[i] != 1) return false;
    }
    for (size_t i = 1; i <= match_.axes; ++i) {
      const int64_t size = facts_.DimOf(match_.x, -static_cast<int64_t>(i)),
                    ours = tensor->dim(-static_cast<int64_t>(i));
      if (size >= 0 ? ours != size : ours == 1) return false;
    }
    return true;
  }

  // The Mul and Add behind the quotient, where they are there.
  void ScaleAndBias(bool with_bias) {
    const ValueId quotient = graph_.node(match_.end).outputs[0];
    const Node* mul = SoleUserOfType(graph_, quotient, "Mul");
    if (mul == nullptr || !PerElement(OtherInput(*mul, quotient))) return;
    match_.scale = OtherInput(*mul, quotient);
    match_.end = mul->id;
    match_.inside.insert(mul->id);
    if (with_bias) Bias();
  }

  void Bias() {
    const ValueId scaled = graph_.node(match_.end).outputs[0];
    const Node* add = SoleUserOfType(graph_, scaled, "Add");
    if (add == nullptr || !PerElement(OtherInput(*add, scaled))) return;
    match_.bias = OtherInput(*add, scaled);
    match_.end = add->id;
    match_.inside.insert(add->id);
  }

  // Nothing else reads what lies inside.
  bool Closed() const {
    return std::all_of(match_.inside.begin(), match_.inside.end(), [this](NodeId id) {
      if (id == match_.end) return true;
      const Value& value = graph_.value(graph_.node(id).outputs[0]);
      return !value.is_output && !graph_.CapturedBySubgraph(value.name) &&
             std::all_of(value.uses.begin(), value.uses.end(),
                         [this](const Use& use) { return match_.inside.count(use.node) != 0; });
    });
  }

  const Graph& graph_;
  const ShapeFacts& facts_;
  Match match_;
  bool minus_mean_ = false;
};

// Of as many ones as the last axes have elements; nothing when their sizes are not known, or too many.
std::optional<Shape> ShapeOfOnes(const ShapeFacts& facts, const Match& match) {
  Shape shape;
  for (size_t i = match.axes; i >= 1; --i) shape.push_back(facts.DimOf(match.x, -static_cast<int64_t>(i)));
  if (*std::min_element(shape.begin(), shape.end()) < 1 || ElementCount(shape) > kMostOnes)
    return std::nullopt;
  return shape;
}

// The constant with the shape of the last axes.
ValueId Parameter(Graph* graph, const Match& match, ValueId id) {
  const Tensor tensor = *graph->Constant(id);
  if (tensor.shape().size() == match.axes) return id;
  const Shape shape(tensor.shape().end() - static_cast<int64_t>(match.axes), tensor.shape().end());
  return graph->AddConstant(graph->value(id).name + "_flat", tensor.Reshaped(shape));
}

int Fuse(Graph* graph, const SimplifyOptions& options, const char* op_type, int opset, bool centered) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id)) continue;
    const Node& node = graph->node(id);
    std::optional<Match> match;
    if (node.Is("Div") || node.Is("Mul")) match = Matcher(*graph, facts).From(node, centered);
    if (node.Is("Add") && centered) match = Matcher(*graph, facts).FromShifted(node);
    if (!match) continue;
    const std::string name = graph->value(graph->node(match->end).outputs[0]).name;
    const std::optional<Shape> ones = match->scale == kNone ? ShapeOfOnes(facts, *match) : std::nullopt;
    if (match->scale == kNone && !ones) continue;
    // First: it takes constants away that nobody reads yet.
    if (!ReachOpset(graph, options, opset, op_type)) return count;
    std::vector<ValueId> inputs{match->x};
    if (match->scale != kNone) {
      inputs.push_back(Parameter(graph, *match, match->scale));
    } else {
      const auto elements = static_cast<size_t>(ElementCount(*ones));
      inputs.push_back(
          graph->AddConstant(name + "_ones", Tensor::Of<float>(*ones, std::vector<float>(elements, 1.0f))));
    }
    if (match->bias != kNone) inputs.push_back(Parameter(graph, *match, match->bias));
    ReplaceWith(graph, match->end, op_type, inputs,
                {{"axis", Attribute::Int(-static_cast<int64_t>(match->axes))},
                 {"epsilon", Attribute::Float(match->epsilon)}});
    graph->RemoveDead();
    ++count;
  }
  return count;
}

}  // namespace

int FuseLayerNorm(Graph* graph, const SimplifyOptions& options) {
  return Fuse(graph, options, "LayerNormalization", 17, true);
}

int FuseRmsNorm(Graph* graph, const SimplifyOptions& options) {
  return Fuse(graph, options, "RMSNormalization", 23, false);
}

}  // namespace xslim
