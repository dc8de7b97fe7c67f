#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/fused_units.h"
#include "quant/plan.h"
#include "small_graph.h"

namespace xslim {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// Where the exported graph's reader of a tensor takes it from.
std::string SourceOf(const Graph& exported, const std::string& reader, size_t slot) {
  const Node& node = *exported.Producer(exported.Find(reader));
  return exported.value(node.input(slot)).name;
}

TEST(Placement, AChosenOperatorStaysFloatWithItsWeightsAndItsRelu) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Conv("c2", "c1");
  model.Op("Relu", "r2", {"c2"});
  model.Conv("c3", "r2");
  model.Output("c3");
  Choices choices;
  choices.stay_float[model.Node("c2")] = "for the test";
  const QuantPlan plan = model.Plan({}, choices);
  EXPECT_THAT(model.Quantized(plan), UnorderedElementsAre("c1", "c3"));
  EXPECT_THAT(model.Pairs(plan), UnorderedElementsAre("x", "c1", "r2", "c3"));
  EXPECT_EQ(plan.weights.size(), 2u);
  EXPECT_EQ(plan.left_float.at(model.Node("c2")), "for the test");
  EXPECT_EQ(plan.left_float.at(model.Node("r2")), "as c2[Conv], which it follows");
}

// Operators that are int8 only because a Conv stands before them do not fall back with it.
TEST(Placement, WhatLiesBehindAChosenOperatorIsPlacedAsBefore) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("LeakyRelu", "l", {"c1"});
  model.Op("Transpose", "t", {"l"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Op("Tanh", "y", {"t"});
  model.Output("y");
  Choices choices;
  choices.stay_float[model.Node("c1")] = "for the test";
  EXPECT_THAT(model.Quantized(model.Plan({}, choices)), UnorderedElementsAre("l", "t"));
  // Data movement between float operators alone would only add rounding.
  choices.stay_float[model.Node("l")] = "for the test";
  const QuantPlan plan = model.Plan({}, choices);
  EXPECT_THAT(model.Quantized(plan), IsEmpty());
  EXPECT_THAT(plan.activations, IsEmpty());
}

TEST(Placement, AProductOfTwoConstantsStaysAsItIs) {
  SmallGraph model;
  model.Op("MatMul", "m", {model.Constant({6, 6}), model.Constant({6, 6})});
  model.Op("MatMul", "n", {"x", "m"});
  model.Op("MatMul", "o", {model.Constant({6, 6}), "n"});
  model.Output("o");
  const QuantPlan plan = model.Plan();
  EXPECT_THAT(model.Quantized(plan), UnorderedElementsAre("n", "o"));
  EXPECT_THAT(model.Pairs(plan), UnorderedElementsAre("x", "m", "n", "o"));
}

// Positions and the angles made of them.
TEST(Placement, WhatOnlySizesGoIntoStaysFloat) {
  SmallGraph model;
  const ValueId sizes = model.graph.AddValue("sizes", DType::kInt64);
  model.graph.AddNode("Shape", "sizes", {model.graph.Find("x")}, {sizes});
  const ValueId count = model.graph.AddValue("count", DType::kFloat);
  model.graph.AddNode("Cast", "count", {sizes}, {count}, {{"to", Attribute::Int(1)}});
  model.Op("MatMul", "angles", {"count", model.Constant({4, 6})});
  model.Op("Mul", "turned", {"angles", model.Constant({6})});
  model.Op("Add", "behind", {"x", "turned"});
  model.Conv("c", "behind");
  model.Op("Add", "y", {"c", "turned"});
  model.Output("y");
  const QuantPlan plan = model.Plan();
  EXPECT_THAT(model.Quantized(plan), UnorderedElementsAre("c", "y"));
  EXPECT_EQ(plan.left_float.at(model.Node("angles")), "no data go into it, only constants and sizes");
}

TEST(Placement, OfAFloatOperatorOnlyInt8ReadersSeeTheDequantizedTensor) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("Softmax", "s", {"c1"});
  model.Conv("c2", "s");
  model.Op("Tanh", "t", {"s"});
  model.Op("Tanh", "u", {"c1"});
  model.Op("Tanh", "v", {"x"});
  for (const char* output : {"c2", "t", "u", "v", "s"}) model.Output(output);
  const QuantPlan plan = model.Plan();
  EXPECT_THAT(model.Pairs(plan), UnorderedElementsAre("x", "c1", "s", "c2"));
  const Graph exported = ExportQdq(model.graph, plan);
  exported.Validate();
  EXPECT_EQ(SourceOf(exported, "t", 0), "s");
  EXPECT_EQ(SourceOf(exported, "v", 0), "x");
  EXPECT_TRUE(exported.Producer(exported.Find("s"))->Is("Softmax"));
  EXPECT_TRUE(exported.Producer(exported.Find(SourceOf(exported, "s", 0)))->Is("DequantizeLinear"));
  // What an int8 operator makes is int8 for everybody.
  EXPECT_TRUE(exported.Producer(exported.Find(SourceOf(exported, "u", 0)))->Is("DequantizeLinear"));
  const ExportedPair pair = FindPair(exported, "s");
  ASSERT_NE(pair.quantize, kNone);
  EXPECT_EQ(exported.node(pair.quantize).input(0), exported.Find("s"));
  EXPECT_EQ(exported.value(pair.dequantized).producer, pair.dequantize);
}

TEST(Placement, Level2LeavesSigmoidAndArithmeticOnTwoActivationsFloat) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("Sigmoid", "g", {"c1"});
  model.Op("Mul", "m", {"c1", "g"});
  model.Conv("c2", "m");
  model.Op("Mul", "scaled", {"c2", model.Constant({})});
  model.Op("Add", "sum", {"scaled", "c1"});
  model.Op("Relu", "r", {"sum"});
  model.Op("LeakyRelu", "l", {"r"});
  model.Conv("y", "l");
  model.Output("y");
  QuantizationParameters options;
  options.precision_level = 2;
  const QuantPlan plan = model.Plan(options);
  EXPECT_THAT(model.Quantized(plan), UnorderedElementsAre("c1", "c2", "scaled", "l", "y"));
  // The Conv behind the Mul still computes in int8: its input has a pair.
  EXPECT_THAT(model.Pairs(plan), UnorderedElementsAre("x", "c1", "m", "c2", "scaled", "r", "l", "y"));
  EXPECT_EQ(plan.left_float.at(model.Node("sum")), "precision_level 2");
  EXPECT_THAT(plan.left_float.at(model.Node("r")), HasSubstr("as sum[Add]"));

  Choices choices;  // a custom setting takes the level back for one of them
  choices.settings[model.Node("sum")].precision_level = 0;
  EXPECT_THAT(model.Quantized(model.Plan(options, choices)),
              UnorderedElementsAre("c1", "c2", "scaled", "sum", "r", "l", "y"));
}

TEST(Placement, WhatIsNoLongerReachedSaysSo) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("Sigmoid", "g", {"c1"});
  model.Op("Concat", "joined", {"c1", "g"}, {{"axis", Attribute::Int(1)}});
  model.Op("Transpose", "y", {"joined"}, {{"perm", Attribute::Ints({0, 2, 3, 1})}});
  model.Output("y");
  const QuantPlan plan = model.Plan();
  EXPECT_THAT(model.Quantized(plan), UnorderedElementsAre("c1", "g"));
  EXPECT_THAT(plan.left_float.at(model.Node("joined")), HasSubstr("output protected"));
  EXPECT_EQ(plan.left_float.at(model.Node("y")), "what lies before it stays float");
}

TEST(Placement, SettingsOfATensorAreThoseOfItsProducerOrOfItsReaders) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("Softmax", "s", {"c1"});
  model.Conv("c2", "s");
  model.Output("c2");
  Choices choices;
  choices.settings[model.Node("c1")].max_percentile = 0.99;
  choices.settings[model.Node("c2")].calibration_type = CalibrationType::kMinMax;
  const QuantPlan plan = model.Plan({}, choices);
  const auto of = [&](const char* name) { return plan.activations.at(model.graph.Find(name)); };
  EXPECT_FALSE(of("c1").calibration_type.has_value());
  EXPECT_EQ(of("s").calibration_type, CalibrationType::kMinMax);
  EXPECT_EQ(of("c2").calibration_type, CalibrationType::kMinMax);
  const auto percentile = [&](const char* name) {
    return choices.OfTensor(model.graph, model.graph.Find(name), plan.nodes).max_percentile;
  };
  EXPECT_EQ(percentile("x"), 0.99);
  EXPECT_EQ(percentile("c1"), 0.99);
  EXPECT_FALSE(percentile("s").has_value());
}

// Another placement changes nothing of what counts for a tensor.
TEST(Placement, SettingsOfATensorAreThoseOfTheFirstPlacement) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("Mul", "m", {"c1", model.Constant({1, 4, 1, 1})});
  model.Conv("c2", "m");
  model.Output("c2");
  Choices choices;
  choices.settings[model.Node("m")].calibration_type = CalibrationType::kKl;
  choices.settings[model.Node("c2")].calibration_type = CalibrationType::kMinMax;
  choices.placed = model.Plan({}, choices).nodes;
  choices.float_by_data[model.Node("m")] = "for the test";
  const QuantPlan plan = model.Plan({}, choices);
  EXPECT_EQ(plan.nodes.count(model.Node("m")), 0u);
  EXPECT_EQ(plan.activations.at(model.graph.Find("m")).calibration_type, CalibrationType::kKl);
}

// ---- placement: fused

QuantizationParameters Fused() {
  QuantizationParameters options;
  options.placement = Placement::kFused;
  return options;
}

// Ways through the graph are not gone one by one: here there are 2^40 of them.
TEST(Placement, TakesLinearTimeWhereOperatorsReadOneTensorTwice) {
  SmallGraph model;
  model.Op("MatMul", "m", {"x", model.Constant({6, 6})});
  std::string last = "m";
  for (int i = 0; i < 40; ++i) {
    const std::string sum = "a" + std::to_string(i);
    model.Op("Add", sum, {last, last});
    last = sum;
  }
  model.Output(last);
  QuantizationParameters options;
  options.ignore_op_types = {"Add"};
  EXPECT_THAT(model.Quantized(model.Plan(options)), UnorderedElementsAre("m"));
}

TEST(Placement, FindsScoresBehindALongWayOfDataMovement) {
  SmallGraph model;
  model.Conv("boxes", "x");
  model.Op("Sigmoid", "scores", {"boxes"});
  const auto ints = [&](const char* name, int64_t value) {
    model.graph.AddConstant(name, Tensor::Of<int64_t>({1}, {value}));
  };
  ints("first", 0);
  ints("end", 4);
  ints("axis", 1);
  std::string last = "scores";
  for (int i = 0; i < 40; ++i) {
    const std::string joined = "j" + std::to_string(i), half = "h" + std::to_string(i);
    model.Op("Concat", joined, {last, last}, {{"axis", Attribute::Int(1)}});
    model.Op("Slice", half, {joined, "first", "end", "axis"});
    last = half;
  }
  model.Op("Concat", "y", {"boxes", last}, {{"axis", Attribute::Int(1)}});
  model.Output("y");
  const QuantPlan plan = model.Plan();
  ASSERT_TRUE(plan.left_float.count(model.Node("y")));
  EXPECT_THAT(plan.left_float.at(model.Node("y")), HasSubstr("bounded scores"));
}

// A pool with dilations has no int8 form either, even if they are all 1; one without has.
TEST(Placement, AnAveragePoolWithDilationsHasAPairOnOneSide) {
  const auto pairs = [](bool dilations) {
    SmallGraph model;
    model.Conv("c1", "x");
    std::map<std::string, Attribute> attributes = {{"kernel_shape", Attribute::Ints({2, 2})}};
    if (dilations) attributes["dilations"] = Attribute::Ints({1, 1});
    model.Op("AveragePool", "a", {"c1"}, attributes);
    model.Conv("c2", "a");
    model.Output("c2");
    return model.Pairs(model.Plan());
  };
  EXPECT_THAT(pairs(false), UnorderedElementsAre("x", "c1", "a", "c2"));
  EXPECT_THAT(pairs(true), UnorderedElementsAre("x", "a", "c2"));
}

// Resizes "r" what `input` is; half as large.
void Cubic(SmallGraph* model, const char* input, const char* mode = "cubic") {
  model->graph.AddConstant("sizes", Tensor::Of<int64_t>({4}, {1, 4, 3, 3}));
  model->graph.AddNode("Resize", "r", {model->graph.Find(input), kNone, kNone, model->graph.Find("sizes")},
                       {model->graph.AddValue("r", DType::kFloat)}, {{"mode", Attribute::String(mode)}});
}

TEST(Placement, ACubicResizeHasAPairOnOneSide) {
  const auto pairs = [](const char* input, const char* reader, const char* mode, bool chosen) {
    SmallGraph model;
    model.Conv("c1", "x");
    model.Op("Relu", "r1", {"c1"});
    model.Conv("c2", "r1");
    model.Op("MaxPool", "p", {"c2"}, {{"kernel_shape", Attribute::Ints({1, 1})}});
    Cubic(&model, input, mode);
    if (reader == std::string("Conv")) {
      model.Conv("c3", "r");
    } else {
      model.Op(reader, "c3", {"r"});
    }
    for (const char* name : {"c3", "p"}) model.Output(name);
    Choices choices;
    if (chosen) choices.stay_float[model.Node("r")] = "for the test";
    return model.Pairs(model.Plan({}, choices));
  };
  EXPECT_THAT(pairs("c2", "Conv", "linear", false), UnorderedElementsAre("x", "r1", "c2", "r", "c3"));
  // c2 and r1 have other readers, so that what is behind goes without; x, c1 ... have a pair as before.
  EXPECT_THAT(pairs("c2", "Conv", "cubic", false), UnorderedElementsAre("x", "r1", "c2", "c3"));
  EXPECT_THAT(pairs("c2", "Conv", "cubic", true), UnorderedElementsAre("x", "r1", "c2", "c3"));
  EXPECT_THAT(pairs("p", "Conv", "cubic", false), UnorderedElementsAre("x", "r1", "c2", "c3"));
  EXPECT_THAT(pairs("c2", "Tanh", "cubic", true), UnorderedElementsAre("x", "r1", "c2"));
  EXPECT_THAT(pairs("c2", "LeakyRelu", "cubic", false), UnorderedElementsAre("x", "r1", "c2", "r", "c3"))
      << "nothing can go; a warning says so";

  SmallGraph shut;
  shut.Conv("c1", "x");
  Cubic(&shut, "c1");
  shut.Op("LeakyRelu", "l", {"r"});
  for (const char* name : {"c1", "l"}) shut.Output(name);
  std::set<ValueId> inside;
  EXPECT_EQ(OpenFloatForms(shut.graph, shut.Plan().nodes, &inside), std::vector<NodeId>{shut.Node("r")});
  EXPECT_THAT(inside, IsEmpty());

  SmallGraph alone;
  alone.Conv("c1", "x");
  alone.Op("Relu", "r1", {"c1"});
  Cubic(&alone, "r1");
  alone.Conv("c3", "r");
  alone.Output("c3");
  const QuantPlan plan = alone.Plan();
  EXPECT_THAT(alone.Pairs(plan), UnorderedElementsAre("x", "r", "c3"));
  EXPECT_EQ(plan.weights.size(), 2u) << "both convolutions keep int8 weights";
  const Graph exported = ExportQdq(alone.graph, plan);
  EXPECT_EQ(exported.Producer(exported.Find("r1"))->op_type, "Relu") << "nothing else enforces it";
}

TEST(FusedPlacement, AProductAndItsActivationRoundOnce) {
  for (const char* type : {"HardSwish", "Gelu", "LeakyRelu", "Sigmoid", "HardSigmoid"}) {
    SmallGraph model;
    model.Conv("c", "x");
    model.Op(type, "a", {"c"});
    model.Conv("y", "a");
    model.Output("y");
    EXPECT_THAT(model.Pairs(model.Plan(Fused())), UnorderedElementsAre("x", "a", "y")) << type;
    EXPECT_THAT(model.Pairs(model.Plan()), UnorderedElementsAre("x", "c", "a", "y")) << type;
  }
}

TEST(FusedPlacement, AResultWithTwoReadersOrThatIsAnOutputIsRounded) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Op("HardSwish", "h", {"c1"});
  model.Conv("c2", "c1");
  model.Op("HardSwish", "y", {"c2"});
  for (const char* output : {"h", "c2", "y"}) model.Output(output);
  EXPECT_THAT(model.Pairs(model.Plan(Fused())), UnorderedElementsAre("x", "c1", "h", "c2", "y"));
}

TEST(FusedPlacement, ConstantsInsideAUnitStayFloat) {
  SmallGraph model;
  model.Op("MatMul", "m", {"x", model.Constant({6, 6})});
  model.Op("Add", "b", {model.Constant({6}), "m"});
  model.Op("Gelu", "g", {"b"});
  model.Op("PRelu", "p", {"g", model.Constant({6})});
  model.Op("MatMul", "m2", {"p", model.Constant({6, 6})});
  model.Op("Add", "y", {"m2", model.Constant({6, 6})});  // no bias: one number per row, too
  model.Output("y");
  const QuantPlan plan = model.Plan(Fused());
  // PRelu behind Gelu is no unit: its slope is int8, like the constant of the last Add.
  EXPECT_THAT(model.Pairs(plan), UnorderedElementsAre("x", "g", "p", "m2", "y"));
  std::set<std::string> with_weights;
  for (const WeightQuant& weight : plan.weights) with_weights.insert(model.graph.node(weight.node).name);
  EXPECT_THAT(with_weights, UnorderedElementsAre("m", "p", "m2", "y"));
}

TEST(FusedPlacement, AGateTimesItsInputRoundsOnce) {
  for (const char* type : {"Sigmoid", "HardSigmoid"}) {
    SmallGraph model;
    model.Conv("c", "x");
    model.Op(type, "s1", {"c"});
    model.Op("Mul", "m1", {"s1", "c"});
    model.Op("MaxPool", "p", {"m1"}, {{"kernel_shape", Attribute::Ints({1, 1})}});
    model.Op(type, "s2", {"p"});  // what it reads is on a grid already
    model.Op("Mul", "m2", {"p", "s2"});
    model.Op(type, "s3", {"m2"});
    model.Op("Mul", "y", {"m1", "s3"});  // no gate of its own input
    model.Output("y");
    EXPECT_THAT(model.Pairs(model.Plan(Fused())), UnorderedElementsAre("x", "m1", "m2", "s3", "y")) << type;
  }
}

TEST(FusedPlacement, StepsByOneNumberRunInAChain) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Conv("c2", "c1");
  model.Op("Add", "sum", {"c1", "c2"});
  model.Op("Mul", "scaled", {"sum", model.Constant({})});
  model.Op("Sub", "moved", {"scaled", model.Constant({1})});
  model.Op("HardSwish", "h", {"moved"});
  model.Op("Mul", "y", {"h", model.Constant({4, 1, 1})});
  model.Output("y");
  // Of the sum's two products the later one belongs to it; c1 is read twice.
  EXPECT_THAT(model.Pairs(model.Plan(Fused())), UnorderedElementsAre("x", "c1", "h", "y"));
}

TEST(FusedPlacement, OfTwoProductsTheLaterOneEndsInTheirSum) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Conv("c2", "x");
  model.Op("Add", "sum", {"c2", "c1"});
  model.Op("Relu", "y", {"sum"});
  model.Output("y");
  EXPECT_THAT(model.Pairs(model.Plan(Fused())), UnorderedElementsAre("x", "c1", "y"));
}

TEST(FusedPlacement, ScoresOfASoftmaxStayFloat) {
  SmallGraph model;
  model.Op("MatMul", "m", {"x", model.Constant({6, 6})});
  model.Op("Mul", "scaled", {"m", model.Constant({})});
  model.Op("Softmax", "s", {"scaled"});
  model.Op("MatMul", "y", {"s", "x"});
  model.Output("y");
  EXPECT_THAT(model.Pairs(model.Plan(Fused())), UnorderedElementsAre("x", "s", "y"));
}

TEST(FusedPlacement, AResidualStreamIsRoundedWhereAProductReadsIt) {
  const auto pairs = [](bool as_output, const char* reader) {
    SmallGraph model;
    const auto norm = [&](const char* name, const char* input) {
      model.Op("LayerNormalization", name, {input, model.Constant({6})});
    };
    model.Op("MatMul", "m1", {"x", model.Constant({6, 6})});
    model.Op("Add", "s1", {"m1", "x"});
    norm("n1", "s1");
    model.Op("MatMul", "m2", {"n1", model.Constant({6, 6})});
    model.Op("Add", "s2", {"s1", "m2"});
    norm("n2", "s2");
    model.Op(reader, "y", {"n2", "s2"});
    for (const char* name : {"y", "s1"}) {
      if (name == std::string("y") || as_output) model.Output(name);
    }
    return model.Pairs(model.Plan(Fused()));
  };
  EXPECT_THAT(pairs(false, "Add"), UnorderedElementsAre("x", "n1", "n2", "y"));
  EXPECT_THAT(pairs(true, "Add"), UnorderedElementsAre("x", "s1", "n1", "n2", "y"));
  EXPECT_THAT(pairs(false, "MatMul"), UnorderedElementsAre("x", "n1", "s2", "n2", "y"));
}

TEST(FusedPlacement, AFloatOperatorIsInNoUnit) {
  SmallGraph model;
  model.Conv("c", "x");
  model.Op("HardSwish", "h", {"c"});
  model.Conv("y", "h");
  model.Output("y");
  QuantizationParameters options = Fused();
  options.ignore_op_types = {"HardSwish"};
  EXPECT_THAT(model.Pairs(model.Plan(options)), UnorderedElementsAre("x", "c", "h", "y"));
}

// Bounds whose codes are those of the range's ends do nothing: the steps are 1/64 wide.
TEST(Export, AClipThatTheCodesMakeGoes) {
  const auto has_clip = [](float lo, float hi, bool product = false) {
    SmallGraph model;
    model.Conv("c", "x");
    if (product) {
      model.Conv("s", "c");
    } else {
      model.Op("Sigmoid", "s", {"c"});
    }
    model.Op("Clip", "y",
             {"s", model.graph.value(model.graph.AddConstant("lo", Tensor::Scalar(lo))).name,
              model.graph.value(model.graph.AddConstant("hi", Tensor::Scalar(hi))).name});
    model.Output("y");
    QuantPlan plan = model.Plan();
    SetRange(&plan, model.graph.Find("y"), 0.0f, 255.0f / 64, "");
    const Graph exported = ExportQdq(model.graph, plan);
    const std::vector<NodeId> order = exported.Order();
    return std::any_of(order.begin(), order.end(), [&](NodeId id) { return exported.node(id).Is("Clip"); });
  };
  EXPECT_FALSE(has_clip(-1.0f, 5.0f));
  EXPECT_FALSE(has_clip(0.007f, 3.98f));
  EXPECT_TRUE(has_clip(0.009f, 5.0f));
  EXPECT_TRUE(has_clip(0.0f, 3.97f));
  EXPECT_FALSE(has_clip(0.007f, 3.98f, true)) << "behind a product, too";
  EXPECT_TRUE(has_clip(0.0f, 3.97f, true));
}

}  // namespace
}  // namespace xslim
