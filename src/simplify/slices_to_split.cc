// Before: Slices of x that together are x, part by part along one axis        After: Split
// Before: Split with one output in use                                       After: Slice
#include <algorithm>
#include <map>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

struct Part {
  NodeId node;
  int64_t begin, end;
};

// The stretch [begin, end) of one axis that a Slice takes, and that axis.
std::optional<std::pair<int64_t, Part>> PartOf(const Graph& graph, const ShapeFacts& facts,
                                               const Node& node) {
  const auto starts = IntsOf(graph, node, 1, "starts"), ends = IntsOf(graph, node, 2, "ends"),
             axes = IntsOf(graph, node, 3, "axes");
  if (!starts || !ends || !axes || starts->size() != 1 || ends->size() != 1 || axes->size() != 1)
    return std::nullopt;
  if (node.input(4) != kNone && IntsOf(graph, node, 4, "") != std::vector<int64_t>{1}) return std::nullopt;
  const int64_t rank = facts.RankOf(node.input(0)), axis = (*axes)[0] < 0 ? (*axes)[0] + rank : (*axes)[0];
  const int64_t size = facts.DimOf(node.input(0), axis);
  if (rank <= 0 || axis < 0 || size <= 0) return std::nullopt;
  const auto place = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  return std::make_pair(axis, Part{node.id, place((*starts)[0]), place((*ends)[0])});
}

void MakeSplit(Graph* graph, ValueId x, int64_t axis, const std::vector<Part>& parts) {
  std::vector<ValueId> outputs, inputs{x};
  std::vector<int64_t> sizes;
  const std::string name = graph->node(parts[0].node).name;
  for (const Part& part : parts) {
    outputs.push_back(graph->node(part.node).outputs[0]);
    sizes.push_back(part.end - part.begin);
    graph->RemoveNode(part.node);
  }
  std::map<std::string, Attribute> attributes = {{"axis", Attribute::Int(axis)}};
  if (graph->opset() >= 13) {
    inputs.push_back(AddInts(graph, name + "_split", sizes));
  } else {
    attributes["split"] = Attribute::Ints(sizes);
  }
  graph->AddNode("Split", name + "_Split", inputs, outputs, attributes);
}

}  // namespace

int SlicesToSplit(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  std::map<std::pair<ValueId, int64_t>, std::vector<Part>> groups;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Slice")) continue;
    if (const auto part = PartOf(*graph, facts, node))
      groups[{node.input(0), part->first}].push_back(part->second);
  }
  int count = 0;
  for (auto& [key, parts] : groups) {
    const auto [x, axis] = key;
    std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.begin < b.begin; });
    int64_t at = 0;
    bool whole = parts.size() >= 2;
    for (const Part& part : parts) {
      whole = whole && part.begin == at && part.end > part.begin;
      at = part.end;
    }
    if (!whole || at != facts.DimOf(x, axis)) continue;
    MakeSplit(graph, x, axis, parts);
    ++count;
  }
  return count;
}

int SplitToSlice(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Split") || node.outputs.size() < 2) continue;
    const int64_t rank = facts.RankOf(node.input(0));
    const int64_t axis = node.Int("axis", 0) < 0 ? node.Int("axis", 0) + rank : node.Int("axis", 0);
    int64_t begin = 0, end = 0, at = 0;
    size_t used = 0, which = 0;
    bool known = rank > 0;
    for (size_t i = 0; i < node.outputs.size() && known; ++i) {
      const ValueId output = node.outputs[i];
      if (output == kNone) {
        known = false;  // its size is not known
        break;
      }
      const int64_t size = facts.DimOf(output, axis);
      const Value& value = graph->value(output);
      if (!value.uses.empty() || value.is_output || graph->CapturedBySubgraph(value.name)) {
        ++used;
        which = i;
        begin = at;
        end = at + size;
      }
      known = size >= 0;
      at += size;
    }
    if (!known || used != 1) continue;
    const ValueId x = node.input(0), output = node.outputs[which];
    const std::string name = node.name;
    graph->RemoveNode(id);
    if (graph->opset() >= 10) {
      graph->AddNode("Slice", name + "_Slice",
                     {x, AddInts(graph, name + "_starts", {begin}), AddInts(graph, name + "_ends", {end}),
                      AddInts(graph, name + "_axes", {axis})},
                     {output});
    } else {
      graph->AddNode("Slice", name + "_Slice", {x}, {output},
                     {{"starts", Attribute::Ints({begin})},
                      {"ends", Attribute::Ints({end})},
                      {"axes", Attribute::Ints({axis})}});
    }
    ++count;
  }
  return count;
}

}  // namespace xslim
