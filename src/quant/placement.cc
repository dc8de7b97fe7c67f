#include <algorithm>

#include "base/log.h"
#include "quant/ignore_list.h"
#include "quant/plan.h"

namespace xslim {
namespace {

QuantRole RoleOf(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return QuantRole::kNone;
  const OperatorRow* row = FindOperator(node.domain, node.op_type, graph.opset());
  return row ? row->role : QuantRole::kNone;
}

// Inputs of a quantized operator that carry data (not bounds, shapes, indices, norm parameters, biases).
std::vector<int> DataSlots(const Node& node, QuantRole role) {
  if (role == QuantRole::kCompute) return {0, 1};
  if (role == QuantRole::kPassive || role == QuantRole::kNorm || role == QuantRole::kActivation) return {0};
  if (node.Is("Resize") || node.Is("ReduceMean")) return {0};
  std::vector<int> all;
  for (size_t i = 0; i < node.inputs.size(); ++i) all.push_back(static_cast<int>(i));
  return all;
}

class Placer {
 public:
  Placer(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options)
      : graph_(graph), facts_(facts), options_(options), order_(graph.Order()), ignored_(options) {}

  QuantPlan Place() {
    plan_.quantize_bias = options_.bias == BiasType::kInt32;
    MarkOperators();
    ProtectOutputs();
    DropUnreached();
    FoldActivations();
    for (NodeId id : order_) PlaceNode(graph_.node(id));
    ignored_.WarnUnmatched(graph_);
    return std::move(plan_);
  }

 private:
  // Quantizable and downstream of a computing operator through quantizable ones (XSlim's "conservative"
  // dispatch).
  void MarkOperators() {
    for (NodeId id : order_) {
      const Node& node = graph_.node(id);
      const QuantRole role = RoleOf(graph_, node);
      if (role == QuantRole::kNone || node.inputs.empty() || !facts_.is_float(node.input(0)) ||
          node.outputs.empty() || !facts_.is_float(node.outputs[0])) {
        continue;
      }
      if (const char* list = ignored_.Reason(node)) {
        plan_.left_float[id] = list;
        continue;
      }
      bool reached = role == QuantRole::kCompute && facts_.is_float(node.input(1));
      for (int slot : DataSlots(node, role)) {
        const Node* producer = graph_.Producer(node.input(static_cast<size_t>(slot)));
        reached |= producer != nullptr && plan_.nodes.count(producer->id) != 0;
      }
      if (reached) plan_.nodes.insert(id);
    }
  }

  // A Concat at the graph's end whose inputs differ by more than 16 times in size would erase the smaller
  // ones (boxes in pixels beside scores in 0..1). Sizes are not known before calibration, so what is
  // protected here is decided by structure: a Concat that reaches a graph output through data movement only
  // and joins what bounded functions (Sigmoid, Softmax) give with what they do not.
  void ProtectOutputs() {
    if (options_.protect_outputs == ProtectOutputs::kNever) return;
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const Node& node = graph_.node(*it);
      if (!plan_.nodes.count(node.id) || !EndsGraph(node)) continue;
      const bool mixes = node.Is("Concat") && MixesScales(node);
      const bool always =
          options_.protect_outputs == ProtectOutputs::kAlways && RoleOf(graph_, node) != QuantRole::kCompute;
      if (!mixes && !always) continue;
      plan_.nodes.erase(node.id);
      plan_.left_float[node.id] = mixes ? "output protected: joins bounded scores with unbounded values, one "
                                          "scale would erase the scores"
                                        : "output protected (protect_outputs: always)";
      LogInfo(node.Title(), " stays float: ", plan_.left_float[node.id]);
    }
  }

  bool EndsGraph(const Node& node) const {
    const Value& value = graph_.value(node.outputs[0]);
    if (value.is_output && value.uses.empty()) return true;
    if (value.uses.empty()) return false;
    return std::all_of(value.uses.begin(), value.uses.end(), [&](const Use& use) {
      const Node& user = graph_.node(use.node);
      return (RoleOf(graph_, user) == QuantRole::kPassive || plan_.left_float.count(user.id)) &&
             EndsGraph(user);
    });
  }

  static bool Moves(const Node& node) {
    return node.Is("Concat") || node.Is("Reshape") || node.Is("Transpose") || node.Is("Split") ||
           node.Is("Slice") || node.Is("Squeeze") || node.Is("Unsqueeze") || node.Is("Flatten") ||
           node.Is("Identity");
  }

  bool Bounded(ValueId id, int depth) const {
    const Node* node = graph_.Producer(id);
    if (node == nullptr || depth > 32) return false;
    if (node->Is("Sigmoid") || node->Is("Softmax") || node->Is("HardSigmoid")) return true;
    if (!Moves(*node)) return false;
    const size_t inputs = node->Is("Concat") ? node->inputs.size() : 1;
    for (size_t i = 0; i < inputs; ++i) {
      if (!Bounded(node->inputs[i], depth + 1)) return false;
    }
    return true;
  }

  bool MixesScales(const Node& node) const {
    size_t bounded = 0;
    for (ValueId id : node.inputs) bounded += Bounded(id, 0);
    return bounded != 0 && bounded != node.inputs.size();
  }

  // Operators that were reachable only through ones that have become float since.
  void DropUnreached() {
    for (NodeId id : order_) {
      if (!plan_.nodes.count(id)) continue;
      const Node& node = graph_.node(id);
      const QuantRole role = RoleOf(graph_, node);
      if (role == QuantRole::kCompute) continue;
      bool reached = false;
      for (int slot : DataSlots(node, role)) {
        const Node* producer = graph_.Producer(node.input(static_cast<size_t>(slot)));
        reached |= producer != nullptr && plan_.nodes.count(producer->id) != 0;
      }
      if (!reached) plan_.nodes.erase(id);
    }
  }

  // X -> Relu/Clip with no other reader of X: the pair takes one scale, at the activation's output.
  void FoldActivations() {
    for (NodeId id : order_) {
      const Node& node = graph_.node(id);
      if (!plan_.nodes.count(id) || RoleOf(graph_, node) != QuantRole::kActivation) continue;
      const Node* producer = graph_.Producer(node.input(0));
      if (producer == nullptr || !plan_.nodes.count(producer->id) || graph_.SoleUser(node.input(0)) != id)
        continue;
      if (RoleOf(graph_, *producer) == QuantRole::kPassive) continue;
      plan_.folded[node.outputs[0]] = node.input(0);
    }
  }

  bool HasPair(ValueId id) const { return plan_.activations.count(id) != 0; }

  // The value's numbers already lie on some int8 grid: it has a pair, or is a passive operator's view of one
  // that has.
  bool OnGrid(ValueId id) const {
    if (HasPair(id)) return true;
    const Node* producer = graph_.Producer(id);
    return producer != nullptr && plan_.nodes.count(producer->id) &&
           RoleOf(graph_, *producer) == QuantRole::kPassive && OnGrid(producer->input(0));
  }

  void PlaceNode(const Node& node) {
    if (!plan_.nodes.count(node.id)) return;
    const QuantRole role = RoleOf(graph_, node);
    const bool folded = role == QuantRole::kActivation && plan_.folded.count(node.outputs[0]);
    if (!folded) {
      for (int slot : DataSlots(node, role)) {
        const ValueId input = node.input(static_cast<size_t>(slot));
        if (input == kNone || !facts_.is_float(input)) continue;
        if (graph_.Constant(input) != nullptr) {
          plan_.weights.push_back({node.id, slot, {}, {}});
        } else if (!OnGrid(input)) {
          Add(input);
        }
      }
    }
    if (role == QuantRole::kPassive) return;
    for (ValueId output : node.outputs) {
      if (output == kNone || !facts_.is_float(output)) continue;
      const NodeId user = graph_.SoleUser(output);
      const bool into_activation = user != kNone && plan_.nodes.count(user) &&
                                   RoleOf(graph_, graph_.node(user)) == QuantRole::kActivation &&
                                   plan_.folded.count(graph_.node(user).outputs[0]);
      if (!into_activation) Add(output);
    }
  }

  void Add(ValueId id) {
    ActivationQuant quant;
    quant.interest = InterestOf(id, 0);
    plan_.activations.emplace(id, std::move(quant));
  }

  // The union of what the consumers can see; a graph output is seen whole.
  InterestRange InterestOf(ValueId id, int depth) const {
    const Value& value = graph_.value(id);
    if (value.is_output || value.uses.empty() || depth > 16 || graph_.CapturedBySubgraph(value.name))
      return {};
    InterestRange seen{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
    for (const Use& use : value.uses) {
      const Node& user = graph_.node(use.node);
      const InterestRange range = InterestOfUser(user, use.slot, value, depth);
      seen.lo = std::min(seen.lo, range.lo);
      seen.hi = std::max(seen.hi, range.hi);
    }
    return seen;
  }

  InterestRange InterestOfUser(const Node& user, int slot, const Value& value, int depth) const {
    if (slot != 0 && !user.Is("Mul")) return {};
    if (user.Is("Mul")) {  // x * sigmoid(x): as SiLU, nothing under -10 matters; the sigmoid's own input is
                           // slot 0 of Sigmoid
      const ValueId other = user.input(0) == value.id ? user.input(1) : user.input(0);
      const Node* gate = graph_.Producer(other);
      if (gate != nullptr && gate->input(0) == value.id) {
        if (gate->Is("Sigmoid")) return {-10.0f, std::numeric_limits<float>::infinity()};
        if (gate->Is("HardSigmoid")) {
          const float alpha = gate->Float("alpha", 0.2f), beta = gate->Float("beta", 0.5f);
          if (alpha > 0) return {-beta / alpha, std::numeric_limits<float>::infinity()};
        }
      }
      return {};
    }
    if (RoleOf(graph_, user) == QuantRole::kPassive && !user.Is("Pad") && !user.outputs.empty()) {
      InterestRange seen{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
      for (ValueId output : user.outputs) {
        if (output == kNone) continue;
        const InterestRange range = InterestOf(output, depth + 1);
        seen.lo = std::min(seen.lo, range.lo);
        seen.hi = std::max(seen.hi, range.hi);
      }
      return seen;
    }
    const OperatorRow* row = FindOperator(user.domain, user.op_type, graph_.opset());
    return row != nullptr && row->interest != nullptr ? row->interest(graph_, user) : InterestRange{};
  }

  const Graph& graph_;
  const ValueFacts& facts_;
  const QuantizationParameters& options_;
  std::vector<NodeId> order_;
  IgnoreList ignored_;
  QuantPlan plan_;
};

}  // namespace

QuantPlan PlacePlan(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options) {
  QuantPlan plan = Placer(graph, facts, options).Place();
  QuantizeWeights(graph, options, &plan);
  return plan;
}

}  // namespace xslim
