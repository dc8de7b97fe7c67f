#include "graph/reach.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

//   x -> a -> b -> c -> y      a -> s (Shape) -> t -> y2     z -> d -> y3
class ReachTest : public ::testing::Test {
 protected:
  ReachTest() {
    x_ = graph_.AddValue("x");
    z_ = graph_.AddValue("z");
    graph_.AddInput(x_);
    graph_.AddInput(z_);
    a_ = Add("Relu", {x_});
    b_ = Add("Relu", {Out(a_)});
    c_ = Add("Relu", {Out(b_)});
    s_ = Add("Shape", {Out(a_)});
    t_ = Add("Cast", {Out(s_)});
    d_ = Add("Relu", {z_});
    for (NodeId id : {c_, t_, d_}) graph_.AddOutput(Out(id));
  }
  NodeId Add(const char* type, std::vector<ValueId> inputs) {
    const ValueId out = graph_.AddValue(std::string(type) + "_out");
    return graph_.AddNode(type, type, std::move(inputs), {out});
  }
  ValueId Out(NodeId id) const { return graph_.node(id).outputs[0]; }

  Graph graph_;
  ValueId x_, z_;
  NodeId a_, b_, c_, s_, t_, d_;
};

TEST_F(ReachTest, AboveIsWhatAValueDependsOn) {
  const Reach reach(graph_);
  EXPECT_THAT(reach.Above({Out(b_)}), UnorderedElementsAre(a_, b_));
  EXPECT_THAT(reach.Above({Out(t_), Out(d_)}), UnorderedElementsAre(a_, s_, t_, d_));
  EXPECT_THAT(reach.Above({x_}), IsEmpty());
}

TEST_F(ReachTest, BelowEndsAtTheStopsAndBehindShape) {
  const Reach reach(graph_);
  EXPECT_THAT(reach.Below({x_}), UnorderedElementsAre(a_, b_, c_, s_));
  EXPECT_THAT(reach.Below({x_}, {Out(b_)}), UnorderedElementsAre(a_, b_, s_));
  EXPECT_THAT(reach.Below({Out(c_)}), IsEmpty());
}

TEST_F(ReachTest, JoinedBelowTakesWhatHangsOnTheReaders) {
  const Reach reach(graph_);
  EXPECT_THAT(reach.JoinedBelow({Out(b_)}, reach.Above({Out(b_)})), UnorderedElementsAre(c_));
  // The shape's way hangs on `a`: both are found once `a` does not count as above.
  EXPECT_THAT(reach.JoinedBelow({Out(b_)}, {}), UnorderedElementsAre(a_, b_, c_, s_, t_));
}

TEST_F(ReachTest, ABodyThatCapturesAValueReadsIt) {
  auto body = std::make_shared<Graph>();
  const ValueId captured = body->AddValue(graph_.value(Out(a_)).name);
  const ValueId made = body->AddValue("made");
  body->AddNode("Relu", "inner", {captured}, {made});
  body->AddOutput(made);
  Attribute branch;
  branch.kind = Attribute::Kind::kGraph;
  branch.graph = body;
  const ValueId out = graph_.AddValue("if_out");
  const NodeId conditional = graph_.AddNode("If", "If", {z_}, {out}, {{"then_branch", branch}});
  const Reach reach(graph_);
  EXPECT_THAT(reach.Readers(z_), ElementsAre(d_, conditional));
  EXPECT_THAT(reach.Below({Out(a_)}), UnorderedElementsAre(b_, c_, s_, conditional));
  EXPECT_THAT(reach.Above({out}), UnorderedElementsAre(a_, conditional));
}

// Diamonds one after another: a walk that forgot where it has been would take 2^200 steps.
TEST(Reach, ManyWaysCostNoMoreThanOne) {
  Graph graph;
  ValueId at = graph.AddValue("x");
  graph.AddInput(at);
  for (int i = 0; i < 200; ++i) {
    const ValueId left = graph.AddValue("l"), right = graph.AddValue("r"), sum = graph.AddValue("s");
    graph.AddNode("Relu", "l", {at}, {left});
    graph.AddNode("Relu", "r", {at}, {right});
    graph.AddNode("Add", "s", {left, right}, {sum});
    at = sum;
  }
  graph.AddOutput(at);
  const Reach reach(graph);
  EXPECT_EQ(reach.Below({graph.inputs()[0]}).size(), 600u);
  EXPECT_EQ(reach.Above({at}).size(), 600u);
}

}  // namespace
}  // namespace xslim
