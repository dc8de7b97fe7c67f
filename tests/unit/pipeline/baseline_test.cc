#include "pipeline/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace xslim {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

OutputMeasure Output(const std::string& name, double snr, std::vector<PartMeasure> parts = {}) {
  OutputMeasure output;
  output.name = name;
  output.samples = 16;
  output.snr = snr;
  output.cosine = 1 - snr;
  output.parts = parts.empty() ? std::vector<PartMeasure>{{name, snr, 1 - snr, 0, ""}} : std::move(parts);
  return output;
}

EarlierOutput Before(const std::string& name, double snr, std::vector<EarlierPart> parts = {}) {
  return {name, 16, snr, 1 - snr,
          parts.empty() ? std::vector<EarlierPart>{{name, snr, 1 - snr, false}} : parts};
}

class BaselineTest : public testing::Test {
 protected:
  BaselineTest() {
    earlier_.macs = 100;
    earlier_.int8_macs = 100;
    head_.share.macs = 100;
    head_.share.int8_macs = 100;
  }
  BaselineComparison Compare(const std::vector<OutputMeasure>& outputs, double tolerance = 0.1) const {
    return CompareWithBaseline(earlier_, tolerance, outputs, head_, manifest_);
  }
  std::vector<std::string> Missed(double before, double now, double tolerance = 0.1) {
    earlier_.outputs = {Before("y", before)};
    return Compare({Output("y", now)}, tolerance).gate.missed;
  }

  EarlierVerdict earlier_;
  VerdictHead head_;
  Manifest manifest_;
};

TEST_F(BaselineTest, NoiseMayGrowByTheTolerance) {
  EXPECT_THAT(Missed(0.001, 0.00109), IsEmpty());
  EXPECT_THAT(
      Missed(0.001, 0.00111),
      ElementsAre(
          "baseline: output y is worse than in the baseline: SNR 0.001 -> 0.00111 (+11 %), cosine 0.999 "
          "-> 0.99889"));
  EXPECT_THAT(Missed(0.001, 0.0019, 1), IsEmpty());
  EXPECT_THAT(Missed(0.001, 0.00100001, 0), SizeIs(1));
  EXPECT_THAT(Missed(0.001, 0.001, 0), IsEmpty());
}

TEST_F(BaselineTest, NoiseNearNoneIsNone) {
  EXPECT_THAT(Missed(0, 1e-6), IsEmpty());
  EXPECT_THAT(Missed(1e-13, 9e-7), IsEmpty());
  EXPECT_THAT(Missed(0, 1e-5), ElementsAre(AllOf(HasSubstr("SNR 0 -> 1e-05,"), Not(HasSubstr("%")))));
}

TEST_F(BaselineTest, WhatIsNoNumberIsWorseThanAny) {
  EXPECT_THAT(Missed(0.5, NAN), SizeIs(1));
  EXPECT_THAT(Missed(0.5, INFINITY), SizeIs(1));
  EXPECT_THAT(Missed(NAN, NAN), IsEmpty());
  EXPECT_THAT(Missed(NAN, 0.5), IsEmpty());
  EXPECT_THAT(Compare({Output("y", 0.5)}).lines,
              ElementsAre(HasSubstr("better than in the baseline: SNR nan -> 0.5")));
}

TEST_F(BaselineTest, ACollapseThatWasNotThere) {
  OutputMeasure output = Output("y", 0.001);
  output.parts[0].collapse = "its elements are all zero";
  earlier_.outputs = {Before("y", 0.001)};
  EXPECT_THAT(Compare({output}).gate.missed, ElementsAre(HasSubstr("output y has collapsed, and had not")));
  earlier_.outputs[0].parts[0].collapsed = true;
  EXPECT_THAT(Compare({output}).gate.missed, IsEmpty());
}

TEST_F(BaselineTest, PartsAreComparedByTheirTensors) {
  earlier_.outputs = {Before("y", 0.001, {{"boxes", 0.001, 1, false}, {"scores", 0.001, 1, false}})};
  const BaselineComparison worse =
      Compare({Output("y", 0.001, {{"boxes", 0.001, 1, 0, ""}, {"scores", 0.1, 1, 0, ""}})});
  EXPECT_THAT(worse.gate.missed, ElementsAre(HasSubstr("output y, part scores is worse")));
  EXPECT_THAT(worse.rows, SizeIs(3));
  // Names of inner tensors may change.
  const BaselineComparison renamed =
      Compare({Output("y", 0.001, {{"boxes", 0.001, 1, 0, ""}, {"other", 0.1, 1, 0, ""}})});
  EXPECT_THAT(renamed.gate.missed, IsEmpty());
  EXPECT_THAT(renamed.lines, ElementsAre("output y, part other is not in the baseline",
                                         "output y, part scores is in the baseline and not in this model",
                                         HasSubstr("2 outputs and parts have the noise of the baseline")));
  EXPECT_THAT(
      Compare({Output("y", 0.001, {{"boxes", 0.001, 1, 0, ""}, {"other", 0.1, 1, 0, "zero"}})}).gate.missed,
      ElementsAre(HasSubstr("part other has collapsed; the baseline has no such part")));
}

TEST_F(BaselineTest, OutputsOfOneSide) {
  earlier_.outputs = {
      Before("gone", 0.001), Before("lost", 0.001), {"found", 0, NAN, NAN, {}}, {"ids", 0, NAN, NAN, {}}};
  OutputMeasure lost, ids;
  lost.name = "lost";
  lost.note = "not measured";
  ids.name = "ids";
  const BaselineComparison found = Compare({Output("new", 0.5), lost, Output("found", 0.5), ids});
  EXPECT_THAT(found.gate.missed,
              ElementsAre("baseline: output lost was measured in the baseline, and is no more: not measured",
                          "baseline: output gone is in the baseline and not in this model"));
  EXPECT_THAT(found.lines,
              ElementsAre("output new is not in the baseline", HasSubstr("output lost"),
                          "output found was not measured in the baseline", HasSubstr("output gone")));
}

TEST_F(BaselineTest, SharesAndInputsAreSaid) {
  head_.share.int8_macs = 75;
  head_.stays_float = {{"a[Conv]", "ignore_op_types", 25}};
  manifest_ = {
      {"model", false, {"f0"}}, {"config", false, {}}, {"options", true, {"--opset 17"}}, {"new", true, {}}};
  earlier_.manifest = {{"model", {"f0"}}, {"config", {"e1"}}, {"options", {}}};
  EXPECT_THAT(Compare({}).lines,
              ElementsAre("multiply-adds in int8: 100 % -> 75 %", "operators that stay float: 0 -> 1",
                          "the baseline is of other inputs (manifest): config, options"));
  EXPECT_THAT(Compare({}).gate.missed, IsEmpty());
}

TEST_F(BaselineTest, OtherBytesOfEqualInputs) {
  manifest_ = {{"model", false, {"f0"}}, {"output", false, {"a1"}}, {"output_data", true, {}}};
  EXPECT_FALSE(OnlyOutputDiffers(earlier_, manifest_));  // it has no manifest
  earlier_.manifest = {{"model", {"f0"}}, {"output", {"a1"}}, {"output_data", {}}};
  EXPECT_FALSE(OnlyOutputDiffers(earlier_, manifest_));
  earlier_.manifest["output"] = {"a2"};
  EXPECT_TRUE(OnlyOutputDiffers(earlier_, manifest_));
  earlier_.manifest["model"] = {"f1"};
  EXPECT_FALSE(OnlyOutputDiffers(earlier_, manifest_));
}

TEST_F(BaselineTest, ReportAndVerdictSayAllRows) {
  earlier_.outputs = {Before("y|", 0.001), Before("z", 0.5)};
  const BaselineComparison comparison = Compare({Output("y|", 0.01), Output("z", NAN)});
  EXPECT_THAT(
      BaselineMarkdown(comparison),
      AllOf(HasSubstr("## Against the baseline"), HasSubstr("more than 10 %, where at least 1e-06"),
            HasSubstr("| y\\| |  | 0.001 | 0.01 | 0.999 | 0.99 | <font color=\"red\">worse</font> |")));
  EXPECT_THAT(BaselineJson(comparison),
              AllOf(HasSubstr("\"snr_before\": 0.001, \"snr\": 0.01"), HasSubstr("\"snr\": null"),
                    HasSubstr("\"change\": \"worse\"")));
}

}  // namespace
}  // namespace xslim
