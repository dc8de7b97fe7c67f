// Runs a graph operator by operator over all tuning samples at once: each layer can be changed once its
// (already quantized) inputs are known and before anything behind it runs, for the price of one forward.
#ifndef XSLIM_TUNE_LAYER_SWEEP_H_
#define XSLIM_TUNE_LAYER_SWEEP_H_

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "graph/graph.h"

namespace xslim {

class BufferPool;

class LayerSweep {
 public:
  // graph: with Q/DQ as ExportQdq writes it; constants may change while the sweep runs, nothing else. Values
  // behind a QuantizeLinear are kept as codes, and each value until its last reader is done.
  LayerSweep(const Graph& graph, ThreadPool& pool) : graph_(graph), pool_(pool) {}

  // Called for every operator of `watched` in topological order: `before` with its inputs there, `after` with
  // its outputs there and not yet read. Operators are the graph's nodes but for Q/DQ around activations.
  using Visit = std::function<void(NodeId)>;
  void Run(const std::vector<Sample>& samples, const std::vector<NodeId>& watched, const Visit& before,
           const Visit& after);

  // During a visit. An input's value in each sample: float32, computed from its codes.
  Tensor Input(NodeId node, size_t slot, size_t sample) const;
  // An output of the visited node in each sample; `after` may write into it.
  Tensor& Output(NodeId node, size_t slot, size_t sample);
  size_t samples() const { return stored_.size(); }

 private:
  struct Step {
    NodeId node = kNone;
    std::vector<NodeId> nodes;    // with the dequantizers and constant operators in front of it
    std::vector<ValueId> inputs;  // stored values that it reads
  };

  std::vector<Step> PlanSteps(const std::vector<NodeId>& watched) const;
  void AddInput(ValueId value, Step* step) const;
  bool IsView(const Node& node) const;
  void RunStep(const Step& step);

  const Graph& graph_;
  ThreadPool& pool_;
  // What the operators' executors take turns with, one for each thread; stored values lie there, too.
  std::vector<std::shared_ptr<BufferPool>> arenas_;
  std::vector<std::map<ValueId, Tensor>> stored_;  // by sample
};

}  // namespace xslim

#endif  // XSLIM_TUNE_LAYER_SWEEP_H_
