#include "tune/output_error.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "ops/precise_math.h"
#include "quant/interest.h"
#include "runtime/executor.h"

namespace xslim {
namespace {

constexpr int64_t kFewElements = 2048;  // of an output, per sample
constexpr double kLeastSignal = 1e-3;   // of a sample, as part of the mean signal
constexpr double kLeastRatio = 1e-12;
constexpr double kLost = 1e6;  // the largest ratio, which NaN counts as

class PointFinder {
 public:
  PointFinder(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts)
      : graph_(graph), plan_(plan), facts_(facts) {}

  std::vector<std::string> Find() {
    for (ValueId id : graph_.outputs()) Visit(id);
    return std::move(points_);
  }

 private:
  void Visit(ValueId id) {
    if (id == kNone || !seen_.insert(id).second || graph_.value(id).has_value()) return;
    const Node* producer = graph_.Producer(id);
    if (producer == nullptr) return;
    if (facts_.is_float(id) && !Joined(*producer, 0)) {
      points_.push_back(graph_.value(id).name);
      if (facts_.elements(id) < kFewElements) Widen(*producer);
      return;
    }
    for (ValueId input : producer->inputs) Visit(input);
  }

  // Whether a Concat that was left float gives the operator's result, or what it only moves, or computes with
  // constants.
  bool Joined(const Node& node, int depth) const {
    constexpr int kDeepest = 16;
    if (node.Is("Concat")) return plan_.left_float.count(node.id) != 0;
    const bool passes =
        MovesData(node) || (ConstantOperand(graph_, node) != nullptr && !plan_.nodes.count(node.id));
    if (!passes || depth == kDeepest) return false;
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      const Node* producer = graph_.Producer(input);
      return producer != nullptr && facts_.is_float(input) && Joined(*producer, depth + 1);
    });
  }

  // A handful of numbers fits any choice that is made by them: the wide tensors that they come from count,
  // too.
  void Widen(const Node& node) {
    for (ValueId input : node.inputs) {
      if (input == kNone || !facts_.is_float(input) || !seen_.insert(input).second) continue;
      const Node* producer = graph_.Producer(input);
      if (producer == nullptr) continue;
      if (facts_.elements(input) >= kFewElements) {
        points_.push_back(graph_.value(input).name);
      } else {
        Widen(*producer);
      }
    }
  }

  const Graph& graph_;
  const QuantPlan& plan_;
  const ValueFacts& facts_;
  std::set<ValueId> seen_;
  std::vector<std::string> points_;
};

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

}  // namespace

double Power(const Tensor& tensor) {
  double sum = 0;
  const float* x = tensor.data<float>();
  for (int64_t i = 0; i < tensor.size(); ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

std::vector<std::string> OutputPoints(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts) {
  return PointFinder(graph, plan, facts).Find();
}

OutputError::OutputError(const Graph& graph, std::vector<std::string> points,
                         const std::vector<Sample>& samples, ThreadPool& pool)
    : points_(std::move(points)), reference_(points_.size()), signal_(points_.size(), 0.0) {
  std::map<ValueId, size_t> by_id;
  std::vector<ValueId> taps;
  for (size_t p = 0; p < points_.size(); ++p) {
    by_id[graph.Find(points_[p])] = p;
    taps.push_back(graph.Find(points_[p]));
    reference_[p].resize(samples.size());
  }
  Executor executor(graph, pool);
  size_t sample = 0;
  executor.SetTaps(
      taps, [&](ValueId id, const Tensor& tensor) { reference_[by_id.at(id)][sample] = tensor.Clone(); });
  for (; sample < samples.size(); ++sample) executor.Run(samples[sample]);
  for (size_t p = 0; p < points_.size(); ++p) {
    for (const Tensor& tensor : reference_[p]) {
      if (tensor.defined()) signal_[p] += Power(tensor) / static_cast<double>(samples.size());
    }
  }
}

std::vector<std::vector<double>> OutputError::BySample(const std::vector<std::vector<Tensor>>& values) const {
  std::vector<std::vector<double>> ratios(points_.size());
  for (size_t p = 0; p < points_.size(); ++p) {
    ratios[p].assign(values[p].size(), 0.0);
    if (!(signal_[p] > 0) || !std::isfinite(signal_[p])) continue;
    for (size_t s = 0; s < values[p].size(); ++s) {
      const Tensor &wanted = reference_[p][s], &got = values[p][s];
      if (!got.defined() || !wanted.defined() || got.shape() != wanted.shape()) continue;
      const float *x = wanted.data<float>(), *y = got.data<float>();
      double noise = 0;
      for (int64_t i = 0; i < got.size(); ++i) {
        const double difference = static_cast<double>(y[i]) - x[i];
        noise += difference * difference;
      }
      const double ratio = noise / (Power(wanted) + floor(p)) + kLeastRatio;
      ratios[p][s] = ratio < kLost ? ratio : kLost;
    }
  }
  return ratios;
}

std::vector<double> OutputError::Means(const std::vector<std::vector<double>>& by_sample) {
  std::vector<double> means;
  for (const std::vector<double>& ratios : by_sample) {
    double sum = 0;
    int64_t samples = 0;
    for (double ratio : ratios) {
      sum += ratio;
      samples += ratio > 0;
    }
    means.push_back(samples == 0 ? 0.0 : sum / static_cast<double>(samples));
  }
  return means;
}

double OutputError::floor(size_t point) const { return kLeastSignal * signal_[point]; }

double OutputError::MeanLog(const std::vector<double>& ratios) {
  double sum = 0;
  int64_t counted = 0;
  for (double ratio : ratios) {
    if (ratio == 0) continue;
    sum += precise::Log(ratio);
    ++counted;
  }
  return counted ? sum / static_cast<double>(counted) : 0.0;
}

std::vector<std::vector<double>> SampleRatiosOf(const Graph& graph, const OutputError& error,
                                                const std::vector<Sample>& samples, ThreadPool& pool) {
  PointRunner runner(graph, error, samples.size(), pool);
  return error.BySample(runner.Run([&](size_t sample) { return samples[sample]; }));
}

std::vector<double> RatiosOf(const Graph& graph, const OutputError& error, const std::vector<Sample>& samples,
                             ThreadPool& pool) {
  return OutputError::Means(SampleRatiosOf(graph, error, samples, pool));
}

}  // namespace xslim
