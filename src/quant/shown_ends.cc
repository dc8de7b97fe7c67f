#include "quant/shown_ends.h"

#include <algorithm>
#include <vector>

#include "quant/interest.h"
#include "quant/selected.h"

namespace xslim {
namespace {

constexpr ShownEnds kBoth{true, true};

bool IsAnyOf(const Node& node, std::initializer_list<const char*> types) {
  return std::any_of(types.begin(), types.end(), [&](const char* type) { return node.Is(type); });
}

// What a sign does: the upper end of -x is the lower one of x.
ShownEnds Times(ShownEnds ends, const Tensor& factor) {
  const Tensor numbers = factor.ToFloat32();
  const float *begin = numbers.data<float>(), *end = begin + numbers.size();
  const bool positive = std::any_of(begin, end, [](float x) { return x > 0; }),
             negative = std::any_of(begin, end, [](float x) { return x < 0; });
  return {(positive && ends.lo) || (negative && ends.hi), (positive && ends.hi) || (negative && ends.lo)};
}

class EndFinder {
 public:
  EndFinder(const Graph& graph, const ValueFacts& facts)
      : graph_(graph), facts_(facts), selected_(FindSelected(graph, facts)) {}

  std::map<ValueId, ShownEnds> Find() {
    for (ValueId output : graph_.outputs()) Show(output, kBoth);
    while (!open_.empty()) {
      const ValueId id = open_.back();
      open_.pop_back();
      if (const Node* producer = graph_.Producer(id)) Pass(*producer, id, shown_.at(id));
    }
    std::erase_if(shown_, [&](const auto& entry) { return !facts_.is_float(entry.first); });
    return std::move(shown_);
  }

 private:
  void Show(ValueId id, ShownEnds ends) {
    if (id == kNone || graph_.value(id).has_value()) return;
    const auto [entry, first] = shown_.try_emplace(id, ends);
    const ShownEnds known = entry->second;
    entry->second = {known.lo || ends.lo, known.hi || ends.hi, known.score && ends.score};
    if (first || entry->second != known) open_.push_back(id);
  }

  void ShowInputs(const Node& node, ShownEnds ends) {
    for (ValueId input : node.inputs) Show(input, ends);
  }

  // What the branches hand on as it is, from the graph around them.
  void ShowCaptures(const Node& node, ValueId output, ShownEnds ends) {
    const auto slot = static_cast<size_t>(std::find(node.outputs.begin(), node.outputs.end(), output) -
                                          node.outputs.begin());
    for (const auto& [key, attribute] : node.attributes) {
      if (!attribute.graph || slot >= attribute.graph->outputs().size()) continue;
      const Graph& branch = *attribute.graph;
      const ValueId given = BeforeMoves(branch, branch.outputs()[slot]);
      if (branch.Producer(given) == nullptr && !branch.value(given).has_value())
        Show(graph_.Find(branch.value(given).name), ends);
    }
  }

  void Pass(const Node& node, ValueId output, ShownEnds ends) {
    if (node.Is("Shape") || node.Is("Size")) return;
    const bool whole = facts_.is_float(output) && !selected_.count(output);
    if (node.Is("If")) ShowCaptures(node, output, whole ? ends : kBoth);
    const Tensor* constant = ConstantOperand(graph_, node);
    if (!whole) {
      ShowInputs(node, kBoth);
    } else if (MovesData(node) || node.Is("Max") || node.Is("Min")) {
      ShowInputs(node, ends);
    } else if (RoleOf(graph_, node) == QuantRole::kPassive ||
               IsAnyOf(node, {"Resize", "DepthToSpace", "Tanh", "Clip", "LeakyRelu", "HardSwish", "Sqrt"})) {
      Show(node.input(0), ends);
    } else if (IsAnyOf(node, {"Sigmoid", "HardSigmoid"})) {
      Show(node.input(0), {false, ends.hi, ends.hi});
    } else if (IsAnyOf(node, {"Softmax", "LogSoftmax", "Softplus", "Exp", "Relu"})) {
      Show(node.input(0), {false, ends.hi});
    } else if (node.Is("Neg")) {
      Show(node.input(0), {ends.hi, ends.lo});
    } else if (node.Is("Mul") || node.Is("Div")) {
      if (constant != nullptr) {
        ShowInputs(node, Times(ends, *constant));
      } else if (node.Is("Mul")) {
        ShowInputs(node, kBoth);
      }
    } else if (constant != nullptr) {
      Show(node.input(0), ends);
      Show(node.input(1), node.Is("Sub") ? ShownEnds{ends.hi, ends.lo} : ends);
    }
  }

  const Graph& graph_;
  const ValueFacts& facts_;
  const std::map<ValueId, NodeId> selected_;
  std::map<ValueId, ShownEnds> shown_;
  std::vector<ValueId> open_;
};

}  // namespace

bool MakesScores(const Graph& graph, const Node& node) {
  if (!node.Is("Mul")) return node.Is("Sigmoid");
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
    const Node* const producer = graph.Producer(BeforeMoves(graph, input));
    return producer != nullptr && producer->Is("Sigmoid");
  });
}

std::map<ValueId, ShownEnds> FindShownEnds(const Graph& graph, const ValueFacts& facts) {
  return EndFinder(graph, facts).Find();
}

}  // namespace xslim
