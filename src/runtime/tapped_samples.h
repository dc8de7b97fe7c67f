// Runs samples that are in memory side by side, with a tap that knows which sample it sees.
#ifndef XSLIM_RUNTIME_TAPPED_SAMPLES_H_
#define XSLIM_RUNTIME_TAPPED_SAMPLES_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "runtime/sample_lanes.h"

namespace xslim {

// Both are called from several threads, but for one sample from one at a time. The tensor of a tap is only
// good during the call unless copied.
using SampleTap = std::function<void(size_t sample, ValueId, const Tensor&)>;
using SampleDone = std::function<void(size_t sample, const std::vector<Tensor>& outputs)>;

// samples: in the order of graph.FreeInputs(). tap: for the values of `watched`; done (may be null): with the
// graph's outputs. stage: who asks, for the error where memory is too small. Throws what a run throws.
void RunTapped(const std::string& stage, const Graph& graph, const std::vector<std::vector<Tensor>>& samples,
               const std::vector<ValueId>& watched, const SampleTap& tap, const SampleDone& done,
               const SampleLanes& lanes);

}  // namespace xslim

#endif  // XSLIM_RUNTIME_TAPPED_SAMPLES_H_
