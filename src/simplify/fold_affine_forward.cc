// Before: x -> Mul s -> Add b -> Conv        After: x -> Add b/s -> Conv(W*s), or x -> Conv(W*s, bias + b*sum
// W) without pads Before: x -> Mul s -> Conv                 After: x -> Conv(W*s) Before: x -> Add b -> Conv
// without pads    After: x -> Conv(W, bias + b*sum W) s and b are one number. Exact up to rounding, and each
// step less is a Q/DQ pair less. Zero padding is not shifted by b, hence the condition. Only where a
// computing operator's weights cannot take the step in before it (fold-affine runs first).
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// The constant operand of a commutative node and the other one.
struct Step {
  ValueId data;
  float number;
};

std::optional<Step> NumberStep(const Graph& graph, const Node& node, const char* type) {
  if (!node.Is(type) || node.inputs.size() != 2) return std::nullopt;
  for (size_t side = 0; side < 2; ++side) {
    const std::optional<float> number = ScalarOf(graph, node.input(side));
    if (number && graph.Constant(node.input(1 - side)) == nullptr) return Step{node.input(1 - side), *number};
  }
  return std::nullopt;
}

// Every reader of the value is a Conv with constant float weights.
bool FeedsConvs(const Graph& graph, ValueId id, bool* padded) {
  const Value& value = graph.value(id);
  if (value.is_output || value.uses.empty()) return false;
  for (const Use& use : value.uses) {
    const Node& conv = graph.node(use.node);
    const Tensor* weight = conv.Is("Conv") && use.slot == 0 ? graph.Constant(conv.input(1)) : nullptr;
    if (weight == nullptr || weight->dtype() != DType::kFloat) return false;
    const Tensor* bias = conv.input(2) == kNone ? nullptr : graph.Constant(conv.input(2));
    if (conv.input(2) != kNone && (bias == nullptr || bias->dtype() != DType::kFloat)) return false;
    const std::string automatic = conv.String("auto_pad", "NOTSET");
    *padded = *padded || (automatic != "NOTSET" && automatic != "VALID");
    for (int64_t pad : conv.Ints("pads")) *padded = *padded || pad != 0;
  }
  return !graph.CapturedBySubgraph(value.name);
}

// conv(s*x + b) = conv'(x): weights times s, bias plus b times the sum of the channel's weights.
void FoldInto(Graph* graph, NodeId id, float s, float b) {
  const Node& conv = graph->node(id);
  Tensor weight = graph->Constant(conv.input(1))->Clone();
  const int64_t channels = weight.dim(0), per_channel = channels ? weight.size() / channels : 0;
  std::vector<float> bias(static_cast<size_t>(channels), 0.0f);
  if (conv.input(2) != kNone) {
    const float* old = graph->Constant(conv.input(2))->data<float>();
    bias.assign(old, old + channels);
  }
  float* w = weight.data<float>();
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t i = c * per_channel; i < (c + 1) * per_channel; ++i) {
      sum += w[i];
      w[i] *= s;
    }
    bias[static_cast<size_t>(c)] = static_cast<float>(bias[static_cast<size_t>(c)] + b * sum);
  }
  const std::string weight_name = graph->value(conv.input(1)).name;
  const std::string bias_name = conv.name + "_bias";
  graph->SetInput(id, 1, graph->AddConstant(weight_name, std::move(weight)));
  if (b != 0.0f) graph->SetInput(id, 2, graph->AddConstant(bias_name, Tensor::Of<float>({channels}, bias)));
}

// Readers of `from` read `to` and take s and b into their weights.
void FoldIntoReaders(Graph* graph, ValueId from, ValueId to, float s, float b) {
  const std::vector<Use> uses = graph->value(from).uses;
  for (const Use& use : uses) {
    FoldInto(graph, use.node, s, b);
    graph->SetInput(use.node, 0, to);
  }
}

}  // namespace

int FoldAffineForward(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id)) continue;
    const Node& node = graph->node(id);
    const ValueId output = node.outputs.empty() ? kNone : node.outputs[0];
    bool padded = false;
    if (const auto mul = NumberStep(*graph, node, "Mul")) {
      if (FeedsConvs(*graph, output, &padded)) {
        FoldIntoReaders(graph, output, mul->data, mul->number, 0.0f);
        ++count;
        continue;
      }
      const Node* add = SoleUserOfType(*graph, output, "Add");
      const auto shift = add == nullptr ? std::nullopt : NumberStep(*graph, *add, "Add");
      padded = false;
      if (!shift || mul->number == 0.0f || !FeedsConvs(*graph, add->outputs[0], &padded)) continue;
      if (!padded) {
        FoldIntoReaders(graph, add->outputs[0], mul->data, mul->number, shift->number);
      } else {
        const ValueId offset =
            graph->AddConstant(add->name + "_offset", Tensor::Scalar<float>(shift->number / mul->number));
        const ValueId sum = graph->AddValue(graph->value(add->outputs[0]).name + "_scaled", DType::kFloat);
        const ValueId old = add->outputs[0];
        graph->AddNode("Add", graph->UniqueNodeName(add->name + "_scaled"), {mul->data, offset}, {sum});
        FoldIntoReaders(graph, old, sum, mul->number, 0.0f);
      }
      ++count;
    } else if (const auto add = NumberStep(*graph, node, "Add")) {
      if (!FeedsConvs(*graph, output, &padded) || padded) continue;
      FoldIntoReaders(graph, output, add->data, 1.0f, add->number);
      ++count;
    }
  }
  return count;
}

}  // namespace xslim
