// Before: a chain of shape arithmetic whose result is axes of values and numbers, e.g. [N, 1, 64]
// After:  Shape (and Slice before opset 15) of those values, Concat with the numbers
// Only where that takes fewer operators.
#include <algorithm>
#include <set>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// Neighbouring elements: numbers, or consecutive axes of one value.
struct Run {
  std::vector<int64_t> numbers;
  ValueId value = kNone;
  int first = 0, last = 0;  // axes [first, last)
};

std::optional<std::vector<Run>> RunsOf(const ShapeFacts& facts, const Sizes& content) {
  std::vector<Run> runs;
  for (const Size& size : content) {
    if (size.is_number()) {
      if (runs.empty() || runs.back().value != kNone) runs.emplace_back();
      runs.back().numbers.push_back(size.factor);
      continue;
    }
    const auto axis = facts.symbols().AxisOf(size);
    if (!axis) return std::nullopt;
    if (runs.empty() || runs.back().value != axis->value || runs.back().last != axis->axis) {
      runs.push_back({{}, axis->value, axis->axis, axis->axis});
    }
    runs.back().last = axis->axis + 1;
  }
  return runs;
}

size_t NodesOf(const std::vector<Run>& runs, int opset) {
  size_t nodes = runs.size() > 1 ? 1 : 0;
  for (const Run& run : runs) nodes += run.value == kNone ? 0 : opset >= 15 ? 1 : 2;
  return nodes;
}

// Operators that would die with the node: it and what only it needs.
size_t NodesBehind(const Graph& graph, NodeId last) {
  std::set<NodeId> dying{last};
  std::vector<NodeId> work{last};
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    for (ValueId input : graph.node(id).inputs) {
      const Node* producer = input == kNone ? nullptr : graph.Producer(input);
      if (producer == nullptr || dying.count(producer->id)) continue;
      const bool only = std::all_of(producer->outputs.begin(), producer->outputs.end(), [&](ValueId output) {
        if (output == kNone) return true;
        const Value& value = graph.value(output);
        return !value.is_output && !graph.CapturedBySubgraph(value.name) &&
               std::all_of(value.uses.begin(), value.uses.end(),
                           [&](const Use& use) { return dying.count(use.node); });
      });
      if (!only) continue;
      dying.insert(producer->id);
      work.push_back(producer->id);
    }
  }
  return dying.size();
}

// A reader that is no shape arithmetic itself.
bool FeedsData(const Graph& graph, const ShapeFacts& facts, ValueId id) {
  const auto& uses = graph.value(id).uses;
  return std::any_of(uses.begin(), uses.end(), [&](const Use& use) {
    const Node& reader = graph.node(use.node);
    return !reader.outputs.empty() && !facts.of(reader.outputs[0]).content;
  });
}

ValueId Build(Graph* graph, const Run& run, const std::string& name) {
  if (run.value == kNone) {
    const int64_t size = static_cast<int64_t>(run.numbers.size());
    return graph->AddConstant(name + "_sizes", Tensor::Of<int64_t>({size}, run.numbers));
  }
  const ValueId shape = graph->AddValue(name + "_shape", DType::kInt64);
  if (graph->opset() >= 15) {
    graph->AddNode("Shape", name + "_Shape", {run.value}, {shape},
                   {{"start", Attribute::Int(run.first)}, {"end", Attribute::Int(run.last)}});
    return shape;
  }
  graph->AddNode("Shape", name + "_Shape", {run.value}, {shape});
  std::vector<int64_t> axes;
  for (int axis = run.first; axis < run.last; ++axis) axes.push_back(axis);
  const ValueId indices =
      graph->AddConstant(name + "_axes", Tensor::Of<int64_t>({static_cast<int64_t>(axes.size())}, axes));
  const ValueId part = graph->AddValue(name + "_part", DType::kInt64);
  graph->AddNode("Gather", name + "_Gather", {shape, indices}, {part}, {{"axis", Attribute::Int(0)}});
  return part;
}

}  // namespace

int RebuildShapes(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (node.outputs.size() != 1 || node.outputs[0] == kNone || graph->value(node.outputs[0]).is_output)
      continue;
    const ValueId output = node.outputs[0];
    const TensorFacts& known = facts.of(output);
    if (!known.content || !known.dims || known.dims->size() != 1 || known.dtype != DType::kInt64) continue;
    if (AsNumbers(*known.content) || !FeedsData(*graph, facts, output)) continue;
    const auto runs = RunsOf(facts, *known.content);
    if (!runs || NodesOf(*runs, graph->opset()) >= NodesBehind(*graph, id)) continue;
    const std::string name = graph->value(output).name;
    std::vector<ValueId> parts;
    for (const Run& run : *runs) parts.push_back(Build(graph, run, name));
    if (parts.size() > 1) {
      ReplaceWith(graph, id, "Concat", parts, {{"axis", Attribute::Int(0)}});
    } else {
      graph->ReplaceUses(output, parts[0]);
    }
    ++count;
  }
  return count;
}

}  // namespace xslim
