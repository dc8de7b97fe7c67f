#include "runtime/executor.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "base/environment.h"
#include "base/log.h"
#include "base/trace.h"
#include "graph/function.h"
#include "kernels/kernels.h"
#include "runtime/executor_impl.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kGrain = 1 << 15;        // elements
constexpr int64_t kMostSteps = 1'000'000;  // of loops in one run
constexpr int64_t kManySteps = 10'000;     // from which on a loop is said to run
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

}  // namespace

std::string UnknownName(const Node& node, int opset) {
  return node.op_type + " (" + (node.domain.empty() ? "ai.onnx" : node.domain) + ", version " +
         std::to_string(opset) + ")";
}

std::vector<Tensor> Executor::Impl::Evaluate(PlannedStep& step, Allocator* allocator) {
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

void Executor::Impl::Forget(ValueId id) {
  Tensor& tensor = values[static_cast<size_t>(id)];
  if (!forgettable[static_cast<size_t>(id)] || std::as_const(tensor).raw() == nullptr) return;
  tensor = Tensor::Borrow(tensor.dtype(), tensor.shape(), nullptr, false);
}

bool Executor::Impl::Tolerates(const PlannedStep& step, const Error& error) const {
  if (!options.skip_unknown || parent || dynamic_cast<const OutOfMemory*>(&error) ||
      dynamic_cast<const TooManySteps*>(&error))
    return false;
  return step.row->role == QuantRole::kNone || dynamic_cast<const Unsupported*>(&error) != nullptr;
}

void Executor::Impl::Fail(const PlannedStep& step, const Error& error) {
  if (!failed) now = std::make_unique<Computable>(computable);
  failed = true;
  now->Fail(step.node->id, xslim::UnknownName(*step.node, step.opset), error.what());
}

std::vector<Tensor> Executor::Impl::EvaluateTimed(PlannedStep& step) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Tensor> outputs = Evaluate(step, buffers.get());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  step.seconds += seconds;
  step.shortest = step.calls == 0 ? seconds : std::min(step.shortest, seconds);
  ++step.calls;
  return outputs;
}

std::vector<Tensor> Executor::Impl::RunQuantize(const PlannedStep& step, Allocator* allocator) {
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

void Executor::Impl::Tap(ValueId id) const {
  const Tensor& tensor = values[static_cast<size_t>(id)];
  if (tapped[static_cast<size_t>(id)] && tap && tensor.is_tensor()) tap(id, tensor);
}

std::vector<Tensor> Executor::Impl::RunGraph(const std::vector<Tensor>& inputs) {
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
  for (PlannedStep& step : steps) {
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

void Executor::Impl::Clear() {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!constant[i]) values[i] = Tensor();
  }
}

const Tensor& Executor::Impl::Captured(const std::string& name) const {
  for (const Impl* outer = parent; outer; outer = outer->parent) {
    const ValueId id = outer->graph.Find(name);
    if (id == kNone) continue;
    const Tensor& tensor = outer->values[static_cast<size_t>(id)];
    if (tensor.defined()) return tensor;
  }
  throw Error("tensor " + name + " has no producer", "graph " + graph.name);
}

std::vector<Tensor> Executor::Impl::Run(const Graph& body, const std::vector<Tensor>& inputs) {
  CountStep();
  std::unique_ptr<Impl>& child = children[&body];
  if (!child) child = std::make_unique<Impl>(body, pool, options, this);
  return child->RunGraph(inputs);
}

void Executor::Impl::CountStep() {
  Impl* outermost = this;
  while (outermost->parent) outermost = outermost->parent;
  const int64_t steps = ++outermost->steps_taken;
  if (steps > most_steps) {
    std::string hint;
    if (options.most_steps == 0)
      hint = StrCat("see its trip count and condition, or allow more with ", kStepsVariable,
                    " in the environment");
    throw TooManySteps(StrCat("loops go on after ", most_steps, " steps in one run of the model"), "", hint);
  }
  if (steps == kManySteps) SayManySteps(*outermost->running, most_steps);
}

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
  for (const PlannedStep& step : impl_->steps) {
    rows.push_back({step.node->Title(), step.node->op_type, step.calls, step.seconds, step.shortest});
  }
  return rows;
}

}  // namespace xslim
