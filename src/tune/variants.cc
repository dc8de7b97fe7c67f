#include "tune/variants.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "graph/subgraph.h"
#include "runtime/buffer_pool.h"
#include "runtime/executor.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kGroup = 8;
constexpr int64_t kWeightBytes = 256 << 20;  // of the variants of a group together, about

int64_t WeightBytes(const Graph& graph) {
  int64_t bytes = 1;
  for (size_t i = 0; i < graph.value_slots(); ++i)
    bytes += graph.value(static_cast<ValueId>(i)).constant.size() * static_cast<int64_t>(sizeof(float));
  return bytes;
}

// Which values of a variant are computed exactly as in the base.
class Difference {
 public:
  Difference(const Graph& base, const Graph& variant)
      : base_(base), variant_(variant), known_(variant.value_slots(), kUnknown) {}

  bool Same(ValueId id) {
    if (id == kNone) return true;
    char& known = known_[static_cast<size_t>(id)];
    if (known == kUnknown) known = Compare(id) ? kSame : kOther;
    return known == kSame;
  }

 private:
  enum : char { kUnknown, kSame, kOther };

  bool Compare(ValueId id) {
    const Value& value = variant_.value(id);
    const ValueId other = base_.Find(value.name);
    if (other == kNone) return false;
    const Value& twin = base_.value(other);
    if (value.constant.defined() || twin.constant.defined()) {
      return value.constant.defined() == twin.constant.defined() &&
             (value.constant.raw() == twin.constant.raw() || value.constant.SameBytes(twin.constant));
    }
    if (value.producer == kNone || twin.producer == kNone) return value.producer == twin.producer;
    const Node &node = variant_.node(value.producer), &same = base_.node(twin.producer);
    if (node.op_type != same.op_type || node.domain != same.domain || node.name != same.name ||
        value.producer_slot != twin.producer_slot || node.inputs.size() != same.inputs.size()) {
      return false;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if ((node.inputs[i] == kNone) != (same.inputs[i] == kNone)) return false;
      if (node.inputs[i] == kNone) continue;
      if (variant_.value(node.inputs[i]).name != base_.value(same.inputs[i]).name) return false;
    }
    const std::vector<ValueId> reads = ReadsOf(variant_, node);
    return std::all_of(reads.begin(), reads.end(), [this](ValueId read) { return Same(read); });
  }

  const Graph &base_, &variant_;
  std::vector<char> known_;
};

OutputNoises MeasureOutputs(const Graph& graph, const OutputNoise& noise, const std::vector<Sample>& samples,
                            ThreadPool& pool) {
  ExecutorOptions options;
  options.buffers = std::make_shared<BufferPool>();
  Executor executor(graph, pool, options);
  std::unique_ptr<Executor> reference;
  OutputNoises noises(noise.outputs(), std::vector<std::vector<double>>(samples.size()));
  for (size_t s = 0; s < samples.size(); ++s) {
    std::vector<Tensor> wanted;
    if (!noise.Keeps(s)) {
      if (!reference) reference = std::make_unique<Executor>(noise.reference(), pool, options);
      wanted = reference->Run(samples[s]);
    }
    const std::vector<Tensor> outputs = executor.Run(samples[s]);
    for (size_t o = 0; o < noise.outputs(); ++o)
      noises[o][s] = noise.Of(o, s, outputs[o], noise.Keeps(s) ? nullptr : &wanted[o]);
  }
  return noises;
}

}  // namespace

NoiseRatios NoiseOf(const Graph& graph, const OutputNoise& noise, const std::vector<Sample>& samples,
                    ThreadPool& pool) {
  return noise.Ratios(MeasureOutputs(graph, noise, samples, pool));
}

// The part of a variant that may come out different, ready to run.
class VariantRunner::Variant {
 public:
  Variant(const Graph& base, const Graph& graph, ThreadPool& one) {
    Difference difference(base, graph);
    const std::vector<NodeId> order = graph.Order();
    std::set<ValueId> constant;  // what follows from constants alone is made where it is read
    std::set<NodeId> wanted;
    for (NodeId id : order) {
      const Node& node = graph.node(id);
      const std::vector<ValueId> reads = ReadsOf(graph, node);
      if (std::all_of(reads.begin(), reads.end(), [&](ValueId read) {
            return graph.value(read).has_value() || constant.count(read) != 0;
          })) {
        constant.insert(node.outputs.begin(), node.outputs.end());
      } else if (std::any_of(node.outputs.begin(), node.outputs.end(),
                             [&](ValueId output) { return output != kNone && !difference.Same(output); })) {
        wanted.insert(id);
      }
    }
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (!wanted.count(*it)) continue;
      for (ValueId read : ReadsOf(graph, graph.node(*it))) {
        if (constant.count(read)) wanted.insert(graph.value(read).producer);
      }
    }
    std::vector<NodeId> nodes;
    for (NodeId id : order) {
      if (wanted.count(id)) nodes.push_back(id);
    }
    part_ = Extract(graph, nodes);
    for (ValueId id : part_.inputs) inputs_.push_back(graph.value(id).name);
    const std::vector<ValueId>& outputs = graph.outputs();
    for (ValueId id : part_.outputs) {
      const auto at = std::find(outputs.begin(), outputs.end(), id);
      output_.push_back(at == outputs.end() ? -1 : static_cast<int64_t>(at - outputs.begin()));
    }
    executor_ = std::make_unique<Executor>(part_.graph, one);
  }

  const std::vector<std::string>& inputs() const { return inputs_; }  // names, which the base has, too

  // values: of the base, by name. Replaces what the variant changes in `noise`.
  void Run(const std::map<std::string, Tensor>& values, size_t sample, const OutputNoise& measure,
           OutputNoises* noise) {
    std::vector<Tensor> inputs;
    for (const std::string& name : inputs_) inputs.push_back(values.at(name));
    const std::vector<Tensor> outputs = executor_->Run(inputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (output_[i] < 0) continue;
      const auto output = static_cast<size_t>(output_[i]);
      (*noise)[output][sample] = measure.Of(output, sample, outputs[i]);
    }
  }

 private:
  Subgraph part_;
  std::vector<std::string> inputs_;
  std::vector<int64_t> output_;  // by output of the part: which output of the graph it is, or -1
  std::unique_ptr<Executor> executor_;
};

VariantRunner::VariantRunner(const Graph& base, const OutputNoise& noise, const std::vector<Sample>& samples,
                             ThreadPool& pool)
    : base_(base),
      noise_(noise),
      samples_(samples),
      pool_(pool),
      base_noise_(MeasureOutputs(base, noise, samples, pool)),
      base_ratios_(noise.Ratios(base_noise_)) {
  group_ = static_cast<size_t>(
      std::clamp<int64_t>(kWeightBytes / WeightBytes(base), 1, static_cast<int64_t>(kGroup)));
}

std::vector<NoiseRatios> VariantRunner::Run(size_t count, const std::function<Graph(size_t)>& make,
                                            const std::function<void(int64_t)>& done) {
  std::vector<NoiseRatios> ratios;
  ThreadPool one(1);
  for (size_t begin = 0; begin < count; begin += group_) {
    const size_t end = std::min(begin + group_, count);
    std::vector<std::unique_ptr<Variant>> variants;
    std::set<std::string> wanted;
    for (size_t v = begin; v < end; ++v) {
      variants.push_back(std::make_unique<Variant>(base_, make(v), one));
      wanted.insert(variants.back()->inputs().begin(), variants.back()->inputs().end());
    }
    // The base up to what the variants read.
    std::set<NodeId> needed;
    const std::vector<NodeId> order = base_.Order();
    std::vector<NodeId> front_nodes;
    for (const std::string& name : wanted) {
      const ValueId id = base_.Find(name);
      if (id == kNone) throw Error("a variant of the graph reads what the graph itself does not have", name);
      needed.insert(base_.value(id).producer);
    }
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (!needed.count(*it)) continue;
      for (ValueId read : ReadsOf(base_, base_.node(*it))) needed.insert(base_.value(read).producer);
    }
    for (NodeId id : order) {
      if (needed.count(id)) front_nodes.push_back(id);
    }
    const Subgraph front = Extract(base_, front_nodes);
    std::map<std::string, Tensor> values;
    std::unique_ptr<Executor> executor;
    if (!front_nodes.empty()) {
      executor = std::make_unique<Executor>(front.graph, pool_);
      std::vector<ValueId> taps;
      for (const std::string& name : wanted) {
        if (base_.value(base_.Find(name)).producer != kNone) taps.push_back(front.graph.Find(name));
      }
      executor->SetTaps(taps, [&](ValueId id, const Tensor& tensor) {
        values[front.graph.value(id).name] = tensor.Clone();
      });
    }
    const std::vector<ValueId> free_inputs = base_.FreeInputs();
    std::vector<OutputNoises> noise(variants.size(), base_noise_);
    for (size_t s = 0; s < samples_.size(); ++s) {
      values.clear();
      for (size_t i = 0; i < free_inputs.size(); ++i)
        values[base_.value(free_inputs[i]).name] = samples_[s][i];
      if (executor) {
        std::vector<Tensor> inputs;
        for (ValueId id : front.inputs) inputs.push_back(values.at(base_.value(id).name));
        executor->Run(inputs);
      }
      pool_.ParallelFor(static_cast<int64_t>(variants.size()), 1, [&](int64_t from, int64_t to, int) {
        for (int64_t v = from; v < to; ++v) {
          const auto at = static_cast<size_t>(v);
          variants[at]->Run(values, s, noise_, &noise[at]);
        }
      });
    }
    for (const OutputNoises& of_variant : noise) ratios.push_back(noise_.Ratios(of_variant));
    if (done) done(static_cast<int64_t>(end));
  }
  return ratios;
}

}  // namespace xslim
