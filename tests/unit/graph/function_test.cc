#include "graph/function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// lib::scaled(a) -> b: b = LeakyRelu(a, alpha = attribute slope, by default 0.5)
std::shared_ptr<Function> Scaled(const std::string& overload = "") {
  auto function = std::make_shared<Function>();
  function->domain = "lib";
  function->name = "scaled";
  function->overload = overload;
  function->defaults["slope"] = Attribute::Float(0.5f);
  Graph& body = function->body;
  body.opset_imports = {{"", 17}, {"other", 3}};
  const ValueId a = body.AddValue("a"), b = body.AddValue("b");
  body.AddInput(a);
  Attribute reference;
  reference.kind = Attribute::Kind::kOther;
  reference.reference = "slope";
  body.AddNode("LeakyRelu", "act", {a}, {b}, {{"alpha", reference}});
  body.AddOutput(b);
  return function;
}

// lib::twice(a) -> b: scaled(scaled(a, slope = 0.25)), an If in between whose bodies capture the middle.
std::shared_ptr<Function> Twice() {
  auto function = std::make_shared<Function>();
  function->domain = "lib";
  function->name = "twice";
  Graph& body = function->body;
  body.opset_imports = {{"", 17}, {"lib", 1}};
  const ValueId a = body.AddValue("a"), flag = body.AddValue("flag"), m = body.AddValue("m"),
                c = body.AddValue("c"), b = body.AddValue("b");
  body.AddInput(a);
  body.AddInput(flag);
  body.AddNode("scaled", "first", {a}, {m}, {{"slope", Attribute::Float(0.25f)}}, "lib");
  auto branch = std::make_shared<Graph>();
  const ValueId captured = branch->AddValue("m"), local = branch->AddValue("x");
  branch->AddNode("Neg", "negate", {captured}, {local});
  branch->AddOutput(local);
  Attribute graph;
  graph.kind = Attribute::Kind::kGraph;
  graph.graph = branch;
  body.AddNode("If", "choose", {flag}, {c}, {{"then_branch", graph}, {"else_branch", graph}});
  body.AddNode("scaled", "second", {c}, {b}, {}, "lib");
  body.AddOutput(b);
  return function;
}

Graph Model() {
  Graph model;
  model.opset_imports = {{"", 17}, {"lib", 1}};
  model.functions = {Scaled(), Twice(), Scaled("fast")};
  const ValueId x = model.AddValue("x", DType::kFloat), flag = model.AddValue("flag", DType::kBool),
                y = model.AddValue("y");
  model.AddInput(x);
  model.AddInput(flag);
  model.AddNode("twice", "call", {x, flag}, {y}, {}, "lib");
  model.AddOutput(y);
  return model;
}

std::vector<std::string> TypesOf(const Graph& graph) {
  std::vector<std::string> types;
  for (NodeId id : graph.Order()) types.push_back(graph.node(id).op_type);
  return types;
}

TEST(FunctionTest, InlinesNestedCallsWithAttributesAndBodies) {
  Graph model = Model();
  InlineCalls(&model);
  EXPECT_NO_THROW(model.Validate());
  EXPECT_THAT(TypesOf(model), ElementsAre("LeakyRelu", "If", "LeakyRelu"));
  const std::vector<NodeId> order = model.Order();
  EXPECT_EQ(model.node(order[0]).Float("alpha", 0), 0.25f);  // the call's
  EXPECT_EQ(model.node(order[2]).Float("alpha", 0), 0.5f);   // the default
  EXPECT_EQ(model.node(order[0]).name, "call/first/act");
  EXPECT_EQ(model.value(model.node(order[2]).outputs[0]).name, "y");
  const Graph& branch = *model.node(order[1]).attributes.at("then_branch").graph;
  EXPECT_THAT(branch.FreeNames(), ElementsAre("call/m"));
  EXPECT_NE(model.Find("call/m"), kNone);
  EXPECT_EQ(branch.Find("x"), kNone);  // would hide the model's input
  EXPECT_EQ(model.opset_imports.at("other"), 3);
  EXPECT_FALSE(HasCalls(model));
  EXPECT_EQ(DropUnusedFunctions(&model), 3);
}

TEST(FunctionTest, CallsThatAreNotWantedStay) {
  Graph model = Model();
  InlineCalls(&model, [](const Function& function, const Node&) { return function.name == "twice"; });
  EXPECT_THAT(TypesOf(model), ElementsAre("scaled", "If", "scaled"));
  EXPECT_EQ(DropUnusedFunctions(&model), 2);
  ASSERT_EQ(model.functions.size(), 1u);
  EXPECT_EQ(model.functions[0]->Title(), "lib::scaled");
}

TEST(FunctionTest, AnOverloadIsAFunctionOfItsOwn) {
  Graph model = Model();
  Node& call = model.node(0);
  call.op_type = "scaled";
  model.SetInput(0, 1, kNone);
  call.inputs.resize(1);
  EXPECT_EQ(FindFunction(model, model.node(0)), model.functions[0].get());
  call.overload = "fast";
  EXPECT_EQ(FindFunction(model, model.node(0)), model.functions[2].get());
  call.overload = "slow";
  EXPECT_EQ(FindFunction(model, model.node(0)), nullptr);
}

TEST(FunctionTest, AnInputThatIsAnOutputIsCopied) {
  Graph model = Model();
  auto same = std::make_shared<Function>();
  same->domain = "lib";
  same->name = "twice";
  const ValueId a = same->body.AddValue("a");
  same->body.AddInput(a);
  same->body.AddInput(same->body.AddValue("flag"));
  same->body.AddOutput(a);
  model.functions = {same};
  InlineCalls(&model);
  EXPECT_NO_THROW(model.Validate());
  EXPECT_THAT(TypesOf(model), ElementsAre("Identity"));
  EXPECT_EQ(model.node(model.Order()[0]).inputs[0], model.Find("x"));
}

TEST(FunctionTest, ACallMayLeaveOutWhatTheFunctionDoesNotGive) {
  Graph model = Model();
  auto silent = std::make_shared<Function>();
  silent->domain = "lib";
  silent->name = "silent";
  silent->body.AddInput(silent->body.AddValue("a"));
  model.functions.push_back(silent);
  const NodeId call = model.AddNode("silent", "quiet", {model.Find("x")}, {kNone}, {}, "lib");
  InlineCalls(&model);
  EXPECT_FALSE(model.alive(call));
  EXPECT_NO_THROW(model.Validate());
}

TEST(FunctionTest, CallsThatDoNotFitAndFunctionsThatCallThemselvesAreErrors) {
  Graph model = Model();
  model.SetInput(0, 2, model.Find("x"));
  try {
    InlineCalls(&model);
    FAIL() << "three inputs for two";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("call[twice]"));
  }
  auto endless = Scaled();
  endless->body.AddNode("scaled", "again", {endless->body.Find("a")}, {endless->body.AddValue("c")}, {},
                        "lib");
  model.functions = {endless};
  EXPECT_THROW(CheckFunctions(model), Error);
  EXPECT_NO_THROW(CheckFunctions(Model()));
}

}  // namespace
}  // namespace xslim
