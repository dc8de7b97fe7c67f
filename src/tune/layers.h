// Layer tuning (finetune_level 1 and above): one sweep over the quantized graph in which each computing
// operator's weights are rounded against the second moments of the quantized inputs that really arrive, and
// its bias is moved so that the mean of its output is that of the float graph again.
#ifndef XSLIM_TUNE_LAYERS_H_
#define XSLIM_TUNE_LAYERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "data/samples.h"
#include "quant/plan.h"
#include "tune/visible_means.h"
#include "tune/weight_rows.h"

namespace xslim {

// A computing operator with a constant weight of its own, and that weight in the plan.
struct Layer {
  NodeId node;
  size_t weight;  // index in plan.weights
  WeightRows rows;
};
std::vector<Layer> FindLayers(const Graph& graph, const QuantPlan& plan);

struct LayerTuning {
  bool rounding = true;                     // round weights against second moments
  bool bias_correction = true;              // move biases
  MemoryCeiling ceiling = MemoryCeiling();  // results do not depend on it
};

struct LayerTuningResult {
  int rounded = 0;  // operators
  int biases = 0;   // that were moved
};

// The means of the float outputs (by channel: a MatMul's last axis, else axis 1) that TuneLayers brings the
// quantized ones back to.
class FloatMeans {
 public:
  // graph: the float graph, which must outlive the object.
  FloatMeans(const Graph& graph, const QuantPlan& plan, size_t samples);
  const std::set<ValueId>& values() const { return values_; }
  // From any thread, but for one sample from one.
  void See(size_t sample, ValueId value, const Tensor& x);
  bool Has(NodeId node) const;
  VisibleMeans Of(NodeId node) const;                        // over all samples
  const VisibleMeans* Of(NodeId node, size_t sample) const;  // null where it was not seen

 private:
  const Graph& graph_;
  std::set<ValueId> values_;
  std::vector<std::map<NodeId, VisibleMeans>> by_sample_;
};

// Changes the codes of plan->weights and the biases of `graph` (operators without one get one). The ranges of
// the activations must be set. float_means: seen on the same samples.
LayerTuningResult TuneLayers(Graph* graph, QuantPlan* plan, const std::vector<Sample>& samples,
                             const FloatMeans& float_means, const LayerTuning& options, ThreadPool& pool,
                             const std::function<void(int64_t, int64_t)>& progress);

}  // namespace xslim

#endif  // XSLIM_TUNE_LAYERS_H_
