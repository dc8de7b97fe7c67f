// Runs a Graph on our kernels. Shapes are known as values are, so they may differ from run to run; buffers
// are recycled as soon as the last reader is done (liveness), packed weights are kept for the executor's
// life.
#ifndef XSLIM_RUNTIME_EXECUTOR_H_
#define XSLIM_RUNTIME_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/threads.h"
#include "graph/graph.h"
#include "runtime/computable.h"
#include "xslim/error.h"

namespace xslim {

// Called right after a value is there, while it is in cache; not for initializers. The tensor is only good
// during the call unless copied.
using TapFn = std::function<void(ValueId, const Tensor&)>;

// A run went through more bodies than it may: a loop whose trip count nobody meant, or that never ends.
// Nothing is left out for it, since every further run would take as long.
class TooManySteps : public Error {
 public:
  using Error::Error;
};

class BufferPool;

struct ExecutorOptions {
  bool fuse = true;  // fused kernels (Conv+bias+activation, Quantize+Dequantize) where no tap looks inside
  bool profile = false;  // measure every operator: see Executor::Profile
  // Operators that are not known, or whose evaluation says that it cannot do that (of those that have no role
  // in quantization: whatever it says), are left out together with all that depends on them; without it they
  // are an Error. Bad data that an operator of the float model refuses is always an Error, and
  // so is too little memory (OutOfMemory).
  bool skip_unknown = true;
  // Bodies (steps of loops, branches) that one Run may go through, all together, before it throws
  // TooManySteps; 0: MostLoopSteps().
  int64_t most_steps = 0;
  // Where tensors come from; null: an arena of its own. Executors that never run at the same time may share
  // one: what one run has let go serves the next.
  std::shared_ptr<BufferPool> buffers = nullptr;
};

// One operator of the outermost graph: how often it ran and how long.
struct ProfileRow {
  std::string node, op_type;
  int64_t calls = 0;
  double seconds = 0, shortest = 0;  // in all; of the quickest call
};

class Executor {
 public:
  // The graph must outlive the executor and not change. Calls of the model's functions run what the function
  // does. Throws Error naming node and tensor for missing producers and cycles.
  Executor(const Graph& graph, ThreadPool& pool, ExecutorOptions options = {});
  ~Executor();

  // Values that the tap is called for where they are tensors (sequences and optionals are not shown); must be
  // set before the first Run.
  void SetTaps(const std::vector<ValueId>& values, TapFn tap);

  // `inputs` in the order of graph.FreeInputs(); returns the graph's outputs in order, undefined where they
  // depend on an unknown operator. Throws Error naming the node.
  std::vector<Tensor> Run(const std::vector<Tensor>& inputs);

  // What could not be computed, as of the last Run (before it: what cannot be, by its name alone).
  const std::vector<UnknownOperator>& Unknown() const;

  // A second executor of the same graph with the same taps (called through `tap`), which shares constants and
  // packed weights with this one: for running samples side by side. This one must have run and must not be
  // running during the call. buffers: as in ExecutorOptions.
  std::unique_ptr<Executor> Clone(ThreadPool& pool, TapFn tap,
                                  std::shared_ptr<BufferPool> buffers = nullptr) const;

  // Most bytes of tensors and scratch space that one Run() holds at once, as seen so far; of all executors
  // that share the arena.
  int64_t buffer_bytes() const;

  // In the order of execution, bodies counted at their node; empty without options.profile.
  std::vector<ProfileRow> Profile() const;

 private:
  struct Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What the environment's XSLIM_LOOP_STEPS says, or a million. Throws Error when it is no such number.
int64_t MostLoopSteps();

// What an executor of the graph would leave out, by the operators' names alone.
std::vector<UnknownOperator> FindUnknown(const Graph& graph);

}  // namespace xslim

#endif  // XSLIM_RUNTIME_EXECUTOR_H_
