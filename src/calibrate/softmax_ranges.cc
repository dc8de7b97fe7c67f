#include "calibrate/softmax_ranges.h"

#include <algorithm>

#include "quant/interest.h"

namespace xslim {
namespace {

constexpr float kSpare = 1.5f;
constexpr float kLeast = 1.72f;  // times 1 / elements of the axis: a little over 255 e^-5

// The Softmax that the value's numbers come from, perhaps in another shape.
const Node* SoftmaxOf(const Graph& graph, ValueId id) {
  const Node* producer = graph.Producer(BeforeMoves(graph, id));
  return producer != nullptr && producer->Is("Softmax") ? producer : nullptr;
}

// The end below which the step is too small; 0 where the axis is not known.
float LeastEnd(const ValueFacts& facts, const Node& softmax) {
  const ValueFact& result = facts.of(softmax.outputs[0]);
  const int64_t rank = std::ssize(result.shape), axis = softmax.Int("axis", -1);
  if (result.dtype == DType::kUndefined || axis < -rank || axis >= rank) return 0;
  const int64_t elements = result.shape[static_cast<size_t>(axis < 0 ? axis + rank : axis)];
  return elements > 0 ? kLeast / static_cast<float>(elements) : 0;
}

}  // namespace

std::map<ValueId, float> SoftmaxEnds(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                                     const StatisticsMap& statistics) {
  std::map<ValueId, float> ends;
  for (const auto& [id, quant] : plan.activations) {
    const Node* softmax = SoftmaxOf(graph, id);
    const auto seen = statistics.find(id);
    if (softmax != nullptr && seen != statistics.end() && PairOf(graph, plan, softmax->input(0)) != nullptr)
      ends[id] = std::max(std::min(kSpare * seen->second.max(), 1.0f), LeastEnd(facts, *softmax));
  }
  return ends;
}

}  // namespace xslim
