#include "calibrate/pool_ranges.h"

#include "quant/interest.h"

namespace xslim {
namespace {

constexpr double kMost = 128;  // of the 256 that are the end: scales are rounded, biases move ranges

// The pooling that the value's numbers come from, perhaps in another shape.
const Node* PoolOf(const Graph& graph, ValueId id) {
  const Node* producer = graph.Producer(BeforeMoves(graph, id));
  const bool pools =
      producer != nullptr && (producer->Is("GlobalAveragePool") || producer->Is("AveragePool"));
  return pools ? producer : nullptr;
}

// How many elements an average is taken of, where they do not overlap; 0: not known.
double ElementsOf(const ValueFacts& facts, const Node& pool) {
  const int64_t results = facts.elements(pool.outputs[0]);
  return results > 0 ? static_cast<double>(facts.elements(pool.input(0))) / static_cast<double>(results) : 0;
}

}  // namespace

std::map<ValueId, ChosenRange> PoolRanges(const Graph& graph, const ValueFacts& facts,
                                          const QuantPlan& plan) {
  std::map<ValueId, ChosenRange> ranges;
  for (const auto& [id, quant] : plan.activations) {
    const Node* pool = PoolOf(graph, id);
    const ActivationQuant* input = pool != nullptr ? PairOf(graph, plan, pool->input(0)) : nullptr;
    const double elements = input != nullptr ? ElementsOf(facts, *pool) : 0;
    if (elements == 0) continue;
    const double least = static_cast<double>(input->params.scale[0]) / (kMost * elements);
    if (static_cast<double>(quant.params.scale[0]) >= least) continue;
    const double width = static_cast<double>(quant.hi) - static_cast<double>(quant.lo);
    ChosenRange& range = ranges[id];
    range.why = "room for what ONNX Runtime's int8 pooling can compute";
    if (width > 0) {
      range.lo = static_cast<float>(static_cast<double>(quant.lo) * (255 * least / width));
      range.hi = static_cast<float>(static_cast<double>(quant.hi) * (255 * least / width));
    } else {
      range.lo = 0;
      range.hi = static_cast<float>(255 * least);
    }
  }
  return ranges;
}

}  // namespace xslim
