#include "tune/tune.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/random.h"
#include "base/trace.h"
#include "graph/subgraph.h"
#include "ops/precise_math.h"
#include "quant/one_grid.h"
#include "tune/layers.h"
#include "tune/learn.h"
#include "tune/output_error.h"
#include "tune/range_candidates.h"

namespace xslim {
namespace {

// Samples that are tuned on, and of these judged on: at level 1; from level 2 on, or of a small graph.
constexpr int64_t kFewestSamples = 4, kMostSamples = 16, kManySamples = 64;
constexpr int64_t kMostErrorSamples = 16, kManyErrorSamples = 32;
constexpr int64_t kMostLearned = 64, kMostHeld = 16;  // samples that are learned from, and held back for it
constexpr size_t kFewestHeld = 2;
constexpr double kWorthwhile = 0.02;  // relative gain in cost that a change of range must bring
// A stage that multiplies the output noise by more than this, and by more than one standard error of what the
// samples say, is taken back. Less is within what so few samples can tell.
constexpr double kHarm = 1.15, kSure = 1;
// What ranges by cost must leave of the noise, at most: they end where the tuning samples do, and what other
// data hold beyond costs more than a small gain.
constexpr double kWorthNarrowing = 0.85;
// Where tuning leaves more than this of the noise, level 0's biases are tried, too, and taken for this many
// times less: a smaller gain is what other samples turn round.
constexpr double kClear = 0.7, kClearlyLess = 1.5;
constexpr size_t kGroups = 16;  // of doubtful ranges, that are tried one after the other
constexpr int64_t kStoredBytes = int64_t{192} << 20;    // activations of all tuning samples together
constexpr int64_t kComputedBytes = int64_t{128} << 20;  // float outputs of all of a small graph's samples

struct SampleCounts {
  int64_t tuned;   // samples that tuning looks at, at most
  int64_t judged;  // of these, those that the outputs' error is measured on
};

// Bytes of a sample that wait for later readers while layers are tuned: codes of what operators make, float32
// of the inputs; the most at any operator.
int64_t WaitingBytes(const Graph& graph, const ValueFacts& facts) {
  const std::vector<NodeId> order = graph.Order();
  std::map<ValueId, size_t> last;
  for (size_t i = 0; i < order.size(); ++i) {
    for (ValueId input : ReadsOf(graph, graph.node(order[i]))) last[input] = i;
  }
  std::vector<std::vector<ValueId>> done(order.size());
  for (const auto& [id, reader] : last) done[reader].push_back(id);
  const auto bytes = [&](ValueId id) {
    if (graph.value(id).has_value()) return int64_t{0};
    return facts.elements(id) * (graph.value(id).producer == kNone ? int64_t{sizeof(float)} : 1);
  };
  int64_t waiting = 0, most = 1;
  for (ValueId id : graph.FreeInputs()) waiting += bytes(id);
  for (size_t i = 0; i < order.size(); ++i) {
    for (ValueId output : graph.node(order[i]).outputs) {
      if (output != kNone && last.count(output)) waiting += bytes(output);
    }
    most = std::max(most, waiting);
    for (ValueId id : done[i]) waiting -= bytes(id);
  }
  return most;
}

// As many as keep what waits under kStoredBytes. A small graph has few numbers in each sample to tell ranges
// and weights by, and takes more samples where there are any: as many as keep all that they compute under
// kComputedBytes.
SampleCounts CountSamples(const Graph& graph, const ValueFacts& facts, int level, int64_t available) {
  int64_t all = 1;
  for (NodeId id : graph.Order()) {
    for (ValueId value : graph.node(id).outputs) {
      if (value != kNone) all += facts.elements(value) * static_cast<int64_t>(sizeof(float));
    }
  }
  const int64_t computed = std::clamp(kComputedBytes / all, kMostSamples, kManySamples),
                most = level >= 2 ? kManySamples : computed;
  const bool takes_more = computed > kMostSamples && available > kMostSamples;
  return {std::clamp(kStoredBytes / WaitingBytes(graph, facts), kFewestSamples, most),
          takes_more || level >= 2 ? kManyErrorSamples : kMostErrorSamples};
}

struct Tuned {
  Graph graph;
  QuantPlan plan;
  std::vector<std::string> account;
  bool gave_way;  // to the ranges and biases of level 0
};

// At the outputs, of the judged samples.
struct Noise {
  SampleRatios by_sample;
  double mean = 0;  // geometric, of the points' means; 0 where nothing can be said of any
};

// What a stage has done to the noise.
enum class Effect {
  kGain,    // the samples agree that it is less
  kChance,  // they do not agree
  kLoss,    // they agree that it is more
  kHarm,    // that it is much more
};

Effect EffectOf(const Noise& before, const Noise& after) {
  const double rise = OutputError::RiseInErrors(before.by_sample, after.by_sample);
  if (after.mean > kHarm * before.mean && rise > kSure) return Effect::kHarm;
  if (!std::isfinite(rise)) return after.mean < before.mean ? Effect::kChance : Effect::kLoss;
  return rise >= kSure ? Effect::kLoss : rise <= -kSure ? Effect::kGain : Effect::kChance;
}

bool Harms(const Noise& before, const Noise& after) { return EffectOf(before, after) == Effect::kHarm; }

class Tuner {
 public:
  // judged: how many of `samples` the outputs' error is measured on, at most.
  Tuner(Graph* graph, QuantPlan* plan, const ValueFacts& facts, std::vector<Sample> samples, int64_t judged,
        const SampleSource& source, const std::vector<int64_t>& indices, const SampleLanes& lanes)
      : reference_(*graph),
        graph_(graph),
        plan_(plan),
        facts_(facts),
        samples_(std::move(samples)),
        source_(source),
        indices_(indices),
        judged_(samples_.begin(), samples_.begin() + std::min(judged, static_cast<int64_t>(samples_.size()))),
        error_(reference_, OutputPoints(*graph, *plan, facts), judged_, lanes),
        lanes_(lanes),
        pool_(lanes.pool()),
        float_means_(reference_, *plan, samples_.size()) {}

  // All stages but learning.
  void Run(const RangeProposals& proposals, const TuneOptions& options, const TuneProgress& progress) {
    noise_ = MeasureNoise();
    TraceStage stage("choose ranges by cost");
    const State calibrated = {*graph_, *plan_, noise_};
    RangeChanges ranges;
    if (options.range_costs) {
      ranges = ChooseRanges(RangeCandidates(reference_, facts_, *plan_, proposals),
                            PointsFor(OutputError::Means(noise_.by_sample)), options.level);
    } else if (options.bias_correction) {
      MeasureCosts({}, {});
    }
    // Narrower ranges may cut off what other data hold: what chance does is no gain.
    const bool doubtful = !ranges.changes.empty() && ranges.effect != Effect::kGain,
               harmful = ranges.effect == Effect::kHarm;
    if (!ranges.changes.empty() && !doubtful && noise_.mean > kWorthNarrowing * calibrated.noise.mean) {
      Restore(calibrated);
      Say("these ranges are taken back: other data may reach further, and they gain too little for that");
    }
    stage.Next("tune layers");
    std::vector<std::string> done = TuneWeights(options, progress);
    if (doubtful) {
      // Narrower ranges shift means, which biases may have taken back since: only now can they be judged.
      const State chosen = {*graph_, *plan_, noise_};
      Restore(calibrated);
      const int kept = harmful ? TakeInGroups(ranges.changes) : 0;
      std::vector<std::string> done_without = TuneWeights(options, progress);
      const bool stay =
          harmful ? !Harms(noise_, chosen.noise) : chosen.noise.mean < kWorthNarrowing * noise_.mean;
      Say(stay       ? "these ranges stay"
          : kept > 0 ? StrCat("all but ", kept, " of these ranges are taken back")
                     : "these ranges are taken back",
          ": in the end, noise-to-signal ratio ", chosen.noise.mean, " with them, ", noise_.mean, " without",
          kept > 0 ? " the others" : "");
      if (stay)
        Restore(chosen);
      else
        done = std::move(done_without);
    }
    const bool tuned_any = options.range_costs || options.weight_rounding || options.bias_correction;
    if (tuned_any && options.level_zero && noise_.mean > kClear * calibrated.noise.mean) {
      const State tuned = {*graph_, *plan_, noise_};
      Restore(calibrated);
      options.level_zero(graph_, plan_);
      noise_ = MeasureNoise();
      if (kClearlyLess * noise_.mean < tuned.noise.mean) {
        Say("tuning is taken back: noise-to-signal ratio ", tuned.noise.mean, ", but ", noise_.mean,
            " with the ranges and biases of level 0",
            options.level >= 3 && options.learning ? "; nothing is learned from there" : "");
        gave_way_ = true;
        return;
      }
      Restore(tuned);
    }
    for (const std::string& sentence : done) Say(sentence);
  }

  // More samples do not always tune better: takes what another tuner has made of the same graph with `count`
  // of them, where that is at least as good on these. They are all samples that this one was tuned on, but
  // half of them new to the other, so its noise is allowed to be larger by what that makes.
  void Compare(Tuned&& other, size_t count) {
    const State own = {*graph_, *plan_, noise_};
    Restore({std::move(other.graph), std::move(other.plan), {}});
    noise_ = MeasureNoise();
    constexpr double kAllowance = 1.25;
    if (noise_.mean < kAllowance * own.noise.mean) {
      account_ = std::move(other.account);
      gave_way_ = other.gave_way;
      Say("this is tuned on ", Counted(count, "sample"), ", as at level 1: noise-to-signal ratio ",
          noise_.mean, ", and ", own.noise.mean, " where it is tuned on all ", samples_.size(),
          " that this is measured on");
    } else {
      Say("tuned on ", Counted(count, "sample"), ", as at level 1, it has ", noise_.mean);
      Restore(own);
    }
  }

  // At level 3.
  void RunLearning(const TuneOptions& options, const TuneProgress& progress) {
    if (gave_way_ || !options.learning) return;
    const TraceStage stage("learn");
    LearnWeights(options, progress);
  }

  Tuned Result() && { return {std::move(*graph_), std::move(*plan_), std::move(account_), gave_way_}; }
  std::vector<std::string> Account() && { return std::move(account_); }

 private:
  Noise MeasureNoise() const {
    QuantPlan plan = *plan_;
    plan.quantize_bias = false;
    Noise noise{SampleRatiosOf(ExportQdq(*graph_, plan), error_, judged_, lanes_)};
    const std::vector<double> ratios = OutputError::Means(noise.by_sample);
    const bool none = std::all_of(ratios.begin(), ratios.end(), [](double ratio) { return ratio == 0; });
    noise.mean = none ? 0.0 : precise::Exp(OutputError::MeanLog(ratios));
    return noise;
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

  // What a stage did, for log and report.
  template <typename... Parts>
  void Say(const Parts&... parts) {
    account_.push_back(StrCat(parts...));
    LogInfo(account_.back());
  }

  // The same pass takes the means that bias correction wants.
  RangeCosts MeasureCosts(const RangeProposals& candidates, const std::vector<WeightedPoint>& points) {
    return MeasureRangeCosts(
        reference_, facts_, points, candidates, samples_, lanes_, float_means_.values(),
        [&](size_t sample, ValueId value, const Tensor& x) { float_means_.See(sample, value, x); });
  }

  struct Change {
    ValueId value;
    ChosenRange range;
  };
  struct RangeChanges {
    std::vector<Change> changes;  // not taken back, in the order of the graph's values
    Effect effect = Effect::kGain;
  };

  void Take(const Change& change) {
    SetRange(plan_, change.value, change.range.lo, change.range.hi,
             change.range.why + ", by its cost at the outputs");
  }

  // Takes changes in groups, by the order of their ids (mostly that of the graph): those that make the noise
  // less. Returns how many.
  int TakeInGroups(const std::vector<Change>& changes) {
    const size_t size = (changes.size() + kGroups - 1) / kGroups;
    int kept = 0;
    for (size_t begin = 0; begin < changes.size(); begin += size) {
      const QuantPlan before = *plan_;
      const size_t end = std::min(begin + size, changes.size());
      for (size_t i = begin; i < end; ++i) Take(changes[i]);
      PutOnOneGrid(*graph_, plan_);
      Noise now = MeasureNoise();
      if (now.mean < noise_.mean) {
        noise_ = std::move(now);
        kept += static_cast<int>(end - begin);
      } else {
        *plan_ = before;
      }
    }
    return kept;
  }

  RangeChanges ChooseRanges(const RangeProposals& candidates, const std::vector<WeightedPoint>& points,
                            int level) {
    const RangeCosts costs = MeasureCosts(candidates, points);
    for (NodeId id : costs.stopped)
      Say("no derivative of ", reference_.node(id).Title(),
          ": ranges before it are chosen as if it handed relative errors on");
    const QuantPlan before = *plan_;
    std::vector<Change> changes;
    for (const auto& [id, of] : costs.of) {
      const size_t best = static_cast<size_t>(std::min_element(of.begin(), of.end()) - of.begin());
      if (!(of[best] < (1 - kWorthwhile) * of[0])) continue;
      const ChosenRange& range = candidates.at(id)[best];
      LogDebug("range of ", reference_.value(id).name, " by its cost: ", range.lo, " .. ", range.hi, " (",
               range.why, "), ", of[best], " instead of ", of[0]);
      changes.push_back({id, range});
      Take(changes.back());
    }
    if (changes.empty()) {
      Say("0 ranges chosen by what they cost at the outputs: noise-to-signal ratio ", noise_.mean);
      return {};
    }
    PutOnOneGrid(*graph_, plan_);
    Noise now = MeasureNoise();
    const Effect effect = EffectOf(noise_, now);
    // A loss may still turn into a gain when weights are tuned: tuning them twice takes level 2's time.
    const bool back = effect == Effect::kLoss && level < 2;
    Say(changes.size(), " ranges chosen by what they cost at the outputs: noise-to-signal ratio ",
        noise_.mean, " -> ", now.mean,
        back                        ? ", a rise: they are taken back"
        : effect == Effect::kGain   ? ""
        : effect != Effect::kChance ? ", a rise that is judged again once weights are tuned"
                                    : ", which may be chance and is judged again once weights are tuned");
    if (back) {
      *plan_ = before;
      changes.clear();
    } else {
      noise_ = std::move(now);
    }
    return {std::move(changes), effect};
  }

  // A seeded quarter of the calibration samples, of kMostHeld at most, is held back.
  void LearnWeights(const TuneOptions& tuning, const TuneProgress& progress) {
    Random random(20260808);
    const auto all = static_cast<int64_t>(indices_.size());
    const std::vector<int64_t> places = Choose(random, all, std::min(all / 4, kMostHeld));
    if (places.size() < kFewestHeld) {
      Say("nothing is learned from ", Counted(all, "sample"), ": it takes ", 4 * kFewestHeld);
      return;
    }
    std::vector<int64_t> held_back, rest;
    for (int64_t i = 0; i < all; ++i) {
      const bool held = std::binary_search(places.begin(), places.end(), i);
      (held ? held_back : rest).push_back(indices_[static_cast<size_t>(i)]);
    }
    const std::vector<Sample> held = DrawSamples(source_, held_back, LearnedCount(), 1, lanes_.pool()),
                              learned = DrawSamples(source_, rest, LearnedCount(), 2, lanes_.pool());
    const OutputError held_error(reference_, error_.points(), held, lanes_),
        learned_error(reference_, error_.points(), learned, lanes_);
    const CorrectBiases correct = [&](Graph* graph, QuantPlan* plan) {
      if (!tuning.bias_correction) return;
      LayerTuning only_biases;
      only_biases.rounding = false;
      only_biases.ceiling = tuning.ceiling;
      TuneLayers(graph, plan, samples_, float_means_, only_biases, pool_, nullptr);
    };
    const LearnResult result =
        Learn(graph_, plan_, {learned, learned_error}, {held, held_error}, {}, correct, lanes_,
              [&](int64_t done, int64_t total) { progress("learn", done, total); });
    for (NodeId id : result.stopped)
      Say("no derivative of ", reference_.node(id).Title(), ": weights before it are not learned");
    const std::string noise = "noise-to-signal ratio of the held-back samples ";
    switch (result.end) {
      case LearnEnd::kNoWeights:
        Say("nothing is learned: derivatives arrive at no weights");
        break;
      case LearnEnd::kNothingToGain:
        Say("nothing is learned: weights make too little of the noise (", noise, result.before,
            ", without the rounding of activations ", result.before_unrounded, ")");
        break;
      case LearnEnd::kFailed:
        Say("nothing is learned, since learning failed: ", result.why);
        break;
      case LearnEnd::kUndone:
        Say("learning on ", Counted(learned.size(), "sample"),
            " is taken back: too little gained on the held-back ones");
        break;
      case LearnEnd::kKept:
        Say("learned on ", Counted(learned.size(), "sample"), ": ", Counted(result.codes, "weight"), " of ",
            Counted(result.weights, "operator"), " rounded another way, ",
            Counted(result.biases, "bias", "biases"), ", ", noise, result.before, " -> ", result.after,
            " (without the rounding of activations ", result.before_unrounded, " -> ", result.after_unrounded,
            ")");
        break;
    }
  }

  // As many samples as keep inputs and points under kStoredBytes.
  int64_t LearnedCount() const {
    int64_t bytes = 1;
    const auto add = [&](ValueId id) {
      if (id != kNone) bytes += facts_.elements(id) * static_cast<int64_t>(sizeof(float));
    };
    for (ValueId id : reference_.FreeInputs()) add(id);
    for (const std::string& point : error_.points()) add(reference_.Find(point));
    return std::clamp<int64_t>(kStoredBytes / bytes, kFewestSamples, kMostLearned);
  }

  // Weights rounded and biases corrected; returns sentences for Say(), none where neither is wanted.
  std::vector<std::string> TuneWeights(const TuneOptions& options, const TuneProgress& progress) {
    if (!options.weight_rounding && !options.bias_correction) return {};
    LayerTuning layers;
    layers.rounding = options.weight_rounding;
    layers.bias_correction = options.bias_correction;
    layers.ceiling = options.ceiling;
    const State before = {*graph_, *plan_, noise_};
    const LayerTuningResult tuned =
        TuneLayers(graph_, plan_, samples_, float_means_, layers, pool_,
                   [&](int64_t done, int64_t total) { progress("tune layers", done, total); });
    noise_ = MeasureNoise();
    std::vector<std::string> sentences = {StrCat("tuned on ", Counted(samples_.size(), "sample"),
                                                 ": weights of ", Counted(tuned.rounded, "operator"),
                                                 " rounded, ", Counted(tuned.biases, "bias", "biases"),
                                                 " corrected, noise-to-signal ratio ", noise_.mean)};
    if (!Harms(before.noise, noise_)) return sentences;
    sentences.push_back("rounding and bias correction are taken back");
    Restore(before);
    return sentences;
  }

  struct State {
    Graph graph;
    QuantPlan plan;
    Noise noise;
  };
  void Restore(const State& state) {
    *graph_ = state.graph;
    *plan_ = state.plan;
    noise_ = state.noise;
  }

  const Graph reference_;
  Graph* graph_;
  QuantPlan* plan_;
  const ValueFacts& facts_;
  const std::vector<Sample> samples_;
  const SampleSource& source_;
  const std::vector<int64_t>& indices_;
  const std::vector<Sample> judged_;
  const OutputError error_;
  const SampleLanes lanes_;
  ThreadPool& pool_;
  FloatMeans float_means_;
  Noise noise_;
  bool gave_way_ = false;  // to the ranges and biases of level 0
  std::vector<std::string> account_;
};

}  // namespace

std::vector<std::string> Tune(Graph* graph, QuantPlan* plan, const ValueFacts& facts,
                              const RangeProposals& proposals, const SampleSource& source,
                              const std::vector<int64_t>& indices, const TuneOptions& options,
                              ThreadPool& pool, const TuneProgress& progress) {
  if (plan->activations.empty() || indices.empty()) return {};
  const auto available = static_cast<int64_t>(indices.size());
  const auto tuner_of = [&](Graph* of, QuantPlan* with, const SampleCounts& counts) {
    return Tuner(of, with, facts, DrawSamples(source, indices, counts.tuned, 20260202, pool), counts.judged,
                 source, indices, {pool, options.ceiling});
  };
  const SampleCounts counts = CountSamples(*graph, facts, options.level, available),
                     few = options.level > 1 ? CountSamples(*graph, facts, 1, available) : counts;
  std::optional<Tuned> other;
  if (few.tuned < std::min(counts.tuned, available)) {
    LogInfo("tuning as at level 1 first, to compare");
    Graph other_graph = *graph;
    QuantPlan other_plan = *plan;
    Tuner tuner = tuner_of(&other_graph, &other_plan, few);
    tuner.Run(proposals, options, progress);
    other = std::move(tuner).Result();
  }
  Tuner tuner = tuner_of(graph, plan, counts);
  tuner.Run(proposals, options, progress);
  if (other) tuner.Compare(*std::move(other), static_cast<size_t>(few.tuned));
  if (options.level >= 3) tuner.RunLearning(options, progress);
  return std::move(tuner).Account();
}

}  // namespace xslim
