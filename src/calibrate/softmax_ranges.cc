#include "calibrate/softmax_ranges.h"

#include <algorithm>

#include "quant/interest.h"

namespace xslim {
namespace {

constexpr float kSpare = 1.5f;

// Whether the value, or what data movement has made it of, has a pair.
bool OnGrid(const Graph& graph, const QuantPlan& plan, ValueId id) {
  while (!plan.activations.count(id)) {
    const Node* mover = PassiveProducer(graph, id);
    if (mover == nullptr) return false;
    id = mover->input(0);
  }
  return true;
}

// The Softmax that the value's numbers come from, perhaps in another shape.
const Node* SoftmaxOf(const Graph& graph, ValueId id) {
  while (const Node* mover = PassiveProducer(graph, id)) id = mover->input(0);
  const Node* producer = graph.Producer(id);
  return producer != nullptr && producer->Is("Softmax") ? producer : nullptr;
}

}  // namespace

std::map<ValueId, float> SoftmaxEnds(const Graph& graph, const QuantPlan& plan,
                                     const StatisticsMap& statistics) {
  std::map<ValueId, float> ends;
  for (const auto& [id, quant] : plan.activations) {
    const Node* softmax = SoftmaxOf(graph, id);
    const auto seen = statistics.find(id);
    if (softmax != nullptr && seen != statistics.end() && OnGrid(graph, plan, softmax->input(0)))
      ends[id] = std::min(kSpare * seen->second.max(), 1.0f);
  }
  return ends;
}

}  // namespace xslim
