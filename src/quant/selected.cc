#include "quant/selected.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

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
  std::set<ValueId> floats;
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id) {
    if (graph.value(id).id != kNone && !graph.value(id).has_value() && facts.is_float(id)) floats.insert(id);
  }
  const std::set<ValueId> of_floats = DependingOn(graph, std::move(floats));
  std::map<ValueId, NodeId> selected;
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (node.Is("Shape") || node.Is("Size") || IsComputing(node)) continue;
    const std::vector<ValueId> reads = ReadsOf(graph, node);
    const auto by =
        std::find_if(reads.begin(), reads.end(), [&](ValueId read) { return selected.count(read) != 0; });
    const bool selects = Selects(node) && std::any_of(reads.begin(), reads.end(), [&](ValueId read) {
                           return of_floats.count(read) != 0;
                         });
    if (by == reads.end() && !selects) continue;
    const NodeId selector = by == reads.end() ? id : selected.at(*by);
    for (ValueId output : node.outputs) {
      if (output != kNone) selected[output] = selector;
    }
  }
  return selected;
}

}  // namespace xslim
