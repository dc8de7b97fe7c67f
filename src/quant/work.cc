#include "quant/work.h"

#include <algorithm>

namespace xslim {
namespace {

// Multiply-adds in the time that a node takes besides its own, and an element that is computed one by one.
constexpr int64_t kNode = 100'000, kElement = 10;
constexpr int64_t kMostTrips = 1'000'000;  // more: the count is no limit, a condition is

int64_t WorkOfBody(const Graph& body) {
  int64_t work = 0;
  for (NodeId id : body.Order()) {
    const Node& node = body.node(id);
    work += kNode;
    for (size_t slot : {1, 2}) {
      const ValueId weight = IsComputing(node) || node.IsRecurrent() ? node.input(slot) : kNone;
      if (weight != kNone && body.Constant(weight) != nullptr) work += body.Constant(weight)->size();
    }
    for (const auto& [name, attribute] : node.attributes) {
      if (attribute.graph) work += WorkOfBody(*attribute.graph);
    }
  }
  return work;
}

// How often the operator runs its body: as often as the axis is long along which it puts results together, or
// as its trip count says.
int64_t StepsOf(const Graph& graph, const Node& node, const ValueFacts& facts) {
  if (!node.Is("Loop") && !node.Is("Scan")) return 1;
  const int64_t others = node.Is("Loop") ? 2 : node.Int("num_scan_inputs", 0);
  for (int64_t o = std::ssize(node.inputs) - others; o >= 0 && o < std::ssize(node.outputs); ++o) {
    const ValueId output = node.outputs[static_cast<size_t>(o)];
    if (output != kNone && !facts.of(output).shape.empty())
      return std::max<int64_t>(facts.of(output).shape[0], 1);
  }
  const ValueId trips = node.Is("Loop") ? node.input(0) : kNone;
  const Tensor* constant = trips == kNone ? nullptr : graph.Constant(trips);
  const int64_t count = constant == nullptr || constant->size() != 1 ? 1 : constant->ToInts()[0];
  return count > 0 && count <= kMostTrips ? count : 1;
}

int64_t WorkOf(const Graph& graph, const Node& node, const ValueFacts& facts) {
  int64_t work = kNode + MacsOf(node, facts);
  for (ValueId output : node.outputs) {
    if (output != kNone) work += kElement * facts.elements(output);
  }
  for (const auto& [name, attribute] : node.attributes) {
    if (attribute.graph) work += StepsOf(graph, node, facts) * WorkOfBody(*attribute.graph);
  }
  return work;
}

}  // namespace

int64_t WorkOf(const Graph& graph, const ValueFacts& facts) {
  int64_t work = 0;
  for (NodeId id : graph.Order()) work += WorkOf(graph, graph.node(id), facts);
  return work;
}

}  // namespace xslim
