// Runs a graph operator by operator over all tuning samples at once: each layer can be changed once its
// (already quantized) inputs are known and before anything behind it runs, for the price of one forward.
#ifndef XSLIM_TUNE_LAYER_SWEEP_H_
#define XSLIM_TUNE_LAYER_SWEEP_H_

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"
#include "data/samples.h"
#include "graph/graph.h"

namespace xslim {

class BufferPool;

class LayerSweep {
 public:
  // graph: with Q/DQ as ExportQdq writes it; constants may change while the sweep runs, nothing else. Values
  // behind a QuantizeLinear are kept as codes, and each value until its last reader is done.
  LayerSweep(const Graph& graph, ThreadPool& pool, MemoryCeiling ceiling = MemoryCeiling())
      : graph_(graph), pool_(pool), ceiling_(ceiling) {}

  // Called for every operator of `watched` in topological order, when its inputs are there. It runs behind
  // the visit, with the constants that the visit leaves. Operators are the graph's nodes but for Q/DQ around
  // activations.
  using Visit = std::function<void(NodeId)>;
  void Run(const std::vector<Sample>& samples, const std::vector<NodeId>& watched, const Visit& visit);

  // During a visit. An input's value in each sample: float32, computed from its codes.
  Tensor Input(NodeId node, size_t slot, size_t sample) const;
  // The visited node's first output in each sample, as the constants are at the first call of the visit:
  // `see` is called from several threads. Outputs that are too large to be kept are computed anew by each
  // call.
  using SeeOutput = std::function<void(size_t sample, const Tensor& output)>;
  void ForEachOutput(const SeeOutput& see);
  size_t samples() const { return stored_.size(); }

 private:
  struct Step {
    NodeId node = kNone;
    // With the dequantizers and constant operators in front of it, and the quantizers behind it.
    std::vector<NodeId> nodes;
    std::vector<ValueId> inputs;  // stored values that it reads
  };

  std::vector<Step> PlanSteps() const;
  void AddInput(ValueId value, Step* step) const;
  // A node that is run again in front of each reader instead of being stored: dequantizers, and what depends
  // on constants alone, but for codes, which Input() takes from where they are stored.
  bool IsView(const Node& node) const;
  void FindViews();
  // Runs the nodes on each sample; `take` gets what they make, from several threads.
  using TakeOutputs = std::function<void(size_t sample, const std::vector<ValueId>&, std::vector<Tensor>)>;
  void RunNodes(const std::vector<NodeId>& nodes, const TakeOutputs& take);

  const Graph& graph_;
  ThreadPool& pool_;
  const MemoryCeiling ceiling_;
  // What the operators' executors take turns with, one for each thread; stored values lie there, too.
  std::vector<std::shared_ptr<BufferPool>> arenas_;
  std::vector<std::map<ValueId, Tensor>> stored_;  // by sample
  std::vector<bool> views_;                        // by node: IsView()
  const Step* visited_ = nullptr;
  std::vector<Tensor> kept_;  // outputs of the visited node, by sample
};

}  // namespace xslim

#endif  // XSLIM_TUNE_LAYER_SWEEP_H_
