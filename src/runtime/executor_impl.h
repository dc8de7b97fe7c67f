// The executor behind executor.h: what is planned once (executor_plan.cc) and done in each run (executor.cc).
// Internal to this folder.
#ifndef XSLIM_RUNTIME_EXECUTOR_IMPL_H_
#define XSLIM_RUNTIME_EXECUTOR_IMPL_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ops/graph_runner.h"
#include "ops/operator.h"
#include "runtime/buffer_pool.h"
#include "runtime/executor.h"
#include "runtime/fusion.h"

namespace xslim {

// "Conv (ai.onnx, version 17)", for an operator that is not known.
std::string UnknownName(const Node& node, int opset);

// One operator of the plan.
struct PlannedStep {
  const Node* node;             // the graph's own, or `fused`
  std::shared_ptr<Node> fused;  // a copy with changed outputs or attributes
  const OperatorRow* row = nullptr;
  int opset = 1;
  std::shared_ptr<const QuantizeEpilogue> quantize;  // not null: this is all that the step does
  std::vector<bool> constant_inputs;
  std::vector<ValueId> dead;  // values whose last reader is this step
  std::shared_ptr<void> state;
  int64_t calls = 0;  // with options.profile
  double seconds = 0, shortest = 0;
};

struct Executor::Impl : GraphRunner {
  Impl(const Graph& graph, ThreadPool& pool, ExecutorOptions options, Impl* parent);
  // The plan, constants and packed weights of `other`, which are only read from now on.
  Impl(const Impl& other, ThreadPool& pool, std::shared_ptr<BufferPool> own);

  static ExecutorOptions WithoutBuffers(ExecutorOptions options) {
    options.buffers = nullptr;  // `buffers` has them; clones need not hold them
    return options;
  }
  static std::shared_ptr<BufferPool> OrOwn(std::shared_ptr<BufferPool> buffers) {
    return buffers ? std::move(buffers) : std::make_shared<BufferPool>();
  }

  int OpsetOf(const std::string& domain) const {
    const auto found = graph.opset_imports.find(domain);
    if (found != graph.opset_imports.end()) return static_cast<int>(found->second);
    return parent ? parent->OpsetOf(domain) : 1;
  }

  static std::string Describe(const Node& node, int opset) {
    return (node.domain.empty() ? "ai.onnx" : node.domain) + " " + node.op_type + ", opset " +
           std::to_string(opset);
  }

  // "" for an operator that can be evaluated.
  std::string UnknownName(const Node& node) const {
    const int opset = OpsetOf(node.domain);
    return FindOperator(node.domain, node.op_type, opset) ? "" : xslim::UnknownName(node, opset);
  }

  const OperatorRow* Resolve(const Node& node) const {
    return FindOperator(node.domain, node.op_type, OpsetOf(node.domain));
  }

  bool IsConstant(ValueId id) const { return id != kNone && constant[static_cast<size_t>(id)]; }

  // ---- planning

  // Every value that is read comes from somewhere; a body's may come from outside.
  void CheckProducers() const;
  void Plan();
  void SetConstantInputs(PlannedStep& step) const;
  // Runs what depends on constants alone, once; returns the nodes that need not run again. Int8 weights
  // behind a DequantizeLinear become constant floats in this way, which their Conv then packs once.
  // captured: by bodies.
  std::unordered_set<NodeId> Fold(const std::set<std::string>& captured);
  // Bytes that a value's declared shape asks for; 0 when it is not known.
  static size_t PromisedBytes(const Value& value);
  // Which step is the last to read each value, so that its buffer is free right after it.
  void PlanLiveness();

  // ---- running

  std::vector<Tensor> Evaluate(PlannedStep& step, Allocator* allocator);
  // Of a constant whose packed copy serves instead, type and shape stay. The graph's own are not ours to let
  // go.
  void Forget(ValueId id);
  // Whether the run may go on without the step's outputs. A body's failure is its outermost node's.
  bool Tolerates(const PlannedStep& step, const Error& error) const;
  void Fail(const PlannedStep& step, const Error& error);
  std::vector<Tensor> EvaluateTimed(PlannedStep& step);
  std::vector<Tensor> RunQuantize(const PlannedStep& step, Allocator* allocator);
  void Tap(ValueId id) const;
  std::vector<Tensor> RunGraph(const std::vector<Tensor>& inputs);
  void Clear();
  const Tensor& Captured(const std::string& name) const;
  std::vector<Tensor> Run(const Graph& body, const std::vector<Tensor>& inputs) override;
  // Of the outermost graph's run, which all bodies below add to.
  void CountStep();

  std::shared_ptr<const Graph> inlined;  // `graph`, when the model calls functions; clones share it
  const Graph& graph;
  ThreadPool& pool;
  const ExecutorOptions options;
  const int64_t most_steps;
  Impl* const parent;
  std::shared_ptr<BufferPool> buffers;
  std::vector<Tensor> values;  // by id; constants stay, others live from producer to last reader
  std::vector<bool> constant, tapped;
  std::vector<bool> forgettable;  // folded, and only one operator reads it
  std::vector<NodeId> order;
  const Computable computable;      // by the operators' names
  std::unique_ptr<Computable> now;  // of the current run, once something has failed
  bool failed = false;
  std::vector<ValueId> captures, folded_taps;
  std::vector<PlannedStep> steps;
  std::unordered_map<const Graph*, std::unique_ptr<Impl>> children;
  TapFn tap;
  bool planned = false;
  const Node* running = nullptr;
  int64_t steps_taken = 0;
};

}  // namespace xslim

#endif  // XSLIM_RUNTIME_EXECUTOR_IMPL_H_
