#include "quant/work.h"

#include <gtest/gtest.h>

#include "noise.h"

namespace xslim {
namespace {

class WorkTest : public testing::Test {
 protected:
  WorkTest() {
    graph_.opset_imports[""] = 13;
    x_ = graph_.AddValue("x", DType::kFloat);
    y_ = graph_.AddValue("y", DType::kFloat);
    graph_.AddInput(x_);
    graph_.AddOutput(y_);
  }

  int64_t Work(const Tensor& sample) {
    ThreadPool pool(1);
    return WorkOf(graph_, ValueFacts(graph_, {sample}, pool));
  }

  // A body of products of a constant.
  static Attribute Body(int products) {
    Attribute body;
    body.kind = Attribute::Kind::kGraph;
    body.graph = std::make_shared<Graph>();
    body.graph->opset_imports[""] = 13;
    ValueId at = body.graph->AddConstant("a", Noise({4, 4}, 1));
    for (int i = 0; i < products; ++i) {
      const ValueId out = body.graph->AddValue("o" + std::to_string(i), DType::kFloat);
      body.graph->AddNode("MatMul", "", {at, body.graph->AddConstant("w", Noise({4, 4}, 2))}, {out});
      at = out;
    }
    body.graph->AddOutput(at);
    return body;
  }

  Graph graph_;
  ValueId x_ = kNone, y_ = kNone;
};

TEST_F(WorkTest, ProductsElementsAndNodesCount) {
  graph_.AddNode("MatMul", "", {x_, graph_.AddConstant("w", Noise({8, 5}, 1))}, {y_});
  EXPECT_EQ(Work(Noise({3, 8}, 2)), 100'000 + 3 * 8 * 5 + 10 * 3 * 5);
}

TEST_F(WorkTest, RecurrentOperatorsCountForEachStep) {
  graph_.AddNode(
      "GRU", "",
      {x_, graph_.AddConstant("W", Noise({1, 12, 3}, 1)), graph_.AddConstant("R", Noise({1, 12, 4}, 2))},
      {y_}, {{"hidden_size", Attribute::Int(4)}});
  EXPECT_EQ(Work(Noise({7, 2, 3}, 3)), 100'000 + 7 * 2 * (12 * 3 + 12 * 4) + 10 * 7 * 2 * 4);
}

TEST_F(WorkTest, BothBranchesCount) {
  const ValueId yes = graph_.AddConstant("yes", Tensor::Scalar(true));
  graph_.AddNode("If", "", {yes}, {y_}, {{"then_branch", Body(1)}, {"else_branch", Body(3)}});
  EXPECT_EQ(Work(Noise({1}, 3)), 100'000 + 4 * (100'000 + 16) + 10 * 16);
}

// The steps of a Scan are known by what it puts together, those of a Loop by its trip count, too.
TEST_F(WorkTest, BodiesCountForEachKnownStep) {
  Attribute body;
  body.kind = Attribute::Kind::kGraph;
  body.graph = std::make_shared<Graph>();
  body.graph->opset_imports[""] = 13;
  const ValueId in = body.graph->AddValue("in", DType::kFloat),
                out = body.graph->AddValue("out", DType::kFloat);
  body.graph->AddInput(in);
  body.graph->AddNode("Neg", "", {in}, {out});
  body.graph->AddOutput(out);
  const NodeId scan =
      graph_.AddNode("Scan", "", {x_}, {y_}, {{"body", body}, {"num_scan_inputs", Attribute::Int(1)}});
  EXPECT_EQ(Work(Noise({6, 2}, 3)), 100'000 + 6 * 100'000 + 10 * 6 * 2);
  graph_.RemoveOutput(y_);
  graph_.RemoveNode(scan);

  Attribute loop;
  loop.kind = Attribute::Kind::kGraph;
  loop.graph = std::make_shared<Graph>();
  loop.graph->opset_imports[""] = 13;
  const ValueId step = loop.graph->AddValue("step", DType::kInt64),
                go = loop.graph->AddValue("go", DType::kBool),
                state = loop.graph->AddValue("state", DType::kFloat),
                next = loop.graph->AddValue("next", DType::kFloat);
  for (ValueId input : {step, go, state}) loop.graph->AddInput(input);
  loop.graph->AddNode("Neg", "", {state}, {next});
  for (ValueId output : {go, next}) loop.graph->AddOutput(output);
  const ValueId trips = graph_.AddConstant("trips", Tensor::Scalar<int64_t>(9)),
                z = graph_.AddValue("z", DType::kFloat);
  graph_.AddNode("Loop", "", {trips, kNone, x_}, {z}, {{"body", loop}});
  graph_.AddOutput(z);
  EXPECT_EQ(Work(Noise({6, 2}, 3)), 100'000 + 9 * 100'000 + 10 * 6 * 2);
}

}  // namespace
}  // namespace xslim
