// What an executor does once: folds what depends on constants alone, fuses, finds out when values die.
#include <algorithm>
#include <utility>

#include "runtime/executor_impl.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kLargestFolded = size_t{64} << 20;  // bytes of one value that is computed once and kept

bool HasBody(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(),
                     [](const auto& item) { return item.second.graph != nullptr; });
}

}  // namespace

Executor::Impl::Impl(const Graph& graph, ThreadPool& pool, ExecutorOptions options, Impl* parent)
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

Executor::Impl::Impl(const Impl& other, ThreadPool& pool, std::shared_ptr<BufferPool> own)
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
  for (PlannedStep& step : steps) {
    step.calls = 0;
    step.seconds = 0;
  }
}

void Executor::Impl::CheckProducers() const {
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

void Executor::Impl::Plan() {
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
  const std::set<std::string> captured = graph.Captures();
  std::unordered_set<NodeId> done = Fold(captured);
  Fusion fusion(
      graph, captured, OpsetOf(""),
      [this](ValueId id) { return IsConstant(id) ? &values[static_cast<size_t>(id)] : nullptr; },
      [this](ValueId id) { return tapped[static_cast<size_t>(id)] || graph.value(id).is_output; });
  for (NodeId id : order) {
    if (done.count(id) || fusion.merged(id) || computable.skipped(id)) continue;
    PlannedStep step;
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

void Executor::Impl::SetConstantInputs(PlannedStep& step) const {
  step.constant_inputs.clear();
  for (ValueId input : step.node->inputs) step.constant_inputs.push_back(IsConstant(input));
}

std::unordered_set<NodeId> Executor::Impl::Fold(const std::set<std::string>& captured) {
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
    PlannedStep step;
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
                          values[slot].dtype() == DType::kFloat && !captured.count(value.name);
    }
  }
  return done;
}

size_t Executor::Impl::PromisedBytes(const Value& value) {
  if (!value.has_shape) return 0;
  size_t bytes = std::max<size_t>(SizeOf(value.dtype), 1);
  for (const Dim& dim : value.dims) {
    if (dim.size < 0) return 0;
    bytes *= static_cast<size_t>(dim.size);
  }
  return bytes;
}

void Executor::Impl::PlanLiveness() {
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

}  // namespace xslim
