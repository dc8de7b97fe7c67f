#include "quant/selected.h"

#include <algorithm>

#include "graph/subgraph.h"

namespace xslim {
namespace {

bool Selects(const Node& node) {
  for (const char* type :
       {"TopK", "ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "Compress", "Unique"}) {
    if (node.Is(type)) return true;
  }
  return false;
}

}  // namespace

std::map<ValueId, NodeId> FindSelected(const Graph& graph, const ValueFacts& facts) {
  std::map<ValueId, NodeId> selected;
  std::map<ValueId, bool> of_floats;  // whether float data are among what a value is made of
  const auto is_of_floats = [&](ValueId id) {
    const auto made = of_floats.find(id);
    return facts.is_float(id) || (made != of_floats.end() && made->second);
  };
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (node.Is("Shape") || node.Is("Size")) continue;
    const std::vector<ValueId> reads = ReadsOf(graph, node);
    const bool floats = std::any_of(reads.begin(), reads.end(), [&](ValueId read) {
      return !graph.value(read).has_value() && is_of_floats(read);
    });
    const auto by =
        std::find_if(reads.begin(), reads.end(), [&](ValueId read) { return selected.count(read) != 0; });
    for (ValueId output : node.outputs) {
      if (output == kNone) continue;
      of_floats[output] = floats;
      if (IsComputing(node)) continue;
      if (by != reads.end())
        selected[output] = selected.at(*by);
      else if (floats && Selects(node))
        selected[output] = id;
    }
  }
  return selected;
}

}  // namespace xslim
