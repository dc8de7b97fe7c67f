#include "quant/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "quant/named_tensors.h"
#include "small_graph.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

//   x -> c1 -> c2 -> c3 -> y(Concat) ; c1 -> side -> y ; c2 -> other (an output)
class ChoicesTest : public ::testing::Test {
 protected:
  ChoicesTest() {
    config_.source = "c.json";
    model_.Conv("c1", "x");
    model_.Conv("c2", "c1");
    model_.Conv("c3", "c2");
    model_.Conv("side", "c1");
    model_.Op("Concat", "y", {"c3", "side"}, {{"axis", Attribute::Int(1)}});
    model_.Output("y");
  }

  Choices Make() {
    NamedTensors named(config_, &model_.graph);
    named.Release(&model_.graph);
    return MakeChoices(model_.graph, named, config_);
  }

  std::string Failure() {
    try {
      Make();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  void Custom(std::vector<std::string> from, std::vector<std::string> to, std::optional<int> level,
              std::optional<double> percentile = {}) {
    CustomSetting entry;
    entry.input_names = std::move(from);
    entry.output_names = std::move(to);
    entry.precision_level = level;
    entry.max_percentile = percentile;
    config_.quantization.custom_setting.push_back(entry);
  }

  std::set<std::string> Float(const Choices& choices) const {
    std::set<std::string> names;
    for (const auto& [id, why] : choices.stay_float) names.insert(model_.graph.node(id).name);
    return names;
  }

  SmallGraph model_;
  Config config_;
};

TEST_F(ChoicesTest, ASubgraphRunsFromItsInputsToItsOutputs) {
  Custom({"c1"}, {"c3", "side"}, 3);
  const Choices choices = Make();
  EXPECT_THAT(Float(choices), UnorderedElementsAre("c2", "c3", "side"));
  EXPECT_THAT(choices.stay_float.at(model_.Node("c2")), HasSubstr("custom_setting[0]: precision_level 3"));
}

// As around a residual: `side` reads c1, too, and does not lead to c3.
TEST_F(ChoicesTest, WhatDoesNotLeadToAnOutputIsOutside) {
  Custom({"c1"}, {"c3"}, 3);
  EXPECT_THAT(Float(Make()), UnorderedElementsAre("c2", "c3"));
}

TEST_F(ChoicesTest, TheLaterOfOverlappingEntriesCountsSettingBySetting) {
  Custom({"x"}, {"y"}, 3, 0.99);
  Custom({"c1"}, {"c2", "side"}, 2);
  const Choices choices = Make();
  EXPECT_THAT(Float(choices), UnorderedElementsAre("c1", "c3", "y"));
  EXPECT_EQ(choices.Of(model_.Node("c2")).precision_level, 2);
  EXPECT_EQ(choices.Of(model_.Node("c2")).max_percentile, 0.99);
  EXPECT_FALSE(choices.Of(model_.Node("c2")).calibration_type.has_value());
}

TEST_F(ChoicesTest, NamesThatAreNotThereAreErrorsWithPathAndNeighbour) {
  Custom({"c1"}, {"sidee"}, 3);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("c.json: quantization_parameters.custom_setting[0].output_names"),
                               HasSubstr("the model has no tensor sidee"), HasSubstr("did you mean side?")));
  config_.quantization.custom_setting.clear();
  config_.quantization.truncate_var_names = {"c33"};
  EXPECT_THAT(Failure(),
              AllOf(HasSubstr("c.json: quantization_parameters.truncate_var_names"),
                    HasSubstr("The incoming truncate_var_names contains non-existent tensor names: c33"),
                    HasSubstr("did you mean c3?")));
}

TEST_F(ChoicesTest, AnOperatorsNameIsToldFromATensors) {
  const ValueId negated = model_.graph.AddValue("negated", DType::kFloat);
  model_.graph.AddNode("Neg", "negate", {model_.graph.Find("c2")}, {negated});
  config_.quantization.truncate_var_names = {"negate"};
  EXPECT_THAT(Failure(), HasSubstr("that is an operator (Neg); its output is negated"));
}

TEST_F(ChoicesTest, AnOutputThatIsNotReachedIsAnError) {
  Custom({"c2"}, {"side"}, 3);
  EXPECT_THAT(Failure(), AllOf(HasSubstr("custom_setting[0].output_names"),
                               HasSubstr("tensor side cannot be reached from input_names")));
}

TEST_F(ChoicesTest, ConstantsAmongTheInputsSayNothing) {
  const std::string weight = model_.graph.value(model_.graph.node(model_.Node("c3")).input(1)).name;
  Custom({"c1", weight}, {"c2", "side"}, 3);
  EXPECT_THAT(Float(Make()), UnorderedElementsAre("c2", "side"));
}

TEST_F(ChoicesTest, BelowACutEverythingStaysFloat) {
  config_.quantization.truncate_var_names = {"c3", "side"};
  EXPECT_THAT(Float(Make()), UnorderedElementsAre("y"));
  // One of two heads that meet again: the other one counts as below.
  config_.quantization.truncate_var_names = {"c3"};
  EXPECT_THAT(Float(Make()), UnorderedElementsAre("side", "y"));
  config_.quantization.truncate_var_names = {"y"};
  EXPECT_THAT(Float(Make()), UnorderedElementsAre());
}

TEST_F(ChoicesTest, ACutThatDoesNotDivideTheGraphSaysWhy) {
  config_.quantization.truncate_var_names = {"c2", "c3"};
  EXPECT_THAT(Failure(), AllOf(HasSubstr("truncate graph failed."), HasSubstr("tensor c2 lies above"),
                               HasSubstr("c3[Conv]")));
  config_.quantization.truncate_var_names = {"x"};
  EXPECT_THAT(Failure(), AllOf(HasSubstr("truncate graph failed."), HasSubstr("an input of the model")));
  model_.Conv("alone", "c2");
  model_.Output("alone");
  config_.quantization.truncate_var_names = {"y"};
  EXPECT_THAT(Failure(), AllOf(HasSubstr("truncate graph failed."),
                               HasSubstr("alone[Conv] lies neither above nor below"),
                               HasSubstr("the model's output alone")));
  config_.quantization.truncate_var_names = {"y", "alone"};
  EXPECT_EQ(Failure(), "");
}

TEST(NamedTensors, AreOutputsUntilReleased) {
  SmallGraph model;
  model.Conv("c1", "x");
  model.Conv("c2", "c1");
  model.Output("c2");
  Config config;
  config.quantization.truncate_var_names = {"c1", "c2", "x"};
  NamedTensors named(config, &model.graph);
  EXPECT_EQ(model.graph.outputs().size(), 2u);
  named.Release(&model.graph);
  EXPECT_EQ(model.graph.outputs(), std::vector<ValueId>{model.graph.Find("c2")});
  EXPECT_FALSE(model.graph.value(model.graph.Find("c1")).is_output);
  EXPECT_EQ(named.Of("c1"), model.graph.Find("c1"));
  EXPECT_EQ(named.Of("x"), model.graph.Find("x"));
}

TEST(NamedTensors, ConstantsAreLeftToTheSimplifier) {
  SmallGraph model;
  model.Op("Constant", "k", {}, {{"value", Attribute::OfTensor(Tensor::Scalar<float>(2.0f))}});
  model.Op("Mul", "y", {"x", "k"});
  model.Output("y");
  Config config;
  config.quantization.custom_setting.push_back({{"x", "k"}, {"y"}, {}, {}, {}});
  NamedTensors named(config, &model.graph);
  EXPECT_EQ(model.graph.outputs().size(), 1u);
  named.Release(&model.graph);
  EXPECT_EQ(named.Of("k"), kNone);
}

TEST(NamedTensors, ABatchNormalizationBelongsToItsConv) {
  SmallGraph model;
  model.Conv("c1", "x");
  const std::string k = model.Constant({4});
  model.Op("BatchNormalization", "bn", {"c1", k, k, k, k});
  model.Op("Relu", "y", {"bn"});
  model.Output("y");
  Config config;
  config.quantization.truncate_var_names = {"c1"};
  NamedTensors named(config, &model.graph);
  EXPECT_TRUE(model.graph.value(model.graph.Find("bn")).is_output);
  named.Release(&model.graph);
  EXPECT_EQ(named.Of("c1"), model.graph.Find("bn"));
}

}  // namespace
}  // namespace xslim
