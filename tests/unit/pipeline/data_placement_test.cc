#include "pipeline/data_placement.h"

#include <gmock/gmock.h>

#include "calibrate/uneven.h"
#include "fragile_model.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DataPlacementTest : public FragileModel {
 protected:
  DataPlacementTest() { Place(); }

  void Place() {
    choices_ = {};
    plan_ = PlacePlan(graph_, *facts_, config_.quantization, choices_);
    choices_.placed = plan_.nodes;
    statistics_ = Observe(plan_).statistics;
    passes_ = 0;
    placement_ = std::make_unique<DataPlacement>(
        graph_, *facts_, config_, &statistics_,
        [this](const QuantPlan& missing) { return Observe(missing).statistics; }, pool_, &choices_, &plan_);
  }
  void LeaveFragile() {
    std::vector<Sample> samples;
    for (int64_t i : {0, 1, 2}) samples.push_back(source_.at(i));
    placement_->LeaveFragile(parts_, samples, [](int64_t, int64_t) {});
  }
  void ExpectRanges(const QuantPlan& plan) const {
    for (const auto& [id, quant] : plan.activations) EXPECT_TRUE(quant.params.set()) << graph_.value(id).name;
  }

  Choices choices_;
  QuantPlan plan_;
  StatisticsMap statistics_;
  std::unique_ptr<DataPlacement> placement_;
};

TEST_F(DataPlacementTest, FragileOperatorsJoinUnevenOnes) {
  placement_->LeaveUneven();
  ASSERT_EQ(choices_.float_by_data.size(), 1u);
  EXPECT_THAT(plan_.left_float.at(NodeOf("joined")), HasSubstr("ranges differ"));
  placement_->SetRanges();
  LeaveFragile();
  EXPECT_EQ(choices_.float_by_data.size(), 2u);
  EXPECT_THAT(plan_.left_float.at(NodeOf("joined")), HasSubstr("ranges differ"));
  EXPECT_THAT(plan_.left_float.at(NodeOf("sum")), HasSubstr("fragile: in int8 it takes"));
  EXPECT_THAT(plan_.left_float.at(NodeOf("scaled")), HasSubstr("what lies before it stays float"));
  EXPECT_EQ(plan_.nodes, (std::set<NodeId>{NodeOf("first"), NodeOf("y"), NodeOf("z")}));
  EXPECT_TRUE(plan_.bare.count(graph_.Find("first")));
  ExpectRanges(plan_);
}

// What levels off shows no noise for these samples, but the products in front of it do.
TEST_F(DataPlacementTest, SignsAreLookedForInFrontOfFunctions) {
  using Signs = DataPlacement::Signs;
  const auto signs = [&] {
    std::vector<Sample> samples;
    for (int64_t i : {0, 1, 2}) samples.push_back(source_.at(i));
    Place();
    placement_->SetRanges();
    return placement_->LookForSigns(parts_, samples);
  };
  EXPECT_EQ(signs(), Signs::kSome);
  graph_.RemoveOutput(graph_.Find("joined"));
  const ValueId flat = Op("Tanh", "flat", {graph_.Find("y")});
  const ValueId small = Op("Mul", "small_part", {flat, graph_.AddConstant("tiny", Tensor::Scalar(1e-3f))});
  const ValueId sure = Op("Add", "sure", {small, graph_.AddConstant("much", Tensor::Scalar(1.0f))});
  graph_.AddOutput(sure);
  facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
  parts_ = FindOutputParts(graph_, *facts_, pool_);
  EXPECT_EQ(signs(), Signs::kHidden);
  graph_.SetConstant(graph_.Find("big"), Tensor::Of<float>({16}, std::vector<float>(16, 0.5f)));
  EXPECT_EQ(signs(), Signs::kNone);
}

// The data may hold nothing that a detector is sure of.
TEST_F(DataPlacementTest, ScoresGetRoom) {
  graph_.SetConstant(graph_.Find("w1"), Noise({16, 16}, 1, 0.1f));
  const ValueId first = graph_.Find("first");
  const ValueId scores = Op("Sigmoid", "scores", {first});
  graph_.AddOutput(scores);
  facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
  for (const bool visible_ranges : {false, true}) {
    config_.quantization.visible_ranges = visible_ranges;
    Place();
    placement_->SetRanges();
    const ActivationQuant& logits = plan_.activations.at(first);
    EXPECT_LT(statistics_.at(first).max(), 2);
    EXPECT_EQ(logits.hi > 2.9f, visible_ranges);
    EXPECT_EQ(logits.why.find("room") != std::string::npos, visible_ranges);
    EXPECT_GT(logits.lo, -2);
    EXPECT_LT(statistics_.at(scores).max(), 0.9f);
    EXPECT_EQ(plan_.activations.at(scores).hi > 0.94f, visible_ranges);
  }
}

TEST_F(DataPlacementTest, ProductsOfScoresGetRoom) {
  graph_.SetConstant(graph_.Find("w1"), Noise({16, 16}, 1, 1.5f));
  const ValueId first = graph_.Find("first");
  const ValueId there = Op("Sigmoid", "there", {first}), what = Op("Sigmoid", "what", {first});
  const ValueId scores = Op("Mul", "scores", {there, what}), gated = Op("Mul", "gated", {first, there});
  graph_.AddOutput(scores);
  facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
  Place();
  placement_->SetRanges();
  for (ValueId id : {there, what, scores}) {
    ASSERT_TRUE(plan_.activations.count(id));
    EXPECT_GT(statistics_.at(id).max(), kMostSmallScore) << graph_.value(id).name;
    EXPECT_LT(statistics_.at(id).max(), 0.93f) << graph_.value(id).name;
    EXPECT_GT(plan_.activations.at(id).hi, 0.94f) << graph_.value(id).name;
  }
  EXPECT_TRUE(MakesScores(graph_, *graph_.Producer(scores)));
  EXPECT_FALSE(MakesScores(graph_, *graph_.Producer(gated)));
}

// One more pass over the data serves all placements that are tried.
TEST_F(DataPlacementTest, FragileOperatorsTakeOnePassMore) {
  config_.quantization.placement = Placement::kFused;  // tensors inside units have no statistics so far
  Place();
  placement_->LeaveUneven();
  placement_->SetRanges();
  EXPECT_EQ(passes_, 0);
  const std::map<ValueId, ActivationQuant> before = plan_.activations;
  LeaveFragile();
  EXPECT_EQ(passes_, 1);
  const QuantPlan spare = placement_->Spare();
  EXPECT_EQ(passes_, 1);
  ExpectRanges(spare);
  for (const auto& [id, quant] : plan_.activations) {
    if (before.count(id)) {
      EXPECT_EQ(quant.params.scale, before.at(id).params.scale) << graph_.value(id).name;
    }
  }
}

TEST_F(DataPlacementTest, WhatIsNotFragileStays) {
  placement_->LeaveUneven();
  graph_.SetConstant(graph_.Find("big"), Tensor::Of<float>({16}, std::vector<float>(16, 0.5f)));
  Place();
  placement_->LeaveUneven();
  placement_->SetRanges();
  LeaveFragile();
  EXPECT_EQ(choices_.float_by_data.size(), 1u);
  EXPECT_THAT(plan_.bare, IsEmpty());
  EXPECT_EQ(passes_, 0);
}

// What counts is the difference of channels that are nearly alike: 512 multiply-adds make it, in front of 32
// for each of `width`.
class ProductPlacementTest : public DataPlacementTest {
 protected:
  void LeaveProducts(int64_t width) {
    source_.MakeAlike();
    graph_ = Graph();
    graph_.opset_imports[""] = 13;
    const ValueId x = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x);
    const ValueId difference =
        Op("MatMul", "difference", {x, graph_.AddConstant("w1", DifferenceWeights(1000))});
    const ValueId square = Op("Mul", "square", {difference, difference});
    graph_.AddOutput(Op("MatMul", "wide", {square, graph_.AddConstant("w2", Noise({8, width}, 2))}));
    facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
    parts_ = FindOutputParts(graph_, *facts_, pool_);
    Place();
    placement_->SetRanges();
    LeaveFragile();
  }
};

TEST_F(ProductPlacementTest, ThoseWithFewMultiplyAddsBecomeFloat) {
  LeaveProducts(2000);
  EXPECT_EQ(plan_.nodes, std::set<NodeId>{NodeOf("wide")});
  EXPECT_THAT(plan_.left_float.at(NodeOf("difference")),
              HasSubstr("fragile: in int8 it takes an output's noise/signal from"));
  EXPECT_EQ(choices_.float_by_data.at(NodeOf("difference")), plan_.left_float.at(NodeOf("difference")));
  EXPECT_THAT(placement_->notes(), IsEmpty());
  ExpectRanges(plan_);
}

TEST_F(ProductPlacementTest, OfOthersAPrecisionThatHelpsIsSaid) {
  LeaveProducts(300);
  EXPECT_THAT(choices_.float_by_data, IsEmpty());
  EXPECT_TRUE(plan_.nodes.count(NodeOf("difference")));
  EXPECT_THAT(placement_->notes(), ElementsAre(HasSubstr("precision_level 1")));
}

TEST_F(ProductPlacementTest, ATargetChoosesThemItself) {
  config_.quantization.precision_level = 1;
  LeaveProducts(2000);
  EXPECT_TRUE(plan_.nodes.count(NodeOf("difference")));
  EXPECT_THAT(placement_->notes(), IsEmpty());
}

// Of a setting for a part of the graph, in whatever placement a tensor gets its pair.
TEST_F(DataPlacementTest, SpareTensorsHaveTheirOwnCalibrationType) {
  config_.quantization.placement = Placement::kFused;
  choices_ = {};
  choices_.settings[NodeOf("first")].calibration_type = CalibrationType::kMinMax;
  plan_ = PlacePlan(graph_, *facts_, config_.quantization, choices_);
  choices_.placed = plan_.nodes;
  const QuantPlan spare = placement_->Spare();
  const ValueId first = graph_.Find("first");  // inside a unit
  EXPECT_EQ(spare.activations.at(first).calibration_type, CalibrationType::kMinMax);
  EXPECT_EQ(spare.activations.at(first).why, "minmax");
}

// Besides, a Softmax behind the fragile Add and one behind a MatMul, each with a Transpose and a MatMul
// behind.
class SoftmaxPlacementTest : public DataPlacementTest {
 protected:
  SoftmaxPlacementTest() {
    const ValueId factor =
        graph_.AddConstant("factor", Tensor::Of<float>({16}, std::vector<float>(16, 0.001f)));
    Attend("1", Op("Mul", "scores1", {graph_.Find("sum"), factor}));
    const ValueId weight = graph_.AddConstant("w4", Noise({16, 16}, 4, 0.3f));
    Attend("2", Op("MatMul", "scores2", {graph_.Find("x"), weight}));
    facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
    parts_ = FindOutputParts(graph_, *facts_, pool_);
    Place();
  }

  void Attend(const std::string& suffix, ValueId scores) {
    const ValueId softmax = Op("Softmax", "softmax" + suffix, {scores}, {{"axis", Attribute::Int(1)}});
    const ValueId p = Op("Transpose", "p" + suffix, {softmax}, {{"perm", Attribute::Ints({1, 0})}});
    graph_.AddOutput(
        Op("MatMul", "mixed" + suffix, {p, graph_.AddConstant("v" + suffix, Noise({4, 16}, 5))}));
  }
  void ExpectRoom(const QuantPlan& plan, const char* name, bool room) {
    SCOPED_TRACE(name);
    const ValueId id = graph_.Find(name);
    ASSERT_EQ(plan.activations.count(id), 1u);
    const float most = statistics_.at(id).max();
    ASSERT_LT(most, 0.6f);
    const ActivationQuant& quant = plan.activations.at(id);
    EXPECT_EQ(quant.fixed, room);
    if (room)
      EXPECT_FLOAT_EQ(quant.hi, 1.5f * most);
    else
      EXPECT_LE(quant.hi, 1.1f * most);
  }
};

TEST_F(SoftmaxPlacementTest, ItHasRoomWhereItsInputHasAPair) {
  placement_->SetRanges();
  for (const char* p : {"p1", "p2"}) ExpectRoom(plan_, p, true);
  LeaveFragile();
  ASSERT_EQ(plan_.nodes.count(NodeOf("sum")), 0u);
  ASSERT_EQ(plan_.activations.count(graph_.Find("scores1")), 0u);
  ExpectRoom(plan_, "p1", false);
  ExpectRoom(plan_, "p2", true);
}

// The pair of its input may be the plan's.
TEST_F(SoftmaxPlacementTest, SoDoSpareTensors) {
  for (const char* name : {"scores1", "p1", "p2"}) plan_.activations.erase(graph_.Find(name));
  plan_.nodes.erase(NodeOf("scores1"));
  placement_->SetRanges();
  const QuantPlan spare = placement_->Spare();
  ExpectRoom(spare, "p1", false);
  ExpectRoom(spare, "p2", true);
}

}  // namespace
}  // namespace xslim
