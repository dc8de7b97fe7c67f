// Before: x -> an operator that changes nothing -> y        After: readers of y read x
// Identity, Dropout in inference, Cast to the same type, Reshape, Flatten, Expand, Squeeze, Unsqueeze to the
// same shape, Transpose in order, Slice of everything, Pad by nothing, Tile by one, Concat, Sum, Max, Min,
// Mean of one, Split into one, Resize by one, Add and Sub of 0, Mul, Div and Pow by 1.
#include <algorithm>
#include <map>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"
#include "simplify/uniform.h"

namespace xslim {
namespace {

struct Context {
  const Graph& graph;
  const ShapeFacts& facts;
  const Node& node;
};

constexpr size_t kFirst = 0;

using Rule = std::optional<size_t> (*)(const Context&);  // slot of the input that equals the output

std::optional<size_t> FirstWhen(bool holds) { return holds ? std::optional<size_t>(kFirst) : std::nullopt; }

std::optional<size_t> Always(const Context&) { return kFirst; }

std::optional<size_t> InferenceDropout(const Context& c) {
  if (c.node.outputs.size() > 1 && c.node.outputs[1] != kNone) return std::nullopt;  // the mask is asked for
  if (c.node.input(2) == kNone) return kFirst;
  const Tensor* training = c.graph.Constant(c.node.input(2));
  return FirstWhen(training != nullptr && training->ToInts() == std::vector<int64_t>{0});
}

std::optional<size_t> SameType(const Context& c) {
  const DType from = c.facts.DTypeOf(c.node.input(0));
  return FirstWhen(from != DType::kUndefined && static_cast<int64_t>(from) == c.node.Int("to", 0));
}

std::optional<size_t> SameShape(const Context& c) {
  return FirstWhen(c.facts.SameShape(c.node.input(0), c.node.outputs[0]));
}

std::optional<size_t> InOrder(const Context& c) {
  const std::vector<int64_t> perm = c.node.Ints("perm");
  if (perm.empty()) return FirstWhen(c.facts.RankOf(c.node.input(0)) == 1);
  return FirstWhen(std::is_sorted(perm.begin(), perm.end()));
}

// A Slice with positive steps of 1 that keeps the shape keeps everything.
std::optional<size_t> WholeSlice(const Context& c) {
  if (c.node.input(4) != kNone) {
    const Tensor* steps = c.graph.Constant(c.node.input(4));
    if (steps == nullptr) return std::nullopt;
    for (int64_t step : steps->ToInts()) {
      if (step != 1) return std::nullopt;
    }
  }
  return SameShape(c);
}

std::optional<size_t> NoPads(const Context& c) {
  std::vector<int64_t> pads = c.node.Ints("pads");
  if (c.node.input(1) != kNone) {
    const Tensor* tensor = c.graph.Constant(c.node.input(1));
    if (tensor == nullptr) return std::nullopt;
    pads = tensor->ToInts();
  }
  return FirstWhen(std::all_of(pads.begin(), pads.end(), [](int64_t pad) { return pad == 0; }));
}

std::optional<size_t> ByOnes(const Context& c) {
  const Tensor* repeats = c.node.input(1) == kNone ? nullptr : c.graph.Constant(c.node.input(1));
  if (repeats == nullptr) return std::nullopt;
  const std::vector<int64_t> numbers = repeats->ToInts();
  return FirstWhen(std::all_of(numbers.begin(), numbers.end(), [](int64_t n) { return n == 1; }));
}

std::optional<size_t> OneInput(const Context& c) { return FirstWhen(c.node.inputs.size() == 1); }
std::optional<size_t> OneOutput(const Context& c) {
  return FirstWhen(c.node.outputs.size() == 1 && SameShape(c));
}

// Scales of 1 alone: with sizes the mode might still move samples.
std::optional<size_t> ScalesOfOne(const Context& c) {
  const size_t slot = c.node.Is("Upsample") || c.graph.opset() < 11 ? 1 : 2;
  const Tensor* scales = c.node.input(slot) == kNone ? nullptr : c.graph.Constant(c.node.input(slot));
  if (scales == nullptr || scales->dtype() != DType::kFloat || scales->size() == 0) return std::nullopt;
  if (c.node.String("coordinate_transformation_mode", "") == "tf_crop_and_resize") return std::nullopt;
  return FirstWhen(std::all_of(scales->data<float>(), scales->data<float>() + scales->size(),
                               [](float scale) { return scale == 1.0f; }));
}

// The operand in `slot` is `number` everywhere and does not widen the other one.
bool Neutral(const Context& c, size_t slot, double number) {
  const std::optional<Tensor> uniform = UniformOf(c.graph, c.node.input(slot));
  if (!uniform || MayWiden(c.graph, c.facts, c.node.input(slot), c.node.input(1 - slot), c.node.outputs[0]))
    return false;
  if (uniform->dtype() == DType::kInt64 || uniform->dtype() == DType::kInt32)
    return static_cast<double>(uniform->ToInts()[0]) == number;
  if (uniform->dtype() == DType::kDouble) return uniform->data<double>()[0] == number;
  if (uniform->dtype() != DType::kFloat && uniform->dtype() != DType::kFloat16) return false;
  return static_cast<double>(uniform->ToFloat32().data<float>()[0]) == number;
}

template <int kNumber, bool kCommutes>
std::optional<size_t> NeutralOperand(const Context& c) {
  if (c.node.inputs.size() != 2) return std::nullopt;
  if (Neutral(c, 1, kNumber)) return 0;
  if (kCommutes && Neutral(c, 0, kNumber)) return 1;
  return std::nullopt;
}

const std::map<std::string, Rule>& Rules() {
  static const std::map<std::string, Rule> rules = {{"Identity", Always},
                                                    {"Dropout", InferenceDropout},
                                                    {"Cast", SameType},
                                                    {"Reshape", SameShape},
                                                    {"Flatten", SameShape},
                                                    {"Expand", SameShape},
                                                    {"Squeeze", SameShape},
                                                    {"Unsqueeze", SameShape},
                                                    {"Transpose", InOrder},
                                                    {"Slice", WholeSlice},
                                                    {"Pad", NoPads},
                                                    {"Tile", ByOnes},
                                                    {"Concat", OneInput},
                                                    {"Sum", OneInput},
                                                    {"Max", OneInput},
                                                    {"Min", OneInput},
                                                    {"Mean", OneInput},
                                                    {"Split", OneOutput},
                                                    {"Resize", ScalesOfOne},
                                                    {"Upsample", ScalesOfOne},
                                                    {"Add", NeutralOperand<0, true>},
                                                    {"Sub", NeutralOperand<0, false>},
                                                    {"Mul", NeutralOperand<1, true>},
                                                    {"Div", NeutralOperand<1, false>},
                                                    {"Pow", NeutralOperand<1, false>}};
  return rules;
}

}  // namespace

int RemoveIdentities(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.domain.empty() || node.outputs.empty() || node.outputs[0] == kNone) continue;
    const auto rule = Rules().find(node.op_type);
    if (rule == Rules().end()) continue;
    const std::optional<size_t> slot = rule->second({*graph, facts, node});
    if (!slot || node.input(*slot) == kNone) continue;
    if (RemoveNoOp(graph, id, node.input(*slot))) ++count;
  }
  return count;
}

}  // namespace xslim
