#include "quant/half.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "runtime/executor.h"

namespace xslim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A chain of nodes from input x to output y, with constants.
class Chain {
 public:
  explicit Chain(int opset = 17) {
    graph.opset_imports[""] = opset;
    last = graph.AddValue("x", DType::kFloat);
    graph.AddInput(last);
  }
  ValueId Constant(float value) { return graph.AddConstant("c", Tensor::Of<float>({2}, {value, value})); }
  Chain& Then(const char* type, std::vector<ValueId> more = {}, std::map<std::string, Attribute> with = {}) {
    more.insert(more.begin(), last);
    last = graph.AddValue(type);
    graph.AddNode(type, type, std::move(more), {last}, std::move(with));
    return *this;
  }
  Chain& End() {
    graph.value(last).dtype = DType::kFloat;
    graph.AddOutput(last);
    return *this;
  }
  HalfOutcome Convert(HalfOptions options = {}) {
    IgnoreList ignored(settings);
    HalfOutcome outcome = ConvertToHalf(&graph, options, &ignored);
    graph.Validate();
    return outcome;
  }
  std::vector<std::string> Types() const {
    std::vector<std::string> types;
    for (NodeId id : graph.Order()) types.push_back(graph.node(id).op_type);
    return types;
  }

  Graph graph;
  ValueId last = kNone;
  QuantizationParameters settings;
};

std::vector<std::string> Kept(const HalfOutcome& outcome) {
  std::vector<std::string> names;
  for (const LeftAsIs& item : outcome.left) names.push_back(item.what);
  return names;
}

TEST(Half, InputsAndOutputsStayFloatBehindCasts) {
  Chain chain;
  chain.Then("Relu").Then("Add", {chain.Constant(1)}).End();
  const HalfOutcome outcome = chain.Convert();
  EXPECT_EQ(outcome.converted, 2);
  EXPECT_EQ(outcome.casts, 2);
  EXPECT_THAT(chain.Types(), ElementsAre("Cast", "Relu", "Add", "Cast"));
  const Graph& graph = chain.graph;
  EXPECT_EQ(graph.value(graph.inputs()[0]).dtype, DType::kFloat);
  EXPECT_EQ(graph.value(graph.outputs()[0]).dtype, DType::kFloat);
  EXPECT_EQ(graph.value(graph.outputs()[0]).name, "Add");
  EXPECT_EQ(graph.value(graph.Find("c")).constant.dtype(), DType::kFloat16) << "constants keep their names";
}

TEST(Half, InputsAndOutputsConvertWhenAsked) {
  Chain chain;
  chain.Then("Relu").End();
  HalfOptions options;
  options.io = true;
  EXPECT_EQ(chain.Convert(options).casts, 0);
  EXPECT_EQ(chain.graph.value(chain.graph.inputs()[0]).dtype, DType::kFloat16);
  EXPECT_EQ(chain.graph.value(chain.graph.outputs()[0]).dtype, DType::kFloat16);
}

TEST(Half, FloatOutputOfAFloatNodeIsConvertedWhenAsked) {
  Chain chain;
  chain.Then("Relu").Then("Exp").End();
  HalfOptions options;
  options.io = true;
  EXPECT_THAT(Kept(chain.Convert(options)), ElementsAre("Exp[Exp]"));
  EXPECT_THAT(chain.Types(), ElementsAre("Relu", "Cast", "Exp", "Cast"));
  EXPECT_EQ(chain.graph.value(chain.graph.outputs()[0]).dtype, DType::kFloat16);
}

TEST(Half, ReadersShareACast) {
  Chain chain;
  Graph& graph = chain.graph;
  const ValueId x = chain.last;
  for (const char* type : {"Relu", "Sigmoid", "Tanh"}) {
    const ValueId y = graph.AddValue(type);
    graph.AddNode(type, type, {x}, {y});
    graph.value(y).dtype = DType::kFloat;
    graph.AddOutput(y);
  }
  EXPECT_EQ(chain.Convert().casts, 4);
}

TEST(Half, IdleCastsOfTheModelGo) {
  Chain chain;
  chain.Then("Relu").Then("Cast", {}, {{"to", Attribute::Int(1)}}).Then("Sigmoid").End();
  chain.Convert();
  EXPECT_THAT(chain.Types(), ElementsAre("Cast", "Relu", "Sigmoid", "Cast"));
}

TEST(Half, DeviationStaysFloat) {
  Chain chain;
  const ValueId two = chain.graph.AddConstant("two", Tensor::Scalar<float>(2));
  const ValueId epsilon = chain.graph.AddConstant("epsilon", Tensor::Scalar<float>(1e-3f));
  chain.Then("Relu")
      .Then("Pow", {two})
      .Then("ReduceMean")
      .Then("Add", {epsilon})
      .Then("Sqrt")
      .Then("Relu")
      .End();
  EXPECT_THAT(Kept(chain.Convert()),
              ElementsAre("Pow[Pow]", "ReduceMean[ReduceMean]", "Add[Add]", "Sqrt[Sqrt]"));
}

TEST(Half, ScatteredSumsStayFloat) {
  for (const char* type : {"ScatterElements", "ScatterND"}) {
    for (const char* reduction : {"none", "add", "max"}) {
      Chain chain(18);
      const bool elements = std::string(type) == "ScatterElements";
      const ValueId at =
          chain.graph.AddConstant("at", Tensor::Of<int64_t>(elements ? Shape{2} : Shape{2, 1}, {0, 0}));
      chain.Then("Relu").Then(type, {at, chain.Constant(1)}, {{"reduction", Attribute::String(reduction)}});
      const HalfOutcome outcome = chain.End().Convert();
      EXPECT_EQ(outcome.left.empty(), std::string(reduction) == "none") << type << " " << reduction;
    }
  }
}

TEST(Half, LargeMaskStaysFloatDownToTheSoftmax) {
  Chain chain;
  chain.Then("Relu").Then("Add", {chain.Constant(-1e9f)}).Then("Softmax").Then("Relu").End();
  EXPECT_THAT(Kept(chain.Convert()), ElementsAre("Add[Add]", "Softmax[Softmax]"));
}

// Scores where a mask says so, else `fill`, and what `behind` makes of them.
struct Filled {
  Filled(float fill, const char* behind) {
    const ValueId mask = chain.graph.AddValue("mask", DType::kBool);
    chain.graph.AddInput(mask);
    const ValueId number = chain.graph.AddConstant("fill", Tensor::Scalar<float>(fill));
    chain.Then("Relu");
    scores = chain.last;
    const ValueId filled = chain.graph.AddValue("filled");
    chain.graph.AddNode("Where", "Where", {mask, scores, number}, {filled});
    chain.last = where = filled;
    chain.Then(behind).Then("Relu").End();
  }
  std::vector<std::string> KeptWith(std::vector<std::string> ignored = {}, std::set<ValueId> wide = {}) {
    chain.settings.ignore_op_types = std::move(ignored);
    HalfOptions options;
    options.measured = !wide.empty();
    options.wide = std::move(wide);
    return Kept(chain.Convert(options));
  }
  Chain chain;
  ValueId scores = kNone, where = kNone;
};

TEST(Half, TheFillOfMaskedScoresMayLieOutside) {
  Filled filled(-3.4e38f, "Softmax");
  EXPECT_THAT(filled.KeptWith(), IsEmpty());
  const Graph& graph = filled.chain.graph;
  EXPECT_EQ(ToFloat(graph.value(graph.Find("fill")).constant.data<Half>()[0]), -kLargestHalf);
  Filled measured(-1e9f, "Softmax");
  EXPECT_THAT(measured.KeptWith({}, {measured.where}), IsEmpty());
}

TEST(Half, OtherFillsStayFloat) {
  EXPECT_THAT(Filled(3.4e38f, "Softmax").KeptWith(), ElementsAre("Where[Where]", "Softmax[Softmax]"));
  EXPECT_THAT(Filled(-3.4e38f, "Sigmoid").KeptWith(), ElementsAre("Where[Where]", "Sigmoid[Sigmoid]"));
  // As a Cast would make an infinity of the fill.
  EXPECT_THAT(Filled(-3.4e38f, "Softmax").KeptWith({"Where"}),
              ElementsAre("Where[Where]", "Softmax[Softmax]"));
  Filled measured(-1e9f, "Softmax");
  EXPECT_THAT(measured.KeptWith({}, {measured.scores, measured.where}),
              ElementsAre("Relu[Relu]", "Where[Where]", "Softmax[Softmax]"));
}

TEST(Half, BoundsOfClipMayLieOutside) {
  Chain chain;
  const ValueId lo = chain.graph.AddConstant("lo", Tensor::Scalar<float>(0)),
                hi = chain.graph.AddConstant("hi", Tensor::Scalar<float>(3.4e38f));
  chain.Then("Clip", {lo, hi}).End();
  EXPECT_THAT(Kept(chain.Convert()), IsEmpty());
  EXPECT_EQ(ToFloat(chain.graph.value(chain.graph.Find("hi")).constant.data<Half>()[0]), kLargestHalf);
}

TEST(Half, MeasuredValuesOutsideTheRangeStayFloat) {
  Chain chain;
  chain.Then("Relu");
  const ValueId wide = chain.last;
  chain.Then("Sigmoid").Then("Tanh").End();
  HalfOptions options;
  options.measured = true;
  options.wide = {wide};
  EXPECT_THAT(Kept(chain.Convert(options)), ElementsAre("Relu[Relu]", "Sigmoid[Sigmoid]"));
}

TEST(Half, PositionsStayFloat) {
  Graph graph;
  graph.opset_imports[""] = 17;
  const ValueId i = graph.AddValue("i", DType::kInt64), f = graph.AddValue("f"), m = graph.AddValue("m"),
                s = graph.AddValue("s"), y = graph.AddValue("y");
  graph.AddInput(i);
  graph.AddNode("Cast", "cast", {i}, {f}, {{"to", Attribute::Int(1)}});
  graph.AddNode("Mul", "mul", {f, graph.AddConstant("c", Tensor::Scalar<float>(0.5f))}, {m});
  graph.AddNode("Sin", "sin", {m}, {s});
  graph.AddNode("Relu", "relu", {s}, {y});
  graph.AddOutput(y);
  const QuantizationParameters settings{};
  IgnoreList ignored(settings);
  EXPECT_THAT(Kept(ConvertToHalf(&graph, {}, &ignored)), ElementsAre("cast[Cast]", "mul[Mul]", "sin[Sin]"));
}

TEST(Half, OpsetAndTypeDecide) {
  Chain chain(17);
  chain.Then("Relu").Then("HardSigmoid").End();
  HalfOptions options;
  options.type = DType::kBFloat16;
  EXPECT_THAT(Kept(chain.Convert(options)), ElementsAre("HardSigmoid[HardSigmoid]"));
  Chain newer(22);
  newer.Then("Relu").Then("HardSigmoid").End();
  EXPECT_THAT(Kept(newer.Convert(options)), IsEmpty());
}

TEST(Half, IgnoreListsAndUnknownOperators) {
  Chain chain;
  chain.settings.ignore_op_types = {"Sig*"};
  chain.Then("Relu").Then("Sigmoid").Then("Mystery").End();
  EXPECT_THAT(Kept(chain.Convert()), ElementsAre("Sigmoid[Sigmoid]", "Mystery[Mystery]"));
  EXPECT_THAT(chain.Types(), Contains("Mystery"));
}

// A branch that reads the model's input, in both forms: the Cast lies outside, where both branches find it.
TEST(Half, ABranchThatReadsAnInputOfTheModel) {
  for (const bool io : {false, true}) {
    Graph graph;
    graph.opset_imports[""] = 17;
    const ValueId flag = graph.AddValue("flag", DType::kBool), x = graph.AddValue("x", DType::kFloat);
    graph.AddInput(flag);
    graph.AddInput(x);
    const auto branch = [](const char* op, const char* name) {
      auto body = std::make_shared<Graph>();
      body->opset_imports[""] = 17;
      const ValueId captured = body->AddValue("x", DType::kFloat), y = body->AddValue(name, DType::kFloat);
      body->AddNode(op, name, {captured}, {y});
      body->AddOutput(y);
      Attribute attribute;
      attribute.kind = Attribute::Kind::kGraph;
      attribute.graph = std::move(body);
      return attribute;
    };
    const ValueId y = graph.AddValue("y", DType::kFloat);
    graph.AddNode("If", "if", {flag}, {y},
                  {{"then_branch", branch("Relu", "then_y")}, {"else_branch", branch("Sigmoid", "else_y")}});
    graph.AddOutput(y);
    QuantizationParameters settings;
    IgnoreList ignored(settings);
    HalfOptions options;
    options.io = io;
    const HalfOutcome outcome = ConvertToHalf(&graph, options, &ignored);
    graph.Validate();
    EXPECT_EQ(outcome.converted, 2) << io;
    EXPECT_EQ(graph.value(graph.Find("x")).dtype, io ? DType::kFloat16 : DType::kFloat);
    EXPECT_EQ(graph.value(graph.outputs()[0]).dtype, io ? DType::kFloat16 : DType::kFloat);
    ThreadPool pool(1);
    Executor executor(graph, pool, {.skip_unknown = false});
    Tensor yes(DType::kBool, {});
    const Tensor input = Tensor::Of<float>({3}, {-1, 0.25f, 2});
    for (const bool first : {true, false}) {
      yes.data<bool>()[0] = first;
      const Tensor fed = io ? Tensor::Of<Half>({3}, {ToHalf(-1), ToHalf(0.25f), ToHalf(2)}) : input;
      const Tensor out = executor.Run({yes, fed})[0].ToFloat32();
      for (int64_t i = 0; i < 3; ++i) {
        const float v = input.data<float>()[i];
        const float wanted = first ? std::max(v, 0.0f) : 1 / (1 + std::exp(-v));
        EXPECT_NEAR(out.data<float>()[i], wanted, 1e-3) << io << first << i;
      }
    }
  }
}

// Only what was not small beside the rest of its tensor is a loss.
TEST(Half, NumbersThatBecomeZeroAreTold) {
  const auto vanished = [](std::vector<float> values, DType type) {
    Chain chain(22);
    const ValueId c = chain.graph.AddConstant("c", Tensor::Of<float>({2}, values));
    HalfOptions options;
    options.type = type;
    return chain.Then("Add", {c}).End().Convert(options).vanished;
  };
  const std::vector<Vanished> one = vanished({0x1p-25f, 0x1p-20f}, DType::kFloat16);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].name, "c");
  EXPECT_EQ(one[0].elements, 1);
  EXPECT_EQ(one[0].of, 2);
  EXPECT_THAT(vanished({0x1.8p-25f, 0}, DType::kFloat16), IsEmpty());
  EXPECT_THAT(vanished({0x1p-30f, 1}, DType::kFloat16), IsEmpty());
  EXPECT_THAT(vanished({0x1p-30f, 0x1p-31f}, DType::kBFloat16), IsEmpty());
}

TEST(Half, WeightsThatWouldVanishStayFloat) {
  Chain chain;
  const ValueId weights = chain.graph.AddConstant("w", Tensor::Of<float>({2, 2}, {1e-9f, -2e-9f, 0, 3e-10f}));
  chain.Then("MatMul", {weights}).Then("Relu").Then("Mul", {chain.Constant(1e4f)}).Then("Tanh").End();
  const HalfOutcome outcome = chain.Convert();
  EXPECT_THAT(Kept(outcome), ElementsAre("MatMul[MatMul]", "Relu[Relu]", "Mul[Mul]"));
  EXPECT_THAT(outcome.vanished, IsEmpty());
  EXPECT_EQ(outcome.converted, 1);
}

// What an operator gives that stays float32 by name is as small, or as large, as that of any other.
TEST(Half, IgnoredOperatorsPassOnWhatDoesNotFit) {
  Chain tiny;
  tiny.settings.ignore_op_types = {"MatMul"};
  const ValueId weights = tiny.graph.AddConstant("w", Tensor::Of<float>({2, 2}, {1e-9f, -2e-9f, 0, 3e-10f}));
  tiny.Then("MatMul", {weights}).Then("Relu").Then("Mul", {tiny.Constant(1e4f)}).Then("Tanh").End();
  EXPECT_THAT(Kept(tiny.Convert()), ElementsAre("MatMul[MatMul]", "Relu[Relu]", "Mul[Mul]"));
  Chain wide;
  wide.settings.ignore_op_types = {"Add"};
  wide.Then("Add", {wide.Constant(-1e9f)}).Then("Softmax").Then("Tanh").End();
  EXPECT_THAT(Kept(wide.Convert()), ElementsAre("Add[Add]", "Softmax[Softmax]"));
}

TEST(Half, SmallNumbersThatAreAddedDoNotMatter) {
  Chain chain;
  chain.Then("Add", {chain.Constant(1e-9f)}).Then("Relu").End();
  EXPECT_EQ(chain.Convert().converted, 2);
}

TEST(Half, CountsTheWeightsThatStayFloat) {
  Chain chain;
  chain.settings.ignore_op_types = {"Sub"};
  chain.Then("Add", {chain.Constant(1)})
      .Then("Pow", {chain.Constant(2)})
      .Then("Sub", {chain.Constant(3)})
      .End();
  const HalfOutcome outcome = chain.Convert();
  EXPECT_EQ(outcome.weights, 6);
  ASSERT_EQ(outcome.float_weights.size(), 1u) << "what the user asks for is no surprise";
  EXPECT_EQ(outcome.float_weights.begin()->second, 2);
}

}  // namespace
}  // namespace xslim
