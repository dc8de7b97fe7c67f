#include "tune/partial_plans.h"

#include <algorithm>
#include <utility>

#include "quant/interest.h"

namespace xslim {

QuantPlan SpareActivations(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                           bool visible_ranges, const Choices& choices) {
  QuantPlan spare;
  const std::set<NodeId>& placed = choices.placed.empty() ? plan.nodes : choices.placed;
  const auto add = [&](ValueId id) {
    if (id == kNone || !facts.is_float(id) || graph.value(id).constant.defined()) return;
    if (plan.activations.count(id) || spare.activations.count(id)) return;
    ActivationQuant quant;
    if (visible_ranges) quant.interest = VisibleRange(graph, id);
    quant.calibration_type = choices.OfTensor(graph, id, placed).calibration_type;
    spare.activations.emplace(id, std::move(quant));
  };
  for (NodeId id : plan.nodes) {
    for (ValueId input : graph.node(id).inputs) add(input);
    for (ValueId output : graph.node(id).outputs) add(output);
  }
  return spare;
}

std::map<NodeId, Tensor> MovedBiases(const Graph& before, const Graph& after) {
  std::map<NodeId, Tensor> moved;
  for (NodeId id : after.Order()) {
    if (!IsComputing(after.node(id)) || !before.alive(id)) continue;
    const ValueId now = after.node(id).input(2), then = before.node(id).input(2);
    const Tensor* bias = now == kNone ? nullptr : after.Constant(now);
    if (bias == nullptr || bias->dtype() != DType::kFloat) continue;
    Tensor original = then == kNone ? Tensor() : *before.Constant(then);
    if (!original.defined()) {
      original = Tensor(DType::kFloat, bias->shape());
      std::fill_n(original.data<float>(), original.size(), 0.0f);
    }
    if (!original.SameBytes(*bias)) moved.emplace(id, std::move(original));
  }
  return moved;
}

PartialPlans::PartialPlans(const Graph& graph, const std::map<NodeId, Tensor>& original_biases,
                           const QuantPlan& plan, const ValueFacts& facts,
                           const QuantizationParameters& options, QuantPlan spare)
    : graph_(graph),
      original_biases_(original_biases),
      plan_(plan),
      facts_(facts),
      options_(options),
      spare_(std::move(spare)) {
  FindUnits();
  FindHolders();
}

void PartialPlans::FindUnits() {
  for (NodeId id : graph_.Order()) {
    const Node& node = graph_.node(id);
    const int64_t macs = MacsOf(node, facts_);
    macs_ += macs;
    if (!plan_.nodes.count(id) || RoleOf(graph_, node) == QuantRole::kPassive) continue;
    const auto folded = plan_.folded.find(node.outputs[0]);
    const NodeId before = folded == plan_.folded.end() ? kNone : graph_.value(folded->second).producer;
    const auto unit = unit_of_.find(before);
    if (unit != unit_of_.end()) {
      units_[unit->second].nodes.push_back(id);
      unit_of_[id] = unit->second;
      continue;
    }
    unit_of_[id] = units_.size();
    units_.push_back({id, {id}, macs});
  }
}

// Units that read the value, also through data movement.
void PartialPlans::AddReaders(ValueId value, std::vector<size_t>* units) const {
  for (const Use& use : graph_.value(value).uses) {
    if (!plan_.nodes.count(use.node)) continue;
    const auto unit = unit_of_.find(use.node);
    if (unit != unit_of_.end()) {
      units->push_back(unit->second);
    } else if (use.slot == 0) {
      for (ValueId output : graph_.node(use.node).outputs) {
        if (output != kNone) AddReaders(output, units);
      }
    }
  }
}

void PartialPlans::FindHolders() {
  for (const auto& [value, quant] : plan_.activations) {
    std::vector<size_t>& units = holders_[value];
    const auto producer = unit_of_.find(graph_.value(value).producer);
    if (producer != unit_of_.end()) units.push_back(producer->second);
    AddReaders(value, &units);
    std::sort(units.begin(), units.end());
    units.erase(std::unique(units.begin(), units.end()), units.end());
  }
}

void PartialPlans::Fill(QuantPlan* plan) const {
  for (auto& [value, quant] : plan->activations) {
    const auto tuned = plan_.activations.find(value);
    quant = tuned != plan_.activations.end() ? tuned->second : spare_.activations.at(value);
  }
  // Constants inside a fused unit of the whole plan stay float there, so they do here.
  std::map<std::pair<NodeId, int>, const WeightQuant*> tuned;
  for (const WeightQuant& weight : plan_.weights) tuned[{weight.node, weight.slot}] = &weight;
  std::erase_if(plan->weights, [&](const WeightQuant& weight) {
    return tuned.count({weight.node, weight.slot}) == 0;
  });
  for (WeightQuant& weight : plan->weights) weight = *tuned.at({weight.node, weight.slot});
  plan->left_float = plan_.left_float;
}

// Operators to which int8 ones led, and now only float ones do: a lone pair of conversions around them would
// serve nobody.
void PartialPlans::DropLeftAlone(std::set<NodeId>* nodes) const {
  for (NodeId id : graph_.Order()) {
    const Node& node = graph_.node(id);
    if (!nodes->count(id) || RoleOf(graph_, node) == QuantRole::kCompute) continue;
    const auto led = [&](const std::set<NodeId>& from) {
      return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
        return input != kNone && from.count(graph_.value(input).producer) != 0;
      });
    };
    if (led(plan_.nodes) && !led(*nodes)) nodes->erase(id);
  }
}

QuantPlan PartialPlans::Without(const std::set<size_t>& float_units, std::set<ValueId> bare) const {
  std::set<NodeId> nodes = plan_.nodes;
  for (size_t unit : float_units) {
    for (NodeId id : units_[unit].nodes) nodes.erase(id);
  }
  DropLeftAlone(&nodes);
  bare.insert(plan_.bare.begin(), plan_.bare.end());
  QuantPlan plan = PlaceOnly(graph_, facts_, options_, std::move(nodes), std::move(bare));
  Fill(&plan);
  return plan;
}

QuantPlan PartialPlans::Alone(size_t unit) const {
  const std::vector<NodeId>& nodes = units_[unit].nodes;
  QuantPlan plan = PlaceOnly(graph_, facts_, options_, {nodes.begin(), nodes.end()}, plan_.bare);
  Fill(&plan);
  return plan;
}

QuantPlan PartialPlans::ConstantsAlone(size_t unit) const {
  QuantPlan plan;
  for (const WeightQuant& weight : plan_.weights) {
    if (unit_of_.count(weight.node) && unit_of_.at(weight.node) == unit) plan.weights.push_back(weight);
  }
  plan.nodes = plan_.nodes;
  return plan;
}

QuantPlan PartialPlans::PairAlone(ValueId activation) const {
  QuantPlan plan;
  plan.activations.emplace(activation, plan_.activations.at(activation));
  plan.nodes = plan_.nodes;  // who reads it dequantized
  return plan;
}

Graph PartialPlans::WithBiases(const QuantPlan& plan) const {
  Graph graph = graph_;
  for (const auto& [node, bias] : original_biases_) {
    if (!plan.nodes.count(node)) graph.SetConstant(graph.node(node).input(2), bias);
  }
  return graph;
}

}  // namespace xslim
