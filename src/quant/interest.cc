#include "quant/interest.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace xslim {
namespace {

constexpr int kDeepest = 16;  // data movements that are looked through
// What is less, and added to numbers in front of a Log, keeps these from zero.
constexpr float kEpsilon = 0.5f;

// A SiLU is a Mul and the Sigmoid that it reads.
Curve Joined(Curve a, Curve b) {
  if (a == b) return a;
  return a == Curve::kNone || b == Curve::kNone ? Curve::kNone : Curve::kSilu;
}

void Join(const InterestRange& range, InterestRange* seen) {
  const bool first = seen->lo > seen->hi;  // nothing has been joined yet
  seen->curve = first ? range.curve : Joined(seen->curve, range.curve);
  seen->lo = std::min(seen->lo, range.lo);
  seen->hi = std::max(seen->hi, range.hi);
  seen->fades = seen->fades || range.fades;
}

InterestRange InterestOf(const Graph& graph, ValueId id, int depth);

// Of what a constant is added to, or taken from; where limits depend on the largest number, nothing is known.
InterestRange InterestBeforeShift(const Graph& graph, const Node& user, int depth) {
  const Tensor* const constant = ConstantOperand(graph, user);
  if (constant == nullptr || constant->dtype() != DType::kFloat || constant->size() == 0) return {};
  const InterestRange seen = InterestOf(graph, user.outputs[0], depth + 1);
  if (seen.fades || (std::isinf(seen.lo) && std::isinf(seen.hi))) return {};
  float least = std::numeric_limits<float>::infinity(), most = -least;
  for (int64_t i = 0; i < constant->size(); ++i) {
    const float x = constant->data<float>()[i];
    if (!std::isfinite(x)) return {};
    least = std::min(least, x);
    most = std::max(most, x);
  }
  // Half a step of the constant's own int8 codes.
  const float rounding = std::max(std::fabs(least), std::fabs(most)) / 254;
  if (user.Is("Add")) return {seen.lo - most - rounding, seen.hi - least + rounding};
  if (graph.Constant(user.input(0)) != nullptr) return {};
  return {seen.lo + least - rounding, seen.hi + most + rounding};
}

InterestRange InterestOfUser(const Graph& graph, const Node& user, int slot, const Value& value, int depth) {
  if (user.Is("Add") || user.Is("Sub")) return InterestBeforeShift(graph, user, depth);
  if (slot != 0 && !user.Is("Mul")) return {};
  if (user.Is("Mul")) {  // x * sigmoid(x): as SiLU, nothing under -10 matters; the sigmoid's own input is
                         // slot 0 of Sigmoid
    const ValueId other = user.input(0) == value.id ? user.input(1) : user.input(0);
    const Node* gate = graph.Producer(other);
    if (gate != nullptr && gate->input(0) == value.id) {
      if (gate->Is("Sigmoid")) return {-10.0f, std::numeric_limits<float>::infinity(), true, Curve::kSilu};
      if (gate->Is("HardSigmoid")) {
        const float alpha = gate->Float("alpha", 0.2f), beta = gate->Float("beta", 0.5f);
        if (alpha > 0) return {-beta / alpha, std::numeric_limits<float>::infinity()};
      }
    }
    return {};
  }
  if (RoleOf(graph, user) == QuantRole::kPassive && !user.Is("Pad") && !user.outputs.empty()) {
    InterestRange seen{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
    for (ValueId output : user.outputs) {
      if (output == kNone) continue;
      const InterestRange range = InterestOf(graph, output, depth + 1);
      Join(range, &seen);
    }
    return seen;
  }
  const OperatorRow* row = FindOperator(user.domain, user.op_type, graph.opset());
  return row != nullptr && row->interest != nullptr ? row->interest(graph, user) : InterestRange{};
}

InterestRange InterestOf(const Graph& graph, ValueId id, int depth) {
  const Value& value = graph.value(id);
  if (value.is_output || value.uses.empty() || depth > kDeepest) return {};
  InterestRange seen{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  for (const Use& use : value.uses) {
    const Node& user = graph.node(use.node);
    const InterestRange range = InterestOfUser(graph, user, use.slot, value, depth);
    Join(range, &seen);
  }
  // Bodies, which may be thousands, are asked only where it matters.
  const bool unlimited = std::isinf(seen.lo) && std::isinf(seen.hi) && seen.lo < seen.hi && !seen.fades;
  return !unlimited && graph.CapturedBySubgraph(value.name) ? InterestRange{} : seen;
}

// What the operator adds to a tensor, or sets as its lower bound; null where that is no constant.
const Tensor* AddedOrLeast(const Graph& graph, const Node& node) {
  if (node.Is("Add") || node.Is("Sub")) return ConstantOperand(graph, node);
  if (node.Is("Clip")) return node.input(1) == kNone ? nullptr : graph.Constant(node.input(1));
  if (!node.Is("Max") || node.inputs.size() != 2) return nullptr;
  const Tensor* left = graph.Constant(node.input(0));
  return left != nullptr ? left : graph.Constant(node.input(1));
}

// Whether differences between small numbers are left by the operator: it moves them, multiplies them by a
// constant, or adds an epsilon or sets it as a bound (the 1 of log(1 + x) is none).
bool KeepsSmall(const Graph& graph, const Node& node) {
  if (RoleOf(graph, node) == QuantRole::kPassive || node.Is("Relu")) return true;
  if (node.Is("Mul") || node.Is("Div")) return ConstantOperand(graph, node) != nullptr;
  const Tensor* constant = AddedOrLeast(graph, node);
  if (constant == nullptr) return node.Is("Clip") && node.Float("min", 0) < kEpsilon;
  if (!IsFloating(constant->dtype())) return false;
  const Tensor numbers = constant->ToFloat32();
  return std::all_of(numbers.data<float>(), numbers.data<float>() + numbers.size(),
                     [](float x) { return std::fabs(x) < kEpsilon; });
}

}  // namespace

QuantRole RoleOf(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return QuantRole::kNone;
  const OperatorRow* row = FindOperator(node.domain, node.op_type, graph.opset());
  return row ? row->role : QuantRole::kNone;
}

bool MovesData(const Node& node) {
  for (const char* type : {"Concat", "Reshape", "Transpose", "Split", "Slice", "Squeeze", "Unsqueeze",
                           "Flatten", "Identity", "Gather"}) {
    if (node.Is(type)) return true;
  }
  return false;
}

const Node* PassiveProducer(const Graph& graph, ValueId value) {
  const Node* producer = graph.Producer(value);
  return producer != nullptr && RoleOf(graph, *producer) == QuantRole::kPassive ? producer : nullptr;
}

ValueId BeforeMoves(const Graph& graph, ValueId value) {
  while (const Node* mover = PassiveProducer(graph, value)) value = mover->input(0);
  return value;
}

const Tensor* ConstantOperand(const Graph& graph, const Node& node) {
  const bool either = node.Is("Add") || node.Is("Sub") || node.Is("Mul");
  if (!either && !node.Is("Div")) return nullptr;
  const Tensor *left = graph.Constant(node.input(0)), *right = graph.Constant(node.input(1));
  if ((left != nullptr) == (right != nullptr)) return nullptr;
  return right != nullptr ? right : either ? left : nullptr;
}

std::vector<ValueId> WaysToLogarithms(const Graph& graph, ValueId value) {
  std::vector<ValueId> reached = {value}, read_by_log;
  std::map<ValueId, std::vector<ValueId>> made_of;  // by value: those of `reached` that it is made of
  for (size_t i = 0; i < reached.size(); ++i) {
    const ValueId from = reached[i];
    for (const Use& use : graph.value(from).uses) {
      const Node& user = graph.node(use.node);
      if (user.Is("Log")) read_by_log.push_back(from);
      if (!KeepsSmall(graph, user)) continue;
      for (ValueId output : user.outputs) {
        if (output == kNone) continue;
        const auto [entry, first] = made_of.try_emplace(output);
        if (first) reached.push_back(output);
        entry->second.push_back(from);
      }
    }
  }
  std::set<ValueId> ways;
  for (std::vector<ValueId> open = std::move(read_by_log); !open.empty();) {
    const ValueId way = open.back();
    open.pop_back();
    if (!ways.insert(way).second) continue;
    const std::vector<ValueId>& from = made_of[way];
    open.insert(open.end(), from.begin(), from.end());
  }
  return {ways.begin(), ways.end()};
}

bool EndsGraph(const Graph& graph, const Node& node, const std::set<NodeId>& quantized,
               const std::vector<bool>& ends) {
  const auto ends_too = [&](const Use& use) {
    const Node& user = graph.node(use.node);
    return ends[static_cast<size_t>(use.node)] &&
           (RoleOf(graph, user) == QuantRole::kPassive || !quantized.count(user.id) ||
            ConstantOperand(graph, user) != nullptr);
  };
  bool reaches = false;
  for (ValueId output : node.outputs) {
    if (output == kNone) continue;
    const Value& value = graph.value(output);
    if (!std::all_of(value.uses.begin(), value.uses.end(), ends_too)) return false;
    if (graph.CapturedBySubgraph(value.name)) return false;
    reaches |= value.is_output || !value.uses.empty();
  }
  return reaches;
}

InterestRange VisibleRange(const Graph& graph, ValueId value) { return InterestOf(graph, value, 0); }

}  // namespace xslim
