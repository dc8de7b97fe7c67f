// The derivative of a weighted sum of a graph's values by values before them, as operators of the same graph:
// whoever runs the graph has both. What is differentiated is the float graph; where a derivative is not
// unique (Relu at 0, equal elements of a MaxPool), one of them is taken. Resize by whole factors counts as
// nearest in every mode.
#ifndef XSLIM_TUNE_GRADIENT_H_
#define XSLIM_TUNE_GRADIENT_H_

#include <map>
#include <set>
#include <vector>

#include "quant/facts.h"

namespace xslim {

struct Gradient {
  // By value: its derivative, of the same shape; absent where none arrives, or not all of it.
  std::map<ValueId, ValueId> of;
  std::vector<NodeId> stopped;  // operators that a derivative arrives at and that have no rule for it
  // By constant weight of a convolution: constants that were made of it, TurnedWeight(weight, groups). Who
  // changes the weight changes them, too.
  struct Turned {
    ValueId constant;
    int64_t groups;
  };
  std::map<ValueId, std::vector<Turned>> turned;
};

// Weights [out, in / groups, taps] of a convolution as those of the one that goes back: [in, out / groups,
// taps reversed].
Tensor TurnedWeight(const Tensor& weight, int64_t groups);

// size or -size, by chance.
Tensor RandomSigns(const Shape& shape, double size, uint64_t seed);

// What becomes of derivatives at an operator that has no rule for them.
enum class WithoutRule {
  kStop,      // values before it have none
  kEstimate,  // sizes are right where it hands relative errors on as they are; signs are random
};

// Adds operators to `graph` that compute the derivatives by `wanted` of sum over (value, weight) of `seeds`
// of sum(value * weight). seeds: values of the graph, and values of the same shape, which do not depend on
// them as far as the derivative is concerned. facts: of the graph as it was; derivatives only hold for inputs
// of those shapes. Needs opset 13. What was there keeps its ids, and MaxPool gets its second output.
Gradient AddGradient(Graph* graph, const ValueFacts& facts, const std::map<ValueId, ValueId>& seeds,
                     const std::set<ValueId>& wanted, ThreadPool& pool,
                     WithoutRule without_rule = WithoutRule::kStop);

}  // namespace xslim

#endif  // XSLIM_TUNE_GRADIENT_H_
