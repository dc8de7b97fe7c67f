#include "tune/variants.h"

#include <gtest/gtest.h>

#include <memory>

#include "noise.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// x -> a = x * 1 -> b = a + side -> c = b * 1 -> y; side = f(1) of a constant, z = a * 1.
class VariantsTest : public testing::Test {
 protected:
  VariantsTest() {
    graph_.opset_imports[""] = 13;
    const ValueId x = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x);
    Op("Neg", "side", {graph_.AddConstant("one", Tensor::Scalar(1.0f))});
    Op("Mul", "a", {x, graph_.AddConstant("ka", Tensor::Scalar(1.0f))});
    Op("Add", "b", {graph_.Find("a"), graph_.Find("side")});
    Op("Mul", "y", {graph_.Find("b"), graph_.AddConstant("ky", Tensor::Scalar(1.0f))});
    Op("Mul", "z", {graph_.Find("a"), graph_.AddConstant("kz", Tensor::Scalar(1.0f))});
    graph_.AddOutput(graph_.Find("y"));
    graph_.AddOutput(graph_.Find("z"));
    for (uint64_t seed : {1, 2, 3}) samples_.push_back({Noise({2, 5}, seed, 4)});
    noise_ = std::make_unique<OutputNoise>(graph_, std::vector<OutputParts>(2), samples_, pool_);
  }

  void Op(const char* type, const char* name, std::vector<ValueId> inputs) {
    graph_.AddNode(type, name, std::move(inputs), {graph_.AddValue(name, DType::kFloat)});
  }

  // The graph with another number in a constant.
  Graph With(const char* constant, float number) const {
    Graph changed = graph_;
    changed.SetConstant(changed.Find(constant), Tensor::Scalar(number));
    return changed;
  }

  std::vector<NoiseRatios> Run(const std::vector<Graph>& variants, std::vector<int64_t>* done = nullptr) {
    VariantRunner runner(graph_, *noise_, samples_, pool_);
    EXPECT_EQ(runner.base(), (NoiseRatios{0, 0}));
    return runner.Run(
        variants.size(), [&](size_t i) { return variants[i]; },
        [&](int64_t count) {
          if (done != nullptr) done->push_back(count);
        });
  }

  Graph graph_;
  std::vector<Sample> samples_;
  ThreadPool pool_{2};
  std::unique_ptr<OutputNoise> noise_;
};

TEST_F(VariantsTest, GiveWhatWholeRunsGive) {
  const std::vector<Graph> variants = {With("ka", 1.5f), With("one", 2), With("ky", 1.1f), With("kz", 1.25f),
                                       graph_};
  const std::vector<NoiseRatios> ratios = Run(variants);
  ASSERT_EQ(ratios.size(), variants.size());
  for (size_t i = 0; i < variants.size(); ++i)
    EXPECT_EQ(ratios[i], NoiseOf(variants[i], *noise_, samples_, pool_)) << i;
  EXPECT_GT(ratios[0][0], 0);
  EXPECT_NEAR(ratios[0][1], 0.25, 1e-6);
  EXPECT_EQ(ratios[1][1], 0);  // z does not see side
  EXPECT_NEAR(ratios[2][0], 0.01, 1e-6);
  EXPECT_EQ(ratios[3][0], 0);
  EXPECT_NEAR(ratios[3][1], 0.0625, 1e-6);
  EXPECT_EQ(ratios[4], (NoiseRatios{0, 0}));
}

// An operator more behind a value that is there, as Q/DQ put it, one less, and another one of the same name.
TEST_F(VariantsTest, MayHaveOtherOperators) {
  Graph more = graph_;
  const ValueId b = more.Find("b"), half = more.AddValue("half", DType::kFloat);
  const NodeId last = more.value(more.Find("y")).producer;
  more.AddNode("Mul", "halve", {b, more.AddConstant("h", Tensor::Scalar(0.5f))}, {half});
  more.SetInput(last, 0, half);
  Graph less = graph_;
  const NodeId add = less.value(less.Find("b")).producer;
  less.SetInput(less.value(less.Find("y")).producer, 0, less.Find("a"));
  less.RemoveNode(add);
  Graph other = graph_;
  const ValueId sum = other.Find("b");
  other.RemoveNode(other.value(sum).producer);
  other.AddNode("Sub", "b", {other.Find("a"), other.Find("side")}, {sum});
  const std::vector<Graph> variants = {more, less, other};
  const std::vector<NoiseRatios> ratios = Run(variants);
  EXPECT_NEAR(ratios[0][0], 0.25, 1e-6);
  EXPECT_GT(ratios[2][0], 0);
  for (size_t i = 0; i < variants.size(); ++i)
    EXPECT_EQ(ratios[i], NoiseOf(variants[i], *noise_, samples_, pool_)) << i;
}

TEST_F(VariantsTest, GoInGroupsWhoseEndIsSaid) {
  std::vector<int64_t> done;
  const std::vector<NoiseRatios> ratios = Run(std::vector<Graph>(19, With("kz", 2)), &done);
  EXPECT_EQ(done, (std::vector<int64_t>{8, 16, 19}));
  EXPECT_EQ(ratios, std::vector<NoiseRatios>(19, ratios.at(0)));
  EXPECT_NEAR(ratios[0][1], 1, 1e-6);
  EXPECT_TRUE(Run({}).empty());
}

TEST_F(VariantsTest, ReadingWhatTheBaseLacksIsAnError) {
  Graph other = graph_;
  const ValueId extra = other.AddValue("extra", DType::kFloat);
  other.AddInput(extra);
  other.SetInput(other.value(other.Find("y")).producer, 0, extra);
  try {
    Run({other});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "extra");
  }
}

}  // namespace
}  // namespace xslim
