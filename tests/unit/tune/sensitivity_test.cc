#include "tune/sensitivity.h"

#include <gtest/gtest.h>

#include "noise.h"
#include "quant/output_parts.h"

namespace xslim {
namespace {

// 16 samples of `rows` rows of 1024 numbers.
class Rows : public SampleSource {
 public:
  explicit Rows(int64_t rows) : rows_(rows) {}
  int64_t size() const override { return 16; }
  Sample at(int64_t index) const override { return {Noise({rows_, 1024}, static_cast<uint64_t>(index) + 1)}; }
  std::string Describe() const override { return "rows"; }

 private:
  int64_t rows_;
};

// Of a MatMul, by which a model is small enough for 16 samples.
size_t Held(int64_t rows) {
  ThreadPool pool(2);
  Graph graph;
  graph.opset_imports[""] = 13;
  const ValueId x = graph.AddValue("x", DType::kFloat), y = graph.AddValue("y", DType::kFloat);
  graph.AddInput(x);
  graph.AddNode("MatMul", "product", {x, graph.AddConstant("w", Noise({1024, 1}, 1))}, {y});
  graph.AddOutput(y);
  const Rows source(rows);
  const ValueFacts facts(graph, source.at(0), pool);
  const QuantizationParameters options;
  const QuantPlan plan = PlacePlan(graph, facts, options);
  const std::map<NodeId, Tensor> biases;
  const PartialPlans plans(graph, biases, plan, facts, options, {});
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < source.size(); ++i) indices.push_back(i);
  return SensitivitySamples(plans, FindOutputParts(graph, facts, pool), source, indices, pool).size();
}

TEST(SensitivitySamples, AreFewerWhereTheyAreLarge) {
  EXPECT_EQ(Held(2), 16u);
  EXPECT_EQ(Held(4096), 3u);  // of 16 MiB and one byte more that is counted besides
}

}  // namespace
}  // namespace xslim
