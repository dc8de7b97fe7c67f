// Layer tuning (finetune_level 1 and above): one sweep over the quantized graph in which each computing
// operator's weights are rounded against the second moments of the quantized inputs that really arrive, and
// its bias is moved so that the mean of its output is that of the float graph again.
#ifndef XSLIM_TUNE_LAYERS_H_
#define XSLIM_TUNE_LAYERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "quant/facts.h"
#include "quant/plan.h"

namespace xslim {

struct LayerTuning {
  bool rounding = true;         // round weights against second moments
  bool bias_correction = true;  // move biases
  int descent = 0;              // rounds of single code changes after rounding
};

struct LayerTuningResult {
  int64_t samples = 0;                       // that the sweep ran on
  int rounded = 0;                           // operators
  std::map<NodeId, Tensor> original_biases;  // of the operators whose bias was moved
};

// Changes the codes of plan->weights and the biases of `graph` (operators without one get one). The ranges of
// the activations must be set. indices: the calibration samples; a seeded choice of them is used, as many as
// keep the stored activations under a fixed ceiling.
LayerTuningResult TuneLayers(Graph* graph, QuantPlan* plan, const ValueFacts& facts,
                             const SampleSource& source, const std::vector<int64_t>& indices,
                             const LayerTuning& options, ThreadPool& pool,
                             const std::function<void(int64_t, int64_t)>& progress);

}  // namespace xslim

#endif  // XSLIM_TUNE_LAYERS_H_
