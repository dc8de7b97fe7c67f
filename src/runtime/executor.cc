#include "runtime/executor.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/environment.h"
#include "base/log.h"
#include "base/trace.h"
#include "graph/function.h"
#include "kernels/kernels.h"
#include "ops/graph_runner.h"
#include "ops/operator.h"
#include "runtime/buffer_pool.h"
#include "runtime/fusion.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kLargestFolded = size_t{64} << 20;  // bytes of one value that is computed once and kept
constexpr int64_t kGrain = 1 << 15;                  // elements
constexpr int64_t kMostSteps = 1'000'000;            // of loops in one run
constexpr int64_t kManySteps = 10'000;               // from which on a loop is said to run
constexpr char kStepsVariable[] = "XSLIM_LOOP_STEPS";

// Once for each node, however many executors run it.
void SayManySteps(const Node& node, int64_t most) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!said.insert(node.Title()).second) return;
  LogInfo(node.Title(), " has taken ", kManySteps,
          " steps in one run of the model and goes on; the run ends at ", most, " (", kStepsVariable,
          " in the environment)");
}

std::string UnknownName(const Node& node, int opset) {
  return node.op_type + " (" + (node.domain.empty() ? "ai.onnx" : node.domain) + ", version " +
         std::to_string(opset) + ")";
}

bool HasBody(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(),
                     [](const auto& item) { return item.second.graph != nullptr; });
}

struct Step {
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

}  // namespace

struct Executor::Impl : GraphRunner {
  Impl(const Graph& graph, ThreadPool& pool, ExecutorOptions options, Impl* parent)
      : graph(graph),
        pool(pool),
        options(WithoutBuffers(options)),
        most_steps(options.most_steps > 0 ? options.most_steps : MostLoopSteps()),
        parent(parent),
        buffers(parent ? parent->buffers : OrOwn(options.buffers)),
        values(graph.value_slots()),
        constant(graph.value_slots(), false),
        tapped(graph.value_slots(), false),
        forgettable(graph.value_slots(), false),
        order(graph.Order()),
        computable(graph, [this](const Node& node) { return UnknownName(node); }) {
    if (!computable.unknown().empty() && !options.skip_unknown) {
      throw Error(xslim::Describe(computable.unknown().front()));
    }
    CheckProducers();
  }

  // The plan, constants and packed weights of `other`, which are only read from now on.
  Impl(const Impl& other, ThreadPool& pool, std::shared_ptr<BufferPool> own)
      : inlined(other.inlined),
        graph(other.graph),
        pool(pool),
        options(other.options),
        most_steps(other.most_steps),
        parent(nullptr),
        buffers(OrOwn(std::move(own))),
        values(other.values),
        constant(other.constant),
        tapped(other.tapped),
        forgettable(other.forgettable),
        order(other.order),
        computable(other.computable),
        captures(other.captures),
        folded_taps(other.folded_taps),
        steps(other.steps),
        planned(other.planned) {
    for (Step& step : steps) {
      step.calls = 0;
      step.seconds = 0;
    }
  }

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

  // Every value that is read comes from somewhere; a body's may come from outside.
  void CheckProducers() const {
    for (NodeId id : order) {
      for (ValueId input : graph.node(id).inputs) {
        if (input == kNone) continue;
        const Value& value = graph.value(input);
        if (value.producer == kNone && !value.is_input && !value.constant.defined() && !parent) {
          throw Error("tensor " + value.name + " has no producer", graph.node(id).Title());
        }
      }
    }
  }

  bool IsConstant(ValueId id) const { return id != kNone && constant[static_cast<size_t>(id)]; }

  // ---- planning

  void Plan() {
    planned = true;
    for (size_t i = 0; i < values.size(); ++i) {
      const Value& value = graph.value(static_cast<ValueId>(i));
      if (value.id == kNone) continue;
      if (value.constant.defined()) {
        values[i] = value.constant;
        constant[i] = true;
      } else if (value.producer == kNone && !value.is_input && (!value.uses.empty() || value.is_output)) {
        captures.push_back(value.id);
      }
    }
    std::unordered_set<NodeId> done = Fold();
    Fusion fusion(
        graph, OpsetOf(""),
        [this](ValueId id) { return IsConstant(id) ? &values[static_cast<size_t>(id)] : nullptr; },
        [this](ValueId id) { return tapped[static_cast<size_t>(id)] || graph.value(id).is_output; });
    for (NodeId id : order) {
      if (done.count(id) || fusion.merged(id) || computable.skipped(id)) continue;
      Step step;
      step.node = &graph.node(id);
      step.row = Resolve(*step.node);
      step.opset = OpsetOf(step.node->domain);
      if (options.fuse) {
        FusedUnit unit = fusion.Take(*step.node);
        step.node = unit.node;
        step.fused = std::move(unit.copy);
        step.quantize = std::move(unit.quantize);
      }
      SetConstantInputs(step);
      steps.push_back(std::move(step));
    }
    PlanLiveness();
  }

  void SetConstantInputs(Step& step) const {
    step.constant_inputs.clear();
    for (ValueId input : step.node->inputs) step.constant_inputs.push_back(IsConstant(input));
  }

  // Runs what depends on constants alone, once; returns the nodes that need not run again. Int8 weights
  // behind a DequantizeLinear become constant floats in this way, which their Conv then packs once.
  std::unordered_set<NodeId> Fold() {
    std::unordered_set<NodeId> done;
    for (NodeId id : order) {
      const Node& node = graph.node(id);
      if (HasBody(node) || IsRandom(node) || computable.skipped(id)) continue;
      if (!std::all_of(node.inputs.begin(), node.inputs.end(),
                       [&](ValueId input) { return input == kNone || IsConstant(input); })) {
        continue;
      }
      const bool small = std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
        return output == kNone || PromisedBytes(graph.value(output)) <= kLargestFolded;
      });
      if (!small) continue;
      Step step;
      step.node = &node;
      step.row = Resolve(node);
      step.opset = OpsetOf(node.domain);
      SetConstantInputs(step);
      std::vector<Tensor> outputs;
      try {
        outputs = Evaluate(step, nullptr);
      } catch (const Error& error) {
        if (!Tolerates(step, error)) throw;
        continue;  // the run comes to it again
      }
      const bool keep = std::all_of(outputs.begin(), outputs.end(),
                                    [](const Tensor& tensor) { return tensor.bytes() <= kLargestFolded; });
      if (!keep) continue;
      done.insert(id);
      for (size_t i = 0; i < node.outputs.size() && i < outputs.size(); ++i) {
        if (node.outputs[i] == kNone || !outputs[i].defined()) continue;
        const size_t slot = static_cast<size_t>(node.outputs[i]);
        values[slot] = std::move(outputs[i]);
        constant[slot] = true;
        if (tapped[slot]) folded_taps.push_back(node.outputs[i]);
        const Value& value = graph.value(node.outputs[i]);
        forgettable[slot] = !tapped[slot] && !value.is_output && value.uses.size() == 1 &&
                            values[slot].dtype() == DType::kFloat && !graph.CapturedBySubgraph(value.name);
      }
    }
    return done;
  }

  // Bytes that a value's declared shape asks for; 0 when it is not known.
  static size_t PromisedBytes(const Value& value) {
    if (!value.has_shape) return 0;
    size_t bytes = std::max<size_t>(SizeOf(value.dtype), 1);
    for (const Dim& dim : value.dims) {
      if (dim.size < 0) return 0;
      bytes *= static_cast<size_t>(dim.size);
    }
    return bytes;
  }

  // Which step is the last to read each value, so that its buffer is free right after it.
  void PlanLiveness() {
    std::vector<int64_t> last(values.size(), -1);
    for (size_t s = 0; s < steps.size(); ++s) {
      auto read = [&](ValueId id) {
        if (id != kNone) last[static_cast<size_t>(id)] = static_cast<int64_t>(s);
      };
      for (ValueId id : steps[s].node->outputs) read(id);  // one that nobody reads dies where it was made
      for (ValueId id : steps[s].node->inputs) read(id);
      for (const auto& [key, attribute] : steps[s].node->attributes) {
        if (!attribute.graph) continue;
        for (const std::string& name : attribute.graph->FreeNames()) read(graph.Find(name));
      }
    }
    for (size_t i = 0; i < last.size(); ++i) {
      const Value& value = graph.value(static_cast<ValueId>(i));
      if (last[i] < 0 || constant[i] || value.is_output) continue;
      steps[static_cast<size_t>(last[i])].dead.push_back(static_cast<ValueId>(i));
    }
  }

  // ---- running

  std::vector<Tensor> Evaluate(Step& step, Allocator* allocator) {
    const Node& node = *step.node;
    try {
      if (step.quantize) return RunQuantize(step, allocator);
      std::vector<const Tensor*> inputs;
      inputs.reserve(node.inputs.size());
      for (ValueId id : node.inputs) {
        const Tensor* tensor = id == kNone ? nullptr : &values[static_cast<size_t>(id)];
        if (tensor && !tensor->defined()) throw Error("tensor " + graph.value(id).name + " has no value");
        inputs.push_back(tensor);
      }
      EvalContext context(node, step.opset, std::move(inputs), pool, allocator, step.state,
                          step.constant_inputs, this);
      step.row->evaluate(context);
      // Folding (without an allocator) may throw the step and its state away.
      if (allocator != nullptr && context.state_replaces_weights()) Forget(node.inputs[1]);
      if (step.fused) {  // one result, whoever reads it
        for (size_t i = 1; i < context.outputs.size(); ++i) context.outputs[i] = context.outputs[0];
      }
      return std::move(context.outputs);
    } catch (const std::bad_alloc&) {
      throw OutOfMemory("not enough memory", node.Title() + " (" + Describe(node, step.opset) + ")");
    } catch (const TooManySteps& error) {
      throw TooManySteps(error.what(), node.Title() + " (" + Describe(node, step.opset) + ")");
    } catch (const OutOfMemory& error) {
      throw OutOfMemory(error.what(), node.Title() + " (" + Describe(node, step.opset) + ")");
    } catch (const Unsupported& error) {
      throw Unsupported(error.what(), node.Title() + " (" + Describe(node, step.opset) + ")");
    } catch (const std::exception& error) {
      throw Error(error.what(), node.Title() + " (" + Describe(node, step.opset) + ")");
    }
  }

  // Of a constant whose packed copy serves instead, type and shape stay. The graph's own are not ours to let
  // go.
  void Forget(ValueId id) {
    Tensor& tensor = values[static_cast<size_t>(id)];
    if (!forgettable[static_cast<size_t>(id)] || std::as_const(tensor).raw() == nullptr) return;
    tensor = Tensor::Borrow(tensor.dtype(), tensor.shape(), nullptr, false);
  }

  // Whether the run may go on without the step's outputs. A body's failure is its outermost node's.
  bool Tolerates(const Step& step, const Error& error) const {
    if (!options.skip_unknown || parent || dynamic_cast<const OutOfMemory*>(&error) ||
        dynamic_cast<const TooManySteps*>(&error))
      return false;
    return step.row->role == QuantRole::kNone || dynamic_cast<const Unsupported*>(&error) != nullptr;
  }

  void Fail(const Step& step, const Error& error) {
    if (!failed) now = std::make_unique<Computable>(computable);
    failed = true;
    now->Fail(step.node->id, xslim::UnknownName(*step.node, step.opset), error.what());
  }

  std::vector<Tensor> EvaluateTimed(Step& step) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<Tensor> outputs = Evaluate(step, buffers.get());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    step.seconds += seconds;
    step.shortest = step.calls == 0 ? seconds : std::min(step.shortest, seconds);
    ++step.calls;
    return outputs;
  }

  std::vector<Tensor> RunQuantize(const Step& step, Allocator* allocator) {
    const Tensor x = values[static_cast<size_t>(step.node->inputs[0])].ToFloat32();
    Tensor y(DType::kFloat, x.shape(), allocator);
    const float* in = x.data<float>();
    float* out = y.data<float>();
    const kernels::Table& table = kernels::Active();
    const QuantizeEpilogue& quantize = *step.quantize;
    pool.ParallelFor(x.size(), kGrain, [&](int64_t begin, int64_t end, int) {
      quantize.Apply(table, in + begin, out + begin, end - begin);
    });
    return std::vector<Tensor>(step.node->outputs.size(), y);
  }

  void Tap(ValueId id) const {
    const Tensor& tensor = values[static_cast<size_t>(id)];
    if (tapped[static_cast<size_t>(id)] && tap && tensor.is_tensor()) tap(id, tensor);
  }

  std::vector<Tensor> RunGraph(const std::vector<Tensor>& inputs) {
    if (!planned) Plan();
    const std::vector<ValueId> free_inputs = graph.FreeInputs();
    if (inputs.size() != free_inputs.size()) {
      throw Error(
          "got " + std::to_string(inputs.size()) + " inputs instead of " + std::to_string(free_inputs.size()),
          graph.name.empty() ? "graph" : "graph " + graph.name);
    }
    // A run that threw may have left values behind; none outlives this run either.
    struct Cleaner {
      Impl& impl;
      explicit Cleaner(Impl& impl) : impl(impl) { impl.Clear(); }
      ~Cleaner() { impl.Clear(); }
    } cleaner(*this);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph.value(free_inputs[i]);
      if (!inputs[i].defined() || (value.dtype != DType::kUndefined && inputs[i].dtype() != value.dtype)) {
        throw Error(std::string("got ") + NameOf(inputs[i].dtype()) + " instead of " + NameOf(value.dtype),
                    "input " + value.name);
      }
      values[static_cast<size_t>(free_inputs[i])] = inputs[i];
      Tap(free_inputs[i]);
    }
    for (ValueId id : captures) values[static_cast<size_t>(id)] = Captured(graph.value(id).name);
    for (ValueId id : folded_taps) Tap(id);
    now = nullptr;
    failed = false;
    steps_taken = 0;
    const bool traced = parent == nullptr && TraceIsOn();
    for (Step& step : steps) {
      if (failed && now->skipped(step.node->id)) continue;
      running = step.node;
      const TraceClock::time_point begin = traced ? TraceClock::now() : TraceClock::time_point();
      std::vector<Tensor> outputs;
      try {
        outputs = options.profile ? EvaluateTimed(step) : Evaluate(step, buffers.get());
      } catch (const Error& error) {
        if (!Tolerates(step, error)) throw;
        Fail(step, error);
      }
      if (traced) TraceEvent(step.node->Title(), "operator", step.node->op_type, begin);
      const std::vector<ValueId>& ids = step.node->outputs;
      for (size_t i = 0; i < ids.size(); ++i) {
        if (ids[i] == kNone || i >= outputs.size() || !outputs[i].defined()) continue;
        values[static_cast<size_t>(ids[i])] = std::move(outputs[i]);
        Tap(ids[i]);
      }
      for (ValueId id : step.dead) values[static_cast<size_t>(id)] = Tensor();
    }
    std::vector<Tensor> results;
    for (ValueId id : graph.outputs()) {
      const Tensor& tensor = values[static_cast<size_t>(id)];
      if (!tensor.defined() && !(failed ? *now : computable).lost(id)) {
        throw Error("has no value", "output " + graph.value(id).name);
      }
      results.push_back(tensor);
    }
    return results;
  }

  void Clear() {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!constant[i]) values[i] = Tensor();
    }
  }

  const Tensor& Captured(const std::string& name) const {
    for (const Impl* outer = parent; outer; outer = outer->parent) {
      const ValueId id = outer->graph.Find(name);
      if (id == kNone) continue;
      const Tensor& tensor = outer->values[static_cast<size_t>(id)];
      if (tensor.defined()) return tensor;
    }
    throw Error("tensor " + name + " has no producer", "graph " + graph.name);
  }

  std::vector<Tensor> Run(const Graph& body, const std::vector<Tensor>& inputs) override {
    CountStep();
    std::unique_ptr<Impl>& child = children[&body];
    if (!child) child = std::make_unique<Impl>(body, pool, options, this);
    return child->RunGraph(inputs);
  }

  // Of the outermost graph's run, which all bodies below add to.
  void CountStep() {
    Impl* outermost = this;
    while (outermost->parent) outermost = outermost->parent;
    const int64_t steps = ++outermost->steps_taken;
    if (steps > most_steps) {
      std::string hint;
      if (options.most_steps == 0)
        hint = StrCat("see its trip count and condition, or allow more with ", kStepsVariable,
                      " in the environment");
      throw TooManySteps(StrCat("loops go on after ", most_steps, " steps in one run of the model"), "",
                         hint);
    }
    if (steps == kManySteps) SayManySteps(*outermost->running, most_steps);
  }

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
  std::vector<Step> steps;
  std::unordered_map<const Graph*, std::unique_ptr<Impl>> children;
  TapFn tap;
  bool planned = false;
  const Node* running = nullptr;
  int64_t steps_taken = 0;
};

Executor::Executor(const Graph& graph, ThreadPool& pool, ExecutorOptions options) {
  std::shared_ptr<Graph> inlined;
  if (HasCalls(graph)) {
    // What was there keeps its ids, so taps may name values of either graph.
    inlined = std::make_shared<Graph>(graph);
    InlineCalls(inlined.get());
  }
  impl_ = std::make_unique<Impl>(inlined ? *inlined : graph, pool, options, nullptr);
  impl_->inlined = std::move(inlined);
}

Executor::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Executor::~Executor() = default;

std::unique_ptr<Executor> Executor::Clone(ThreadPool& pool, TapFn tap,
                                          std::shared_ptr<BufferPool> buffers) const {
  auto impl = std::make_unique<Impl>(*impl_, pool, std::move(buffers));
  impl->tap = std::move(tap);
  return std::unique_ptr<Executor>(new Executor(std::move(impl)));
}

void Executor::SetTaps(const std::vector<ValueId>& values, TapFn tap) {
  if (impl_->planned) throw Error("taps must be set before the first run");
  for (ValueId id : values) impl_->tapped[static_cast<size_t>(id)] = true;
  impl_->tap = std::move(tap);
}

std::vector<Tensor> Executor::Run(const std::vector<Tensor>& inputs) { return impl_->RunGraph(inputs); }

int64_t Executor::buffer_bytes() const { return static_cast<int64_t>(impl_->buffers->usage().peak_used); }

const std::vector<UnknownOperator>& Executor::Unknown() const {
  return impl_->failed ? impl_->now->unknown() : impl_->computable.unknown();
}

int64_t MostLoopSteps() {
  const std::string text = EnvironmentText(kStepsVariable);
  if (text.empty()) return kMostSteps;
  int64_t steps = 0;
  const char* end = text.data() + text.size();
  const auto [at, failure] = std::from_chars(text.data(), end, steps);
  if (failure != std::errc() || at != end || steps < 1) {
    FailEnvironment(kStepsVariable, "expected a whole number from 1 to 2^63 - 1",
                    "the most steps that the loops of a model may take in one run, e.g. 10000000");
  }
  return steps;
}

std::vector<UnknownOperator> FindUnknown(const Graph& graph) {
  Graph inlined = graph;
  InlineCalls(&inlined);
  const auto unknown = [&inlined](const Node& node) -> std::string {
    const auto import = inlined.opset_imports.find(node.domain);
    const int opset = import == inlined.opset_imports.end() ? 1 : static_cast<int>(import->second);
    return FindOperator(node.domain, node.op_type, opset) ? "" : UnknownName(node, opset);
  };
  return Computable(inlined, unknown).unknown();
}

std::vector<ProfileRow> Executor::Profile() const {
  std::vector<ProfileRow> rows;
  if (!impl_->options.profile) return rows;
  for (const Step& step : impl_->steps) {
    rows.push_back({step.node->Title(), step.node->op_type, step.calls, step.seconds, step.shortest});
  }
  return rows;
}

}  // namespace xslim
