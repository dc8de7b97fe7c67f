// Before: Conv | ConvTranspose without kernel_shape    After: with it, as W has it (SpacemiT's runtime asks
// for it, and XSlim writes it)
#include <algorithm>
#include <vector>

#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {

int KernelShapes(Graph* graph, const SimplifyOptions& options) {
  std::vector<NodeId> lacking;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if ((node.Is("Conv") || node.Is("ConvTranspose")) && !node.Has("kernel_shape")) lacking.push_back(id);
  }
  if (lacking.empty()) return 0;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : lacking) {
    Node& node = graph->node(id);
    const ValueId weights = node.input(1);
    std::vector<int64_t> kernel;
    for (int64_t axis = 2; axis < facts.RankOf(weights); ++axis) kernel.push_back(facts.DimOf(weights, axis));
    if (kernel.empty() || *std::min_element(kernel.begin(), kernel.end()) < 1) continue;
    node.attributes["kernel_shape"] = Attribute::Ints(std::move(kernel));
    ++count;
  }
  return count;
}

}  // namespace xslim
