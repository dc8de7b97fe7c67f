#include "quant/fused_units.h"

#include <algorithm>

#include "quant/facts.h"
#include "quant/interest.h"

namespace xslim {
namespace {

// The slot of the one activation that an operator with two inputs reads; -1 when both or none are
// activations.
int ActivationSlot(const Graph& graph, const Node& node) {
  if (node.inputs.size() != 2) return -1;
  const bool first = graph.Constant(node.input(0)) == nullptr,
             second = graph.Constant(node.input(1)) == nullptr;
  if (first == second) return -1;
  return first ? 0 : 1;
}

// Mul, Add or Sub with a constant of one element.
bool IsScalarStep(const Graph& graph, const Node& node) {
  if (!node.Is("Mul") && !node.Is("Add") && !node.Is("Sub")) return false;
  const Tensor* constant = ConstantOperand(graph, node);
  return constant != nullptr && constant->size() == 1;
}

// Add of one number per element of the last axis.
bool IsBias(const Graph& graph, const Node& node) {
  if (!node.Is("Add")) return false;
  const Tensor* constant = ConstantOperand(graph, node);
  return constant != nullptr && constant->rank() >= 1 &&
         constant->size() == constant->dim(constant->rank() - 1);
}

bool IsActivation(const Graph& graph, const Node& node) {
  if (node.Is("PRelu")) return graph.Constant(node.input(1)) != nullptr;
  return node.Is("HardSwish") || node.Is("Gelu") || node.Is("LeakyRelu") || node.Is("Sigmoid") ||
         node.Is("HardSigmoid");
}

// The quantized operator that makes the value; null when there is none.
const Node* QuantizedProducer(const Graph& graph, const std::set<NodeId>& quantized, ValueId id) {
  const Node* producer = graph.Producer(id);
  return producer != nullptr && quantized.count(producer->id) ? producer : nullptr;
}

// A product, or a step that may stand behind one in its unit: the result is a float number before it is
// rounded.
bool EndsInFloat(const Graph& graph, const Node& node) {
  return IsComputing(node) || IsBias(graph, node) || IsScalarStep(graph, node);
}

void InsertWhenAlone(const Graph& graph, const Node& reader, ValueId id, std::set<ValueId>* inside) {
  if (graph.SoleUser(id) == reader.id) inside->insert(id);
}

// Conv -> HardSwish, MatMul -> Add -> Gelu, ...
void ProductAndActivation(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                          std::set<ValueId>* inside) {
  if (!IsActivation(graph, last)) return;
  const Node* first = QuantizedProducer(graph, quantized, last.input(0));
  if (first != nullptr && EndsInFloat(graph, *first)) InsertWhenAlone(graph, last, last.input(0), inside);
}

// MatMul -> Add of a vector.
void ProductAndBias(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                    std::set<ValueId>* inside) {
  if (!IsBias(graph, last)) return;
  const ValueId input = last.input(static_cast<size_t>(ActivationSlot(graph, last)));
  const Node* first = QuantizedProducer(graph, quantized, input);
  if (first != nullptr && IsComputing(*first)) InsertWhenAlone(graph, last, input, inside);
}

// Conv -> Add of another activation. Of two products the one that runs later ends in the sum: the other one's
// result has to be kept meanwhile.
void ProductAndResidual(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                        std::set<ValueId>* inside) {
  if (!last.Is("Add") || ConstantOperand(graph, last) != nullptr) return;
  std::set<NodeId> candidates;
  for (ValueId input : last.inputs) {
    const Node* first = QuantizedProducer(graph, quantized, input);
    if (first != nullptr && EndsInFloat(graph, *first) && graph.SoleUser(input) == last.id)
      candidates.insert(first->id);
  }
  if (candidates.empty()) return;
  NodeId latest = *candidates.begin();
  if (candidates.size() > 1) {
    for (NodeId id : graph.Order()) {
      if (candidates.count(id)) latest = id;
    }
  }
  inside->insert(graph.node(latest).outputs[0]);
}

// MatMul -> Softmax.
void ProductAndSoftmax(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                       std::set<ValueId>* inside) {
  if (!last.Is("Softmax")) return;
  const Node* first = QuantizedProducer(graph, quantized, last.input(0));
  if (first != nullptr && EndsInFloat(graph, *first)) InsertWhenAlone(graph, last, last.input(0), inside);
}

// Add -> LayerNormalization, the sum also read by further Adds: the residual stream of a transformer.
// Normalizations and sums read float numbers, so int8 would only be how the stream is kept meanwhile, and
// each block would round anew what all before it have added up.
void SumAndNormalization(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                         std::set<ValueId>* inside) {
  if (RoleOf(graph, last) != QuantRole::kNorm) return;
  const ValueId sum = last.input(0);
  const Node* first = QuantizedProducer(graph, quantized, sum);
  const Value& value = graph.value(sum);
  if (first == nullptr || !first->Is("Add") || value.is_output || graph.CapturedBySubgraph(value.name))
    return;
  const bool stays_float = std::all_of(value.uses.begin(), value.uses.end(), [&](const Use& use) {
    const Node& reader = graph.node(use.node);
    return (RoleOf(graph, reader) == QuantRole::kNorm && use.slot == 0) || reader.Is("Add");
  });
  if (stays_float) inside->insert(sum);
}

// Anything with a scale of its own -> Mul, Add or Sub of a number.
void ScalarStep(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
                std::set<ValueId>* inside) {
  if (!IsScalarStep(graph, last)) return;
  const ValueId input = last.input(static_cast<size_t>(ActivationSlot(graph, last)));
  const Node* first = QuantizedProducer(graph, quantized, input);
  if (first != nullptr && RoleOf(graph, *first) != QuantRole::kPassive)
    InsertWhenAlone(graph, last, input, inside);
}

// x -> Sigmoid or HardSigmoid -> Mul by x; x itself, too, when a product makes it for these two alone.
void Gate(const Graph& graph, const std::set<NodeId>& quantized, const Node& last,
          std::set<ValueId>* inside) {
  if (!last.Is("Mul")) return;
  for (size_t slot : {0, 1}) {
    const ValueId gated = last.input(slot), x = last.input(1 - slot);
    const Node* gate = QuantizedProducer(graph, quantized, gated);
    if (gate == nullptr || (!gate->Is("Sigmoid") && !gate->Is("HardSigmoid")) || gate->input(0) != x ||
        graph.SoleUser(gated) != last.id)
      continue;
    inside->insert(gated);
    const Value& value = graph.value(x);
    const Node* first = QuantizedProducer(graph, quantized, x);
    if (first != nullptr && EndsInFloat(graph, *first) && value.uses.size() == 2 && !value.is_output &&
        !graph.CapturedBySubgraph(value.name))
      inside->insert(x);
    return;
  }
}

}  // namespace

const std::vector<FusedUnit>& FusedUnits() {
  static const std::vector<FusedUnit> units = {
      {"product and activation", ProductAndActivation},
      {"product and bias", ProductAndBias},
      {"product and residual", ProductAndResidual},
      {"product and Softmax", ProductAndSoftmax},
      {"sum and normalization", SumAndNormalization},
      {"multiplication or addition of one number", ScalarStep},
      {"x * sigmoid(x)", Gate},
  };
  return units;
}

const char* LacksInt8Form(const Node& node) {
  if (node.Is("Resize") && node.String("mode", "nearest") == "cubic") return "cubic Resize";
  if (node.Is("AveragePool") && node.Has("dilations")) return "AveragePool with dilations";
  return nullptr;
}

std::vector<NodeId> OpenFloatForms(const Graph& graph, const std::set<NodeId>& quantized,
                                   std::set<ValueId>* inside) {
  std::vector<NodeId> shut;
  const auto is_quantized = [&](const Use& use) { return quantized.count(use.node) != 0; };
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (LacksInt8Form(node) == nullptr || node.input(0) == kNone || node.outputs.empty() ||
        node.outputs[0] == kNone)
      continue;
    const ValueId input = node.input(0), output = node.outputs[0];
    const Node* producer = QuantizedProducer(graph, quantized, input);
    const std::vector<Use>& uses = graph.value(output).uses;
    const bool chosen = quantized.count(id) != 0;
    if (!chosen && (producer == nullptr || std::none_of(uses.begin(), uses.end(), is_quantized))) continue;
    const NodeId user = graph.SoleUser(output);
    const bool on_grid = producer != nullptr && RoleOf(graph, *producer) == QuantRole::kPassive;
    if (!on_grid && graph.SoleUser(input) == id) {
      inside->insert(input);
    } else if (user != kNone && IsComputing(graph.node(user))) {
      inside->insert(output);
    } else {
      shut.push_back(id);
    }
  }
  return shut;
}

std::set<ValueId> InsideFusedUnits(const Graph& graph, const std::set<NodeId>& quantized) {
  std::set<ValueId> inside;
  for (NodeId id : graph.Order()) {
    const Node& last = graph.node(id);
    if (!quantized.count(id) && !last.Is("Softmax")) continue;  // Softmax computes in float
    for (const FusedUnit& unit : FusedUnits()) unit.finds(graph, quantized, last, &inside);
  }
  return inside;
}

}  // namespace xslim
