#include "tune/knobs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "graph/subgraph.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

constexpr size_t kGroup = 8;  // knobs that share one cut of the graph

// Values of the points on all samples, run in contiguous pieces by threads with executors of their own.
class PointRunner {
 public:
  PointRunner(const Graph& graph, const OutputError& error, size_t samples, ThreadPool& pool)
      : pool_(pool), samples_(static_cast<int64_t>(samples)), values_(error.points().size()) {
    std::vector<ValueId> taps;
    for (size_t p = 0; p < error.points().size(); ++p) {
      const ValueId id = graph.Find(error.points()[p]);
      if (id == kNone || graph.value(id).producer == kNone) continue;
      taps.push_back(id);
      point_[id] = p;
    }
    for (std::vector<Tensor>& values : values_) values.resize(samples);
    pieces_ = std::clamp<int64_t>(pool.size(), 1, std::max<int64_t>(samples_, 1));
    current_.resize(static_cast<size_t>(pieces_));
    for (int64_t p = 0; p < pieces_; ++p) {
      executors_.push_back(std::make_unique<Executor>(graph, one_));
      executors_.back()->SetTaps(taps, [this, p](ValueId id, const Tensor& tensor) {
        if (tensor.dtype() == DType::kFloat)
          values_[point_.at(id)][current_[static_cast<size_t>(p)]] = tensor.Clone();
      });
    }
  }

  bool sees_points() const { return !point_.empty(); }

  using Inputs = std::function<Sample(size_t sample)>;
  const std::vector<std::vector<Tensor>>& Run(const Inputs& inputs) {
    pool_.ParallelFor(pieces_, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t p = begin; p < end; ++p) {
        for (int64_t s = samples_ * p / pieces_; s < samples_ * (p + 1) / pieces_; ++s) {
          current_[static_cast<size_t>(p)] = static_cast<size_t>(s);
          executors_[static_cast<size_t>(p)]->Run(inputs(static_cast<size_t>(s)));
        }
      }
    });
    return values_;
  }

 private:
  ThreadPool& pool_;
  ThreadPool one_{1};
  int64_t samples_, pieces_ = 1;
  std::map<ValueId, size_t> point_;
  std::vector<size_t> current_;  // the sample that each piece is at
  std::vector<std::unique_ptr<Executor>> executors_;
  std::vector<std::vector<Tensor>> values_;
};

// Several knobs, and the part of the graph that they reach.
class Group {
 public:
  // graph: with the knobs before these set.
  Group(Graph graph, const std::vector<Knob>& knobs, size_t begin, size_t end, const OutputError& error,
        const std::vector<Sample>& samples, ThreadPool& pool)
      : knobs_(knobs), begin_(begin), error_(error), setting_(end - begin, 0) {
    for (size_t k = begin; k < end; ++k) {
      for (size_t i = 0; i < knobs[k].constants.size(); ++i) Open(&graph, knobs[k].constants[i], {k, i});
    }
    std::vector<NodeId> reached, before;
    Split(graph, &reached, &before);
    part_ = Extract(graph, reached);
    runner_ = std::make_unique<PointRunner>(part_.graph, error, samples.size(), pool);
    if (runner_->sees_points()) Prepare(graph, before, samples, pool);
  }

  void Turn(double worthwhile) {
    if (!runner_->sees_points()) return;
    double best = Error();
    for (size_t k = 0; k < setting_.size(); ++k) {
      size_t chosen = 0;
      for (size_t s = 1; s < knobs_[begin_ + k].settings.size(); ++s) {
        setting_[k] = s;
        const double error = Error();
        if (error < best - worthwhile) {
          best = error;
          chosen = s;
        }
      }
      setting_[k] = chosen;
    }
  }

  const std::vector<size_t>& setting() const { return setting_; }

 private:
  struct Place {
    size_t knob, constant;
  };

  // The constant becomes an input.
  void Open(Graph* graph, ValueId constant, Place place) {
    const Value value = graph->value(constant);
    const ValueId open = graph->AddValue(value.name + "_open", value.dtype);
    for (const Use& use : value.uses) graph->SetInput(use.node, static_cast<size_t>(use.slot), open);
    graph->AddInput(open);
    opened_[open] = place;
  }

  // reached: nodes behind the opened constants, with the constant-only nodes that they read; before: what
  // else must run for their inputs.
  void Split(const Graph& graph, std::vector<NodeId>* reached, std::vector<NodeId>* before) const {
    const std::vector<NodeId> order = graph.Order();
    std::set<ValueId> moving, constant;
    for (const auto& [id, place] : opened_) moving.insert(id);
    std::set<NodeId> behind;
    for (NodeId id : order) {
      const Node& node = graph.node(id);
      const std::vector<ValueId> reads = ReadsOf(graph, node);
      const bool still = std::all_of(reads.begin(), reads.end(), [&](ValueId value) {
        return graph.value(value).has_value() || constant.count(value) != 0;
      });
      if (still) constant.insert(node.outputs.begin(), node.outputs.end());
      if (std::none_of(reads.begin(), reads.end(), [&](ValueId value) { return moving.count(value) != 0; }))
        continue;
      behind.insert(id);
      moving.insert(node.outputs.begin(), node.outputs.end());
    }
    std::set<NodeId> with_constants = behind, needed;
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = graph.node(*it);
      const bool in_part = with_constants.count(*it) != 0;
      if (!in_part && !needed.count(*it)) continue;
      for (ValueId value : ReadsOf(graph, node)) {
        const NodeId producer = graph.value(value).producer;
        if (producer == kNone) continue;
        if (in_part && constant.count(value)) {
          with_constants.insert(producer);
        }
        if (!with_constants.count(producer) || needed.count(*it)) needed.insert(producer);
      }
    }
    for (NodeId id : order) {
      if (with_constants.count(id)) reached->push_back(id);
      if (needed.count(id) && !behind.count(id)) before->push_back(id);
    }
  }

  // The inputs of the part that do not change.
  void Prepare(const Graph& graph, const std::vector<NodeId>& before, const std::vector<Sample>& samples,
               ThreadPool& pool) {
    const std::vector<ValueId> free_inputs = graph.FreeInputs();
    const Subgraph front = Extract(graph, before);
    std::unique_ptr<Executor> executor;
    if (!before.empty()) executor = std::make_unique<Executor>(front.graph, pool);
    for (const Sample& sample : samples) {
      std::map<ValueId, Tensor> values;
      for (size_t i = 0; i < sample.size(); ++i) values[free_inputs[i]] = sample[i];
      if (executor) {
        Sample inputs;
        for (ValueId id : front.inputs) inputs.push_back(values.at(id));
        const std::vector<Tensor> outputs = executor->Run(inputs);
        for (size_t i = 0; i < outputs.size(); ++i) values[front.outputs[i]] = outputs[i];
      }
      Sample still;
      for (ValueId id : part_.inputs)
        still.push_back(opened_.count(id) ? Tensor() : executor ? values.at(id).Clone() : values.at(id));
      still_.push_back(std::move(still));
    }
  }

  double Error() {
    return error_.Of(runner_->Run([&](size_t sample) {
      Sample inputs = still_[sample];
      for (size_t i = 0; i < inputs.size(); ++i) {
        const auto open = opened_.find(part_.inputs[i]);
        if (open == opened_.end()) continue;
        const Place& place = open->second;
        inputs[i] = knobs_[place.knob].settings[setting_[place.knob - begin_]][place.constant];
      }
      return inputs;
    }));
  }

  const std::vector<Knob>& knobs_;
  const size_t begin_;
  const OutputError& error_;
  std::vector<size_t> setting_;
  std::map<ValueId, Place> opened_;
  Subgraph part_;
  std::unique_ptr<PointRunner> runner_;
  std::vector<Sample> still_;  // by sample: the inputs of the part; undefined where a knob goes
};

}  // namespace

std::vector<size_t> TurnKnobs(const Graph& exported, const std::vector<Knob>& knobs, const OutputError& error,
                              const std::vector<Sample>& samples, double worthwhile, ThreadPool& pool,
                              const std::function<void(int64_t, int64_t)>& progress) {
  Graph graph = exported;
  std::vector<size_t> chosen;
  for (size_t begin = 0; begin < knobs.size(); begin += kGroup) {
    const size_t end = std::min(begin + kGroup, knobs.size());
    Group group(graph, knobs, begin, end, error, samples, pool);
    group.Turn(worthwhile);
    for (size_t k = begin; k < end; ++k) {
      chosen.push_back(group.setting()[k - begin]);
      if (chosen.back() == 0) continue;
      for (size_t i = 0; i < knobs[k].constants.size(); ++i)
        graph.SetConstant(knobs[k].constants[i], knobs[k].settings[chosen.back()][i]);
    }
    if (progress) progress(static_cast<int64_t>(end), static_cast<int64_t>(knobs.size()));
  }
  return chosen;
}

std::vector<double> RatiosOf(const Graph& exported, const OutputError& error,
                             const std::vector<Sample>& samples, ThreadPool& pool) {
  PointRunner runner(exported, error, samples.size(), pool);
  return error.Ratios(runner.Run([&](size_t sample) { return samples[sample]; }));
}

}  // namespace xslim
