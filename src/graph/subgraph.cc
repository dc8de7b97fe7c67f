#include "graph/subgraph.h"

#include <algorithm>
#include <map>
#include <set>

namespace xslim {
namespace {

class Extractor {
 public:
  Extractor(const Graph& source, const std::vector<NodeId>& nodes)
      : source_(source), captured_(source.Captures()), chosen_(nodes.begin(), nodes.end()), nodes_(nodes) {}

  Subgraph Run() {
    part_.graph.opset_imports = source_.opset_imports;
    part_.graph.ir_version = source_.ir_version;
    part_.graph.model_source = source_.model_source;
    part_.graph.functions = source_.functions;
    for (NodeId id : nodes_) {
      const Node& node = source_.node(id);
      for (ValueId input : ReadsOf(source_, node)) Read(input);
      for (ValueId output : node.outputs) Make(output);
    }
    for (NodeId id : nodes_) {
      const Node& node = source_.node(id);
      part_.graph.AddNode(node.op_type, node.name, Mapped(node.inputs), Mapped(node.outputs), node.attributes,
                          node.domain);
    }
    for (ValueId id : part_.inputs) part_.graph.AddInput(made_.at(id));
    for (NodeId id : nodes_) {
      for (ValueId output : source_.node(id).outputs) {
        if (output == kNone || !ReadOutside(source_.value(output))) continue;
        part_.graph.AddOutput(made_.at(output));
        part_.outputs.push_back(output);
      }
    }
    return std::move(part_);
  }

 private:
  ValueId Make(ValueId id) {
    if (id == kNone) return kNone;
    const auto found = made_.find(id);
    if (found != made_.end()) return found->second;
    const Value& value = source_.value(id);
    const bool constant = value.has_value();
    const ValueId copy = constant ? part_.graph.AddConstant(value.name, value.constant)
                                  : part_.graph.AddValue(value.name, value.dtype);
    made_.emplace(id, copy);
    if (!constant) {
      Value& made = part_.graph.value(copy);
      made.has_shape = value.has_shape;
      made.dims = value.dims;
      made.source = value.source;
    }
    return copy;
  }

  void Read(ValueId id) {
    const Value& value = source_.value(id);
    const bool inside = value.producer != kNone && chosen_.count(value.producer) != 0;
    const bool fresh = made_.find(id) == made_.end();
    Make(id);
    if (fresh && !inside && !value.has_value()) part_.inputs.push_back(id);
  }

  std::vector<ValueId> Mapped(const std::vector<ValueId>& ids) const {
    std::vector<ValueId> mapped;
    for (ValueId id : ids) mapped.push_back(id == kNone ? kNone : made_.at(id));
    return mapped;
  }

  bool ReadOutside(const Value& value) const {
    if (value.is_output) return true;
    if (std::any_of(value.uses.begin(), value.uses.end(),
                    [&](const Use& use) { return chosen_.count(use.node) == 0; })) {
      return true;
    }
    return captured_.count(value.name) != 0;
  }

  const Graph& source_;
  const std::set<std::string> captured_;
  const std::set<NodeId> chosen_;
  const std::vector<NodeId>& nodes_;
  std::map<ValueId, ValueId> made_;
  Subgraph part_;
};

}  // namespace

std::vector<ValueId> ReadsOf(const Graph& graph, const Node& node) {
  std::vector<ValueId> reads;
  const auto add = [&](ValueId id) {
    if (id != kNone && std::find(reads.begin(), reads.end(), id) == reads.end()) reads.push_back(id);
  };
  for (ValueId input : node.inputs) add(input);
  for (const auto& [key, attribute] : node.attributes) {
    if (!attribute.graph) continue;
    for (const std::string& name : attribute.graph->FreeNames()) add(graph.Find(name));
  }
  return reads;
}

std::set<ValueId> DependingOn(const Graph& graph, std::set<ValueId> from) {
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (node.Is("Shape") || node.Is("Size")) continue;
    const std::vector<ValueId> reads = ReadsOf(graph, node);
    if (std::none_of(reads.begin(), reads.end(), [&](ValueId read) { return from.count(read) != 0; }))
      continue;
    for (ValueId output : node.outputs) {
      if (output != kNone) from.insert(output);
    }
  }
  return from;
}

Subgraph Extract(const Graph& source, const std::vector<NodeId>& nodes) {
  return Extractor(source, nodes).Run();
}

}  // namespace xslim
