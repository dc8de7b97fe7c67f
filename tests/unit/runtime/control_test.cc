// If, Loop, Scan and SequenceMap, whose bodies only an executor can run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>

#include "runtime/executor.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::shared_ptr<Graph> Body() { return std::make_shared<Graph>(); }

ValueId Input(Graph& graph, const std::string& name, DType dtype = DType::kUndefined) {
  const ValueId id = graph.AddValue(name, dtype);
  graph.AddInput(id);
  return id;
}

// One more node; returns its output.
ValueId Add(Graph& graph, const std::string& op, const std::vector<ValueId>& inputs,
            std::map<std::string, Attribute> attributes = {}) {
  const ValueId y = graph.AddValue(op + "_out");
  graph.AddNode(op, op + "_node", inputs, {y}, std::move(attributes));
  return y;
}

Attribute Of(std::shared_ptr<Graph> body) {
  Attribute attribute;
  attribute.kind = Attribute::Kind::kGraph;
  attribute.graph = std::move(body);
  return attribute;
}

Graph Outer() {
  Graph graph;
  graph.opset_imports[""] = 17;
  return graph;
}

Tensor Flag(bool value) {
  Tensor flag(DType::kBool, {});
  flag.data<bool>()[0] = value;
  return flag;
}

class ControlTest : public ::testing::Test {
 protected:
  std::vector<Tensor> Run(const Graph& graph, const std::vector<Tensor>& inputs) {
    return Executor(graph, pool_, {.skip_unknown = false}).Run(inputs);
  }
  std::string ErrorOf(const Graph& graph, const std::vector<Tensor>& inputs) {
    try {
      Run(graph, inputs);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  ThreadPool pool_{1};
};

// if flag: -x else: x, x from outside of the bodies
Graph Choice() {
  Graph graph = Outer();
  const ValueId flag = Input(graph, "flag", DType::kBool);
  Input(graph, "x", DType::kFloat);
  auto negated = Body(), kept = Body();
  negated->AddOutput(Add(*negated, "Neg", {negated->AddValue("x")}));
  kept->AddOutput(Add(*kept, "Identity", {kept->AddValue("x")}));
  graph.AddOutput(Add(graph, "If", {flag}, {{"then_branch", Of(negated)}, {"else_branch", Of(kept)}}));
  return graph;
}

TEST_F(ControlTest, IfRunsOneBranchOnCapturedValues) {
  const Graph graph = Choice();
  const Tensor x = Tensor::Scalar(2.0f);
  EXPECT_EQ(Run(graph, {Flag(true), x})[0].data<float>()[0], -2);
  EXPECT_EQ(Run(graph, {Flag(false), x})[0].data<float>()[0], 2);
}

// A fused Conv would not leave the value between the two.
TEST_F(ControlTest, WhatABodyReadsIsNotFusedAway) {
  for (const char* then : {"Relu", "Sigmoid", "HardSwish"}) {
    Graph graph = Outer();
    const ValueId flag = Input(graph, "flag", DType::kBool), x = Input(graph, "x", DType::kFloat);
    const ValueId w = graph.AddConstant("w", Tensor::Of<float>({1, 1, 1, 1}, {3}));
    const ValueId c = Add(graph, "Conv", {x, w});
    graph.AddOutput(Add(graph, then, {c}));
    auto body = Body();
    body->AddOutput(Add(*body, "Neg", {body->AddValue(graph.value(c).name)}));
    graph.AddOutput(Add(graph, "If", {flag}, {{"then_branch", Of(body)}, {"else_branch", Of(body)}}));
    const Tensor number = Tensor::Of<float>({1, 1, 1, 1}, {-2});
    EXPECT_EQ(Run(graph, {Flag(true), number})[1].data<float>()[0], 6) << then;
  }
}

TEST_F(ControlTest, AConditionOfTwoElementsIsAnErrorThatNamesTheNode) {
  EXPECT_THAT(ErrorOf(Choice(), {Tensor(DType::kBool, {2}), Tensor::Scalar(2.0f)}), HasSubstr("If_node"));
}

// state = state + state each time; the states before are stacked; goes on while `go`.
Graph Doubling() {
  Graph graph = Outer();
  const ValueId count = Input(graph, "count", DType::kInt64), go = Input(graph, "go", DType::kBool);
  const ValueId start = Input(graph, "start", DType::kFloat);
  auto body = Body();
  Input(*body, "i", DType::kInt64);
  const ValueId cond = Input(*body, "cond", DType::kBool), state = Input(*body, "state", DType::kFloat);
  body->AddOutput(Add(*body, "Identity", {cond}));
  body->AddOutput(Add(*body, "Add", {state, state}));
  const ValueId seen = Add(*body, "Identity", {state});
  body->value(seen).dtype = DType::kFloat;
  body->value(seen).has_shape = true;
  body->value(seen).dims = {{2, ""}};
  body->AddOutput(seen);
  const ValueId last = graph.AddValue("last"), all = graph.AddValue("all");
  graph.AddNode("Loop", "loop", {count, go, start}, {last, all}, {{"body", Of(body)}});
  graph.AddOutput(last);
  graph.AddOutput(all);
  return graph;
}

TEST_F(ControlTest, LoopCarriesItsStateAndStacksOutputs) {
  const Graph graph = Doubling();
  const Tensor start = Tensor::Of<float>({2}, {1, 3});
  const std::vector<Tensor> y = Run(graph, {Tensor::Scalar<int64_t>(3), Flag(true), start});
  EXPECT_TRUE(y[0].SameBytes(Tensor::Of<float>({2}, {8, 24})));
  EXPECT_TRUE(y[1].SameBytes(Tensor::Of<float>({3, 2}, {1, 3, 2, 6, 4, 12})));
}

TEST_F(ControlTest, LoopWithoutStepsGivesItsStartAndAnEmptyStack) {
  const Graph graph = Doubling();
  const Tensor start = Tensor::Of<float>({2}, {1, 3});
  for (const std::vector<Tensor>& inputs :
       {std::vector<Tensor>{Tensor::Scalar<int64_t>(0), Flag(true), start},
        std::vector<Tensor>{Tensor::Scalar<int64_t>(3), Flag(false), start}}) {
    const std::vector<Tensor> y = Run(graph, inputs);
    EXPECT_TRUE(y[0].SameBytes(start));
    EXPECT_EQ(y[1].shape(), (Shape{0, 2}));
  }
}

TEST_F(ControlTest, AnEmptyStackOfUndeclaredTypeOrRankIsOneOfWhatAStepWouldMake) {
  for (const DType declared : {DType::kUndefined, DType::kFloat}) {
    Graph loop = Doubling();
    Graph& body = *loop.node(loop.value(loop.outputs()[0]).producer).attributes.at("body").graph;
    Value& seen = body.value(body.outputs()[2]);
    seen.dtype = declared;
    seen.has_shape = false;
    seen.dims.clear();
    const std::vector<Tensor> y = Run(
        loop, {Tensor::Scalar<int64_t>(0), Flag(true), Tensor::Of<float>({2, 3}, std::vector<float>(6, 1))});
    EXPECT_TRUE(y[1].SameBytes(Tensor(DType::kFloat, {0, 2, 3})));
  }
}

// Of a declared type; a step on this start cannot be made.
TEST_F(ControlTest, AnEmptyStackOfUndeclaredRankNeedsNoStepThatCanBeMade) {
  Graph loop = Doubling();
  Graph& body = *loop.node(loop.value(loop.outputs()[0]).producer).attributes.at("body").graph;
  const ValueId seen =
      Add(body, "Reshape", {body.inputs()[2], body.AddConstant("seven", Tensor::Of<int64_t>({1}, {7}))});
  body.value(seen).dtype = DType::kFloat;
  body.RemoveOutput(body.outputs()[2]);
  body.AddOutput(seen);
  const std::vector<Tensor> y =
      Run(loop, {Tensor::Scalar<int64_t>(0), Flag(true), Tensor::Of<float>({2}, {1, 3})});
  EXPECT_TRUE(y[1].SameBytes(Tensor(DType::kFloat, {0})));
}

// What nobody asks for may fail on inputs that no step ever sees: the state, and stacks that are not wanted.
TEST_F(ControlTest, ALoopWithoutStepsComputesNoMoreThanOpenStacks) {
  for (const bool declared : {true, false}) {
    Graph graph = Outer();
    const ValueId count = Input(graph, "count", DType::kInt64), start = Input(graph, "start", DType::kFloat);
    auto body = Body();
    Input(*body, "i", DType::kInt64);
    const ValueId cond = Input(*body, "cond", DType::kBool), state = Input(*body, "state", DType::kFloat);
    const ValueId seven = body->AddConstant("seven", Tensor::Of<int64_t>({1}, {7}));
    body->AddOutput(Add(*body, "Identity", {cond}));
    body->AddOutput(Add(*body, "Reshape", {state, seven}));  // not of seven elements
    body->AddOutput(Add(*body, "Reshape", {state, seven}));
    const ValueId seen = Add(*body, "Shape", {state});
    if (declared) body->value(seen).dtype = DType::kInt64;
    body->AddOutput(seen);
    const ValueId last = graph.AddValue("last"), all = graph.AddValue("all");
    graph.AddNode("Loop", "loop", {count, kNone, start}, {last, kNone, all}, {{"body", Of(body)}});
    graph.AddOutput(last);
    graph.AddOutput(all);
    const Tensor x = Tensor::Of<float>({2}, {1, 3});
    Executor executor(graph, pool_, {.skip_unknown = false});
    for (int run = 0; run < 2; ++run) {
      const std::vector<Tensor> y = executor.Run({Tensor::Scalar<int64_t>(0), x});
      EXPECT_TRUE(y[0].SameBytes(x));
      EXPECT_EQ(y[1].dtype(), DType::kInt64);
      EXPECT_EQ(y[1].shape(), (Shape{0, 1}));
    }
    EXPECT_THROW(executor.Run({Tensor::Scalar<int64_t>(1), x}), Error);
  }
}

TEST_F(ControlTest, ScanOfNothingStacksAlongItsAxis) {
  Graph graph = Outer();
  const ValueId rows = Input(graph, "rows", DType::kFloat);
  auto body = Body();
  body->AddOutput(Add(*body, "Neg", {Input(*body, "row", DType::kFloat)}));
  graph.AddOutput(Add(graph, "Scan", {rows},
                      {{"body", Of(body)},
                       {"num_scan_inputs", Attribute::Int(1)},
                       {"scan_input_axes", Attribute::Ints({1})},
                       {"scan_output_axes", Attribute::Ints({-1})}}));
  EXPECT_TRUE(Run(graph, {Tensor(DType::kFloat, {3, 0, 2})})[0].SameBytes(Tensor(DType::kFloat, {3, 2, 0})));
}

TEST_F(ControlTest, LoopsEndWhereTheRunMayTakeNoMoreSteps) {
  const Graph graph = Doubling();
  const auto message = [&](ExecutorOptions options, int64_t trips) -> std::string {
    Executor executor(graph, pool_, options);
    const std::vector<Tensor> inputs = {Tensor::Scalar(trips), Flag(true), Tensor::Of<float>({2}, {1, 3})};
    try {
      for (int run = 0; run < 2; ++run) executor.Run(inputs);  // each is counted from 0
    } catch (const TooManySteps& error) {
      return error.what();
    }
    return "";
  };
  const int64_t endless = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(message({.most_steps = 20}, 20), "");
  EXPECT_THAT(message({.most_steps = 20}, 21), AllOf(HasSubstr("loop[Loop]"), HasSubstr("20 steps")));
  EXPECT_THAT(message({.skip_unknown = true, .most_steps = 20}, endless), HasSubstr("20 steps"));
  setenv("XSLIM_LOOP_STEPS", "30", 1);
  EXPECT_THAT(message({}, endless), AllOf(HasSubstr("30 steps"), HasSubstr("XSLIM_LOOP_STEPS")));
  setenv("XSLIM_LOOP_STEPS", "many", 1);
  EXPECT_THROW(message({}, 1), Error);
  unsetenv("XSLIM_LOOP_STEPS");
}

// Running sums along the last axis, from its end on.
TEST_F(ControlTest, ScanHonoursAxesAndDirections) {
  Graph graph = Outer();
  const ValueId start = Input(graph, "start", DType::kFloat), x = Input(graph, "x", DType::kFloat);
  auto body = Body();
  const ValueId sum = Input(*body, "sum", DType::kFloat), element = Input(*body, "element", DType::kFloat);
  const ValueId next = Add(*body, "Add", {sum, element});
  body->AddOutput(next);
  body->AddOutput(Add(*body, "Identity", {next}));
  const ValueId total = graph.AddValue("total"), sums = graph.AddValue("sums");
  graph.AddNode("Scan", "scan", {start, x}, {total, sums},
                {{"body", Of(body)},
                 {"num_scan_inputs", Attribute::Int(1)},
                 {"scan_input_axes", Attribute::Ints({-1})},
                 {"scan_output_axes", Attribute::Ints({-1})},
                 {"scan_input_directions", Attribute::Ints({1})},
                 {"scan_output_directions", Attribute::Ints({1})}});
  graph.AddOutput(total);
  graph.AddOutput(sums);
  const std::vector<Tensor> y =
      Run(graph, {Tensor::Of<float>({2}, {0, 0}), Tensor::Of<float>({2, 3}, {1, 2, 3, 10, 20, 30})});
  EXPECT_TRUE(y[0].SameBytes(Tensor::Of<float>({2}, {6, 60})));
  EXPECT_TRUE(y[1].SameBytes(Tensor::Of<float>({2, 3}, {6, 5, 3, 60, 50, 30})));
  EXPECT_THAT(ErrorOf(graph, {Tensor::Of<float>({3}, {0, 0, 0}), Tensor::Of<float>({2, 1}, {1, 2})}),
              HasSubstr("Add_node"));
}

// The columns of x, each negated, and joined again.
TEST_F(ControlTest, SequenceMapRunsItsBodyForEachItem) {
  Graph graph = Outer();
  const ValueId x = Input(graph, "x", DType::kFloat), factor = Input(graph, "factor", DType::kFloat);
  auto body = Body();
  const ValueId item = Input(*body, "item"), other = Input(*body, "other");
  body->AddOutput(Add(*body, "Mul", {item, other}));
  const ValueId parts = Add(graph, "SplitToSequence", {x}, {{"axis", Attribute::Int(1)}});
  const ValueId mapped = Add(graph, "SequenceMap", {parts, factor}, {{"body", Of(body)}});
  graph.AddOutput(Add(graph, "ConcatFromSequence", {mapped}, {{"axis", Attribute::Int(0)}}));
  const Tensor y = Run(graph, {Tensor::Of<float>({2, 2}, {1, 2, 3, 4}), Tensor::Scalar(-1.0f)})[0];
  EXPECT_TRUE(y.SameBytes(Tensor::Of<float>({4, 1}, {-1, -3, -2, -4})));
}

// A model whose sequences follow from constants, with every value tapped: taps see tensors only.
TEST_F(ControlTest, TapsAreNotShownSequences) {
  Graph graph = Outer();
  const ValueId x = Input(graph, "x", DType::kFloat);
  const ValueId empty = Add(graph, "SequenceEmpty", {});
  const ValueId one = Add(graph, "SequenceInsert", {empty, x});
  const ValueId at = graph.AddConstant("at", Tensor::Scalar<int64_t>(0));
  const ValueId y = Add(graph, "SequenceAt", {one, at});
  graph.AddOutput(y);
  Executor executor(graph, pool_);
  std::vector<ValueId> seen;
  executor.SetTaps({x, empty, one, y}, [&](ValueId id, const Tensor&) { seen.push_back(id); });
  EXPECT_EQ(executor.Run({Tensor::Scalar(5.0f)})[0].data<float>()[0], 5);
  EXPECT_EQ(seen, (std::vector<ValueId>{x, y}));
}

}  // namespace
}  // namespace xslim
