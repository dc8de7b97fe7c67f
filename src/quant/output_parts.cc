#include "quant/output_parts.h"

#include <algorithm>
#include <map>
#include <set>

#include "graph/subgraph.h"
#include "quant/interest.h"
#include "quant/selected.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

constexpr size_t kMostParts = 64;

// The way from one output back to the tensors that are moved into it.
class Finder {
 public:
  Finder(const Graph& graph, const ValueFacts& facts) : graph_(graph), facts_(facts) {}

  OutputParts Find(ValueId output, ThreadPool& pool) {
    OutputParts found{{{graph_.value(output).name, {output}}}, {}, {}};
    found.is_float = facts_.is_float(output);
    found.rounded = IsRounded(output);
    if (!found.is_float) return found;
    Visit(output, {});
    if (!divisible_ || parts_.size() < 2 || parts_.size() > kMostParts) return found;
    found.labels = Labels(output, pool);
    if (found.labels.empty()) return found;
    found.parts = std::move(parts_);
    found.shape = facts_.of(output).shape;
    return found;
  }

 private:
  // Moved data aside. What ArgMax and the like choose are integers that no Cast makes of floats.
  bool IsRounded(ValueId id) const {
    const Node* producer = graph_.Producer(id);
    while (producer != nullptr && Transparent(*producer) && !producer->Is("Concat"))
      producer = graph_.Producer(producer->input(0));
    const DType type = facts_.of(id).dtype;
    return producer != nullptr && producer->Is("Cast") && facts_.is_float(producer->input(0)) &&
           IsInteger(type);
  }

  void Visit(ValueId id, std::vector<ValueId> path) {
    if (!seen_.insert(id).second || !divisible_) return;
    path.push_back(id);
    const Node* producer = graph_.Producer(id);
    if (producer == nullptr || !Transparent(*producer)) {
      divisible_ = divisible_ && facts_.is_float(id) && graph_.Constant(id) == nullptr;
      parts_.push_back({graph_.value(id).name, path});
      return;
    }
    moving_.insert(producer->id);
    const size_t inputs = producer->Is("Concat") ? producer->inputs.size() : 1;
    for (size_t i = 0; i < inputs; ++i) Visit(producer->inputs[i], path);
  }

  // Moves data in a way that no data decides.
  bool Transparent(const Node& node) const {
    if (!MovesData(node) || node.inputs.empty()) return false;
    if (node.Is("Concat")) return true;
    return std::all_of(node.inputs.begin() + 1, node.inputs.end(),
                       [&](ValueId id) { return id == kNone || graph_.Constant(id) != nullptr; });
  }

  // The same movement of tensors that hold the number of their part.
  std::vector<int32_t> Labels(ValueId output, ThreadPool& pool) const {
    std::vector<NodeId> nodes;
    for (NodeId id : graph_.Order()) {
      if (moving_.count(id)) nodes.push_back(id);
    }
    const Subgraph movement = Extract(graph_, nodes);
    std::map<ValueId, float> number;
    for (size_t p = 0; p < parts_.size(); ++p) number[parts_[p].path.back()] = static_cast<float>(p);
    std::vector<Tensor> inputs;
    for (ValueId id : movement.inputs) {
      Tensor filled(DType::kFloat, facts_.of(id).shape);
      std::fill_n(filled.data<float>(), filled.size(), number.at(id));
      inputs.push_back(std::move(filled));
    }
    const std::vector<Tensor> outputs = Executor(movement.graph, pool).Run(inputs);
    std::vector<int32_t> labels;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (movement.outputs[i] != output || outputs[i].shape() != facts_.of(output).shape) continue;
      const float* x = outputs[i].data<float>();
      for (int64_t k = 0; k < outputs[i].size(); ++k) labels.push_back(static_cast<int32_t>(x[k]));
    }
    return labels;
  }

  const Graph& graph_;
  const ValueFacts& facts_;
  bool divisible_ = true;
  std::set<ValueId> seen_;
  std::set<NodeId> moving_;
  std::vector<OutputPart> parts_;
};

}  // namespace

std::vector<OutputParts> FindOutputParts(const Graph& graph, const ValueFacts& facts, ThreadPool& pool) {
  std::vector<OutputParts> found;
  const std::map<ValueId, NodeId> selected = FindSelected(graph, facts);
  for (ValueId id : graph.outputs()) {
    found.push_back(Finder(graph, facts).Find(id, pool));
    if (const auto by = selected.find(id); by != selected.end())
      found.back().selected_by = graph.node(by->second).Title();
  }
  return found;
}

}  // namespace xslim
