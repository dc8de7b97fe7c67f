#include "tune/learn.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>

#include "base/log.h"
#include "base/random.h"
#include "ops/precise_math.h"
#include "runtime/executor.h"
#include "tune/bias.h"
#include "tune/learned.h"
#include "tune/learning_graph.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kMostWeights = int64_t{1} << 23;  // that are learned: 16 bytes each
constexpr double kMostLeft = 0.95;    // of the noise of a typical held-back sample, for learning to stay
constexpr double kWorthwhile = 0.15;  // part of the noise that weights must make
constexpr double kStepGain = 0.05;    // of the error, that a step promises to take away
constexpr double kMostSteps = 0.02;   // that a weight moves at once, in steps of its scale
constexpr double kMostBias = 0.002;   // that a bias moves at once, as part of the output's size
constexpr int kWarmUp = 5;

class Learner {
 public:
  Learner(Graph* graph, QuantPlan* plan, const JudgedSamples& learned, const JudgedSamples& held,
          const LearnOptions& options, const CorrectBiases& correct, const SampleLanes& lanes)
      : graph_(graph),
        plan_(plan),
        learned_(learned),
        held_(held),
        options_(options),
        correct_(correct),
        lanes_(lanes),
        pool_(lanes.pool()) {}

  // The operators that derivatives cannot pass are known from the learning graph on.
  LearnResult Failed(const Error& error) const {
    LearnResult failed;
    failed.end = LearnEnd::kFailed;
    failed.why = error.what();
    failed.stopped = result_.stopped;
    return failed;
  }

  LearnResult Run(const std::function<void(int64_t, int64_t)>& progress) {
    for (const Layer& layer : FindLayers(*graph_, *plan_)) GiveBias(graph_, layer.node);
    clipped_ = ClippedGraph(*graph_, *plan_, pool_);
    const std::vector<double> unrounded = RatiosOf(clipped_, held_.error, held_.samples, lanes_);
    rounded_before_ = Rounded(*graph_, *plan_);
    result_.before = result_.after = GeometricMean(rounded_before_);
    result_.before_unrounded = result_.after_unrounded = precise::Exp(OutputError::MeanLog(unrounded));
    if (!(result_.before_unrounded > kWorthwhile * result_.before)) {
      result_.end = LearnEnd::kNothingToGain;
      return result_;
    }
    WeighSamples();
    places_ =
        std::make_unique<LearningGraph>(clipped_, *plan_, learned_.error, learned_.samples.at(0), pool_);
    result_.stopped = places_->stopped;
    Prepare();
    FindRegular();
    if (regular_.empty() || biases_.size() + weights_.size() == 0) {
      result_.end = LearnEnd::kNoWeights;
      return result_;
    }
    MeasureUnits();
    Descend(progress);
    Finish();
    return result_;
  }

 private:
  SampleRatios Rounded(const Graph& graph, const QuantPlan& plan) const {
    QuantPlan written = plan;
    written.quantize_bias = false;
    return SampleRatiosOf(ExportQdq(graph, written), held_.error, held_.samples, lanes_);
  }

  // Of the points' means over the samples.
  static double GeometricMean(const SampleRatios& ratios) {
    return precise::Exp(OutputError::MeanLog(OutputError::Means(ratios)));
  }

  // How many times the noise of a typical sample is what it was. Means hang on single samples where most have
  // hardly any noise: images between two classes.
  static double TypicalChange(const SampleRatios& before, const SampleRatios& after) {
    double sum = 0;
    int64_t count = 0;
    for (size_t p = 0; p < before.size(); ++p) {
      for (size_t s = 0; s < before[p].size(); ++s) {
        if (before[p][s] == 0 || after[p][s] == 0) continue;
        sum += precise::Log(after[p][s] / before[p][s]);
        ++count;
      }
    }
    return count == 0 ? 1.0 : precise::Exp(sum / static_cast<double>(count));
  }

  void Prepare() {
    const Graph& graph = places_->graph;
    for (const BiasPlace& place : places_->biases) {
      // Factors of weight and bias, which the derivatives here leave out.
      if (graph_->node(place.node).IsScaledGemm()) continue;
      LearnedBias bias;
      bias.place = place;
      const Tensor& constant = *graph.Constant(place.constant);
      bias.numbers.Start({constant.data<float>(), constant.data<float>() + constant.size()});
      biases_.push_back(std::move(bias));
    }
    // Where not all weights fit, those of the smaller operators, which have the fewest to make up for an
    // error with.
    const auto size = [&](const WeightPlace& place) { return graph.Constant(place.constant)->size(); };
    std::vector<WeightPlace> places = places_->weights;
    std::stable_sort(places.begin(), places.end(),
                     [&](const WeightPlace& a, const WeightPlace& b) { return size(a) < size(b); });
    int64_t count = 0;
    for (const WeightPlace& place : places) {
      if (graph_->node(place.layer.node).IsScaledGemm()) continue;
      count += size(place);
      if (count > kMostWeights) break;
      LearnedWeight weight;
      weight.place = place;
      weight.numbers.Start(InitialWeights(plan_->weights[place.layer.weight],
                                          *graph_->Constant(graph_->node(place.layer.node).input(1))));
      weights_.push_back(std::move(weight));
    }
    result_.biases = biases_.size();
    result_.weights = weights_.size();
    for (size_t i = 0; i < biases_.size(); ++i) owners_[biases_[i].place.derivative].biases.push_back(i);
    for (size_t i = 0; i < weights_.size(); ++i) {
      owners_[weights_[i].place.derivative].weights.push_back(i);
      owners_[weights_[i].place.input].inputs.push_back(i);
    }
    for (const PointPlace& point : places_->points) owners_[point.value].point = &point;
  }

  // What an error counts: by the noise that there is, in the point and in the sample. So no sample's noise
  // hides that of the others.
  void WeighSamples() {
    const SampleRatios ratios = SampleRatiosOf(clipped_, learned_.error, learned_.samples, lanes_);
    const std::vector<double> means = OutputError::Means(ratios);
    sample_weights_.assign(learned_.samples.size(), std::vector<double>(means.size(), 0.0));
    for (size_t p = 0; p < means.size(); ++p) {
      if (means[p] == 0) continue;
      for (size_t s = 0; s < ratios[p].size(); ++s) sample_weights_[s][p] = 2 / (means[p] + ratios[p][s]);
    }
  }

  // Samples with the shapes that derivatives hold for.
  void FindRegular() {
    for (size_t s = 0; s < learned_.samples.size(); ++s) {
      bool fits = true;
      for (size_t i = 0; i < places_->sample_inputs.size(); ++i)
        fits &= learned_.samples[s][i].shape() == places_->shapes.at(places_->sample_inputs[i]);
      for (const PointPlace& point : places_->points) {
        const Tensor& wanted = learned_.error.wanted(point.point, s);
        fits &= wanted.defined() && wanted.shape() == places_->shapes.at(point.value);
      }
      if (fits) regular_.push_back(s);
    }
  }

  void MeasureUnits() {
    std::map<ValueId, LearnedBias*> of;
    std::vector<ValueId> taps;
    for (LearnedBias& bias : biases_) {
      taps.push_back(clipped_.node(bias.place.node).outputs[0]);
      of[taps.back()] = &bias;
    }
    Executor executor(clipped_, pool_);
    executor.SetTaps(taps, [&](ValueId id, const Tensor& tensor) {
      double sum = 0;
      for (int64_t i = 0; i < tensor.size(); ++i)
        sum += static_cast<double>(tensor.data<float>()[i]) * tensor.data<float>()[i];
      const double mean = sum / static_cast<double>(std::max<int64_t>(tensor.size(), 1));
      of.at(id)->unit = std::isfinite(mean) ? static_cast<float>(std::sqrt(mean)) : 0.0f;
    });
    executor.Run(learned_.samples[regular_[0]]);
  }

  void SetConstants(bool turned) {
    const auto set = [&](ValueId id, const Tensor& tensor) {
      clipped_.SetConstant(id, tensor);
      places_->graph.SetConstant(id, tensor);
    };
    for (const LearnedBias& bias : biases_)
      set(bias.place.constant,
          Tensor::Of<float>({static_cast<int64_t>(bias.numbers.value.size())}, bias.numbers.value));
    for (const LearnedWeight& weight : weights_) {
      const WeightQuant& quant = plan_->weights[weight.place.layer.weight];
      const std::vector<float> codes = RoundedCodes(weight, pool_);
      Tensor constant(DType::kFloat, quant.codes.shape());
      float* to = constant.data<float>();
      ForScales(quant, [&](int64_t begin, int64_t end, float scale) {
        for (int64_t i = begin; i < end; ++i) to[i] = codes[static_cast<size_t>(i)] * scale;
      });
      set(weight.place.constant, constant);
      if (!turned) continue;
      for (const Gradient::Turned& of : weight.place.turned)
        places_->graph.SetConstant(of.constant, TurnedWeight(constant, of.groups));
    }
  }

  // Leaves the best state in best_.
  void Descend(const std::function<void(int64_t, int64_t)>& progress) {
    for (int turn = 1; turn <= options_.steps; ++turn) {
      Step(turn);
      progress(turn, options_.steps);
      if (turn * options_.checks / options_.steps == (turn - 1) * options_.checks / options_.steps) continue;
      SetConstants(false);
      const double now =
          precise::Exp(OutputError::MeanLog(RatiosOf(clipped_, held_.error, held_.samples, lanes_)));
      LogDebug("learning, step ", turn, " of ", options_.steps,
               ": noise-to-signal ratio of held-back samples, activations not rounded: ", now);
      if (!(now < result_.after_unrounded)) continue;
      result_.after_unrounded = now;
      best_.clear();
      for (const LearnedBias& bias : biases_) best_.push_back(bias.numbers.value);
      for (const LearnedWeight& weight : weights_) best_.push_back(RoundedCodes(weight, pool_));
    }
  }

  void Step(int turn) {
    SetConstants(true);
    loss_ = 0;
    {
      Executor executor(places_->graph, pool_);
      std::vector<ValueId> taps;
      for (const auto& [id, owners] : owners_) taps.push_back(id);
      executor.SetTaps(taps, [this](ValueId id, const Tensor& tensor) { Show(id, tensor); });
      for (int i = 0; i < options_.batch; ++i) {
        sample_ = NextSample();
        executor.Run(
            places_->InputsFor(learned_.samples[sample_], sample_, learned_.error, sample_weights_[sample_]));
      }
    }
    double bias_gain = 0, weight_gain = 0;
    for (LearnedBias& bias : biases_) {
      for (float& g : bias.numbers.sum) g *= bias.unit;
      bias_gain += bias.numbers.Direct(turn, pool_);
    }
    for (LearnedWeight& weight : weights_) {
      ForScales(plan_->weights[weight.place.layer.weight], [&](int64_t begin, int64_t end, float scale) {
        for (int64_t i = begin; i < end; ++i) weight.numbers.sum[static_cast<size_t>(i)] *= scale;
      });
      weight_gain += weight.numbers.Direct(turn, pool_);
    }
    // The first steps know little of the derivatives' sizes; the last ones come to rest.
    const double part = std::min(
        {1.0, static_cast<double>(turn) / kWarmUp, 2 * (1 - static_cast<double>(turn - 1) / options_.steps)});
    const auto length = [&](double gain, double most) {
      return gain > 0 ? part * std::min(kStepGain * loss_ / gain, most) : 0.0;
    };
    const double bias_length = length(bias_gain, kMostBias), weight_length = length(weight_gain, kMostSteps);
    constexpr float kFar = std::numeric_limits<float>::max();
    for (LearnedBias& bias : biases_)
      bias.numbers.Move(static_cast<float>(bias_length) * bias.unit, -kFar, kFar, pool_);
    for (LearnedWeight& weight : weights_)
      weight.numbers.Move(static_cast<float>(weight_length), -128, 127, pool_);
  }

  // All in an order that is drawn anew when they are through.
  size_t NextSample() {
    if (next_ == order_.size()) {
      order_ = regular_;
      for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random_.Below(i)]);
      next_ = 0;
    }
    return order_[next_++];
  }

  void Show(ValueId id, const Tensor& tensor) {
    const Owners& owners = owners_.at(id);
    if (owners.point != nullptr) AddToLoss(tensor, *owners.point);
    for (size_t i : owners.inputs) KeepPatches(places_->graph, tensor, random_.Next(), &weights_[i], pool_);
    for (size_t i : owners.biases) AddToBias(tensor, &biases_[i], pool_);
    for (size_t i : owners.weights) AddToWeight(places_->graph, tensor, &weights_[i], pool_);
  }

  void AddToLoss(const Tensor& tensor, const PointPlace& place) {
    const Tensor& wanted = learned_.error.wanted(place.point, sample_);
    if (tensor.shape() != wanted.shape())
      throw Error("has another shape than without rounding", "an output that is learned from");
    double noise = 0, signal = learned_.error.floor(place.point);
    for (int64_t i = 0; i < wanted.size(); ++i) {
      const double x = wanted.data<float>()[i], difference = tensor.data<float>()[i] - x;
      noise += difference * difference;
      signal += x * x;
    }
    const double loss = signal > 0 ? noise / signal * sample_weights_[sample_][place.point] : 0.0;
    if (std::isfinite(loss)) loss_ += loss;
  }

  // Writes the best state into graph and plan, if the held-back samples agree with activations rounded, too.
  void Finish() {
    if (best_.empty()) return;
    Graph graph = *graph_;
    QuantPlan plan = *plan_;
    size_t at = 0;
    for (const LearnedBias& bias : biases_) {
      const std::vector<float>& values = best_[at++];
      graph.SetConstant(graph.node(bias.place.node).input(2),
                        Tensor::Of<float>({static_cast<int64_t>(values.size())}, values));
    }
    int64_t changed = 0;
    for (const LearnedWeight& weight : weights_) {
      WeightQuant& quant = plan.weights[weight.place.layer.weight];
      const std::vector<float>& rounded = best_[at++];
      Tensor codes(DType::kInt8, quant.codes.shape());
      for (int64_t i = 0; i < codes.size(); ++i) {
        codes.data<int8_t>()[i] = static_cast<int8_t>(rounded[static_cast<size_t>(i)]);
        changed += codes.data<int8_t>()[i] != quant.codes.data<int8_t>()[i];
      }
      quant.codes = std::move(codes);
    }
    // What rounding adds to the means of activations is not seen while learning.
    correct_(&graph, &plan);
    const SampleRatios rounded = Rounded(graph, plan);
    const double after = GeometricMean(rounded), change = TypicalChange(rounded_before_, rounded);
    LogDebug("learned weights, activations rounded: noise-to-signal ratio of held-back samples ", after,
             " instead of ", result_.before, ", of a typical one ", change, " times what it was");
    if (!(after < result_.before) || !(change < kMostLeft)) return;
    result_.after = after;
    result_.end = LearnEnd::kKept;
    result_.codes = changed;
    *graph_ = std::move(graph);
    *plan_ = std::move(plan);
  }

  struct Owners {
    std::vector<size_t> biases, weights;  // whose derivative it is
    std::vector<size_t> inputs;           // weights that it is the input to
    const PointPlace* point = nullptr;
  };

  Graph* graph_;
  QuantPlan* plan_;
  const JudgedSamples learned_, held_;
  const LearnOptions options_;
  const CorrectBiases& correct_;
  const SampleLanes lanes_;
  ThreadPool& pool_;
  Graph clipped_;
  std::unique_ptr<LearningGraph> places_;
  std::vector<LearnedBias> biases_;
  std::vector<LearnedWeight> weights_;
  std::vector<std::vector<float>> best_;  // biases, then codes
  std::map<ValueId, Owners> owners_;
  std::vector<std::vector<double>> sample_weights_;  // by learned sample and point
  std::vector<size_t> regular_, order_;
  size_t next_ = 0, sample_ = 0;
  double loss_ = 0;
  Random random_{20260707};
  SampleRatios rounded_before_;
  LearnResult result_;
};

}  // namespace

LearnResult Learn(Graph* graph, QuantPlan* plan, const JudgedSamples& learned, const JudgedSamples& held,
                  const LearnOptions& options, const CorrectBiases& correct, const SampleLanes& lanes,
                  const std::function<void(int64_t, int64_t)>& progress) {
  const Graph graph_before = *graph;
  const QuantPlan plan_before = *plan;
  Learner learner(graph, plan, learned, held, options, correct, lanes);
  try {
    return learner.Run(progress);
  } catch (const OutOfMemory&) {
    throw;
  } catch (const CeilingTooLow&) {
    throw;
  } catch (const Error& error) {
    *graph = graph_before;
    *plan = plan_before;
    return learner.Failed(error);
  }
}

}  // namespace xslim
