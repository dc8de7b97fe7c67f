#include "tune/output_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "graph/subgraph.h"
#include "ops/precise_math.h"
#include "quant/interest.h"
#include "quant/output_parts.h"
#include "quant/selected.h"
#include "runtime/tapped_samples.h"

namespace xslim {
namespace {

constexpr int64_t kFewElements = 2048;  // of an output, per sample
constexpr double kLeastRatio = 1e-12;
constexpr double kLost = 1e6;  // the largest ratio, which NaN and another shape count as

class PointFinder {
 public:
  PointFinder(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts)
      : graph_(graph), plan_(plan), facts_(facts), selected_(FindSelected(graph, facts)) {}

  std::vector<std::string> Find() {
    for (ValueId id : graph_.outputs()) Visit(id);
    LeaveOutExact();
    return std::move(points_);
  }

 private:
  void Visit(ValueId id) {
    if (id == kNone || !seen_.insert(id).second || graph_.value(id).has_value()) return;
    const Node* producer = graph_.Producer(id);
    if (producer == nullptr || producer->Is("Shape")) return;
    if (facts_.is_float(id) && !selected_.count(id) && !Joined(*producer, 0)) {
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
      if (input == kNone || !facts_.is_float(input) || !widened_.insert(input).second) continue;
      const Node* producer = graph_.Producer(input);
      if (producer == nullptr) continue;
      if (facts_.elements(input) >= kFewElements) {
        if (seen_.insert(input).second) points_.push_back(graph_.value(input).name);
      } else {
        Widen(*producer);
      }
    }
  }

  // States of a recurrent layer that stays float, say: no choice changes them, and in the mean over the
  // points they would hide what happens to the others.
  void LeaveOutExact() {
    std::vector<ValueId> made;
    for (NodeId id : plan_.nodes) {
      for (ValueId output : graph_.node(id).outputs) {
        if (output != kNone) made.push_back(output);
      }
    }
    const std::set<ValueId> inexact = DependingOn(graph_, {made.begin(), made.end()});
    const auto exact = [&](const std::string& point) { return !inexact.count(graph_.Find(point)); };
    if (!std::all_of(points_.begin(), points_.end(), exact)) std::erase_if(points_, exact);
  }

  const Graph& graph_;
  const QuantPlan& plan_;
  const ValueFacts& facts_;
  const std::map<ValueId, NodeId> selected_;
  std::set<ValueId> seen_, widened_;
  std::vector<std::string> points_;
};

// By point and sample; undefined where the graph does not compute the point, or not as float.
std::vector<std::vector<Tensor>> ValuesAt(const std::vector<std::string>& points, const Graph& graph,
                                          const std::vector<Sample>& samples, const SampleLanes& lanes) {
  std::vector<std::vector<Tensor>> values(points.size(), std::vector<Tensor>(samples.size()));
  std::map<ValueId, size_t> point;
  std::vector<ValueId> taps;
  for (size_t p = 0; p < points.size(); ++p) {
    const ValueId id = graph.Find(points[p]);
    if (id == kNone || graph.value(id).producer == kNone) continue;
    taps.push_back(id);
    point[id] = p;
  }
  const auto keep = [&](size_t sample, ValueId id, const Tensor& tensor) {
    if (tensor.dtype() == DType::kFloat) values[point.at(id)][sample] = tensor.Clone();
  };
  RunTapped("tuning", graph, samples, taps, keep, nullptr, lanes);
  return values;
}

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
                         const std::vector<Sample>& samples, const SampleLanes& lanes)
    : points_(std::move(points)),
      reference_(ValuesAt(points_, graph, samples, lanes)),
      signal_(points_.size(), 0.0) {
  for (size_t p = 0; p < points_.size(); ++p) {
    int64_t known = 0;
    for (Tensor& tensor : reference_[p]) {
      const double power = tensor.defined() ? Power(tensor) : 0;
      if (!std::isfinite(power)) tensor = Tensor();  // of this sample nothing can be said
      known += tensor.defined();
      if (tensor.defined()) signal_[p] += power;
    }
    if (known > 0) signal_[p] /= static_cast<double>(known);
  }
}

SampleRatios OutputError::BySample(const std::vector<std::vector<Tensor>>& values) const {
  SampleRatios ratios(points_.size());
  for (size_t p = 0; p < points_.size(); ++p) {
    ratios[p].assign(values[p].size(), 0.0);
    if (!(signal_[p] > 0) || !std::isfinite(signal_[p])) continue;
    for (size_t s = 0; s < values[p].size(); ++s) {
      const Tensor &wanted = reference_[p][s], &got = values[p][s];
      if (!got.defined() || !wanted.defined()) continue;
      if (got.shape() != wanted.shape()) {
        ratios[p][s] = kLost;
        continue;
      }
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

std::vector<double> OutputError::Means(const SampleRatios& by_sample) {
  std::vector<double> means;
  for (const std::vector<double>& ratios : by_sample) {
    double sum = 0;
    int64_t samples = 0;
    for (double ratio : ratios) {
      sum += std::sqrt(ratio);
      samples += ratio > 0;
    }
    const double mean = samples == 0 ? 0.0 : sum / static_cast<double>(samples);
    means.push_back(mean * mean);
  }
  return means;
}

double OutputError::RiseInErrors(const SampleRatios& before, const SampleRatios& after) {
  const std::vector<double> means = Means(before);
  std::vector<double> rises(before.empty() ? 0 : before[0].size(), 0.0);
  std::vector<bool> told(rises.size(), false);
  for (size_t p = 0; p < before.size(); ++p) {
    for (size_t s = 0; s < rises.size(); ++s) {
      if (before[p][s] == 0 || after[p][s] == 0) continue;
      rises[s] += (std::sqrt(after[p][s]) - std::sqrt(before[p][s])) / std::sqrt(means[p]);
      told[s] = true;
    }
  }
  double count = 0, sum = 0, squares = 0;
  for (size_t s = 0; s < rises.size(); ++s) {
    count += told[s];
    sum += rises[s];
  }
  if (count < 2) return std::numeric_limits<double>::infinity();
  const double mean = sum / count;
  for (size_t s = 0; s < rises.size(); ++s) squares += told[s] ? (rises[s] - mean) * (rises[s] - mean) : 0;
  return mean / std::sqrt(squares / (count - 1) / count);
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

SampleRatios SampleRatiosOf(const Graph& graph, const OutputError& error, const std::vector<Sample>& samples,
                            const SampleLanes& lanes) {
  return error.BySample(ValuesAt(error.points(), graph, samples, lanes));
}

std::vector<double> RatiosOf(const Graph& graph, const OutputError& error, const std::vector<Sample>& samples,
                             const SampleLanes& lanes) {
  return OutputError::Means(SampleRatiosOf(graph, error, samples, lanes));
}

}  // namespace xslim
