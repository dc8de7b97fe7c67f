#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "graph/subgraph.h"
#include "quant/fused_units.h"
#include "quant/ignore_list.h"
#include "quant/interest.h"
#include "quant/left_list.h"
#include "quant/plan.h"

namespace xslim {
namespace {

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
  Placer(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
         const Choices& choices)
      : graph_(graph),
        facts_(facts),
        options_(options),
        choices_(choices),
        order_(graph.Order()),
        ignored_(options) {}

  QuantPlan Place() {
    plan_.quantize_bias = options_.bias == BiasType::kInt32;
    plan_.one_grid = options_.one_grid;
    plan_.bare = choices_.bare;
    MarkOperators();
    ProtectOutputs();
    DropUnreached();
    DropIdleMoves();
    FoldActivations();
    for (NodeId id : FindInside()) {
      if (choices_.quiet) break;
      LogWarning(graph_.node(id).Title(), ": ONNX Runtime has no ", LacksInt8Form(graph_.node(id)),
                 " in int8 and may refuse the model; leave this operator and those that read it float by "
                 "ignore_op_names");
    }
    for (NodeId id : order_) PlaceNode(graph_.node(id));
    const std::set<NodeId>& placed = choices_.placed.empty() ? plan_.nodes : choices_.placed;
    for (auto& [value, quant] : plan_.activations)
      quant.calibration_type = choices_.OfTensor(graph_, value, placed).calibration_type;
    if (!choices_.quiet) ignored_.WarnUnmatched(graph_);
    return std::move(plan_);
  }

  QuantPlan PlaceOnly(std::set<NodeId> nodes, std::set<ValueId> bare) {
    plan_.quantize_bias = options_.bias == BiasType::kInt32;
    plan_.one_grid = options_.one_grid;
    plan_.nodes = std::move(nodes);
    plan_.bare = std::move(bare);
    FoldActivations();
    FindInside();
    for (NodeId id : order_) PlaceNode(graph_.node(id));
    return std::move(plan_);
  }

 private:
  // Tensors that stay without a pair. Returns what OpenFloatForms does.
  std::vector<NodeId> FindInside() {
    if (options_.placement == Placement::kFused) inside_ = InsideFusedUnits(graph_, plan_.nodes);
    return OpenFloatForms(graph_, plan_.nodes, &inside_);
  }

  // Quantizable and downstream of a computing operator through quantizable ones (XSlim's "conservative"
  // dispatch).
  void MarkOperators() {
    const std::set<ValueId> of_data = FindOfData();
    for (NodeId id : order_) {
      const Node& node = graph_.node(id);
      const QuantRole role = RoleOf(graph_, node);
      if (const DType other = OtherFloatOf(node, facts_); other != DType::kUndefined) {
        const char* list = ignored_.Reason(node);
        plan_.left_float[id] = list != nullptr ? list : OtherFloat(other);
        continue;
      }
      if (role == QuantRole::kNone || node.inputs.empty() || !facts_.is_float(node.input(0)) ||
          node.outputs.empty() || !facts_.is_float(node.outputs[0])) {
        continue;
      }
      if (const char* list = ignored_.Reason(node)) {
        plan_.left_float[id] = list;
        continue;
      }
      if (const auto found = choices_.float_by_data.find(id); found != choices_.float_by_data.end()) {
        plan_.left_float[id] = found->second;
        continue;
      }
      if (AddsMask(node)) {
        plan_.left_float[id] = kAddsMask;
        continue;
      }
      if (!Computes(node, role) && !Reached(node, role)) continue;
      if (!of_data.count(node.outputs[0])) {
        plan_.left_float[id] = "no data go into it, only constants and sizes";
        continue;
      }
      const std::string chosen = ChosenFloat(node);
      if (chosen.empty()) {
        plan_.nodes.insert(id);
      } else {
        plan_.left_float[id] = chosen;
        passed_.insert(id);
      }
    }
  }

  // Values that depend on the data, not on sizes alone. (Positions, and the angles made of them, are far too
  // large and exact for 8 bits.)
  std::set<ValueId> FindOfData() const {
    std::set<ValueId> data(graph_.inputs().begin(), graph_.inputs().end());
    for (NodeId id : order_) {
      const Node& node = graph_.node(id);
      if (IsRandom(node)) data.insert(node.outputs.begin(), node.outputs.end());
    }
    return DependingOn(graph_, std::move(data));
  }

  // A product of two constants stays as it is: there is no activation to quantize.
  bool Computes(const Node& node, QuantRole role) const {
    return role == QuantRole::kCompute && facts_.is_float(node.input(1)) &&
           (graph_.Constant(node.input(0)) == nullptr || graph_.Constant(node.input(1)) == nullptr);
  }

  // Why a quantizable operator stays float by choice; "" when it does not.
  std::string ChosenFloat(const Node& node) const {
    const auto found = choices_.stay_float.find(node.id);
    if (found != choices_.stay_float.end()) return found->second;
    const int level = choices_.Of(node.id).precision_level.value_or(options_.precision_level);
    if (level == kPrecisionPartial && ScaleSensitive(node)) return "precision_level 2";
    if (RoleOf(graph_, node) != QuantRole::kActivation) return "";
    const Node* producer = graph_.Producer(node.input(0));
    const bool follows =
        producer != nullptr && passed_.count(producer->id) && graph_.SoleUser(node.input(0)) == node.id;
    return follows ? "as " + producer->Title() + ", which it follows" : "";
  }

  // What precision_level 2 leaves float of the quantizable types, as XSlim: Sigmoid, and arithmetic on two
  // activations. Softmax and Div are float at every level.
  bool ScaleSensitive(const Node& node) const {
    if (node.Is("Sigmoid")) return true;
    if (!node.Is("Add") && !node.Is("Sub") && !node.Is("Mul")) return false;
    return graph_.Constant(node.input(0)) == nullptr && graph_.Constant(node.input(1)) == nullptr;
  }

  // scores + (0 or a huge negative number) before a Softmax.
  bool AddsMask(const Node& node) const {
    if (!node.Is("Add") && !node.Is("Sub")) return false;
    const NodeId user = graph_.SoleUser(node.outputs[0]);
    if (user == kNone || !graph_.node(user).Is("Softmax")) return false;
    return MadeOfHuge(node.input(0)) || MadeOfHuge(node.input(1));
  }

  // Whether a constant of at least 1000, as masks are made of (-10000, -1e9, -FLT_MAX, -inf), goes into the
  // value without a computing operator between.
  bool MadeOfHuge(ValueId id) const {
    constexpr float kHuge = 1000;
    constexpr int kDepth = 12;
    std::set<ValueId> seen;
    std::vector<ValueId> level = {id};
    for (int depth = 0; depth <= kDepth; ++depth) {
      std::vector<ValueId> before;
      for (ValueId at : level) {
        if (at == kNone || !facts_.is_float(at) || !seen.insert(at).second) continue;
        if (const Tensor* constant = graph_.Constant(at)) {
          const float* x = constant->data<float>();
          if (std::any_of(x, x + constant->size(), [](float value) { return std::fabs(value) >= kHuge; }))
            return true;
          continue;
        }
        const Node* producer = graph_.Producer(at);
        if (producer == nullptr || RoleOf(graph_, *producer) == QuantRole::kCompute) continue;
        before.insert(before.end(), producer->inputs.begin(), producer->inputs.end());
      }
      level = std::move(before);
    }
    return false;
  }

  // A data input comes from an operator of the plan, or from one that would be there but for a choice.
  bool Reached(const Node& node, QuantRole role) const {
    const std::vector<int> slots = DataSlots(node, role);
    return std::any_of(slots.begin(), slots.end(), [&](int slot) {
      const Node* producer = graph_.Producer(node.input(static_cast<size_t>(slot)));
      return producer != nullptr && (plan_.nodes.count(producer->id) || passed_.count(producer->id));
    });
  }

  // A Concat at the graph's end whose inputs differ much in size would erase the smaller ones (boxes in
  // pixels beside scores in 0..1). Sizes are not known before calibration, so what is protected here is
  // decided by structure: a Concat that reaches a graph output through data movement only and joins what
  // bounded functions (Sigmoid, Softmax) give with what they do not.
  void ProtectOutputs() {
    if (options_.protect_outputs == ProtectOutputs::kNever) return;
    const std::vector<bool> bounded = FindBounded();
    std::vector<bool> ends(graph_.node_slots(), false);
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const Node& node = graph_.node(*it);
      ends[static_cast<size_t>(*it)] = EndsGraph(graph_, node, plan_.nodes, ends);
      if (!plan_.nodes.count(node.id) || !ends[static_cast<size_t>(*it)]) continue;
      const bool mixes = node.Is("Concat") && MixesScales(node, bounded);
      const bool always =
          options_.protect_outputs == ProtectOutputs::kAlways && RoleOf(graph_, node) != QuantRole::kCompute;
      if (!mixes && !always) continue;
      plan_.nodes.erase(node.id);
      plan_.left_float[node.id] = mixes ? "output protected: joins bounded scores with unbounded values, one "
                                          "scale would erase the scores"
                                        : "output protected (protect_outputs: always)";
      if (!choices_.quiet) LogInfo(node.Title(), " stays float: ", plan_.left_float[node.id]);
    }
  }

  // By operator: whether it hands on what bounded functions give, and nothing else.
  std::vector<bool> FindBounded() const {
    std::vector<bool> bounded(graph_.node_slots(), false);
    for (NodeId id : order_) {
      const Node& node = graph_.node(id);
      const auto end = node.Is("Concat") || node.inputs.empty() ? node.inputs.end() : node.inputs.begin() + 1;
      bounded[static_cast<size_t>(id)] =
          node.Is("Sigmoid") || node.Is("Softmax") || node.Is("HardSigmoid") ||
          (MovesData(node) &&
           std::all_of(node.inputs.begin(), end, [&](ValueId input) { return FromBounded(input, bounded); }));
    }
    return bounded;
  }

  bool FromBounded(ValueId id, const std::vector<bool>& bounded) const {
    const Node* producer = graph_.Producer(id);
    return producer != nullptr && bounded[static_cast<size_t>(producer->id)];
  }

  bool MixesScales(const Node& node, const std::vector<bool>& bounded) const {
    const auto count = std::count_if(node.inputs.begin(), node.inputs.end(),
                                     [&](ValueId input) { return FromBounded(input, bounded); });
    return count != 0 && count != std::ssize(node.inputs);
  }

  // Operators that were reachable only through ones that have become float since.
  void DropUnreached() {
    for (NodeId id : order_) {
      if (!plan_.nodes.count(id)) continue;
      const Node& node = graph_.node(id);
      const QuantRole role = RoleOf(graph_, node);
      if (role == QuantRole::kCompute || Reached(node, role)) continue;
      plan_.nodes.erase(id);
      plan_.left_float[id] = "what lies before it stays float";
    }
  }

  // Data movement that takes from an operator left float by choice and gives to float ones alone: a pair
  // there would serve nobody.
  void DropIdleMoves() {
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const Node& node = graph_.node(*it);
      if (!plan_.nodes.count(*it) || RoleOf(graph_, node) != QuantRole::kPassive) continue;
      const bool serves = std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
        if (output == kNone) return false;
        const std::vector<Use>& uses = graph_.value(output).uses;
        return std::any_of(uses.begin(), uses.end(),
                           [&](const Use& use) { return plan_.nodes.count(use.node) != 0; });
      });
      if (!serves && ComesFromPassed(node)) plan_.nodes.erase(*it);
    }
  }

  bool ComesFromPassed(const Node& node) const {
    const Node* producer = graph_.Producer(node.input(0));
    while (producer != nullptr && plan_.nodes.count(producer->id) &&
           RoleOf(graph_, *producer) == QuantRole::kPassive)
      producer = graph_.Producer(producer->input(0));
    return producer != nullptr && passed_.count(producer->id) != 0;
  }

  // X -> Relu/Clip with no other reader of X: the pair takes one scale, at the activation's output. Behind a
  // passive operator, which has no pair of its own, too: the codes then do what the activation did.
  void FoldActivations() {
    for (NodeId id : order_) {
      const Node& node = graph_.node(id);
      if (!plan_.nodes.count(id) || RoleOf(graph_, node) != QuantRole::kActivation) continue;
      const Node* producer = graph_.Producer(node.input(0));
      if (producer == nullptr || !plan_.nodes.count(producer->id) || graph_.SoleUser(node.input(0)) != id)
        continue;
      plan_.folded[node.outputs[0]] = node.input(0);
    }
  }

  bool HasPair(ValueId id) const { return plan_.activations.count(id) != 0; }

  // The value's numbers already lie on some int8 grid: it has a pair, or is a passive operator's view of one
  // that has.
  bool OnGrid(ValueId id) {
    if (HasPair(id) || viewed_.count(id) != 0) return true;
    const Node* mover = PassiveProducer(graph_, id);
    if (mover == nullptr || !plan_.nodes.count(mover->id) || !OnGrid(mover->input(0))) return false;
    viewed_.insert(id);
    return true;
  }

  void PlaceNode(const Node& node) {
    if (!plan_.nodes.count(node.id)) return;
    const QuantRole role = RoleOf(graph_, node);
    const bool folded = role == QuantRole::kActivation && plan_.folded.count(node.outputs[0]);
    if (!folded) {
      const bool continues = std::any_of(node.inputs.begin(), node.inputs.end(),
                                         [&](ValueId input) { return inside_.count(input) != 0; });
      for (int slot : DataSlots(node, role)) {
        const ValueId input = node.input(static_cast<size_t>(slot));
        if (input == kNone || !facts_.is_float(input) || inside_.count(input)) continue;
        if (graph_.Constant(input) != nullptr) {
          if (!continues) plan_.weights.push_back({node.id, slot, {}, {}});
        } else if (!OnGrid(input)) {
          Add(input);
        }
      }
    }
    if (role == QuantRole::kPassive) return;
    for (ValueId output : node.outputs) {
      if (output == kNone || !facts_.is_float(output) || inside_.count(output) || plan_.bare.count(output))
        continue;
      const std::vector<Use>& uses = graph_.value(output).uses;
      const NodeId user = uses.size() == 1 ? uses[0].node : kNone;
      const bool into_activation = user != kNone && plan_.nodes.count(user) &&
                                   RoleOf(graph_, graph_.node(user)) == QuantRole::kActivation &&
                                   plan_.folded.count(graph_.node(user).outputs[0]) &&
                                   graph_.SoleUser(output) == user;
      if (!into_activation) Add(output);
    }
  }

  void Add(ValueId id) {
    ActivationQuant quant;
    if (options_.visible_ranges) quant.interest = VisibleRange(graph_, id);
    plan_.activations.emplace(id, std::move(quant));
  }

  const Graph& graph_;
  const ValueFacts& facts_;
  const QuantizationParameters& options_;
  const Choices& choices_;
  std::vector<NodeId> order_;
  IgnoreList ignored_;
  std::set<NodeId> passed_;   // float by choice; operators behind them are placed as if they were int8
  std::set<ValueId> viewed_;  // without a pair, but OnGrid()
  std::set<ValueId> inside_;  // tensors inside fused units and beside what LacksInt8Form()
  QuantPlan plan_;
};

}  // namespace

QuantPlan PlacePlan(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
                    const Choices& choices) {
  QuantPlan plan = Placer(graph, facts, options, choices).Place();
  QuantizeWeights(graph, options, &plan);
  return plan;
}

QuantPlan PlaceOnly(const Graph& graph, const ValueFacts& facts, const QuantizationParameters& options,
                    std::set<NodeId> nodes, std::set<ValueId> bare) {
  const Choices none;
  return Placer(graph, facts, options, none).PlaceOnly(std::move(nodes), std::move(bare));
}

}  // namespace xslim
