#include "calibrate/softmax_ranges.h"

#include <algorithm>

#include "quant/interest.h"

namespace xslim {
namespace {

constexpr float kSpare = 1.5f;

// Whether the value, or what data movement has made it of, has a pair.
bool OnGrid(const Graph& graph, const QuantPlan& plan, ValueId id) {
  while (!plan.activations.count(id)) {
    const Node* producer = graph.Producer(id);
    if (producer == nullptr || RoleOf(graph, *producer) != QuantRole::kPassive) return false;
    id = producer->input(0);
  }
  return true;
}

}  // namespace

std::map<ValueId, float> SoftmaxEnds(const Graph& graph, const QuantPlan& plan,
                                     const StatisticsMap& statistics) {
  std::map<ValueId, float> ends;
  for (const auto& [id, quant] : plan.activations) {
    const Node* softmax = graph.Producer(id);
    const auto seen = statistics.find(id);
    if (softmax != nullptr && softmax->Is("Softmax") && seen != statistics.end() &&
        OnGrid(graph, plan, softmax->input(0)))
      ends[id] = std::min(kSpare * seen->second.max(), 1.0f);
  }
  return ends;
}

}  // namespace xslim
