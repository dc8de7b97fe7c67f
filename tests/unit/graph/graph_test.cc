#include "graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// x -> Relu(a) -> h -> Conv(b; w) -> y
struct Chain {
  Graph graph;
  ValueId x, w, h, y;
  NodeId a, b;

  Chain() {
    x = graph.AddValue("x", DType::kFloat);
    graph.AddInput(x);
    w = graph.AddConstant("w", Tensor::Of<float>({1, 1, 1, 1}, {2}));
    h = graph.AddValue("h");
    y = graph.AddValue("y");
    a = graph.AddNode("Relu", "a", {x}, {h});
    b = graph.AddNode("Conv", "b", {h, w}, {y});
    graph.AddOutput(y);
  }

  // An If whose branch returns the outer value `captured`.
  NodeId AddIf(const std::string& captured, ValueId output) {
    auto body = std::make_shared<Graph>();
    const ValueId outer = body->AddValue(captured), inner = body->AddValue("inner");
    body->AddNode("Identity", "", {outer}, {inner});
    body->AddOutput(inner);
    Attribute branch;
    branch.kind = Attribute::Kind::kGraph;
    branch.graph = body;
    return graph.AddNode("If", "if", {x}, {output}, {{"then_branch", branch}});
  }
};

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(GraphTest, KeepsProducersAndUsers) {
  Chain c;
  EXPECT_EQ(c.graph.value(c.h).producer, c.a);
  EXPECT_THAT(c.graph.value(c.h).uses, ElementsAre(Use{c.b, 0}));
  EXPECT_EQ(c.graph.SoleUser(c.h), c.b);
  EXPECT_EQ(c.graph.SoleUser(c.y), kNone);
  EXPECT_THAT(c.graph.FreeInputs(), ElementsAre(c.x));
  EXPECT_NE(c.graph.Constant(c.w), nullptr);
  EXPECT_NO_THROW(c.graph.Validate());
}

TEST(GraphTest, AnInitializerThatIsAnInputIsNoConstant) {
  Chain c;
  c.graph.AddInput(c.w);
  EXPECT_EQ(c.graph.Constant(c.w), nullptr);
  EXPECT_THAT(c.graph.FreeInputs(), ElementsAre(c.x));
}

TEST(GraphTest, OrdersByDependencyThenById) {
  Chain c;
  const ValueId q = c.graph.AddValue("q");
  const NodeId between = c.graph.AddNode("Sigmoid", "s", {c.h}, {q});
  c.graph.SetInput(c.b, 0, q);
  const ValueId z = c.graph.AddValue("z");
  const NodeId apart = c.graph.AddNode("Neg", "n", {c.x}, {z});
  EXPECT_THAT(c.graph.Order(), ElementsAre(c.a, between, c.b, apart));
}

TEST(GraphTest, CapturesCountAsDependencies) {
  Chain c;
  const ValueId out = c.graph.AddValue("if_out"), late = c.graph.AddValue("late");
  const NodeId branch = c.AddIf("late", out);
  const NodeId producer = c.graph.AddNode("Neg", "n", {c.y}, {late});
  EXPECT_THAT(c.graph.Order(), ElementsAre(c.a, c.b, producer, branch));
  EXPECT_TRUE(c.graph.CapturedBySubgraph("late"));
  EXPECT_FALSE(c.graph.CapturedBySubgraph("h"));
}

// The one question and all answers at once agree, also about bodies in bodies, which may hide a name.
TEST(GraphTest, CapturesOfBodiesInBodies) {
  Chain c;
  const auto holding = [](std::shared_ptr<Graph> body) {
    Attribute attribute;
    attribute.kind = Attribute::Kind::kGraph;
    attribute.graph = std::move(body);
    return std::map<std::string, Attribute>{{"body", attribute}};
  };
  const auto reader = [](const std::vector<std::string>& names) {
    auto body = std::make_shared<Graph>();
    for (const std::string& name : names)
      body->AddNode("Neg", "", {body->AddValue(name)}, {body->AddValue("inner_" + name)});
    return body;
  };
  auto outer = reader({"x", "unread"});
  outer->AddConstant("hidden", Tensor::Scalar(1.0f));
  outer->RemoveNode(outer->value(outer->Find("inner_unread")).producer);
  outer->AddNode("Loop", "inner", {}, {outer->AddValue("loop")}, holding(reader({"h", "hidden"})));
  c.graph.AddNode("Loop", "outer", {}, {c.graph.AddValue("made")}, holding(outer));
  const std::set<std::string> all = c.graph.Captures();
  EXPECT_THAT(all, ElementsAre("h", "x"));
  for (const char* name : {"h", "hidden", "inner_h", "inner_x", "loop", "unread", "x", "y"})
    EXPECT_EQ(c.graph.CapturedBySubgraph(name), all.count(name) != 0) << name;
}

TEST(GraphTest, NamesANodeOfACycle) {
  Chain c;
  c.graph.SetInput(c.a, 0, c.y);
  EXPECT_THAT(MessageOf([&] { c.graph.Order(); }), HasSubstr("cycle"));
}

TEST(GraphTest, ReplaceUsesMovesUsersOfAnInnerValue) {
  Chain c;
  EXPECT_TRUE(c.graph.ReplaceUses(c.h, c.x));
  EXPECT_EQ(c.graph.node(c.b).inputs[0], c.x);
  EXPECT_TRUE(c.graph.value(c.h).uses.empty());
  EXPECT_EQ(c.graph.RemoveDead(), 1);
  EXPECT_FALSE(c.graph.alive(c.a));
  EXPECT_EQ(c.graph.Find("h"), kNone);
  EXPECT_NO_THROW(c.graph.Validate());
}

TEST(GraphTest, ReplaceUsesKeepsTheNamesOfOutputs) {
  Chain c;
  EXPECT_FALSE(c.graph.ReplaceUses(c.y, c.x));
  EXPECT_FALSE(c.graph.ReplaceUses(c.y, c.w));
  const ValueId better = c.graph.AddValue("better");
  c.graph.AddNode("Neg", "n", {c.h}, {better});
  EXPECT_TRUE(c.graph.ReplaceUses(c.y, better));
  EXPECT_EQ(c.graph.value(better).name, "y");
  EXPECT_EQ(c.graph.Find("y"), better);
  EXPECT_THAT(c.graph.outputs(), ElementsAre(better));
  EXPECT_EQ(c.graph.RemoveDead(), 1);
  EXPECT_EQ(c.graph.Find("w"), kNone);
  EXPECT_NO_THROW(c.graph.Validate());
}

TEST(GraphTest, ReplaceUsesReachesIntoBodiesAndSparesCopies) {
  Chain c;
  const ValueId out = c.graph.AddValue("if_out");
  const NodeId branch = c.AddIf("h", out);
  c.graph.AddOutput(out);
  EXPECT_EQ(c.graph.SoleUser(c.h), kNone);
  const Graph before = c.graph;
  EXPECT_TRUE(c.graph.ReplaceUses(c.h, c.x));
  EXPECT_THAT(c.graph.node(branch).attributes.at("then_branch").graph->FreeNames(), ElementsAre("x"));
  EXPECT_THAT(before.node(branch).attributes.at("then_branch").graph->FreeNames(), ElementsAre("h"));
}

TEST(GraphTest, RemoveDeadSparesCapturedValues) {
  Chain c;
  const ValueId out = c.graph.AddValue("if_out"), k = c.graph.AddConstant("k", Tensor::Scalar<float>(1));
  const NodeId branch = c.AddIf("k", out);
  c.graph.AddOutput(out);
  EXPECT_EQ(c.graph.RemoveDead(), 0);
  EXPECT_TRUE(c.graph.value(k).constant.defined());
  EXPECT_TRUE(c.graph.alive(branch));
}

TEST(GraphTest, MakesNamesUnique) {
  Chain c;
  EXPECT_EQ(c.graph.value(c.graph.AddValue("h")).name, "h_1");
  EXPECT_EQ(c.graph.value(c.graph.AddValue("h")).name, "h_2");
  EXPECT_EQ(c.graph.UniqueNodeName("a"), "a_1");
  EXPECT_EQ(c.graph.UniqueNodeName("new"), "new");
  EXPECT_THROW(c.graph.Rename(c.h, "x"), Error);
  c.graph.Rename(c.h, "hidden");
  EXPECT_EQ(c.graph.Find("hidden"), c.h);
  EXPECT_EQ(c.graph.Find("h"), kNone);
}

TEST(GraphTest, AFreedNameIsGivenAgain) {
  Graph graph;
  std::vector<ValueId> values;
  std::vector<NodeId> nodes;
  for (int i = 0; i < 12; ++i) {
    values.push_back(graph.AddValue("v"));
    nodes.push_back(graph.AddNode("Relu", "n", {}, {values.back()}));
  }
  EXPECT_EQ(graph.value(values[11]).name, "v_11");
  EXPECT_EQ(graph.node(nodes[11]).name, "n_11");
  const Graph copy = graph;
  graph.Rename(values[10], "other");
  graph.Rename(values[4], "another");
  graph.RemoveNode(nodes[10]);
  graph.RemoveNode(nodes[4]);
  graph.RemoveNode(nodes[0]);
  for (const char* wanted : {"4", "10", "12"}) {
    const ValueId value = graph.AddValue("v");
    EXPECT_EQ(graph.value(value).name, std::string("v_") + wanted);
  }
  for (const char* wanted : {"n", "n_4", "n_10", "n_12"})
    EXPECT_EQ(graph.node(graph.AddNode("Relu", "n", {}, {graph.AddValue("out")})).name, wanted);
  graph.Validate();
  EXPECT_EQ(Graph(copy).UniqueName("v"), "v_12");
  // Values that go with what nobody reads.
  EXPECT_GT(graph.RemoveDead(), 0);
  EXPECT_EQ(graph.UniqueName(""), "value_1");
  for (const char* wanted : {"v_1", "v_2", "v_3", "v_5"})
    EXPECT_EQ(graph.value(graph.AddValue("v")).name, wanted);
}

// Trying each suffix from 1 on for each name would take hours.
TEST(GraphTest, ManyValuesAndNodesMayWantOneName) {
  Graph graph;
  constexpr int kMany = 100000;
  for (int i = 0; i < kMany; ++i) graph.AddNode("Relu", "n", {}, {graph.AddValue("v")});
  EXPECT_EQ(graph.UniqueName("v"), "v_" + std::to_string(kMany));
  EXPECT_EQ(graph.UniqueNodeName("n"), "n_" + std::to_string(kMany));
}

TEST(GraphTest, RefusesASecondProducer) {
  Chain c;
  EXPECT_THAT(MessageOf([&] { c.graph.AddNode("Neg", "n", {c.x}, {c.h}); }),
              HasSubstr("h is produced twice"));
  EXPECT_NO_THROW(c.graph.Validate());
}

TEST(NodeTest, AttributesHaveDefaultsAndKinds) {
  Node node;
  node.name = "conv";
  node.op_type = "Conv";
  node.attributes["group"] = Attribute::Int(4);
  EXPECT_EQ(node.Int("group", 1), 4);
  EXPECT_EQ(node.Int("other", 7), 7);
  EXPECT_THAT(MessageOf([&] { node.Floats("group"); }), HasSubstr("conv[Conv]: attribute group"));
  EXPECT_EQ(node.TensorOf("value"), nullptr);
}

}  // namespace
}  // namespace xslim
