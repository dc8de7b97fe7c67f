#include "tune/output_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "noise.h"
#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::UnorderedElementsAre;

// Tensors wide enough to be judged by themselves.
SmallGraph Detector() {
  SmallGraph model;
  model.Input("wide", {1, 4, 32, 32});
  model.Conv("boxes", "wide");
  model.Conv("logits", "wide");
  model.Op("Sigmoid", "scores", {"logits"});
  model.Op("Concat", "joined", {"boxes", "scores"}, {{"axis", Attribute::Int(1)}});
  return model;
}

std::vector<std::string> Points(const SmallGraph& model) {
  ThreadPool pool(1);
  const ValueFacts facts(model.graph, model.sample, pool);
  return OutputPoints(model.graph, model.Plan(), facts);
}

TEST(OutputPoints, AreWhatAProtectedConcatJoins) {
  SmallGraph model = Detector();
  model.Output("joined");
  EXPECT_THAT(Points(model), UnorderedElementsAre("boxes", "scores"));
}

// One ratio of the whole would be that of the boxes alone.
TEST(OutputPoints, AlsoBehindDataMovementAndArithmeticWithConstants) {
  SmallGraph model = Detector();
  model.Op("Transpose", "turned", {"joined"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Op("Mul", "y", {"turned", model.Constant({8})});
  model.Output("y");
  EXPECT_THAT(Points(model), UnorderedElementsAre("boxes", "scores"));
}

// They have no noise whatever is chosen.
TEST(OutputPoints, NotThoseThatFloatOperatorsMakeAlone) {
  SmallGraph model;
  model.Input("wide", {1, 4, 32, 32});
  model.Op("Sin", "state", {"wide"});
  model.Output("state");
  EXPECT_THAT(Points(model), UnorderedElementsAre("state"));
  model.Conv("y", "state");
  model.Output("y");
  EXPECT_THAT(Points(model), UnorderedElementsAre("y"));
}

TEST(OutputPoints, AQuantizedConcatIsOne) {
  SmallGraph model;
  model.Input("wide", {1, 4, 32, 32});
  model.Conv("a", "wide");
  model.Conv("b", "wide");
  model.Op("Concat", "joined", {"a", "b"}, {{"axis", Attribute::Int(1)}});
  model.Op("Transpose", "y", {"joined"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Output("y");
  EXPECT_THAT(Points(model), UnorderedElementsAre("y"));
}

// Which ones the best are may change: what they are taken from is judged.
TEST(OutputPoints, AreWhatElementsAreSelectedFrom) {
  SmallGraph model = Detector();
  const ValueId best = model.graph.AddValue("best", DType::kFloat),
                places = model.graph.AddValue("places", DType::kInt64);
  model.graph.AddNode(
      "TopK", "top",
      {model.graph.Find("scores"), model.graph.AddConstant("two", Tensor::Of<int64_t>({1}, {2}))},
      {best, places});
  model.Op("GatherElements", "taken", {"boxes", "places"}, {{"axis", Attribute::Int(3)}});
  model.Op("Concat", "y", {"taken", "best"}, {{"axis", Attribute::Int(1)}});
  model.Output("y");
  EXPECT_THAT(Points(model), UnorderedElementsAre("boxes", "scores"));
}

// y = factor * Conv(x).
Graph Scaled(float factor) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), a = graph.AddValue("a", DType::kFloat),
                y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  graph.AddNode("Conv", "conv", {x, graph.AddConstant("w", Noise({8, 4, 3, 3}, 1))}, {a});
  graph.AddNode("Mul", "scale", {a, graph.AddConstant("f", Tensor::Scalar(factor))}, {y});
  graph.AddOutput(y);
  return graph;
}

std::vector<Sample> Samples(size_t count) {
  std::vector<Sample> samples;
  for (size_t s = 0; s < count; ++s) samples.push_back({Noise({1, 4, 12, 12}, 10 + s)});
  return samples;
}

TEST(OutputError, RatiosAreThoseOfEachSample) {
  const Graph wanted = Scaled(1), got = Scaled(1.25f);
  ThreadPool pool(3);
  for (size_t count : {1, 2, 7}) {
    const std::vector<Sample> samples = Samples(count);
    const OutputError error(wanted, {"y"}, samples, pool);
    const std::vector<std::vector<double>> ratios = SampleRatiosOf(got, error, samples, pool);
    ASSERT_EQ(ratios.size(), 1u);
    ASSERT_EQ(ratios[0].size(), count);
    for (double ratio : ratios[0]) EXPECT_NEAR(ratio, 1.0 / 16, 1e-3);  // a quarter, squared
    EXPECT_EQ(OutputError::Means(SampleRatiosOf(wanted, error, samples, pool)), std::vector<double>{1e-12});
  }
}

TEST(OutputError, AnyNumberOfThreadsAndAnyCeilingGiveTheSame) {
  const Graph wanted = Scaled(1), got = Scaled(1.25f);
  const std::vector<Sample> samples = Samples(9);
  ThreadPool one(1);
  const OutputError error(wanted, {"y"}, samples, one);
  const std::vector<std::vector<double>> ratios = SampleRatiosOf(got, error, samples, one);
  for (int threads : {2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t room : {0, 32 << 20}) {
      const SampleLanes lanes(pool, MemoryCeiling(room == 0 ? 0 : ResidentBytes() + room));
      const OutputError same(wanted, {"y"}, samples, lanes);
      for (size_t s = 0; s < samples.size(); ++s)
        EXPECT_TRUE(same.wanted(0, s).SameBytes(error.wanted(0, s))) << s;
      EXPECT_EQ(SampleRatiosOf(got, same, samples, lanes), ratios);
    }
  }
}

TEST(OutputError, ACeilingThatCannotBeKeptIsRefused) {
  if (ResidentBytes() == 0) GTEST_SKIP() << "the system does not tell";
  const Graph wanted = Scaled(1);
  const std::vector<Sample> samples = Samples(3);
  ThreadPool pool(2);
  const OutputError error(wanted, {"y"}, samples, pool);
  EXPECT_THROW(RatiosOf(wanted, error, samples, {pool, MemoryCeiling(1)}), CeilingTooLow);
}

// Ruined in another way: the number of elements.
TEST(OutputError, AnotherShapeIsLost) {
  const Graph wanted = Scaled(1);
  Graph other = wanted;
  const NodeId scale = other.value(other.Find("y")).producer;
  const ValueId cut = other.AddValue("cut", DType::kFloat);
  other.AddNode("GlobalMaxPool", "pool", {other.Find("a")}, {cut});
  other.SetInput(scale, 0, cut);
  const std::vector<Sample> samples = Samples(2);
  ThreadPool pool(2);
  const OutputError error(wanted, {"y"}, samples, pool);
  EXPECT_EQ(RatiosOf(other, error, samples, pool), std::vector<double>{1e6});
}

// A sample whose reference is not finite says nothing; the others do.
TEST(OutputError, SamplesThatAreNotFiniteAreLeftOut) {
  const Graph wanted = Scaled(1), got = Scaled(1.25f);
  std::vector<Sample> samples = Samples(3);
  samples[1][0].data<float>()[0] = std::numeric_limits<float>::infinity();
  ThreadPool pool(2);
  const OutputError error(wanted, {"y"}, samples, pool);
  const std::vector<std::vector<double>> ratios = SampleRatiosOf(got, error, samples, pool);
  EXPECT_EQ(ratios[0][1], 0);
  EXPECT_NEAR(ratios[0][0], 1.0 / 16, 1e-3);
}

// A point that the other graph has not says nothing.
TEST(OutputError, MissingPointsCountAsNothing) {
  const Graph wanted = Scaled(1);
  Graph other;
  other.opset_imports[""] = 13;
  const ValueId x = other.AddValue("x", DType::kFloat), z = other.AddValue("z", DType::kFloat);
  other.AddInput(x);
  other.AddNode("Relu", "relu", {x}, {z});
  other.AddOutput(z);
  const std::vector<Sample> samples = Samples(2);
  ThreadPool pool(2);
  const OutputError error(wanted, {"y", "a"}, samples, pool);
  EXPECT_EQ(RatiosOf(other, error, samples, pool), (std::vector<double>{0, 0}));
}

TEST(OutputError, ARiseCountsByWhatSamplesAgreeOn) {
  const auto rise = [](const std::vector<double>& before, const std::vector<double>& after) {
    return OutputError::RiseInErrors({before}, {after});
  };
  const std::vector<double> before = {0.01, 0.01, 0.01, 0.01};
  EXPECT_GT(rise(before, {0.02, 0.02, 0.021, 0.019}), 10);
  EXPECT_LT(rise(before, {0.005, 0.005, 0.0049, 0.0051}), -10);
  // Their mean is more than twice what it was, but one sample alone has risen.
  EXPECT_LT(rise(before, {0.008, 0.3, 0.008, 0.008}), 1);
  EXPECT_GT(rise(before, {0.008, 0.3, 0.008, 0.008}), 0);
  // Samples without a ratio say nothing, and one alone not how sure it is.
  EXPECT_EQ(rise({0.01, 0}, {0.02, 0}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(rise({}, {}), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace xslim
