#include "pipeline/branches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "quant/bodies.h"
#include "runtime/executor.h"
#include "small_run.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ValueId Product(Graph* graph, const std::string& name, ValueId x, ValueId weight) {
  const ValueId out = graph->AddValue(name, DType::kFloat);
  graph->AddNode("Gemm", name + "_gemm", {x, weight}, {out});
  return out;
}

// y = Gemm(x) + (max(x) > 0 ? Gemm(Relu(Gemm(x, w of outside))) : Gemm(x)); all samples take the first.
class BranchesTest : public SmallRun {
 protected:
  BranchesTest() {
    Graph graph;
    graph.opset_imports[""] = 13;
    const auto value = [&](const char* name, DType dtype = DType::kFloat) {
      return graph.AddValue(name, dtype);
    };
    const ValueId x = value("x"), most = value("most"), positive = value("positive", DType::kBool),
                  chosen = value("chosen"), y = value("y");
    graph.value(x).has_shape = true;
    graph.value(x).dims = {{2, ""}, {8, ""}};
    graph.AddInput(x);
    graph.AddConstant("outside", Noise({8, 8}, 1));
    const ValueId product = Product(&graph, "product", x, graph.AddConstant("w", Noise({8, 8}, 2)));
    graph.AddNode("ReduceMax", "max", {x}, {most}, {{"keepdims", Attribute::Int(0)}});
    graph.AddNode("Greater", "compare", {most, graph.AddConstant("zero", Tensor::Scalar(0.0f))}, {positive});
    std::map<std::string, Attribute> bodies;
    for (const char* key : {"then_branch", "else_branch"}) {
      Attribute& attribute = bodies[key];
      attribute.kind = Attribute::Kind::kGraph;
      attribute.graph = std::make_shared<Graph>();
      Graph& body = *attribute.graph;
      body.opset_imports = graph.opset_imports;
      const ValueId read = body.AddValue("x", DType::kFloat);
      const std::string prefix = key;
      if (prefix == "then_branch") {
        const ValueId hidden = Product(&body, "hidden", read, body.AddValue("outside", DType::kFloat)),
                      relu = body.AddValue("relu", DType::kFloat);
        body.AddNode("Relu", "relu_node", {hidden}, {relu});
        body.AddOutput(Product(&body, "then_out", relu, body.AddConstant("w_then", Noise({8, 8}, 3))));
      } else {
        body.AddOutput(Product(&body, "else_out", read, body.AddConstant("w_else", Noise({8, 8}, 4))));
      }
    }
    graph.AddNode("If", "choose", {positive}, {chosen}, bodies);
    graph.AddNode("Add", "sum", {product, chosen}, {y});
    graph.AddOutput(y);
    SaveModel(graph, At("m.onnx"));
  }

  static int CountOf(const Graph& graph, const char* type) {
    int count = 0;
    for (NodeId id : graph.Order()) count += graph.node(id).Is(type);
    return count;
  }

  // Of the graph's only If.
  static Graph Body(const Graph& graph, const char* key) {
    for (NodeId id : graph.Order()) {
      if (graph.node(id).Is("If")) return *graph.node(id).attributes.at(key).graph;
    }
    return {};
  }
  static Graph Then(const Graph& graph) { return Body(graph, "then_branch"); }

  static NodeId NodeNamed(const Graph& graph, const std::string& name) {
    for (NodeId id : graph.Order()) {
      if (graph.node(id).name == name) return id;
    }
    return kNone;
  }

  // In the model's file.
  void ChangeThen(const std::function<void(Graph*)>& change) const {
    Graph graph = LoadModel(At("m.onnx"));
    const NodeId holder = NodeNamed(graph, "choose");
    std::map<std::string, Attribute> attributes = graph.node(holder).attributes;
    auto body = std::make_shared<Graph>(*attributes.at("then_branch").graph);
    change(body.get());
    attributes.at("then_branch").graph = body;
    attributes.at("then_branch").source.clear();
    graph.SetAttributes(holder, attributes);
    graph.opset_imports["test.custom"] = 1;
    SaveModel(graph, At("m.onnx"));
  }

  static double NoiseOf(const Tensor& got, const Tensor& want) {
    double noise = 0, signal = 0;
    for (int64_t i = 0; i < want.size(); ++i) {
      const double w = want.data<float>()[i], d = got.data<float>()[i] - w;
      noise += d * d;
      signal += w * w;
    }
    return noise / (signal + 1e-7);
  }
};

TEST_F(BranchesTest, TheBranchThatSamplesTakeIsInt8) {
  for (int level : {0, 1}) {
    config_.quantization.finetune_level = level;
    const RunResult result = xslim::Run(config_, options_);
    EXPECT_LT(result.outputs.at(0).snr, 0.01);
    EXPECT_THAT(ReadFile(result.report_path),
                HasSubstr("else_branch stays float: no calibration sample takes it"));
    const Graph written = LoadModel(result.model_path);
    for (NodeId id : written.Order()) {
      const Node& node = written.node(id);
      if (!node.Is("If")) continue;
      const Graph& then = *node.attributes.at("then_branch").graph;
      EXPECT_GE(CountOf(then, "QuantizeLinear"), 3);
      EXPECT_GE(CountOf(then, "DequantizeLinear"), 5);  // weights, too
      // The float weight of outside is read no more.
      EXPECT_THAT(then.FreeNames(), ElementsAre("x"));
      EXPECT_EQ(CountOf(*node.attributes.at("else_branch").graph, "QuantizeLinear"), 0);
      // Both graphs have a pair behind x; the names of one do not hide those of the other.
      for (size_t i = 0; i < then.value_slots(); ++i) {
        const Value& value = then.value(static_cast<ValueId>(i));
        if (value.id == kNone || !IsDefined(value)) continue;
        EXPECT_EQ(written.Find(value.name), kNone) << value.name;
      }
    }
    EXPECT_GE(CountOf(written, "QuantizeLinear"), 2);
  }
}

TEST_F(BranchesTest, IgnoredOperatorsStayFloatInBranches) {
  config_.quantization.ignore_op_types = {"Gemm"};
  const RunResult result = xslim::Run(config_, options_);
  EXPECT_EQ(result.outputs.at(0).snr, 0);
}

TEST_F(BranchesTest, AFloatWeightThatNoBranchReadsAnyMoreIsGone) {
  const Graph written = LoadModel(xslim::Run(config_, options_).model_path);
  EXPECT_EQ(written.Find("outside"), kNone);
}

TEST_F(BranchesTest, TheReportCountsThem) {
  const RunResult result = xslim::Run(config_, options_);
  const std::string report = ReadFile(result.report_path);
  EXPECT_THAT(report, HasSubstr("Computing operators in int8: 3 of 4, in branches 2 of 3"));
  EXPECT_THAT(report, HasSubstr("Tensors with Q/DQ: 7 activations, 3 constants"));
  const std::string verdict = ReadFile(result.verdict_path);
  EXPECT_THAT(verdict,
              HasSubstr(R"({"branch": "choose[If] then_branch", "computing": 2, "int8_computing": 2})"));
  EXPECT_THAT(verdict, HasSubstr(R"("operator": "choose[If] else_branch")"));
}

TEST_F(BranchesTest, AnIfThatTheConfigKeepsFloatKeepsItsBranchesFloat) {
  for (const auto& [key, why] :
       std::map<std::string, std::string>{{"types", "ignore_op_types"},
                                          {"names", "ignore_op_names"},
                                          {"truncate", "below truncate_var_names (product)"},
                                          {"custom", "custom_setting[0]: precision_level 3"}}) {
    config_.quantization = QuantizationParameters();
    config_.quantization.finetune_level = 0;
    if (key == "types") config_.quantization.ignore_op_types = {"If"};
    if (key == "names") config_.quantization.ignore_op_names = {"choose"};
    if (key == "truncate") config_.quantization.truncate_var_names = {"product"};
    if (key == "custom") {
      CustomSetting entry;
      entry.input_names = {"positive"};
      entry.output_names = {"chosen"};
      entry.precision_level = kPrecisionDynamic;
      config_.quantization.custom_setting = {entry};
    }
    const RunResult result = xslim::Run(config_, options_);
    EXPECT_EQ(CountOf(Then(LoadModel(result.model_path)), "QuantizeLinear"), 0) << key;
    EXPECT_THAT(ReadFile(result.report_path),
                HasSubstr("choose[If] then_branch, choose[If] else_branch stay float: " + why));
  }
}

TEST_F(BranchesTest, TheCustomSettingOfAnIfCountsInItsBranches) {
  CustomSetting entry;
  entry.input_names = {"positive"};
  entry.output_names = {"chosen"};
  entry.calibration_type = CalibrationType::kPercentile;
  entry.max_percentile = 0.7;
  config_.calibration.calibration_type = CalibrationType::kMinMax;
  const auto scale = [&] {
    const Graph then = Then(LoadModel(xslim::Run(config_, options_).model_path));
    return then.Constant(then.Find("then_out_scale"))->data<float>()[0];
  };
  const float whole = scale();
  config_.quantization.custom_setting = {entry};
  EXPECT_LT(scale(), 0.8f * whole);
}

TEST_F(BranchesTest, NoMessageSaysThatIgnoredOperatorsInThemAreFloatAnyway) {
  config_.quantization.ignore_op_names = {"hidden_gemm", "choose", "max"};
  SetupLogging(LogLevel::kError, At("log.txt"));
  xslim::Run(config_, options_);
  SetupLogging(LogLevel::kError, "");
  const std::string log = ReadFile(At("log.txt"));
  EXPECT_THAT(log, HasSubstr("\"max\" matches only operators that stay float anyway"));
  EXPECT_THAT(log, Not(HasSubstr("\"hidden_gemm\" matches")));
  EXPECT_THAT(log, Not(HasSubstr("\"choose\" matches")));
}

TEST_F(BranchesTest, AutoPrecisionMeasuresWhatIsWritten) {
  config_.quantization.protect_fragile = false;
  for (const double target : {0.01, 1e-6}) {
    config_.quantization.auto_precision = target;
    const RunResult result = xslim::Run(config_, options_);
    const std::string path = At("kept.onnx");
    std::filesystem::copy_file(result.model_path, path, std::filesystem::copy_options::overwrite_existing);
    const Graph written = LoadModel(path), original = LoadModel(At("m.onnx"));
    ThreadPool pool(1);
    Executor as_written(written, pool), as_read(original, pool);
    double sum = 0;
    for (uint64_t i = 0; i < 6; ++i) {
      const std::vector<Tensor> sample = {Noise({2, 8}, 10 + i)};
      sum += NoiseOf(as_written.Run(sample)[0], as_read.Run(sample)[0]) / 6;
    }
    EXPECT_NEAR(result.outputs.at(0).snr, sum, 1e-3 * sum + 1e-12);
    const bool int8 = CountOf(Then(written), "QuantizeLinear") > 0;
    EXPECT_EQ(int8, target == 0.01);
    const std::string report = ReadFile(result.report_path);
    if (!int8) {
      EXPECT_THAT(report, HasSubstr("then_branch stays float: auto_precision: with it in int8"));
    }
  }
}

TEST_F(BranchesTest, AConstantConditionTakesItsBranch) {
  Graph graph = LoadModel(At("m.onnx"));
  Tensor truth(DType::kBool, {});
  *truth.data<bool>() = true;
  for (NodeId id : graph.Order()) {
    if (graph.node(id).Is("If")) graph.SetInput(id, 0, graph.AddConstant("always", truth));
  }
  graph.RemoveDead();
  SaveModel(graph, At("m.onnx"));
  config_.model.skip_onnxsim = true;
  EXPECT_GE(CountOf(Then(LoadModel(xslim::Run(config_, options_).model_path)), "QuantizeLinear"), 3);
}

TEST_F(BranchesTest, WhatReadsASequenceSaysSo) {
  Graph graph = LoadModel(At("m.onnx"));
  const ValueId x = graph.Find("x"), list = graph.AddValue("list");
  graph.AddNode("SequenceConstruct", "make_list", {x}, {list});
  SaveModel(graph, At("m.onnx"));
  ChangeThen([](Graph* body) {
    const ValueId element = body->AddValue("element", DType::kFloat),
                  first = body->AddConstant("first", Tensor::Scalar<int64_t>(0));
    body->AddNode("SequenceAt", "pick", {body->AddValue("list"), first}, {element});
    body->SetInput(NodeNamed(*body, "hidden_gemm"), 0, element);
  });
  EXPECT_THAT(ReadFile(xslim::Run(config_, options_).report_path),
              HasSubstr("then_branch stays float: it depends on list, which is a sequence"));
}

TEST_F(BranchesTest, AnUnknownOperatorElsewhereLeavesThemInt8) {
  Graph graph = LoadModel(At("m.onnx"));
  const ValueId strange = graph.AddValue("strange", DType::kFloat);
  graph.AddNode("Strange", "strange_node", {graph.Find("product")}, {strange}, {}, "test.custom");
  graph.opset_imports["test.custom"] = 1;
  graph.AddOutput(strange);
  SaveModel(graph, At("m.onnx"));
  EXPECT_GE(CountOf(Then(LoadModel(xslim::Run(config_, options_).model_path)), "QuantizeLinear"), 3);
}

TEST_F(BranchesTest, AnUnknownOperatorInOneKeepsItFloat) {
  ChangeThen([](Graph* body) {
    const ValueId strange = body->AddValue("strange", DType::kFloat);
    body->AddNode("Strange", "strange_node", {body->Find("x")}, {strange}, {}, "test.custom");
    body->SetInput(NodeNamed(*body, "hidden_gemm"), 0, strange);
  });
  EXPECT_THAT(ReadFile(xslim::Run(config_, options_).report_path),
              HasSubstr("then_branch stays float: it holds operator Strange (test.custom, version 1) that "
                        "is not known"));
}

// The branch that is taken holds another If, in which all samples take the first branch, too.
class NestedBranchesTest : public BranchesTest {
 protected:
  NestedBranchesTest() {
    Graph graph = LoadModel(At("m.onnx"));
    graph.AddConstant("bias", Noise({8}, 5));
    SaveModel(graph, At("m.onnx"));
    ChangeThen([](Graph* middle) {
      middle->SetInput(NodeNamed(*middle, "hidden_gemm"), 2, middle->AddValue("bias"));
      std::map<std::string, Attribute> bodies;
      for (const char* key : {"then_branch", "else_branch"}) {
        bodies[key].kind = Attribute::Kind::kGraph;
        auto inner = std::make_shared<Graph>();
        inner->opset_imports = middle->opset_imports;
        const ValueId read = inner->AddValue("x", DType::kFloat), weight = inner->AddValue("outside"),
                      out = inner->AddValue(std::string("inner_") + key, DType::kFloat);
        inner->AddNode("Gemm", std::string("inner_gemm_") + key, {read, weight, inner->AddValue("bias")},
                       {out});
        inner->AddOutput(out);
        bodies[key].graph = inner;
      }
      const ValueId last = middle->outputs()[0], chosen = middle->AddValue("inner_chosen", DType::kFloat),
                    sum = middle->AddValue("middle_sum", DType::kFloat);
      middle->AddNode("If", "choose_again", {middle->AddValue("positive", DType::kBool)}, {chosen}, bodies);
      middle->AddNode("Add", "middle_add", {last, chosen}, {sum});
      middle->RemoveOutput(last);
      middle->AddOutput(sum);
    });
  }

  // Names that a graph and the graphs in it define.
  static void Define(const Graph& graph, std::vector<std::string>* names) {
    for (size_t i = 0; i < graph.value_slots(); ++i) {
      const Value& value = graph.value(static_cast<ValueId>(i));
      if (value.id != kNone && IsDefined(value)) names->push_back(value.name);
    }
    for (NodeId id : graph.Order()) {
      for (const auto& [key, attribute] : graph.node(id).attributes) {
        if (attribute.graph) Define(*attribute.graph, names);
      }
    }
  }
};

TEST_F(NestedBranchesTest, NoNameHidesAnother) {
  for (int level : {0, 1}) {
    config_.quantization.finetune_level = level;
    const RunResult result = xslim::Run(config_, options_);
    EXPECT_LT(result.outputs.at(0).snr, 0.01);
    const Graph written = LoadModel(result.model_path);
    const Graph then = Then(written), inner = Then(then);
    EXPECT_GE(CountOf(then, "QuantizeLinear"), 3);
    EXPECT_GE(CountOf(inner, "QuantizeLinear"), 2);
    std::vector<std::string> names;
    Define(written, &names);
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
    // Biases have moved in the middle and in the inner branch; the one that stays float reads the first.
    EXPECT_THAT(Body(then, "else_branch").FreeNames(), ElementsAre("bias", "outside", "x"));
    EXPECT_TRUE(written.Constant(written.Find("bias"))->SameBytes(Noise({8}, 5)));
    EXPECT_EQ(std::count(names.begin(), names.end(), "bias_1"), 1);
  }
}

TEST_F(NestedBranchesTest, AMiddleBranchWithoutInt8KeepsWhatIsInIt) {
  config_.quantization.ignore_op_names = {"hidden_gemm", "then_out_gemm"};
  const Graph then = Then(LoadModel(xslim::Run(config_, options_).model_path));
  EXPECT_EQ(CountOf(then, "QuantizeLinear"), 0);
  EXPECT_GE(CountOf(Then(then), "QuantizeLinear"), 2);
}

}  // namespace
}  // namespace xslim
