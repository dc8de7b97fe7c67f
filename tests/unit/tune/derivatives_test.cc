#include "tune/derivatives.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "noise.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// h = Relu(x), y = factors * h.
struct Model {
  Graph graph;
  ValueId x, h, y;
  NodeId relu;
  explicit Model(const char* first = "Relu") {
    graph.opset_imports[""] = 13;
    x = graph.AddValue("x", DType::kFloat);
    h = graph.AddValue("h", DType::kFloat);
    y = graph.AddValue("y", DType::kFloat);
    graph.AddInput(x);
    relu = graph.AddNode(first, "first", {x}, {h});
    graph.AddNode("Mul", "second", {h, graph.AddConstant("d", Tensor::Of<float>({4}, {1, -2, 0.5f, 3}))},
                  {y});
    graph.AddOutput(y);
  }
};

class VisitTest : public testing::Test {
 protected:
  Visit Run(const Model& model, const std::vector<Sample>& samples, const std::set<ValueId>& felt) {
    const ValueFacts facts(model.graph, samples[0], pool_);
    return VisitSensitivities(
        model.graph, facts, {{model.y, 2.0, 0.25}}, samples, {pool_, MemoryCeiling()}, {model.h},
        [&](size_t sample, ValueId value, const Tensor& x) {
          const std::lock_guard<std::mutex> lock(mutex_);
          EXPECT_EQ(value, model.h);
          seen_[sample] = x.Clone();
        },
        felt,
        [&](size_t sample, ValueId value, const RunsOf& x, const RunsOf& g) {
          const std::lock_guard<std::mutex> lock(mutex_);
          felt_[{sample, value}] = {x.elements, g.elements};
        });
  }

  ThreadPool pool_{2};
  std::mutex mutex_;
  std::map<size_t, Tensor> seen_;
  std::map<std::pair<size_t, ValueId>, std::pair<std::vector<float>, std::vector<float>>> felt_;
};

// Each element of y depends on one of h, so that no sign of the projection cancels another: (g n)^2 is then
// the cost of an error n itself, weight * |d n|^2 / (|y|^2 + floor).
TEST_F(VisitTest, DerivativesAreTheCostOfAnError) {
  const Model model;
  const std::vector<Sample> samples = {
      {Noise({1, 4}, 1, 2, 0.1f)}, {Noise({1, 4}, 2, 2, 0.1f)}, {Noise({1, 4}, 3)}};
  const Visit visit = Run(model, samples, {model.h, model.x});
  EXPECT_THAT(visit.stopped, IsEmpty());
  EXPECT_THAT(visit.only_seen, IsEmpty());
  ASSERT_EQ(seen_.size(), samples.size());
  const float d[] = {1, -2, 0.5f, 3};
  for (size_t s = 0; s < samples.size(); ++s) {
    const float* x = samples[s][0].data<float>();
    double power = 0.25;
    for (int i = 0; i < 4; ++i) {
      const float h = std::max(x[i], 0.0f);
      EXPECT_EQ(seen_.at(s).data<float>()[i], h);
      power += static_cast<double>(d[i] * h) * (d[i] * h);
    }
    const auto& [at_h, g_h] = felt_.at({s, model.h});
    const auto& [at_x, g_x] = felt_.at({s, model.x});
    ASSERT_EQ(g_h.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(at_x[i], x[i]);
      EXPECT_NEAR(g_h[i] * g_h[i], 2.0 * d[i] * d[i] / power, 1e-5);
      EXPECT_FLOAT_EQ(g_x[i], x[i] > 0 ? g_h[i] : 0);  // what Relu cuts off is not felt
    }
  }
}

// A sample of another shape is seen, and told to be no more than that.
TEST_F(VisitTest, OddSamplesAreOnlySeen) {
  const Model model;
  const Visit visit = Run(model, {{Noise({1, 4}, 1)}, {Noise({3, 4}, 2)}}, {model.h});
  EXPECT_THAT(visit.only_seen, ElementsAre(1));
  EXPECT_EQ(seen_.size(), 2u);
  EXPECT_EQ(felt_.count({1, model.h}), 0u);
  EXPECT_EQ(felt_.count({0, model.h}), 1u);
}

TEST_F(VisitTest, DerivativesAreEstimatedBeforeOperatorsWithoutARule) {
  const Model model("Hardmax");
  const Visit visit = Run(model, {{Noise({1, 4}, 1)}}, {model.h, model.x});
  EXPECT_THAT(visit.stopped, ElementsAre(model.relu));
  EXPECT_EQ(felt_.count({0, model.h}), 1u);
  EXPECT_EQ(felt_.count({0, model.x}), 1u);
}

TEST_F(VisitTest, ASampleThatTheGraphFailsForIsAnError) {
  const Model model;
  EXPECT_THROW(Run(model, {{Noise({1, 4}, 1)}, {Noise({1, 5}, 2)}}, {model.h}), Error);
}

}  // namespace
}  // namespace xslim
