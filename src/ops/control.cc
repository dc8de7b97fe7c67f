// If, Loop and Scan: their bodies are run by the executor that runs the node.
#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "ops/copy.h"
#include "ops/graph_runner.h"
#include "xslim/error.h"

namespace xslim {
const Graph& BodyOf(const EvalContext& c, const char* attribute) {
  const auto at = c.node.attributes.find(attribute);
  if (at == c.node.attributes.end() || !at->second.graph) {
    throw Error(std::string("attribute ") + attribute + " is missing", "", "expected a graph");
  }
  return *at->second.graph;
}

std::vector<Tensor> RunBody(const EvalContext& c, const Graph& body, const std::vector<Tensor>& inputs) {
  if (c.runner == nullptr) throw Error("subgraphs cannot be run here");
  return c.runner->Run(body, inputs);
}

namespace {

bool Truth(const Tensor& tensor) {
  if (tensor.dtype() != DType::kBool || tensor.size() != 1) {
    throw Error("condition is " + std::string(NameOf(tensor.dtype())) + ToString(tensor.shape()), "",
                "expected one bool");
  }
  return tensor.data<bool>()[0];
}

// What one step of the body makes: its element type, and its shape with 0 for what is not known.
struct StepType {
  DType dtype;
  Shape shape;
};

// A copy of the body with these of its outputs alone, and what they need.
Graph PartFor(const Graph& body, const std::set<ValueId>& outputs) {
  Graph part = body;
  for (ValueId id : body.outputs())
    if (outputs.count(id) == 0) part.RemoveOutput(id);
  part.RemoveDead();
  return part;
}

// Of each stacked output of a body that never ran: as declared, or where type or rank of a wanted one is not,
// from a step on `inputs` that computes no more than those. Where such a step fails, a declared type is
// enough. The body's output `first` belongs to the node's output `slot`.
std::vector<StepType> TypesOfSteps(EvalContext& c, const Graph& body, const std::vector<Tensor>& inputs,
                                   size_t first, size_t slot) {
  std::vector<StepType> types;
  std::set<ValueId> open;
  bool typed = true;
  for (size_t i = first; i < body.outputs().size(); ++i) {
    const Value& value = body.value(body.outputs()[i]);
    const bool known = value.dtype != DType::kUndefined;
    if ((!known || !value.has_shape) && c.wants(slot + i - first)) {
      open.insert(value.id);
      typed = typed && known;
    }
    types.push_back({value.dtype, {}});
    for (const Dim& dim : value.dims) types.back().shape.push_back(std::max<int64_t>(dim.size, 0));
  }
  if (open.empty()) return types;
  auto& part = c.state<std::optional<Graph>>();  // kept: runners know bodies by their address
  if (!part) part = PartFor(body, open);
  std::vector<Tensor> results;
  try {
    results = RunBody(c, *part, inputs);
  } catch (const Error&) {
    if (!typed) throw;
  }
  for (size_t i = 0; i < types.size(); ++i) {
    for (size_t r = 0; r < results.size(); ++r) {
      if (part->outputs()[r] == body.outputs()[first + i])
        types[i] = {results[r].dtype(), results[r].shape()};
    }
  }
  return types;
}

// No step at all, along `axis` of the result.
Tensor NoSteps(const StepType& step, int64_t axis) {
  Shape shape = step.shape;
  shape.insert(shape.begin() + NormalAxis(axis, static_cast<int64_t>(shape.size()) + 1), 0);
  return Tensor(step.dtype, shape);
}

void EvaluateIf(EvalContext& c) {
  std::vector<Tensor> results = RunBody(c, BodyOf(c, Truth(c.in(0)) ? "then_branch" : "else_branch"), {});
  for (size_t i = 0; i < results.size() && i < c.node.outputs.size(); ++i)
    c.set_out(i, std::move(results[i]));
}

// Body: (iteration, condition, states...) -> (condition, states..., stacked outputs...).
void EvaluateLoop(EvalContext& c) {
  const Graph& body = BodyOf(c, "body");
  int64_t most = std::numeric_limits<int64_t>::max();
  if (c.has(0)) {
    if (c.in(0).size() != 1) throw Error("the trip count must have one element");
    most = c.in(0).ToInts()[0];
  }
  bool go = !c.has(1) || Truth(c.in(1));
  std::vector<Tensor> state;
  for (size_t i = 2; i < c.num_inputs(); ++i) state.push_back(c.any_in(i));
  if (body.outputs().size() < state.size() + 1) throw Error("the body has too few outputs");
  std::vector<std::vector<Tensor>> stacks(body.outputs().size() - 1 - state.size());
  const auto inputs_of = [&](int64_t step) {
    std::vector<Tensor> inputs{Tensor::Scalar<int64_t>(step), Tensor(DType::kBool, {})};
    inputs[1].data<bool>()[0] = true;
    inputs.insert(inputs.end(), state.begin(), state.end());
    return inputs;
  };
  int64_t steps = 0;
  for (; steps < most && go; ++steps) {
    std::vector<Tensor> results = RunBody(c, body, inputs_of(steps));
    go = Truth(results[0]);
    for (size_t i = 0; i < state.size(); ++i) state[i] = results[i + 1];
    for (size_t i = 0; i < stacks.size(); ++i) stacks[i].push_back(results[state.size() + 1 + i]);
  }
  for (size_t i = 0; i < state.size() && i < c.node.outputs.size(); ++i) c.set_out(i, state[i]);
  std::vector<StepType> types;
  if (steps == 0) types = TypesOfSteps(c, body, inputs_of(0), state.size() + 1, state.size());
  for (size_t i = 0; i < stacks.size(); ++i) {
    const size_t slot = state.size() + i;
    if (c.wants(slot)) c.set_out(slot, steps == 0 ? NoSteps(types[i], 0) : Stacked(c, stacks[i], 0));
  }
}

// Element `index` of `axis`, the axis removed.
Tensor Picked(const EvalContext& c, const Tensor& x, int64_t axis, int64_t index) {
  Shape shape = x.shape();
  shape.erase(shape.begin() + axis);
  return Part(c, x, axis, index, 1).Reshaped(std::move(shape));
}

int64_t Entry(const std::vector<int64_t>& list, size_t i) { return i < list.size() ? list[i] : 0; }

// Body: (states..., one element of each scanned input...) -> (states..., stacked outputs...).
void EvaluateScan(EvalContext& c) {
  const Graph& body = BodyOf(c, "body");
  const int64_t scanned = c.node.Int("num_scan_inputs", 0);
  if (scanned < 1 || scanned > static_cast<int64_t>(c.num_inputs())) {
    throw Error("num_scan_inputs is " + std::to_string(scanned) + " for " + std::to_string(c.num_inputs()) +
                " inputs");
  }
  const size_t states = c.num_inputs() - static_cast<size_t>(scanned);
  const std::vector<int64_t> in_axes = c.node.Ints("scan_input_axes"),
                             out_axes = c.node.Ints("scan_output_axes"),
                             in_directions = c.node.Ints("scan_input_directions"),
                             out_directions = c.node.Ints("scan_output_directions");
  std::vector<Tensor> state;
  for (size_t i = 0; i < states; ++i) state.push_back(c.any_in(i));
  if (body.outputs().size() < states) throw Error("the body has too few outputs");
  int64_t length = -1;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < static_cast<size_t>(scanned); ++i) {
    const Tensor& x = c.in(states + i);
    axes.push_back(NormalAxis(Entry(in_axes, i), x.rank()));
    if (length >= 0 && x.dim(axes[i]) != length) throw Error("the scanned inputs have different lengths");
    length = x.dim(axes[i]);
  }
  std::vector<std::vector<Tensor>> stacks(body.outputs().size() - states);
  for (int64_t t = 0; t < length; ++t) {
    std::vector<Tensor> inputs = state;
    for (size_t i = 0; i < axes.size(); ++i) {
      inputs.push_back(
          Picked(c, c.in(states + i), axes[i], Entry(in_directions, i) == 0 ? t : length - 1 - t));
    }
    const std::vector<Tensor> results = RunBody(c, body, inputs);
    for (size_t i = 0; i < states; ++i) state[i] = results[i];
    for (size_t i = 0; i < stacks.size(); ++i) stacks[i].push_back(results[states + i]);
  }
  for (size_t i = 0; i < states && i < c.node.outputs.size(); ++i) c.set_out(i, state[i]);
  std::vector<StepType> types;
  if (length == 0) {
    std::vector<Tensor> inputs = state;
    for (size_t i = 0; i < axes.size(); ++i) {
      Shape shape = c.in(states + i).shape();
      shape.erase(shape.begin() + axes[i]);
      inputs.emplace_back(c.in(states + i).dtype(), shape);
      FillZero(inputs.back());
    }
    types = TypesOfSteps(c, body, inputs, states, states);
  }
  for (size_t i = 0; i < stacks.size(); ++i) {
    if (!c.wants(states + i)) continue;
    if (Entry(out_directions, i) != 0) std::reverse(stacks[i].begin(), stacks[i].end());
    c.set_out(states + i, length == 0 ? NoSteps(types[i], Entry(out_axes, i))
                                      : Stacked(c, stacks[i], Entry(out_axes, i)));
  }
}

}  // namespace

std::vector<OperatorRow> ControlOperators() {
  return {
      {"", "If", 1, kAnyLater, EvaluateIf},
      {"", "Loop", 1, kAnyLater, EvaluateLoop},
      {"", "Scan", 9, kAnyLater, EvaluateScan},
  };
}

}  // namespace xslim
