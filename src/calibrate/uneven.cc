#include "calibrate/uneven.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <vector>

#include "base/log.h"
#include "quant/interest.h"
#include "quant/shown_ends.h"

namespace xslim {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kUneven = 16;  // a tensor this many times smaller than the scale is made for has 16 codes
constexpr float kUnseen = -16;  // exp(-16) is less than half a step of a Softmax's output in int8, or float16
constexpr float kFarDown = 2;   // times the span of the scores
constexpr double kSteps = 255;  // of an int8 tensor
// Steps of the least divisor. Data that calibration has not seen may have smaller ones, and a quotient is as
// inexact as that.
constexpr double kFewestInDivisor = 8;

// What a tensor holds. Infinities count for the mask that they are part of.
struct Extremes {
  float lo = 0, hi = 0;
  double span() const {
    return std::max(static_cast<double>(hi), 0.0) - std::min(static_cast<double>(lo), 0.0);
  }
};

// An Add or Sub whose result goes to a Softmax, perhaps in another shape, and nowhere else.
bool MayAddMask(const Graph& graph, const Node& node) {
  if (!node.Is("Add") && !node.Is("Sub")) return false;
  NodeId user = graph.SoleUser(node.outputs[0]);
  while (user != kNone && RoleOf(graph, graph.node(user)) == QuantRole::kPassive)
    user = graph.SoleUser(graph.node(user).outputs[0]);
  return user != kNone && graph.node(user).Is("Softmax");
}

class Finder {
 public:
  Finder(const Graph& graph, const QuantPlan& plan, const StatisticsMap& statistics)
      : graph_(graph), plan_(plan), statistics_(statistics), operands_(MaskOperands(graph, plan)) {}

  std::map<NodeId, std::string> Run(bool protect) {
    std::vector<bool> ends(graph_.node_slots(), false);
    const std::vector<NodeId> order = graph_.Order();
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = graph_.node(*it);
      ends[static_cast<size_t>(*it)] = EndsGraph(graph_, node, plan_.nodes, ends);
      for (ValueId output : node.outputs) {
        const char* why = output == kNone ? nullptr : ZeroIsFatal(output);
        if (why != nullptr) fatal_[output] = why;
      }
      if (!plan_.nodes.count(*it)) continue;
      if (AddsMask(node)) {
        found_[*it] = kAddsMask;
      } else if (const char* why = LosesSmall(node)) {
        found_[*it] = why;
      } else if (protect && (ends[static_cast<size_t>(*it)] || GivesScores(node, ends))) {
        CheckEnd(node);
      }
    }
    return std::move(found_);
  }

 private:
  // positive: the sign of its infinities. Only what every run observes counts: the map may hold more.
  std::optional<Extremes> Of(ValueId id, bool positive = false) const {
    while (id != kNone) {
      if (const Tensor* constant = graph_.Constant(id)) return OfConstant(*constant);
      const bool observed = plan_.activations.count(id) || operands_.count(id);
      const auto found = observed ? statistics_.find(id) : statistics_.end();
      if (found != statistics_.end()) {
        // A tensor's infinities have no sign in its statistics. In front of a Softmax only negative ones make
        // sense.
        const bool infinite = found->second.infinite_count() > 0;
        return Extremes{infinite && !positive ? -kInf : found->second.min(),
                        infinite && positive ? kInf : found->second.max()};
      }
      const Node* mover = PassiveProducer(graph_, id);
      id = mover == nullptr ? kNone : mover->input(0);
    }
    return std::nullopt;
  }

  static std::optional<Extremes> OfConstant(const Tensor& constant) {
    if (constant.dtype() != DType::kFloat || constant.size() == 0) return std::nullopt;
    const auto [lo, hi] =
        std::minmax_element(constant.data<float>(), constant.data<float>() + constant.size());
    return Extremes{*lo, *hi};
  }

  bool AddsMask(const Node& node) const {
    if (!MayAddMask(graph_, node)) return false;
    const std::optional<Extremes> left = Of(node.input(0));
    std::optional<Extremes> right = Of(node.input(1), node.Is("Sub"));
    if (!left || !right) return false;
    if (node.Is("Sub")) right = Extremes{-right->hi, -right->lo};
    const auto masks = [](const Extremes& mask, const Extremes& scores) {
      return mask.hi <= 0 && mask.lo <= kUnseen && mask.lo <= -kFarDown * scores.span();
    };
    return masks(*left, *right) || masks(*right, *left);
  }

  // Why a result must not have small numbers made zeros; null where it may. That of roots is known by then.
  const char* ZeroIsFatal(ValueId value) const {
    for (const Use& use : graph_.value(value).uses) {
      const Node& user = graph_.node(use.node);
      if (user.Is("Log")) return kIntoLogarithm;
      const Tensor* exponent = user.Is("Pow") && use.slot == 0 ? graph_.Constant(user.input(1)) : nullptr;
      const std::optional<Extremes> power =
          exponent == nullptr ? std::nullopt : OfConstant(exponent->ToFloat32());
      if (user.Is("Reciprocal") || (user.Is("Div") && use.slot == 1) || (power && power->hi < 0))
        return kIntoDivisor;
      if (!user.Is("Sqrt") && !(power && power->lo > 0)) continue;
      if (const auto root = fatal_.find(user.outputs[0]); root != fatal_.end()) return root->second;
    }
    return nullptr;
  }

  const char* LosesSmall(const Node& node) const {
    const QuantRole role = RoleOf(graph_, node);
    if (role == QuantRole::kPassive) return nullptr;
    if (role == QuantRole::kCompute) return ComputesEnergies(node) ? kIntoLogarithm : nullptr;
    for (ValueId output : node.outputs) {
      const auto fatal = fatal_.find(output);
      std::optional<Extremes> extremes = fatal == fatal_.end() ? std::nullopt : Of(output);
      if (!extremes) continue;
      const char* why = fatal->second;
      if (why == kIntoDivisor && extremes->hi < 0) extremes = Extremes{-extremes->hi, -extremes->lo};
      const double most = why == kIntoDivisor ? kSteps / kFewestInDivisor : kSteps;
      if (extremes->lo > 0 && extremes->hi > most * static_cast<double>(extremes->lo)) return why;
      // Numbers of both signs come as close to zero as they like.
      if (why == kIntoDivisor && extremes->lo < 0 && extremes->hi > 0) return why;
    }
    return nullptr;
  }

  // A filter bank: what it makes is never below zero, and a Log reads it. Quiet bands have no codes of their
  // own in what it reads, either.
  bool ComputesEnergies(const Node& node) const {
    if (graph_.Constant(node.input(0)) == nullptr && graph_.Constant(node.input(1)) == nullptr) return false;
    bool known = false;
    for (ValueId value : WaysToLogarithms(graph_, node.outputs[0])) {
      const std::optional<Extremes> extremes = Of(value);
      if (!extremes) continue;
      known = true;
      if (!(extremes->lo >= 0 && extremes->hi > kSteps * static_cast<double>(extremes->lo))) return false;
    }
    return known;
  }

  // Scores that a branch of If hands on, and that, compared with a number, choose the branch, or that a
  // product at the end is made of.
  bool GivesScores(const Node& node, const std::vector<bool>& ends) const {
    return node.Is("Sigmoid") && (IsFactorAtEnd(node.outputs[0], ends) ||
                                  graph_.CapturedBySubgraph(graph_.value(node.outputs[0]).name));
  }

  // Through data movement.
  bool IsFactorAtEnd(ValueId from, const std::vector<bool>& ends) const {
    std::vector<ValueId> open = {from};
    std::set<ValueId> seen = {from};
    while (!open.empty()) {
      const ValueId id = open.back();
      open.pop_back();
      for (const Use& use : graph_.value(id).uses) {
        const Node& user = graph_.node(use.node);
        if (ends[static_cast<size_t>(user.id)] && user.Is("Mul") && MakesScores(graph_, user)) return true;
        if (RoleOf(graph_, user) != QuantRole::kPassive) continue;
        for (ValueId output : user.outputs)
          if (output != kNone && seen.insert(output).second) open.push_back(output);
      }
    }
    return false;
  }

  void CheckEnd(const Node& node) {
    double least = kInf, most = 0;
    if (node.Is("Concat")) {
      for (ValueId input : node.inputs) {
        const std::optional<Extremes> extremes = Of(input);
        if (!extremes || !(extremes->span() > 0) || !std::isfinite(extremes->span())) continue;
        least = std::min(least, extremes->span());
        most = std::max(most, extremes->span());
      }
      if (most > kUneven * least)
        found_[node.id] = StrCat("output protected: joins tensors whose ranges differ ",
                                 std::lround(most / least), " times, one scale would erase the small ones");
      return;
    }
    if (MakesScores(graph_, node)) {
      const std::optional<Extremes> scores = Of(node.outputs[0]);
      if (scores && scores->hi < kMostSmallScore)
        found_[node.id] = StrCat("output protected: calibration saw no scores above ", scores->hi,
                                 ", one scale would cut larger ones off or erase these");
      return;
    }
    const Tensor* constant = node.Is("Mul") || node.Is("Div") ? ConstantOperand(graph_, node) : nullptr;
    if (constant == nullptr || constant->dtype() != DType::kFloat) return;
    for (int64_t i = 0; i < constant->size(); ++i) {
      const double size = std::fabs(static_cast<double>(constant->data<float>()[i]));
      if (size == 0 || !std::isfinite(size)) continue;
      least = std::min(least, size);
      most = std::max(most, size);
    }
    if (most > kUneven * least)
      found_[node.id] = StrCat("output protected: its constants differ ", std::lround(most / least),
                               " times, one scale would erase what the small ones give");
  }

  const Graph& graph_;
  const QuantPlan& plan_;
  const StatisticsMap& statistics_;
  const std::set<ValueId> operands_;
  std::map<ValueId, const char*> fatal_;  // of results behind the node that is looked at: ZeroIsFatal()
  std::map<NodeId, std::string> found_;
};

}  // namespace

std::set<ValueId> MaskOperands(const Graph& graph, const QuantPlan& plan) {
  std::set<ValueId> operands;
  for (NodeId id : plan.nodes) {
    const Node& node = graph.node(id);
    if (!MayAddMask(graph, node)) continue;
    for (ValueId input : node.inputs) {
      if (input != kNone && !graph.value(input).has_value() && !plan.activations.count(input))
        operands.insert(input);
    }
  }
  return operands;
}

std::map<NodeId, std::string> FindUneven(const Graph& graph, const QuantPlan& plan,
                                         const StatisticsMap& statistics, ProtectOutputs protect) {
  return Finder(graph, plan, statistics).Run(protect != ProtectOutputs::kNever);
}

}  // namespace xslim
