#include "tune/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/sanitizer.h"
#include "noise.h"
#include "quant/scale.h"
#include "runtime/executor.h"
#include "tune/range_costs.h"

namespace xslim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Of most samples 64 columns, of `wide` ones 80.
class Source : public SampleSource {
 public:
  explicit Source(bool wide = false) : wide_(wide) {}
  int64_t size() const override { return 12; }
  Sample at(int64_t index) const override {
    return {Noise({1, 4, 16, wide_ && index % 3 == 1 ? 80 : 64}, static_cast<uint64_t>(index) + 100)};
  }
  std::string Describe() const override { return "noise"; }

 private:
  const bool wide_;
};

// y = Conv(Sigmoid(8 * Conv(x))): the first convolution's result is far wider than what Sigmoid tells apart.
struct Model {
  Graph graph;
  ValueId x, inner, gate, y;
  Model() {
    graph.opset_imports[""] = 13;
    x = graph.AddValue("x", DType::kFloat);
    inner = graph.AddValue("inner", DType::kFloat);
    gate = graph.AddValue("gate", DType::kFloat);
    y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(x);
    graph.AddNode("Conv", "first", {x, graph.AddConstant("w1", Noise({6, 4, 1, 1}, 1, 40))}, {inner});
    graph.AddNode("Sigmoid", "sigmoid", {inner}, {gate});
    graph.AddNode("Conv", "second", {gate, graph.AddConstant("w2", Noise({6, 6, 1, 1}, 2))}, {y});
    graph.AddOutput(y);
  }
};

TEST(RangeCosts, CountWhatReachesTheOutput) {
  Model model;
  ThreadPool pool(2);
  std::vector<Sample> samples;
  for (int64_t s = 0; s < 4; ++s) samples.push_back(Source().at(s));
  const ValueFacts facts(model.graph, samples[0], pool);
  const RangeProposals proposals = {
      {model.inner, {{-40, 40, "whole"}, {-8, 8, "middle"}, {-0.5f, 0.5f, "none"}}},
      {model.gate, {{0, 1, "whole"}, {0, 0.5f, "half"}, {0, 2, "twice"}}}};
  const RangeCosts costs = MeasureRangeCosts(model.graph, facts, {{model.y, 1.0, 0.0}}, proposals, samples,
                                             {pool, MemoryCeiling()}, {}, nullptr);
  EXPECT_TRUE(costs.stopped.empty());
  const std::vector<double>&inner = costs.of.at(model.inner), &gate = costs.of.at(model.gate);
  EXPECT_LT(inner[1], 0.5 * inner[0]);  // what lies outside does not matter, finer steps do
  EXPECT_LT(inner[1], 0.1 * inner[2]);
  EXPECT_LT(gate[0], 0.1 * gate[1]);
  EXPECT_NEAR(gate[2] / gate[0], 4, 1);  // twice the step, four times the noise

  // The noise-to-signal ratio that rounding `gate` alone makes, in truth.
  const ScaleZero step = AsymmetricInt8(0, 1);
  Graph rounded = model.graph;
  const ValueId codes = rounded.AddValue("codes", DType::kInt8),
                back = rounded.AddValue("back", DType::kFloat);
  const ValueId scale = rounded.AddConstant("s", Tensor::Scalar(step.scale)),
                zero = rounded.AddConstant("z", Tensor::Scalar(static_cast<int8_t>(step.zero_point)));
  const NodeId second = rounded.value(model.y).producer;
  rounded.AddNode("QuantizeLinear", "q", {model.gate, scale, zero}, {codes});
  rounded.AddNode("DequantizeLinear", "d", {codes, scale, zero}, {back});
  rounded.SetInput(second, 0, back);
  Executor a(model.graph, pool), b(rounded, pool);
  double ratio = 0;
  for (const Sample& sample : samples) {
    const Tensor wanted = a.Run(sample)[0], got = b.Run(sample)[0];
    double noise = 0, signal = 0;
    for (int64_t i = 0; i < wanted.size(); ++i) {
      const double difference = static_cast<double>(got.data<float>()[i]) - wanted.data<float>()[i];
      noise += difference * difference;
      signal += static_cast<double>(wanted.data<float>()[i]) * wanted.data<float>()[i];
    }
    ratio += noise / signal;
  }
  EXPECT_NEAR(gate[0] / ratio, 1, 0.2);
}

// y = 2 * (sum of s * s), s the first n elements of x; besides, m zeros.
struct Resized {
  Graph graph;
  ValueId x, n, m, part, sum, y;
  Resized() {
    graph.opset_imports[""] = 13;
    const auto add = [&](const char* type, std::vector<ValueId> inputs, DType dtype,
                         std::map<std::string, Attribute> attributes = {}) {
      const ValueId out = graph.AddValue("v", dtype);
      graph.AddNode(type, "", std::move(inputs), {out}, std::move(attributes));
      return out;
    };
    for (ValueId* input : {&x, &n, &m}) graph.AddInput(*input = graph.AddValue("in", DType::kFloat));
    const std::map<std::string, Attribute> to_int = {{"to", Attribute::Int(7)}};
    const ValueId first = graph.AddConstant("first", Tensor::Of<int64_t>({1}, {0}));
    part = add("Slice", {x, first, add("Cast", {n}, DType::kInt64, to_int)}, DType::kFloat);
    sum = add("ReduceSum", {add("Mul", {part, part}, DType::kFloat)}, DType::kFloat);
    y = add("Mul", {sum, graph.AddConstant("two", Tensor::Scalar(2.0f))}, DType::kFloat);
    graph.AddOutput(y);
    graph.AddOutput(add("ConstantOfShape", {add("Cast", {m}, DType::kInt64, to_int)}, DType::kFloat));
  }

  RangeCosts Costs(const std::vector<std::pair<float, float>>& sizes) const {
    std::vector<Sample> samples;
    for (const auto& [part_size, zeros] : sizes)
      samples.push_back(
          {Noise({8}, 7), Tensor::Of<float>({1}, {part_size}), Tensor::Of<float>({1}, {zeros})});
    ThreadPool pool(1);
    const ValueFacts facts(graph, samples[0], pool);
    return MeasureRangeCosts(graph, facts, {{y, 1.0, 0.0}},
                             {{sum, {{-1, 1, "some"}}}, {part, {{-1, 1, "some"}}}}, samples,
                             {pool, MemoryCeiling()}, {}, nullptr);
  }
};

TEST(RangeCosts, ASampleWhoseDerivativesFailHalfwayDoesNotCount) {
  const Resized model;
  const std::vector<double> one = model.Costs({{8, 1}}).of.at(model.sum);
  EXPECT_GT(one[0], 0);
  EXPECT_EQ(model.Costs({{8, 1}, {8, 1}}).of.at(model.sum)[0], 2 * one[0]);
  EXPECT_EQ(model.Costs({{8, 1}, {3, 1}}).of.at(model.sum), one);
}

TEST(RangeCosts, WithoutMemoryNothingGoesOn) {
#if defined(XSLIM_ADDRESS_SANITIZER)
  GTEST_SKIP() << "the sanitizer ends a program that asks for so much";
#endif
  constexpr float kZeros = 0x1p46f;  // more than the address space holds
  const Resized model;
  EXPECT_THROW(model.Costs({{8, 1}, {8, kZeros}}), OutOfMemory);
  EXPECT_THROW(model.Costs({{8, 1}, {8, 1}, {8, kZeros}}), OutOfMemory);
}

std::vector<std::string> TuneAll(Graph* graph, QuantPlan* plan, const ValueFacts& facts,
                                 const RangeProposals& proposals, const SampleSource& source,
                                 const TuneOptions& options, ThreadPool& pool, int64_t samples = 12) {
  std::vector<int64_t> indices(static_cast<size_t>(samples));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return Tune(graph, plan, facts, proposals, source, indices, options, pool,
              [](const char*, int64_t, int64_t) {});
}

struct Tuned {
  std::map<ValueId, float> scales;
  std::vector<Tensor> codes;
};

Tuned TunedWith(int threads, const SampleSource& source) {
  ThreadPool pool(threads);
  Model model;
  const ValueFacts facts(model.graph, source.at(0), pool);
  QuantPlan plan = PlacePlan(model.graph, facts, {});
  RangeProposals proposals;
  for (const auto& [id, quant] : plan.activations) {
    // What keeps its range must not hide what the others gain.
    const float own = id == model.x || id == model.y ? 8 : 40;
    SetRange(&plan, id, -own, own, "wide");
    proposals[id] = {{-own / 5, own / 5, "middle"}};
  }
  TuneAll(&model.graph, &plan, facts, proposals, source, {}, pool);
  Tuned tuned;
  for (const auto& [id, quant] : plan.activations) tuned.scales[id] = quant.params.scale[0];
  for (const WeightQuant& weight : plan.weights) tuned.codes.push_back(weight.codes);
  // The gate lies in 0..1: the narrowest of what is tried serves it best. An input keeps the range of the
  // data.
  EXPECT_EQ(tuned.scales.at(model.x), 16.0f / 255);
  EXPECT_LT(tuned.scales.at(model.gate), 20.0f / 255);
  return tuned;
}

TEST(Tune, GivesTheSameForAnyNumberOfThreads) {
  const Tuned one = TunedWith(1, Source()), three = TunedWith(3, Source());
  EXPECT_EQ(one.scales, three.scales);
  ASSERT_EQ(one.codes.size(), three.codes.size());
  for (size_t i = 0; i < one.codes.size(); ++i) EXPECT_TRUE(one.codes[i].SameBytes(three.codes[i]));
}

// What few samples show of scores is what users look at: the best ones are never cut off.
TEST(Tune, KeepsTheEndOfScores) {
  ThreadPool pool(1);
  const Source source;
  Model model;
  Graph& graph = model.graph;
  const ValueId scores = graph.AddValue("scores", DType::kFloat);
  graph.AddNode("Sigmoid", "last", {model.y}, {scores});
  graph.RemoveOutput(model.y);
  graph.AddOutput(scores);
  const ValueFacts facts(graph, source.at(0), pool);
  QuantPlan plan = PlacePlan(graph, facts, {});
  RangeProposals proposals;
  for (const auto& [id, quant] : plan.activations) {
    const float own = id == model.x ? 8 : id == scores ? 1 : 40;
    SetRange(&plan, id, -own, own, "wide");
    proposals[id] = {{-own / 5, own / 5, "middle"}};
  }
  TuneAll(&graph, &plan, facts, proposals, source, {}, pool);
  const ActivationQuant &inner = plan.activations.at(model.inner), &last = plan.activations.at(model.y);
  EXPECT_LT(inner.hi, 40);
  EXPECT_EQ(last.hi, 40);
  EXPECT_GT(last.lo, -40);
}

// Where the input's own steps make nearly all of the noise, narrower ranges inside gain next to nothing.
TEST(Tune, TakesNoNarrowerRangesForLittle) {
  ThreadPool pool(1);
  const Source source;
  Model model;
  const ValueFacts facts(model.graph, source.at(0), pool);
  QuantPlan plan = PlacePlan(model.graph, facts, {});
  RangeProposals proposals;
  for (const auto& [id, quant] : plan.activations) {
    SetRange(&plan, id, -40, 40, "wide");
    proposals[id] = {{-8, 8, "middle"}};
  }
  const std::vector<std::string> account = TuneAll(&model.graph, &plan, facts, proposals, source, {}, pool);
  ASSERT_GE(account.size(), 2u);
  EXPECT_THAT(account[1], testing::HasSubstr("gain too little"));
  EXPECT_EQ(plan.activations.at(model.gate).hi, 40);
}

// A rise is explained, a fall needs no words.
TEST(Tune, SaysWhatARiseOfTheNoiseMeans) {
  ThreadPool pool(1);
  const Source source;
  int rises = 0, taken_back = 0, falls = 0;
  for (const float own : {0.8f, 8.0f}) {
    for (const float other : {0.4f, 4.0f}) {
      Model model;
      const ValueFacts facts(model.graph, source.at(0), pool);
      QuantPlan plan = PlacePlan(model.graph, facts, {});
      RangeProposals proposals;
      for (const auto& [id, quant] : plan.activations) {
        SetRange(&plan, id, -own, own, "own");
        proposals[id] = {{-other, other, "other"}};
      }
      TuneOptions options;
      options.weight_rounding = options.bias_correction = false;
      const std::vector<std::string> account = Tune(&model.graph, &plan, facts, proposals, source, {0, 1, 2},
                                                    options, pool, [](const char*, int64_t, int64_t) {});
      double before = 0, now = 0;
      const size_t at = account.front().find("ratio ");
      ASSERT_EQ(std::sscanf(account.front().substr(at).c_str(), "ratio %lf -> %lf", &before, &now), 2);
      const bool back = account.front().find("they are taken back") != std::string::npos,
                 told = back || account.front().find("judged again") != std::string::npos;
      for (const auto& [id, quant] : plan.activations) {
        if (back) {
          EXPECT_EQ(quant.hi, own);
        }
      }
      if (before != now) {
        EXPECT_EQ(told, now > before) << account.front();
      }
      rises += told;
      taken_back += back;
      falls += now < before;
    }
  }
  EXPECT_GT(rises, 0);
  EXPECT_GT(taken_back, 0);
  EXPECT_GT(falls, 0);
}

TEST(Tune, TakesSamplesOfSeveralShapes) {
  const Tuned one = TunedWith(1, Source(true)), three = TunedWith(3, Source(true));
  EXPECT_EQ(one.scales, three.scales);
}

TEST(Tune, LearnsNothingFromFewerThanEightSamples) {
  ThreadPool pool(2);
  Model model;
  const Source source;
  const ValueFacts facts(model.graph, source.at(0), pool);
  QuantPlan plan = PlacePlan(model.graph, facts, {});
  for (const auto& [id, quant] : plan.activations) SetRange(&plan, id, -40, 40, "wide");
  TuneOptions options;
  options.level = 3;
  EXPECT_THAT(TuneAll(&model.graph, &plan, facts, {}, source, options, pool, 7),
              Contains("nothing is learned from 7 samples: it takes 8"));
}

// Half of the elements are small, half are far out on either side.
class TwoSizes : public SampleSource {
 public:
  int64_t size() const override { return 12; }
  Sample at(int64_t index) const override {
    Tensor x = Noise({1, 6, 16, 16}, static_cast<uint64_t>(index) + 100);
    for (int64_t i = 0; i < x.size(); i += 2) x.data<float>()[i] = x.data<float>()[i] > 0 ? 60.0f : -60.0f;
    return {x};
  }
  std::string Describe() const override { return "two sizes"; }
};

// y = Conv(Sigmoid(Conv(x))), the first convolution by ones: what is far out has no slope, so that a range
// which cuts it off seems to cost nothing.
struct CutOff {
  Graph graph;
  ValueId inner;
  QuantPlan plan;
  std::vector<std::string> account;

  // gate_range: of the Sigmoid's result, which lies in 0..1.
  explicit CutOff(const TuneOptions& options, float gate_range = 1) {
    ThreadPool pool(2);
    const TwoSizes source;
    graph.opset_imports[""] = 13;
    const auto value = [&](const char* name) { return graph.AddValue(name, DType::kFloat); };
    const ValueId x = value("x"), gate = value("gate"), y = value("y");
    inner = value("inner");
    graph.AddInput(x);
    graph.AddNode("Conv", "first",
                  {x, graph.AddConstant("w1", Tensor::Of<float>({6, 1, 1, 1}, std::vector<float>(6, 1.0f)))},
                  {inner}, {{"group", Attribute::Int(6)}});
    graph.AddNode("Sigmoid", "sigmoid", {inner}, {gate});
    graph.AddNode("Conv", "second", {gate, graph.AddConstant("w2", Noise({6, 6, 1, 1}, 2))}, {y});
    graph.AddOutput(y);
    const ValueFacts facts(graph, source.at(0), pool);
    plan = PlacePlan(graph, facts, {});
    for (const auto& [id, quant] : plan.activations) SetRange(&plan, id, -60, 60, "wide");
    SetRange(&plan, gate, 0, gate_range, "whole");
    RangeProposals proposals = {{inner, {{-1, 1, "narrow"}}}};
    if (gate_range > 1) proposals[gate] = {{0, 1, "whole"}};
    account = TuneAll(&graph, &plan, facts, proposals, source, options, pool);
  }
};

TEST(Tune, RangesThatHarmAreTakenBack) {
  CutOff tuned({});
  EXPECT_EQ(tuned.plan.activations.at(tuned.inner).hi, 60.0f);
  // What was tuned with the ranges that are no more is not in the account.
  EXPECT_THAT(tuned.account,
              ElementsAre(HasSubstr("ranges chosen by what they cost"),
                          HasSubstr("these ranges are taken back"), HasSubstr("tuned on 12 samples")));
}

TEST(Tune, RangesThatHarmAreTakenBackWhereNothingElseIsTuned) {
  TuneOptions options;
  options.weight_rounding = options.bias_correction = false;
  CutOff tuned(options);
  EXPECT_EQ(tuned.plan.activations.at(tuned.inner).hi, 60.0f);
  EXPECT_THAT(tuned.account, ElementsAre(HasSubstr("ranges chosen by what they cost"),
                                         HasSubstr("these ranges are taken back")));
}

// Those that do not are kept.
TEST(Tune, OfRangesThatHarmTogetherTheGoodOnesStay) {
  CutOff tuned({}, 60);
  EXPECT_EQ(tuned.plan.activations.at(tuned.inner).hi, 60.0f);
  const ActivationQuant& gate = tuned.plan.activations.at(tuned.graph.Find("gate"));
  EXPECT_LT(gate.hi, 2.0f);
  EXPECT_THAT(tuned.account, ElementsAre(HasSubstr("2 ranges chosen by what they cost"),
                                         HasSubstr("all but 1 of these ranges are taken back"),
                                         HasSubstr("tuned on 12 samples")));
}

// y = Conv(1) + bias, whose weight's codes give half of it: only another bias can make that good.
std::vector<std::string> TuneHalfWeights(float added_bias, float* bias) {
  class Ones : public SampleSource {
   public:
    int64_t size() const override { return 12; }
    Sample at(int64_t) const override { return {Tensor::Of<float>({1, 1, 1, 4}, {1, 1, 1, 1})}; }
    std::string Describe() const override { return "ones"; }
  };
  ThreadPool pool(2);
  const Ones source;
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat),
                b = graph.AddConstant("b", Tensor::Of<float>({1}, {0}));
  graph.AddInput(x);
  graph.AddNode("Conv", "conv", {x, graph.AddConstant("w", Tensor::Of<float>({1, 1, 1, 1}, {1})), b}, {y});
  graph.AddOutput(y);
  const ValueFacts facts(graph, source.at(0), pool);
  QuantPlan plan = PlacePlan(graph, facts, {});
  for (const auto& [id, quant] : plan.activations) SetRange(&plan, id, -2, 2, "whole");
  plan.weights.at(0).codes.data<int8_t>()[0] /= 2;
  TuneOptions options;
  options.weight_rounding = options.bias_correction = false;
  options.level_zero = [&](Graph* of, QuantPlan*) {
    of->SetConstant(b, Tensor::Of<float>({1}, {added_bias}));
  };
  std::vector<std::string> account = TuneAll(&graph, &plan, facts, {}, source, options, pool);
  *bias = graph.Constant(b)->data<float>()[0];
  return account;
}

TEST(Tune, GivesWayToLevelZeroWhereThatIsClearlyBetter) {
  float bias = 0;
  EXPECT_THAT(TuneHalfWeights(0.5f, &bias),
              ElementsAre(HasSubstr("0 ranges chosen"), HasSubstr("tuning is taken back")));
  EXPECT_EQ(bias, 0.5f);
  TuneHalfWeights(-0.5f, &bias);
  EXPECT_EQ(bias, 0.0f);
}

// Channels go in pairs. Nearly everywhere the second is a quarter of the first; at one place, which alone the
// mask shows, the first is zero.
class RarePlaces : public SampleSource {
 public:
  int64_t size() const override { return 12; }
  Sample at(int64_t index) const override {
    constexpr int64_t kPlaces = 256, kRare = 5;
    Tensor x = Noise({1, kChannels, 16, 16}, static_cast<uint64_t>(index) + 100, 2),
           mask(DType::kFloat, {1, 1, 16, 16});
    for (int64_t place = 0; place < kPlaces; ++place) {
      mask.data<float>()[place] = place == kRare ? 1.0f : 0.0f;
      for (int64_t c = 0; c < kChannels; c += 2) {
        float* const first = x.data<float>() + c * kPlaces + place;
        if (place == kRare)
          *first = 0;
        else
          first[kPlaces] = *first / 4;
      }
    }
    return {x, mask};
  }
  std::string Describe() const override { return "rare places"; }
  static constexpr int64_t kChannels = 16;
};

// y = Conv(x) * mask: rounding for the many places hands the error of a pair's first weight on to the second,
// fourfold; only the second counts. The first weight of a row is much the largest: the others have few codes.
TEST(Tune, RoundingThatHarmsIsTakenBack) {
  ThreadPool pool(2);
  const RarePlaces source;
  Graph graph;
  graph.opset_imports[""] = 13;
  const auto value = [&](const char* name) { return graph.AddValue(name, DType::kFloat); };
  const ValueId x = value("x"), mask = value("mask"), all = value("all"), y = value("y");
  graph.AddInput(x);
  graph.AddInput(mask);
  Tensor weight = Noise({8, RarePlaces::kChannels, 1, 1}, 1);
  for (int64_t r = 0; r < 8; ++r) weight.data<float>()[r * RarePlaces::kChannels] = 10;
  graph.AddNode("Conv", "conv", {x, graph.AddConstant("w", weight)}, {all});
  graph.AddNode("Mul", "shown", {all, mask}, {y});
  graph.AddOutput(y);
  const ValueFacts facts(graph, source.at(0), pool);
  QuantPlan plan = PlacePlan(graph, facts, {});
  for (const auto& [id, quant] : plan.activations) SetRange(&plan, id, -1, 1, "whole");
  for (ValueId id : {all, y}) SetRange(&plan, id, -5, 5, "of the places that count");
  ASSERT_EQ(plan.weights.size(), 1u);
  const WeightQuant before = plan.weights[0];
  TuneOptions options;
  options.range_costs = options.bias_correction = false;
  EXPECT_THAT(
      TuneAll(&graph, &plan, facts, {}, source, options, pool),
      ElementsAre(HasSubstr("weights of 1 operator rounded"), "rounding and bias correction are taken back"));
  EXPECT_TRUE(plan.weights[0].codes.SameBytes(before.codes));
  EXPECT_EQ(plan.weights[0].params.scale, before.params.scale);
}

}  // namespace
}  // namespace xslim
