#include "tune/layers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "quant/channel_means.h"
#include "quant/facts.h"
#include "quant/interest.h"
#include "tune/bias.h"
#include "tune/layer_sweep.h"
#include "tune/rounding.h"
#include "tune/weight_rows.h"

namespace xslim {
namespace {

// Patches per number of a patch's elements, and in all. Depthwise filters have so few elements that few
// patches tell as much.
constexpr int64_t kPatchesEach = 32, kFewestPatches = 2048, kMostPatches = 8192;
constexpr int64_t kGrain = 16384;        // weights per piece of a parallel loop
constexpr int64_t kLargestDepth = 4608;  // wider layers keep their nearest codes: the matrix would pass 85 MB
// How much of the inputs' means is left out of the matrix where the bias makes up for what rounding does to
// them: all.
constexpr double kKeepOut = 1.0, kDamping = 0.01;
// Scales to choose from, as multiples of the one that reaches the row's largest weight. The fewer weights a
// row has, the more the choice matters: where few roundings add up, some scale suits nearly all of them.
constexpr int64_t kScalesEach = 1024, kMostScales = 64;  // per depth, and at most
constexpr float kSmallestScale = 0.75f;

std::vector<float> ScalesFor(int64_t depth) {
  const int64_t count = std::clamp<int64_t>(kScalesEach / depth, 1, kMostScales);
  std::vector<float> multiples;
  for (int64_t i = 0; i < count; ++i)
    multiples.push_back(1 - (1 - kSmallestScale) * static_cast<float>(i) / static_cast<float>(count));
  return multiples;
}

// Where the channels of an operator's output are: a MatMul has them last.
int64_t OutputAxis(const Node& node, const Tensor& y) { return node.Is("MatMul") ? y.rank() - 1 : 1; }

class LayerTuner {
 public:
  LayerTuner(Graph* graph, QuantPlan* plan, const FloatMeans& float_means, const LayerTuning& options,
             ThreadPool& pool)
      : graph_(graph),
        plan_(plan),
        options_(options),
        pool_(pool),
        float_means_(float_means),
        layers_(FindLayers(*graph, *plan)) {}

  LayerTuningResult Run(const std::vector<Sample>& samples,
                        const std::function<void(int64_t, int64_t)>& progress) {
    if (layers_.empty() || samples.empty()) return result_;
    for (const Layer& layer : layers_) {
      by_node_[layer.node] = &layer;
      if (!options_.bias_correction) continue;
      if (const BiasSite site = BiasOf(graph_, layer.node); site.node != kNone) biased_[layer.node] = site;
    }
    QuantPlan plan = *plan_;
    plan.quantize_bias = false;  // biases move, and are quantized at the end
    exported_ = ExportQdq(*graph_, plan);
    std::vector<NodeId> watched;
    for (const Layer& layer : layers_) watched.push_back(layer.node);
    LayerSweep sweep(exported_, pool_, options_.ceiling);
    int64_t done = 0;
    sweep.Run(samples, watched, [&](NodeId node) {
      Round(sweep, *by_node_.at(node));
      CorrectBias(&sweep, node);
      if (progress) progress(++done, static_cast<int64_t>(watched.size()));
    });
    return result_;
  }

 private:
  void Round(const LayerSweep& sweep, const Layer& layer) {
    const WeightRows& rows = layer.rows;
    if (!options_.rounding || rows.depth > kLargestDepth || rows.depth < 2) return;
    WeightQuant& weight = plan_->weights[layer.weight];
    const Node& node = graph_->node(layer.node);
    const Tensor& constant = *graph_->Constant(node.input(1));
    const int64_t patches =
        std::clamp(2 * rows.depth, std::min(kPatchesEach * rows.depth, kFewestPatches), kMostPatches);
    const int64_t each =
        (patches + static_cast<int64_t>(sweep.samples()) - 1) / static_cast<int64_t>(sweep.samples());
    WeightQuant rounded = weight;
    rounded.codes = weight.codes.Clone();
    // Many groups (depthwise): one to a thread; few: threads within the products.
    const bool many = rows.groups >= 4;
    ThreadPool one(1);
    const auto for_groups = [&](int64_t first, int64_t last,
                                const std::function<void(int64_t, ThreadPool&)>& body) {
      pool_.ParallelFor(many ? last - first : 1, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t g = many ? first + begin : first; g < (many ? first + end : last); ++g)
          body(g, many ? one : pool_);
      });
    };
    // So many groups at once that their matrices take no more than that of the widest layer.
    const int64_t at_once =
        std::clamp<int64_t>(kLargestDepth * kLargestDepth / (rows.depth * rows.depth), 1, rows.groups);
    for (int64_t first = 0; first < rows.groups; first += at_once) {
      const int64_t last = std::min(first + at_once, rows.groups);
      std::vector<Moments> moments;
      moments.reserve(static_cast<size_t>(last - first));
      for (int64_t g = first; g < last; ++g) moments.emplace_back(rows.depth);
      for (size_t s = 0; s < sweep.samples(); ++s) {  // one input at a time: all together are large
        const Tensor input = sweep.Input(layer.node, 0, s);
        const PatchReader patches(node, constant, input, PatchPlaces(node, constant, input, each, s));
        for_groups(first, last, [&](int64_t g, ThreadPool& pool) {
          moments[static_cast<size_t>(g - first)].Add(patches.Of(g, pool), pool);
        });
      }
      for_groups(first, last, [&](int64_t g, ThreadPool& pool) {
        RoundGroup(layer, constant, moments[static_cast<size_t>(g - first)], g, pool, &rounded);
      });
    }
    weight = rounded;
    const Node& dequantize = *exported_.Producer(exported_.node(layer.node).input(1));
    exported_.SetConstant(dequantize.input(0), weight.codes);
    exported_.SetConstant(
        dequantize.input(1),
        Tensor::Of<float>(exported_.Constant(dequantize.input(1))->shape(), weight.params.scale));
    ++result_.rounded;
  }

  // rounded: the weight of the plan, whose rows of this group get new codes and scales.
  void RoundGroup(const Layer& layer, const Tensor& constant, const Moments& moments, int64_t group,
                  ThreadPool& pool, WeightQuant* rounded) const {
    const WeightRows& rows = layer.rows;
    const WeightQuant& weight = plan_->weights[layer.weight];
    if (moments.count() == 0) return;
    std::vector<float> own(static_cast<size_t>(rows.rows * rows.depth)),
        scales(static_cast<size_t>(rows.rows));
    const int64_t axis = weight.params.axis, inner = axis < 0 ? 1 : InnerCount(constant.shape(), axis);
    std::vector<size_t> channels(static_cast<size_t>(rows.rows), 0);
    const auto for_rows = [&](const std::function<void(int64_t)>& body) {
      pool.ParallelFor(rows.rows, std::max<int64_t>(1, kGrain / rows.depth),
                       [&](int64_t begin, int64_t end, int) {
                         for (int64_t r = begin; r < end; ++r) body(r);
                       });
    };
    for_rows([&](int64_t r) {
      for (int64_t d = 0; d < rows.depth; ++d)
        own[static_cast<size_t>(r * rows.depth + d)] = constant.data<float>()[rows.At(group, r, d)];
      size_t& channel = channels[static_cast<size_t>(r)];
      if (axis >= 0) channel = static_cast<size_t>(rows.At(group, r, 0) / inner % constant.dim(axis));
      scales[static_cast<size_t>(r)] = weight.params.scale[channel];
    });
    // A scale that several rows share stays as it is.
    const bool own_scales = weight.params.scale.size() == static_cast<size_t>(rows.groups * rows.rows);
    const bool mean_is_free = biased_.count(layer.node) != 0;
    std::vector<float> matrix = moments.Matrix(mean_is_free ? kKeepOut : 0.0, kDamping, pool);
    // Inputs with NaN or infinities (the data's, or a Log's) say nothing. Their squares are on the diagonal.
    for (int64_t d = 0; d < rows.depth; ++d)
      if (!std::isfinite(matrix[static_cast<size_t>(d * (rows.depth + 1))])) return;
    const RoundedRows best = RoundAgainst(
        own, scales, own_scales ? ScalesFor(rows.depth) : std::vector<float>{1.0f}, matrix, rows.depth, pool);
    int8_t* const codes = rounded->codes.data<int8_t>();
    for_rows([&](int64_t r) {
      if (own_scales)
        rounded->params.scale[channels[static_cast<size_t>(r)]] = best.scales[static_cast<size_t>(r)];
      for (int64_t d = 0; d < rows.depth; ++d)
        codes[rows.At(group, r, d)] = best.codes[static_cast<size_t>(r * rows.depth + d)];
    });
  }

  // What rounding takes from the channels' means, sample by sample.
  struct Differences {
    std::vector<double> sum, squares;  // by channel
    int samples = 0;

    void Add(const VisibleMeans& wanted, const VisibleMeans& now) {
      sum.resize(now.mean.size());
      squares.resize(now.mean.size());
      for (size_t c = 0; c < now.mean.size(); ++c) {
        const double difference = wanted.mean[c] - now.mean[c];
        sum[c] += difference;
        squares[c] += difference * difference;
      }
      ++samples;
    }
    // How much of a channel's mean difference is no chance of these samples: 1 - (standard error / mean)^2,
    // at least 0, which is the shrinkage that leaves the least expected error.
    double Certain(size_t channel) const {
      if (samples < 2) return 1;
      const double mean = sum[channel] / samples;
      const double error = (squares[channel] / samples - mean * mean) / (samples - 1);
      return mean != 0 && std::isfinite(error) ? std::max(0.0, 1 - error / (mean * mean)) : 0.0;
    }
  };

  // How far the channels' means are from what they should be, with `shift` added. differences: of each
  // sample, where that is given.
  VisibleMeans Measure(LayerSweep* sweep, NodeId node, InterestRange visible,
                       const std::vector<double>& shift, Differences* differences) const {
    std::vector<VisibleMeans> by_sample(sweep->samples());
    sweep->ForEachOutput([&](size_t s, const Tensor& y) {
      by_sample[s].Add(y, OutputAxis(graph_->node(node), y), visible, shift);
    });
    VisibleMeans now;
    for (size_t s = 0; s < by_sample.size(); ++s) {
      const VisibleMeans* const before = float_means_.Of(node, s);
      if (differences != nullptr && before != nullptr) differences->Add(*before, by_sample[s]);
      now.Add(by_sample[s]);
    }
    now.Divide(by_sample.size());
    return now;
  }

  // Newton's method on the mean of what is seen, which is linear where everything is.
  std::vector<double> FindShift(LayerSweep* sweep, NodeId node, const VisibleMeans& wanted,
                                InterestRange visible, Differences* differences) const {
    constexpr int kSteps = 3;
    constexpr double kLeastInside = 0.05;
    const bool linear = visible.lo == -std::numeric_limits<float>::infinity() &&
                        visible.hi == std::numeric_limits<float>::infinity();
    std::vector<double> shift(wanted.mean.size(), 0.0);
    for (int turn = 0; turn < (linear ? 1 : kSteps); ++turn) {
      const VisibleMeans now = Measure(sweep, node, visible, shift, turn == 0 ? differences : nullptr);
      for (size_t c = 0; c < shift.size(); ++c) {
        if (!(now.inside[c] >= kLeastInside)) continue;
        const double step = (wanted.mean[c] - now.mean[c]) / now.inside[c];
        if (std::isfinite(step)) shift[c] += step;
      }
    }
    return shift;
  }

  // Behind a curve steps may go too far: no longer ones than 1, and back by half from where it was worse.
  // What is given was measured to be the best.
  std::vector<double> FindShiftBehindCurve(LayerSweep* sweep, NodeId node, const VisibleMeans& wanted,
                                           InterestRange visible, Differences* differences) const {
    constexpr int kSteps = 6;
    constexpr double kLeastSlope = 0.002;
    std::vector<double> shift(wanted.mean.size(), 0.0), best = shift, least = shift;
    for (int turn = 0; turn < kSteps; ++turn) {
      const VisibleMeans now = Measure(sweep, node, visible, shift, turn == 0 ? differences : nullptr);
      for (size_t c = 0; c < shift.size(); ++c) {
        const double error = wanted.mean[c] - now.mean[c];
        if (turn > 0 && !(std::fabs(error) < least[c])) {
          shift[c] = (best[c] + shift[c]) / 2;
          continue;
        }
        best[c] = shift[c];
        least[c] = std::fabs(error);
        if (now.inside[c] >= kLeastSlope && std::isfinite(error))
          shift[c] += std::clamp(error / now.inside[c], -1.0, 1.0);
      }
    }
    return best;
  }

  void CorrectBias(LayerSweep* sweep, NodeId node) {
    if (!biased_.count(node) || !float_means_.Has(node)) return;
    const VisibleMeans wanted = float_means_.Of(node);
    const InterestRange visible = VisibleRange(*graph_, graph_->node(node).outputs[0]);
    Differences differences;
    std::vector<double> shift = visible.curve == Curve::kNone
                                    ? FindShift(sweep, node, wanted, visible, &differences)
                                    : FindShiftBehindCurve(sweep, node, wanted, visible, &differences);
    for (size_t c = 0; c < shift.size(); ++c) shift[c] *= differences.Certain(c);
    ++result_.biases;
    const BiasSite& site = biased_.at(node);
    const WeightQuant* const operand = ShiftBias(graph_, plan_, site, shift);
    const ValueId bias = graph_->node(site.node).input(site.slot);
    if (operand == nullptr) {
      exported_.SetConstant(bias, *graph_->Constant(bias));
      return;
    }
    const Node& dequantize = *exported_.Producer(exported_.node(site.node).input(site.slot));
    const ValueId scale = dequantize.input(1), zero = dequantize.input(2);
    exported_.SetConstant(dequantize.input(0), operand->codes);
    exported_.SetConstant(scale,
                          Tensor::Of<float>(exported_.Constant(scale)->shape(), operand->params.scale));
    exported_.SetConstant(zero, Tensor::Of<int8_t>(exported_.Constant(zero)->shape(),
                                                   {static_cast<int8_t>(operand->params.zero_point[0])}));
  }

  Graph* graph_;
  QuantPlan* plan_;
  const LayerTuning options_;
  ThreadPool& pool_;
  const FloatMeans& float_means_;
  const std::vector<Layer> layers_;
  std::map<NodeId, const Layer*> by_node_;
  std::map<NodeId, BiasSite> biased_;
  Graph exported_;
  LayerTuningResult result_;
};

}  // namespace

std::vector<Layer> FindLayers(const Graph& graph, const QuantPlan& plan) {
  std::vector<Layer> layers;
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    const WeightQuant& weight = plan.weights[i];
    const Node& node = graph.node(weight.node);
    if (weight.slot != 1 || !HasOwnConstant(graph, node, 1)) continue;
    if (const auto rows = RowsOf(node, *graph.Constant(node.input(1)))) layers.push_back({node.id, i, *rows});
  }
  return layers;
}

FloatMeans::FloatMeans(const Graph& graph, const QuantPlan& plan, size_t samples)
    : graph_(graph), by_sample_(samples) {
  for (const Layer& layer : FindLayers(graph, plan)) {
    const Node& node = graph.node(layer.node);
    if (TakesBias(node) || BiasBehind(graph, node).first != kNone) values_.insert(node.outputs[0]);
  }
}

void FloatMeans::See(size_t sample, ValueId value, const Tensor& x) {
  if (x.rank() < 2) return;
  VisibleMeans means;
  const Node& node = *graph_.Producer(value);
  means.Add(x, OutputAxis(node, x), VisibleRange(graph_, value), {});
  by_sample_[sample][node.id] = std::move(means);
}

bool FloatMeans::Has(NodeId node) const {
  return std::any_of(by_sample_.begin(), by_sample_.end(),
                     [&](const std::map<NodeId, VisibleMeans>& means) { return means.count(node) != 0; });
}

VisibleMeans FloatMeans::Of(NodeId node) const {
  VisibleMeans sums;
  size_t count = 0;
  for (size_t s = 0; s < by_sample_.size(); ++s) {
    const VisibleMeans* const of_sample = Of(node, s);
    if (of_sample == nullptr) continue;
    ++count;
    sums.Add(*of_sample);
  }
  sums.Divide(count);
  return sums;
}

const VisibleMeans* FloatMeans::Of(NodeId node, size_t sample) const {
  const auto found = by_sample_[sample].find(node);
  return found == by_sample_[sample].end() ? nullptr : &found->second;
}

LayerTuningResult TuneLayers(Graph* graph, QuantPlan* plan, const std::vector<Sample>& samples,
                             const FloatMeans& float_means, const LayerTuning& options, ThreadPool& pool,
                             const std::function<void(int64_t, int64_t)>& progress) {
  return LayerTuner(graph, plan, float_means, options, pool).Run(samples, progress);
}

}  // namespace xslim
