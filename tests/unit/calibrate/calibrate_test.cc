#include "calibrate/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"

namespace xslim {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kSamples = 70;  // more than channel means are taken over

// Sample s is a function of s alone.
class Noise : public SampleSource {
 public:
  int64_t size() const override { return kSamples; }
  std::string Describe() const override { return "noise"; }
  Sample at(int64_t index) const override {
    Random random(static_cast<uint64_t>(index) + 1);
    Tensor tensor(DType::kFloat, {2, 3, 5});
    for (int64_t i = 0; i < tensor.size(); ++i)
      tensor.data<float>()[i] = random.Unit() + static_cast<float>(i / 5 % 3 * 10 + i % 5 * 100);
    return {tensor};
  }
};

Observations Observe(int threads) {
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  graph.AddNode("Neg", "negate", {x}, {y});
  graph.AddOutput(y);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < kSamples; ++i) indices.push_back(i);
  ThreadPool pool(threads);
  return CollectStatistics(graph, {y}, {{x, 1}, {y, -1}, {y, 5}}, Noise(), indices, {0.99, {}}, pool,
                           nullptr);
}

TEST(CollectStatistics, TakesMeansOfChannels) {
  const Observations seen = Observe(2);
  const ValueId x = 0, y = 1;
  ASSERT_EQ(seen.statistics.size(), 1u);  // of what was asked for alone
  EXPECT_EQ(seen.statistics.at(y).count(), kSamples * 30);
  ASSERT_EQ(seen.means.size(), 2u);  // an axis that the tensor lacks has none
  const std::vector<double>& of_x = seen.means.at({x, 1});
  const std::vector<double>& of_y = seen.means.at({y, -1});
  ASSERT_EQ(of_x.size(), 3u);
  ASSERT_EQ(of_y.size(), 5u);
  for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(of_x[c], 200.5 + 10.0 * static_cast<double>(c), 0.1);
  for (size_t c = 0; c < 5; ++c) EXPECT_NEAR(of_y[c], -10.5 - 100.0 * static_cast<double>(c), 0.1);
}

TEST(CollectStatistics, DoesNotDependOnThreads) {
  const Observations one = Observe(1), three = Observe(3);
  EXPECT_EQ(one.means, three.means);
  const TensorStatistics &a = one.statistics.at(1), &b = three.statistics.at(1);
  EXPECT_EQ(a.percentile_low(), b.percentile_low());
  EXPECT_EQ(a.percentile_high(), b.percentile_high());
  EXPECT_EQ(a.min(), b.min());
  EXPECT_EQ(a.max(), b.max());
}

// What a Sigmoid makes of -10 and less is nothing beside 0.5, but all there is where no input is larger.
TEST(ChooseRanges, WhatFadesIsSeenBesideTheLargestOnly) {
  const auto range = [](std::vector<float> elements) {
    Graph graph;
    const ValueId x = graph.AddValue("x", DType::kFloat);
    QuantPlan plan;
    plan.activations[x].interest = {-10, 10, true};
    StatisticsMap statistics;
    statistics[x].AddSample(elements.data(), static_cast<int64_t>(elements.size()), 1);
    ThreadPool pool(1);
    ChooseRanges(graph, statistics, CalibrationType::kMinMax, pool, &plan);
    return std::pair(plan.activations[x].lo, plan.activations[x].hi);
  };
  EXPECT_EQ(range({-30, 5}), std::pair(-10.0f, 5.0f));
  EXPECT_EQ(range({-30, -12}), std::pair(-22.0f, 0.0f));
  EXPECT_EQ(range({-14, -12}), std::pair(-14.0f, 0.0f));
}

// x holds NaN, and with it what is made of it; log makes infinities of its own.
TEST(WarnOfOddTensors, NamesThoseThatNothingOddIsInFrontOf) {
  Graph graph;
  graph.opset_imports[""] = 13;
  std::map<std::string, ValueId> ids;
  QuantPlan plan;
  StatisticsMap statistics;
  const auto value = [&](const std::string& name, float element) {
    const ValueId id = ids[name] = graph.AddValue(name, DType::kFloat);
    plan.activations[id];
    TensorStatistics& seen = statistics[id];
    const float elements[] = {1.0f, element};
    seen.AddSample(elements, 2, 0.99);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinite = std::numeric_limits<float>::infinity();
  value("x", nan);
  value("clean", 0);
  value("sum", nan);
  value("more", nan);
  value("log", -infinite);
  graph.AddInput(ids["x"]);
  graph.AddInput(ids["clean"]);
  graph.AddNode("Add", "add", {ids["x"], ids["clean"]}, {ids["sum"]});
  graph.AddNode("Neg", "negate", {ids["sum"]}, {ids["more"]});
  graph.AddNode("Log", "log", {ids["clean"]}, {ids["log"]});
  const std::string log = ::testing::TempDir() + "odd_tensors_" + std::to_string(getpid());
  SetupLogging(LogLevel::kError, log);
  WarnOfOddTensors(graph, statistics, plan);
  SetupLogging(LogLevel::kError, "");
  const std::string said = ReadFile(log);
  std::filesystem::remove(log);
  EXPECT_THAT(said, HasSubstr("tensor x held 1 NaN and 0 infinite elements"));
  EXPECT_THAT(said, HasSubstr("tensor log held 0 NaN and 1 infinite elements"));
  EXPECT_THAT(said, HasSubstr("so it was with 2 tensors behind"));
  EXPECT_THAT(said, Not(HasSubstr("warning: tensor sum")));
}

}  // namespace
}  // namespace xslim
