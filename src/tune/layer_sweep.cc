#include "tune/layer_sweep.h"

#include <algorithm>
#include <set>

#include "graph/subgraph.h"
#include "kernels/kernels.h"
#include "runtime/buffer_pool.h"
#include "runtime/executor.h"
#include "runtime/sample_lanes.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kKeptBytes = int64_t{96} << 20;  // of a visited operator's outputs, all samples together

}  // namespace

void LayerSweep::FindViews() {
  views_.assign(graph_.node_slots(), false);
  for (NodeId id : graph_.Order()) {
    const Node& node = graph_.node(id);
    const auto of_constants = [&] {
      const std::vector<ValueId> reads = ReadsOf(graph_, node);
      return std::all_of(reads.begin(), reads.end(), [&](ValueId input) {
        if (graph_.value(input).has_value()) return true;
        const Node* producer = graph_.Producer(input);
        return producer != nullptr && IsView(*producer) && !producer->Is("DequantizeLinear");
      });
    };
    views_[static_cast<size_t>(id)] =
        node.Is("DequantizeLinear") || (!node.inputs.empty() && !node.Is("QuantizeLinear") && of_constants());
  }
}

bool LayerSweep::IsView(const Node& node) const { return views_[static_cast<size_t>(node.id)]; }

void LayerSweep::AddInput(ValueId value, Step* step) const {
  if (graph_.value(value).has_value()) return;
  const Node* producer = graph_.Producer(value);
  if (producer != nullptr && IsView(*producer)) {
    if (std::find(step->nodes.begin(), step->nodes.end(), producer->id) != step->nodes.end()) return;
    for (ValueId input : ReadsOf(graph_, *producer)) AddInput(input, step);
    step->nodes.push_back(producer->id);
    return;
  }
  if (std::find(step->inputs.begin(), step->inputs.end(), value) == step->inputs.end())
    step->inputs.push_back(value);
}

std::vector<LayerSweep::Step> LayerSweep::PlanSteps() const {
  std::set<NodeId> merged;
  std::vector<Step> steps;
  for (NodeId id : graph_.Order()) {
    const Node& node = graph_.node(id);
    if (merged.count(id) || IsView(node)) continue;
    Step step;
    step.node = id;
    for (ValueId input : ReadsOf(graph_, node)) AddInput(input, &step);
    step.nodes.push_back(id);
    for (ValueId output : node.outputs) {  // what only a quantizer reads is stored as codes at once
      const NodeId user = output == kNone ? kNone : graph_.SoleUser(output);
      if (user == kNone || !graph_.node(user).Is("QuantizeLinear")) continue;
      step.nodes.push_back(user);
      merged.insert(user);
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

void LayerSweep::RunNodes(const std::vector<NodeId>& nodes, const TakeOutputs& take) {
  const Subgraph part = Extract(graph_, nodes);
  const auto run = [&](Executor& executor, int64_t sample) {
    std::vector<Tensor> inputs;
    for (ValueId id : part.inputs) inputs.push_back(stored_[static_cast<size_t>(sample)].at(id));
    take(static_cast<size_t>(sample), part.outputs, executor.Run(inputs));
  };
  ExecutorOptions options;
  options.buffers = arenas_[0];
  auto first = std::make_unique<Executor>(part.graph, pool_, options);
  run(*first, 0);
  // Without the ceiling: what a layer takes is little beside the stored values, which have a bound of their
  // own and lie in the same arenas.
  SampleLanes(pool_).Run(
      "tuning", 1, static_cast<int64_t>(stored_.size()), first->buffer_bytes(), &first,
      [&](const std::unique_ptr<Executor>& from, ThreadPool& one, size_t lane) {
        return from->Clone(one, nullptr, arenas_[lane]);
      },
      [&](const std::unique_ptr<Executor>& executor, int64_t begin, int64_t end) {
        for (int64_t s = begin; s < end; ++s) run(*executor, s);
      });
}

void LayerSweep::ForEachOutput(const SeeOutput& see) {
  if (!kept_.empty()) {
    pool_.ParallelFor(static_cast<int64_t>(kept_.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t s = begin; s < end; ++s) see(static_cast<size_t>(s), kept_[static_cast<size_t>(s)]);
    });
    return;
  }
  const ValueId wanted = graph_.node(visited_->node).outputs[0];
  std::vector<NodeId> nodes;
  for (NodeId id : visited_->nodes) {
    nodes.push_back(id);
    if (id == visited_->node) break;
  }
  const size_t most =
      static_cast<size_t>(std::min(kKeptBytes, ceiling_.Room() / 2)) / samples();  // bytes of each
  std::vector<Tensor> outputs(samples());
  RunNodes(nodes, [&](size_t sample, const std::vector<ValueId>& values, std::vector<Tensor> made) {
    const auto at = static_cast<size_t>(std::find(values.begin(), values.end(), wanted) - values.begin());
    see(sample, made.at(at));
    if (made[at].bytes() <= most) outputs[sample] = std::move(made[at]);
  });
  if (std::all_of(outputs.begin(), outputs.end(), [](const Tensor& output) { return output.defined(); }))
    kept_ = std::move(outputs);
}

void LayerSweep::Run(const std::vector<Sample>& samples, const std::vector<NodeId>& watched,
                     const Visit& visit) {
  if (samples.empty()) return;
  stored_.assign(samples.size(), {});
  arenas_.clear();
  for (int i = 0; i < pool_.size(); ++i) arenas_.push_back(std::make_shared<BufferPool>());
  const std::vector<ValueId> free_inputs = graph_.FreeInputs();
  for (size_t s = 0; s < samples.size(); ++s) {
    for (size_t i = 0; i < free_inputs.size(); ++i) stored_[s][free_inputs[i]] = samples[s].at(i);
  }
  FindViews();
  const std::vector<Step> steps = PlanSteps();
  std::map<ValueId, size_t> last;
  for (size_t i = 0; i < steps.size(); ++i) {
    for (ValueId id : steps[i].inputs) last[id] = i;
  }
  const std::set<NodeId> visits(watched.begin(), watched.end());
  for (size_t i = 0; i < steps.size(); ++i) {
    if (visits.count(steps[i].node)) {
      visited_ = &steps[i];
      visit(steps[i].node);
      visited_ = nullptr;
      kept_.clear();
    }
    RunNodes(steps[i].nodes, [&](size_t s, const std::vector<ValueId>& values, std::vector<Tensor> made) {
      for (size_t o = 0; o < values.size(); ++o) {
        // A view's output may be wanted elsewhere, too; only what the step itself makes is stored.
        if (!IsView(*graph_.Producer(values[o]))) stored_[s][values[o]] = std::move(made[o]);
      }
    });
    for (std::map<ValueId, Tensor>& values : stored_) {
      for (auto it = values.begin(); it != values.end();) {
        const auto reader = last.find(it->first);
        it = reader == last.end() || reader->second <= i ? values.erase(it) : std::next(it);
      }
    }
  }
  stored_.clear();
  arenas_.clear();
}

Tensor LayerSweep::Input(NodeId node, size_t slot, size_t sample) const {
  const ValueId id = graph_.node(node).input(slot);
  const std::map<ValueId, Tensor>& values = stored_[sample];
  const auto found = values.find(id);
  if (found != values.end()) return found->second.ToFloat32();
  const Node* producer = graph_.Producer(id);
  if (producer == nullptr || !producer->Is("DequantizeLinear"))
    throw Error("tensor " + graph_.value(id).name + " is not stored");
  const Tensor& codes = values.at(producer->input(0));
  Tensor result(DType::kFloat, codes.shape(), arenas_[0].get());
  const float scale = graph_.Constant(producer->input(1))->data<float>()[0];
  const int32_t zero = graph_.Constant(producer->input(2))->data<int8_t>()[0];
  const int8_t* const from = codes.data<int8_t>();
  float* const to = result.data<float>();
  constexpr int64_t kGrain = 1 << 15;
  pool_.ParallelFor(codes.size(), kGrain, [&](int64_t begin, int64_t end, int) {
    kernels::Active().dequantize_s8(from + begin, scale, zero, to + begin, end - begin);
  });
  return result;
}

}  // namespace xslim
