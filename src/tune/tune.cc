#include "tune/tune.h"

#include <algorithm>

#include "base/log.h"
#include "base/trace.h"
#include "ops/precise_math.h"
#include "tune/knobs.h"
#include "tune/layers.h"
#include "tune/output_error.h"
#include "tune/refine.h"

namespace xslim {
namespace {

constexpr int64_t kFewestSamples = 4, kMostSamples = 16;
constexpr int64_t kMostErrorSamples = 8;
constexpr double kWorthwhile = 0.02;  // relative gain in cost that a change of range must bring
// A stage that multiplies the output noise by more than this is taken back. Less is within what so few
// samples can tell.
constexpr double kHarm = 1.15;
constexpr int64_t kStoredBytes = int64_t{128} << 20;  // activations of all tuning samples together

// As many as keep the widest float output, and about as much again in codes of what waits for later readers,
// under kStoredBytes.
int64_t SampleCount(const Graph& graph, const ValueFacts& facts) {
  int64_t widest = 1;
  for (NodeId id : graph.Order()) {
    int64_t bytes = 0;
    for (ValueId value : graph.node(id).outputs) {
      if (value != kNone) bytes += facts.elements(value) * static_cast<int64_t>(sizeof(float));
    }
    widest = std::max(widest, bytes);
  }
  return std::clamp<int64_t>(kStoredBytes / (2 * widest), kFewestSamples, kMostSamples);
}

class Tuner {
 public:
  Tuner(Graph* graph, QuantPlan* plan, const ValueFacts& facts, std::vector<Sample> samples, ThreadPool& pool)
      : reference_(*graph),
        graph_(graph),
        plan_(plan),
        facts_(facts),
        samples_(std::move(samples)),
        judged_(
            samples_.begin(),
            samples_.begin() + std::min<int64_t>(kMostErrorSamples, static_cast<int64_t>(samples_.size()))),
        error_(reference_, OutputPoints(*graph, *plan, facts), judged_, pool),
        pool_(pool) {}

  void Run(const RangeProposals& proposals, const TuneOptions& options, const TuneProgress& progress) {
    const std::vector<double> before = Ratios();
    error_before_ = Mean(before);
    TraceStage stage("choose ranges by cost");
    FloatMeans float_means(reference_, *plan_, samples_.size());
    ChooseRanges(Candidates(proposals), PointsFor(before), options, &float_means);
    stage.Next("tune layers");
    TuneWeights(float_means, progress);
    if (options.level < 2) return;
    stage.Next("refine");
    RefineOptions refining;
    refining.window_rounds = options.level - 1;
    const RefineResult refined =
        Refine(graph_, plan_, facts_, proposals, original_biases_, error_, judged_, refining, pool_,
               [&](int64_t done, int64_t total) { progress("refine", done, total); });
    LogInfo("refined: ", refined.ranges, " ranges changed, ", refined.biases_undone,
            " bias corrections undone, noise-to-signal ratio ", Mean(Ratios()));
  }

 private:
  std::vector<double> Ratios() const {
    QuantPlan plan = *plan_;
    plan.quantize_bias = false;
    return RatiosOf(ExportQdq(*graph_, plan), error_, judged_, pool_);
  }

  // The geometric mean of the points; 0 where nothing can be said of any.
  static double Mean(const std::vector<double>& ratios) {
    const bool none = std::all_of(ratios.begin(), ratios.end(), [](double ratio) { return ratio == 0; });
    return none ? 0.0 : precise::Exp(OutputError::MeanLog(ratios));
  }

  // The present range first, then the proposed ones, then narrower ones.
  RangeProposals Candidates(const RangeProposals& proposals) const {
    RangeProposals candidates;
    for (const auto& [id, quant] : plan_->activations) {
      if (!facts_.is_float(id)) continue;
      std::vector<ChosenRange>& ranges = candidates[id];
      ranges.push_back({quant.lo, quant.hi, quant.why});
      const auto proposed = proposals.find(id);
      if (proposed == proposals.end()) continue;
      float lo = quant.lo, hi = quant.hi;
      for (const ChosenRange& range : proposed->second) {
        ranges.push_back(range);
        lo = std::min(lo, range.lo);
        hi = std::max(hi, range.hi);
      }
      for (float factor : {1.0f, 0.9f, 0.8f, 0.7f, 0.6f, 0.5f, 0.4f, 0.3f, 0.2f}) {
        ranges.push_back({lo * factor, hi * factor, "part of the extremes"});
        if (lo < 0 && hi > 0 && factor < 1) {
          ranges.push_back({lo, hi * factor, "part of the extremes"});
          ranges.push_back({lo * factor, hi, "part of the extremes"});
        }
      }
      std::erase_if(ranges, [&, &quant = quant, elements = facts_.elements(id)](const ChosenRange& range) {
        return !MayTake(range, quant, elements);
      });
    }
    return candidates;
  }

  // An error counts by how much noise there is at its point already, as in the geometric mean of the points.
  std::vector<WeightedPoint> PointsFor(const std::vector<double>& ratios) const {
    std::vector<WeightedPoint> points;
    for (size_t p = 0; p < ratios.size(); ++p) {
      if (ratios[p] > 0)
        points.push_back({reference_.Find(error_.points()[p]), 1 / ratios[p], error_.floor(p)});
    }
    return points;
  }

  void ChooseRanges(const RangeProposals& candidates, const std::vector<WeightedPoint>& points,
                    const TuneOptions& options, FloatMeans* float_means) {
    const RangeCosts costs = MeasureRangeCosts(
        reference_, facts_, points, candidates, samples_, {pool_, options.ceiling}, float_means->values(),
        [&](size_t sample, ValueId value, const Tensor& x) { float_means->See(sample, value, x); });
    for (NodeId id : costs.stopped)
      LogInfo("no derivative of ", reference_.node(id).Title(), ": ranges before it stay as they are");
    const QuantPlan before = *plan_;
    int changed = 0;
    for (const auto& [id, of] : costs.of) {
      const size_t best = static_cast<size_t>(std::min_element(of.begin(), of.end()) - of.begin());
      if (!(of[best] < (1 - kWorthwhile) * of[0])) continue;
      const ChosenRange& range = candidates.at(id)[best];
      LogDebug("range of ", reference_.value(id).name, " by its cost: ", range.lo, " .. ", range.hi, " (",
               range.why, "), ", of[best], " instead of ", of[0]);
      SetRange(plan_, id, range.lo, range.hi, range.why + ", by its cost at the outputs");
      ++changed;
    }
    const double now = Mean(Ratios());
    LogInfo(changed, " ranges chosen by what they cost at the outputs: noise-to-signal ratio ", error_before_,
            " -> ", now);
    if (now <= kHarm * error_before_) {
      error_before_ = now;
      return;
    }
    LogInfo("the ranges are taken back");
    *plan_ = before;
  }

  void TuneWeights(const FloatMeans& float_means, const TuneProgress& progress) {
    const QuantPlan plan_before = *plan_;
    const LayerTuningResult tuned =
        TuneLayers(graph_, plan_, samples_, float_means, {}, pool_,
                   [&](int64_t done, int64_t total) { progress("tune layers", done, total); });
    const double now = Mean(Ratios());
    LogInfo("tuned on ", samples_.size(), " samples: weights of ", tuned.rounded, " operators rounded, ",
            tuned.original_biases.size(), " biases corrected, noise-to-signal ratio ", now);
    if (now <= kHarm * error_before_) {
      original_biases_ = tuned.original_biases;
      return;
    }
    LogInfo("rounding and bias correction are taken back");
    *plan_ = plan_before;
    for (const auto& [node, bias] : tuned.original_biases)
      graph_->SetConstant(graph_->node(node).input(2), bias);
  }

  const Graph reference_;
  Graph* graph_;
  QuantPlan* plan_;
  const ValueFacts& facts_;
  const std::vector<Sample> samples_, judged_;
  const OutputError error_;
  ThreadPool& pool_;
  double error_before_ = 0;
  std::map<NodeId, Tensor> original_biases_;
};

}  // namespace

void Tune(Graph* graph, QuantPlan* plan, const ValueFacts& facts, const RangeProposals& proposals,
          const SampleSource& source, const std::vector<int64_t>& indices, const TuneOptions& options,
          ThreadPool& pool, const TuneProgress& progress) {
  if (plan->activations.empty() || indices.empty()) return;
  Tuner tuner(graph, plan, facts, DrawSamples(source, indices, SampleCount(*graph, facts), 20260202), pool);
  tuner.Run(proposals, options, progress);
}

}  // namespace xslim
