#include "quant/bodies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// x, k = [2]; If(on) { Loop { reads x, k and own }, own = Constant } -> y. The bodies have no outputs: only
// who defines what matters here.
class BodiesTest : public testing::Test {
 protected:
  BodiesTest() {
    const auto loop = std::make_shared<Graph>();
    loop->name = "loop";
    for (const char* read : {"x", "k", "own", "nowhere"})
      loop->AddNode("Relu", std::string("reads_") + read, {loop->AddValue(read)},
                    {loop->AddValue(std::string("of_") + read)});
    const auto branch = std::make_shared<Graph>();
    branch->name = "branch";
    branch->AddNode("Constant", "three", {}, {branch->AddValue("own")},
                    {{"value", Attribute::OfTensor(Tensor::Scalar(3.0f))}});
    branch->AddNode("Relu", "reads_x", {branch->AddValue("x")}, {branch->AddValue("of_x")});
    branch->AddNode("Loop", "loop", {}, {branch->AddValue("state")}, {{"body", Holding(loop)}});
    graph_.name = "main";
    graph_.AddInput(graph_.AddValue("x", DType::kFloat));
    graph_.AddConstant("k", Tensor::Scalar(2.0f));
    graph_.AddNode("If", "choice", {}, {graph_.AddValue("y")}, {{"then_branch", Holding(branch)}});
  }

  static Attribute Holding(std::shared_ptr<Graph> body) {
    Attribute attribute;
    attribute.kind = Attribute::Kind::kGraph;
    attribute.graph = std::move(body);
    attribute.source = "as it was read";
    return attribute;
  }

  Graph graph_;
};

TEST_F(BodiesTest, EveryScopeIsVisitedOuterOnesFirst) {
  std::vector<std::string> visited;
  ForEachScope(&graph_, [&](const Scope& scope) {
    std::string path;
    for (const Scope* at = &scope; at != nullptr; at = at->outer) path = at->graph->name + "/" + path;
    visited.push_back(path);
  });
  EXPECT_THAT(visited, ElementsAre("main/", "main/branch/", "main/branch/loop/"));
}

TEST_F(BodiesTest, BodiesOfACopyAreChangedAlone) {
  const Graph before = graph_;
  ForEachScope(&graph_, [](const Scope& scope) { scope.graph->name += " changed"; });
  Node& changed = graph_.node(0);
  const Graph& branch = *BodiesOf(&changed).at(0);
  EXPECT_EQ(branch.name, "branch changed");
  EXPECT_EQ(branch.node(2).attributes.at("body").graph->name, "loop changed");
  EXPECT_EQ(changed.attributes.at("then_branch").source, "");  // no longer what was read
  const Graph& kept = *before.node(0).attributes.at("then_branch").graph;
  EXPECT_EQ(kept.name, "branch");
  EXPECT_EQ(kept.node(2).attributes.at("body").graph->name, "loop");
}

TEST_F(BodiesTest, NamesAreLookedUpFromTheInsideOut) {
  ForEachScope(&graph_, [&](const Scope& scope) {
    if (scope.graph->name != "loop") return;
    const auto origin = [&](const char* name) { return OriginOf(scope, scope.graph->Find(name)); };
    EXPECT_EQ(origin("x").graph, &graph_);
    EXPECT_EQ(origin("x").id, graph_.Find("x"));
    EXPECT_EQ(origin("own").graph, scope.outer->graph);
    EXPECT_EQ(origin("of_x").graph, scope.graph);
    EXPECT_EQ(origin("nowhere").graph, nullptr);
    EXPECT_EQ(OriginOf(scope, kNone).graph, nullptr);

    const auto constant = [&](const char* name) { return ConstantIn(scope, scope.graph->Find(name)); };
    ASSERT_NE(constant("k"), nullptr);
    EXPECT_EQ(constant("k")->data<float>()[0], 2);
    ASSERT_NE(constant("own"), nullptr);
    EXPECT_EQ(constant("own")->data<float>()[0], 3);
    EXPECT_EQ(constant("x"), nullptr);
    EXPECT_EQ(constant("nowhere"), nullptr);
  });
}

TEST_F(BodiesTest, ANearerTensorHidesOneFurtherOut) {
  ForEachScope(&graph_, [&](const Scope& scope) {
    if (scope.graph->name == "branch") scope.graph->AddConstant("k", Tensor::Scalar(5.0f));
    if (scope.graph->name != "loop") return;
    EXPECT_EQ(ConstantIn(scope, scope.graph->Find("k"))->data<float>()[0], 5);
  });
}

TEST_F(BodiesTest, CapturesAreWhatNoBodyBetweenDefines) {
  EXPECT_THAT(CapturedNames(graph_), UnorderedElementsAre("x", "k", "nowhere"));
  const Graph& branch = *graph_.node(0).attributes.at("then_branch").graph;
  EXPECT_THAT(CapturedNames(branch), UnorderedElementsAre("x", "k", "own", "nowhere"));
}

TEST_F(BodiesTest, AFreshNameIsTakenInNoGraph) {
  TensorNames names(graph_);
  EXPECT_EQ(names.Fresh("new"), "new");
  EXPECT_EQ(names.Fresh("new"), "new_1");
  EXPECT_EQ(names.Fresh("k"), "k_1");
  EXPECT_EQ(names.Fresh("own"), "own_1");    // in the branch
  EXPECT_EQ(names.Fresh("of_k"), "of_k_1");  // in the loop in the branch
}

}  // namespace
}  // namespace xslim
