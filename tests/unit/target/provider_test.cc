#include "target/provider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "graph/function.h"
#include "simplify/opset/signature.h"
#include "target/provider_table.h"

namespace xslim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// x -> nodes in a row; each takes the result of the one before, and constants.
struct Chain {
  Graph graph;
  ValueId last;

  explicit Chain(int opset, DType type = DType::kFloat) {
    graph.opset_imports[""] = opset;
    last = graph.AddValue("x", type);
    graph.AddInput(last);
  }
  Chain& Then(const std::string& type, std::map<std::string, Attribute> attributes = {},
              const std::vector<Tensor>& constants = {}, const std::string& domain = "") {
    std::vector<ValueId> inputs = {last};
    for (const Tensor& tensor : constants) inputs.push_back(graph.AddConstant("c", tensor));
    last = graph.AddValue(type + "_output");
    graph.AddNode(type, type, inputs, {last}, std::move(attributes), domain);
    return *this;
  }
  // The reason that the last node has; "" when the provider takes it.
  std::string Why() {
    Graph model = graph;
    model.AddOutput(last);
    const ProviderCheck check = CheckProvider(model);
    return check.on_cpu.empty() ? "" : check.on_cpu.back().why;
  }
};

Tensor Weight(Shape shape) { return Tensor::Of<float>(shape, std::vector<float>(ElementCount(shape), 0.5f)); }

const Attribute kThree = Attribute::Ints({3, 3});

TEST(Provider, TakesWhatItsPageNames) {
  EXPECT_EQ(Chain(13).Then("Conv", {{"kernel_shape", kThree}}, {Weight({4, 3, 3, 3})}).Why(), "");
  EXPECT_EQ(Chain(13).Then("Gemm", {{"transB", Attribute::Int(1)}}, {Weight({4, 3})}).Why(), "");
  EXPECT_EQ(Chain(13).Then("Relu").Then("Softmax").Why(), "");
  EXPECT_EQ(Chain(13).Then("DynamicQuantizeMatMul", {}, {}, "com.microsoft").Why(), "");
  EXPECT_EQ(Chain(13).Then("FusedConv", {}, {}, "com.microsoft").Why(), "not among its operators");
  EXPECT_EQ(Chain(13).Then("TopK").Why(), "not among its operators");
}

TEST(Provider, RefusesNewerVersionsAndNamesABetterOpset) {
  Chain chain(24);
  chain.Then("Conv", {{"kernel_shape", kThree}}, {Weight({4, 3, 3, 3})}).Then("Relu").Then("Floor");
  chain.graph.AddOutput(chain.last);
  const ProviderCheck check = CheckProvider(chain.graph);
  EXPECT_EQ(check.operators, 3);
  EXPECT_EQ(check.better_opset, 12);
  EXPECT_THAT(Reasons(check),
              ElementsAre("version 13 of the operator, 6 is the newest that it knows: 1 Floor",
                          "version 22 of the operator, 11 is the newest that it knows: 1 Conv"));
  EXPECT_THAT(Advice(check), ElementsAre(HasSubstr("to leave fewer to the CPU: --opset 12, ")));
}

TEST(Provider, PairsKeepTheOpsetAt13) {
  const Tensor scale = Tensor::Of<float>({}, {0.5f}), zero = Tensor::Of<int8_t>({}, {0});
  Chain chain(16);
  chain.Then("QuantizeLinear", {}, {scale, zero}).Then("DequantizeLinear", {}, {scale, zero}).Then("Floor");
  EXPECT_THAT(chain.Why(), HasSubstr("version 13"));
  EXPECT_EQ(CheckProvider(chain.graph).better_opset, 0);
}

// What an older opset does not have would be written as several operators.
TEST(Provider, AnOpsetWithoutAnOperatorIsNoBetter) {
  Chain chain(17);
  chain.Then("LayerNormalization", {}, {Weight({4})}).Then("PRelu", {}, {Weight({4})});
  EXPECT_THAT(chain.Why(), HasSubstr("version 16"));
  EXPECT_EQ(CheckProvider(chain.graph).better_opset, 0);
}

TEST(Provider, RefusesWhatAConditionForbids) {
  EXPECT_EQ(Chain(13).Then("Conv", {}, {Weight({4, 3, 3, 3})}).Why(), "it has no kernel_shape");
  EXPECT_EQ(
      Chain(13)
          .Then("ConvTranspose", {{"kernel_shape", Attribute::Ints({2, 2, 2})}}, {Weight({4, 3, 2, 2, 2})})
          .Why(),
      "3 spatial axes, at most 2 are taken");
  EXPECT_EQ(Chain(13).Then("Gemm", {{"transA", Attribute::Int(1)}}, {Weight({4, 3})}).Why(), "transA is set");
  EXPECT_EQ(Chain(13).Then("Gemm", {{"beta", Attribute::Float(2)}}, {Weight({4, 3})}).Why(),
            "alpha or beta is not 1");
  const Attribute pads = Attribute::Ints({1, 1, 1, 1});
  EXPECT_EQ(Chain(13).Then("AveragePool", {{"kernel_shape", kThree}, {"pads", pads}}).Why(),
            "it pads without count_include_pad");
  EXPECT_EQ(Chain(13)
                .Then("AveragePool",
                      {{"kernel_shape", kThree}, {"pads", pads}, {"count_include_pad", Attribute::Int(1)}})
                .Why(),
            "");
  EXPECT_EQ(Chain(13).Then("Resize", {{"mode", Attribute::String("cubic")}}).Why(), "mode cubic");
  EXPECT_EQ(Chain(16).Then("GridSample", {{"padding_mode", Attribute::String("reflection")}}).Why(),
            "padding_mode reflection");
  EXPECT_EQ(Chain(13, DType::kInt64).Then("Add", {}, {Tensor::Of<int64_t>({}, {1})}).Why(),
            "int64, only float32 and float16 are taken");
}

TEST(Provider, RefusesComputedShapesAndWeights) {
  Chain chain(13);
  chain.Then("Relu");
  Graph& graph = chain.graph;
  const ValueId relu = chain.last, shape = graph.AddValue("shape"), y = graph.AddValue("y");
  graph.AddNode("Shape", "Shape", {relu}, {shape});
  graph.AddNode("Reshape", "Reshape", {relu, shape}, {y});
  const ValueId z = graph.AddValue("z");
  graph.AddNode("Conv", "Conv", {relu, y}, {z}, {{"kernel_shape", kThree}});
  graph.AddOutput(z);
  EXPECT_THAT(Reasons(CheckProvider(graph)),
              ElementsAre("its input 1 is computed: 1 Reshape", "its weight is computed: 1 Conv",
                          "not among its operators: 1 Shape"));
  EXPECT_THAT(Advice(CheckProvider(graph)), IsEmpty());  // no size is known to be open
  Value& x = graph.value(graph.inputs()[0]);
  x.has_shape = true;
  x.dims = {{-1, "batch"}, {3, ""}, {-1, ""}};
  EXPECT_THAT(Advice(CheckProvider(graph)),
              ElementsAre(HasSubstr("--input-shapes x:batch,3,? with a number for each name or ?")));
}

TEST(Provider, QuantizedWeightsAreSymmetric) {
  const auto why = [](int8_t zero) {
    Chain chain(13);
    const Tensor scale = Tensor::Of<float>({}, {0.5f}), zeros = Tensor::Of<int8_t>({2}, {0, zero});
    chain.Then("QuantizeLinear", {}, {scale, Tensor::Of<int8_t>({}, {3})})
        .Then("DequantizeLinear", {}, {scale, Tensor::Of<int8_t>({}, {3})});
    Graph& graph = chain.graph;
    const ValueId weight = graph.AddValue("weight");
    graph.AddNode(
        "DequantizeLinear", "w",
        {graph.AddConstant("codes", Tensor::Of<int8_t>({2, 2}, {1, 2, 3, 4})),
         graph.AddConstant("scales", Tensor::Of<float>({2}, {1, 2})), graph.AddConstant("zeros", zeros)},
        {weight}, {{"axis", Attribute::Int(1)}});
    const ValueId y = graph.AddValue("y");
    graph.AddNode("MatMul", "m", {chain.last, weight}, {y});
    chain.last = y;
    return chain.Why();
  };
  EXPECT_EQ(why(0), "");
  EXPECT_EQ(why(1), "its weight has zero points");
}

TEST(Provider, LooksIntoCalls) {
  Chain chain(13);
  auto function = std::make_shared<Function>();
  function->domain = "local";
  function->name = "F";
  function->body.opset_imports[""] = 13;
  const ValueId in = function->body.AddValue("in"), out = function->body.AddValue("out");
  function->body.AddInput(in);
  function->body.AddNode("Round", "r", {in}, {out});
  function->body.AddOutput(out);
  chain.graph.functions.push_back(function);
  chain.Then("F", {}, {}, "local");
  EXPECT_EQ(chain.Why(), "not among its operators");
  EXPECT_THAT(Reasons(CheckProvider(chain.graph)), ElementsAre(HasSubstr("1 Round")));
}

TEST(Provider, RowsAreOperatorsOfOnnx) {
  for (const ProviderRow& row : ProviderRows()) {
    if (*row.domain != '\0') continue;
    EXPECT_NE(opset::FindSignature(row.op_type, 24), nullptr) << row.op_type;
    EXPECT_GE(row.newest, opset::FirstOpset(row.op_type)) << row.op_type;
  }
}

TEST(Provider, EverythingTakenSaysNothing) {
  const ProviderCheck check = CheckProvider(Chain(13).Then("Relu").graph);
  EXPECT_EQ(check.operators, 1);
  EXPECT_THAT(Reasons(check), IsEmpty());
  EXPECT_THAT(Advice(check), IsEmpty());
}

}  // namespace
}  // namespace xslim
