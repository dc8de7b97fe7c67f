#include "report/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace xslim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

OutputParts Whole() { return {{{"y", {0}}}, {}, {}}; }

// Boxes in the first row of [2,4], scores in the second.
OutputParts BoxesAndScores() {
  return {{{"boxes", {0, 1}}, {"scores", {0, 2}}}, {0, 0, 0, 0, 1, 1, 1, 1}, {2, 4}};
}

OutputMeasure MeasureOf(const OutputParts& parts, const std::vector<CodeEnds>& ends, Shape shape,
                        const std::vector<std::pair<std::vector<float>, std::vector<float>>>& samples) {
  std::vector<OutputResult> results;
  for (const auto& [f, q] : samples)
    results.push_back(CompareOutputs(Tensor::Of(shape, f), Tensor::Of(shape, q), parts, ends));
  std::vector<const OutputResult*> pointers;
  for (const OutputResult& result : results) pointers.push_back(&result);
  return Summary("y", parts, pointers);
}

TEST(Collapse, OfOnePartBesideASoundOne) {
  const OutputMeasure output =
      MeasureOf(BoxesAndScores(), {{}, {}}, {2, 4},
                {{{100, 200, 300, 400, 0.1f, 0.9f, 0.2f, 0.3f}, {101, 200, 299, 400, 0, 0, 0, 0}}});
  EXPECT_LT(output.snr, 1e-4);  // which says nothing of the scores
  ASSERT_EQ(output.parts.size(), 2u);
  EXPECT_EQ(output.parts[0].collapse, "");
  EXPECT_NEAR(output.parts[1].snr, 1, 1e-6);
  EXPECT_THAT(
      Collapses(output),
      ElementsAre("output y, part scores has collapsed: its elements are all zero; the float model's run "
                  "from 0.1 to 0.9"));
}

TEST(Summary, NanIsTheWorstSample) {
  const float inf = std::numeric_limits<float>::infinity();
  const OutputMeasure output = MeasureOf(
      Whole(), {{}}, {2}, {{{1, 2}, {1, 2}}, {{1, 2}, {NAN, 2}}, {{1, 2}, {1, inf}}, {{1, 2}, {1, 2}}});
  EXPECT_EQ(output.samples, 4);
  EXPECT_TRUE(std::isnan(output.snr_worst));
  EXPECT_TRUE(std::isnan(output.cosine_worst));
}

TEST(Lost, NamesThePartThatIsNoisy) {
  const auto lost = [](float score) {
    return Lost(MeasureOf(
        BoxesAndScores(), {{}, {}}, {2, 4},
        {{{100, 200, 300, 400, 0.1f, 0.9f, 0.2f, 0.3f}, {101, 200, 299, 400, 0.1f, score, 0, 0.2f}}}));
  };
  EXPECT_THAT(lost(0.8f), IsEmpty());
  EXPECT_THAT(lost(0.5f), ElementsAre(HasSubstr("output y, part scores is noisy: the noise is 0.22")));
  EXPECT_THAT(lost(0.2f),
              ElementsAre(HasSubstr("output y, part scores keeps little of the float model's: the "
                                    "noise is 0.56")));
  EXPECT_THAT(Lost(MeasureOf(Whole(), {{}}, {2}, {{{1, 2}, {2, 1}}, {{2, 1}, {1, 2}}})),
              ElementsAre(HasSubstr("output y keeps little of the float model's: the noise is 0.4 ")));
  // Collapsed: said already.
  EXPECT_THAT(Lost(MeasureOf(Whole(), {{}}, {2}, {{{1, 3}, {2, 2}}, {{2, 4}, {2, 2}}})), IsEmpty());
}

TEST(Collapse, NeedsAFloatModelThatVaries) {
  EXPECT_THAT(Collapses(MeasureOf(Whole(), {{}}, {2}, {{{1, 1}, {0, 0}}, {{1, 1}, {0, 0}}})), IsEmpty());
  EXPECT_THAT(Collapses(MeasureOf(Whole(), {{}}, {2}, {{{1, 1}, {0, 0}}, {{2, 2}, {0, 0}}})),
              testing::SizeIs(1));
  // Equal within a sample, but not over the samples.
  EXPECT_THAT(Collapses(MeasureOf(Whole(), {{}}, {2}, {{{1, 3}, {2, 2}}, {{2, 4}, {3, 3}}})), IsEmpty());
}

TEST(Collapse, SaturationIsMeasuredAtTheEndsOfTheCodes) {
  const std::vector<CodeEnds> ends = {{-1, 1, 0.1f}};
  const OutputMeasure cut = MeasureOf(
      Whole(), ends, {10}, {{{5, -5, 5, -5, 5, -5, 5, -5, 5, 0}, {1, -1, 1, -1, 1, -1, 1, -1, 1, 0}}});
  EXPECT_DOUBLE_EQ(cut.parts[0].saturated, 0.9);
  EXPECT_THAT(Collapses(cut), ElementsAre(HasSubstr("saturated at -1 and 1")));
  // The float model has these values itself.
  const OutputMeasure sound = MeasureOf(Whole(), ends, {4}, {{{1, -1, 1, -1.05f}, {1, -1, 1, -1}}});
  EXPECT_EQ(sound.parts[0].saturated, 0);
  EXPECT_THAT(Collapses(sound), IsEmpty());
}

TEST(Collapse, NotANumberWhereTheFloatModelHasOne) {
  EXPECT_THAT(Collapses(MeasureOf(Whole(), {{}}, {2}, {{{1, 2}, {NAN, 2}}})), ElementsAre(HasSubstr("NaN")));
  EXPECT_THAT(Collapses(MeasureOf(Whole(), {{}}, {2}, {{{NAN, 2}, {NAN, 2}}})), IsEmpty());
}

TEST(Gates, JudgeOutputsAndTheirParts) {
  const OutputMeasure output =
      MeasureOf(BoxesAndScores(), {{}, {}}, {2, 4},
                {{{100, 200, 300, 400, 0.1f, 0.9f, 0.2f, 0.3f}, {101, 200, 299, 400, 0, 0, 0, 0}}});
  QuantizationParameters settings;
  EXPECT_THAT(JudgeGates({output}, settings), IsEmpty());
  settings.max_snr = 0.5;
  settings.min_cosine = -1;
  settings.fail_on_collapse = true;
  const std::vector<GateResult> gates = JudgeGates({output}, settings);
  ASSERT_EQ(gates.size(), 3u);
  EXPECT_EQ(gates[0].gate, "min_cosine");
  EXPECT_THAT(gates[0].missed, IsEmpty());
  EXPECT_THAT(gates[1].missed, ElementsAre(HasSubstr("output y, part scores: SNR")));
  EXPECT_THAT(gates[2].missed, ElementsAre(HasSubstr("all zero")));
}

TEST(Measure, MaskedLogitsAreMeasuredByTheOthers) {
  const OutputMeasure output = MeasureOf(Whole(), {{}}, {3}, {{{1, -INFINITY, 3}, {2, -INFINITY, 3}}});
  EXPECT_NEAR(output.snr, 0.1, 1e-6);
  EXPECT_TRUE(std::isnan(MeasureOf(Whole(), {{}}, {2}, {{{1, NAN}, {1, 2}}}).snr));
}

TEST(Gates, AreMissedByNaNAndByWhatIsNotMeasured) {
  QuantizationParameters settings;
  settings.max_snr = 1e6;
  settings.min_cosine = 0.01;
  for (const GateResult& gate : JudgeGates({MeasureOf(Whole(), {{}}, {2}, {{{1, 2}, {NAN, 2}}})}, settings))
    EXPECT_EQ(gate.missed.size(), 1u) << gate.gate;
  const OutputResult lost = CompareOutputs(Tensor(), Tensor(), Whole(), {{}});
  for (const GateResult& gate : JudgeGates({Summary("y", Whole(), {&lost})}, settings))
    EXPECT_THAT(gate.missed, ElementsAre(HasSubstr("not measured")));
  const Tensor ids = Tensor::Of<int64_t>({2}, {1, 2});
  const OutputResult integers = CompareOutputs(ids, ids, Whole(), {{}});
  for (const GateResult& gate : JudgeGates({Summary("y", Whole(), {&integers})}, settings))
    EXPECT_THAT(gate.missed, IsEmpty());
}

TEST(Gates, FiguresStandOnTheirSideOfTheBound) {
  QuantizationParameters settings;
  settings.min_cosine = 0.9999999;
  settings.max_snr = 1e-6;
  OutputMeasure output;
  output.name = "y";
  output.samples = 1;
  output.cosine = 0.99999985;
  output.snr = 1.0000001e-6;
  const std::vector<GateResult> gates = JudgeGates({output}, settings);
  EXPECT_THAT(gates[0].missed, ElementsAre("output y: cosine 0.99999985 is under 0.9999999"));
  EXPECT_THAT(gates[1].missed, ElementsAre("output y: SNR 1.0000001e-06 (noise/signal) is over 1e-06"));
}

TEST(Outputs, IntegersSayHowFarTheyAreApart) {
  const auto note = [](const Tensor& f, const Tensor& q) {
    const OutputResult result = CompareOutputs(f, q, Whole(), {{}});
    return Summary("y", Whole(), {&result}).note;
  };
  EXPECT_EQ(note(Tensor::Of<uint8_t>({4}, {1, 2, 3, 250}), Tensor::Of<uint8_t>({4}, {1, 2, 4, 247})),
            "uint8: 2 of 4 elements are equal, they differ by 1 in the mean and 3 at most");
  EXPECT_EQ(note(Tensor::Of<int64_t>({2}, {1, 2}), Tensor::Of<int64_t>({2}, {1, 2})),
            "int64: 2 of 2 elements are equal");
}

TEST(Outputs, AnImageInBytesIsMeasuredLikeFloats) {
  OutputParts bytes = Whole();
  bytes.rounded = true;
  const OutputResult result =
      CompareOutputs(Tensor::Of<uint8_t>({2}, {30, 40}), Tensor::Of<uint8_t>({2}, {30, 90}), bytes, {{}});
  const OutputMeasure output = Summary("y", bytes, {&result});
  EXPECT_TRUE(output.is_float);
  EXPECT_NEAR(output.snr, 1, 1e-6);
  EXPECT_THAT(Lost(output), ElementsAre(HasSubstr("keeps little of the float model's")));
}

TEST(Outputs, WhatIsSelectedMayDiffer) {
  OutputParts best = Whole();
  best.selected_by = "top[TopK]";
  const OutputResult result =
      CompareOutputs(Tensor::Of<float>({2}, {1, 5}), Tensor::Of<float>({2}, {5, 1}), best, {{}});
  EXPECT_THAT(Lost(Summary("y", best, {&result})),
              ElementsAre(AllOf(HasSubstr("output y differs"), HasSubstr("top[TopK] selects its elements"))));
}

TEST(Outputs, SilentSamplesAreLeftOutOfTheMean) {
  const auto result = [](float f, float q) {
    return CompareOutputs(Tensor::Of<float>({1}, {f}), Tensor::Of<float>({1}, {q}), Whole(), {{}});
  };
  const OutputResult loud = result(10, 11), silent = result(0.1f, 1);
  const OutputMeasure output = Summary("y", Whole(), {&loud, &silent});
  EXPECT_NEAR(output.snr, 0.01, 1e-6);
  EXPECT_EQ(output.samples, 1);
  EXPECT_THAT(output.note, HasSubstr("1 sample is left out of its mean: silent"));
  EXPECT_EQ(Summary("y", Whole(), {&silent}).samples, 1);
}

TEST(Outputs, SamplesOfOddDataAreLeftOut) {
  for (const float odd : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    const auto result = [](float f, float q) {
      return CompareOutputs(Tensor::Of<float>({2}, {f, 1}), Tensor::Of<float>({2}, {q, 1}), Whole(), {{}});
    };
    const OutputResult sound = result(10, 11);
    OutputResult broken = result(odd, 7);
    EXPECT_FALSE(std::isfinite(Summary("y", Whole(), {&sound, &broken}).snr));  // the model's own doing
    broken.odd_data = true;
    const OutputMeasure output = Summary("y", Whole(), {&sound, &broken});
    EXPECT_NEAR(output.snr, 1.0 / 101, 1e-6);
    EXPECT_NEAR(output.parts.at(0).snr, 1.0 / 101, 1e-6);
    EXPECT_EQ(output.samples, 1);
    EXPECT_EQ(output.undefined, 1);
    EXPECT_THAT(output.note, HasSubstr("1 sample is left out of its mean: its data hold NaN or infinity"));
    EXPECT_FALSE(std::isfinite(Summary("y", Whole(), {&broken}).snr));  // where there are no others
    OutputResult lost = result(10, odd);
    lost.odd_data = true;
    EXPECT_FALSE(std::isfinite(Summary("y", Whole(), {&sound, &lost}).snr));  // the float model copes
  }
}

TEST(Outputs, FloatsOfEightBitsAreMeasured) {
  Tensor f(DType::kFloat8E4M3FN, {2}), q(DType::kFloat8E4M3FN, {2});
  f.raw()[0] = f.raw()[1] = q.raw()[0] = std::byte{0x38};  // 1
  q.raw()[1] = std::byte{0x40};                            // 2
  const OutputResult result = CompareOutputs(f, q, Whole(), {{}});
  const OutputMeasure output = Summary("y", Whole(), {&result});
  EXPECT_TRUE(output.is_float);
  EXPECT_NEAR(output.snr, 0.5, 1e-6);
}

TEST(Outputs, ASequenceIsNotMeasured) {
  const Tensor sequence = Tensor::Sequence({Tensor::Of<float>({1}, {1})});
  const OutputResult result = CompareOutputs(sequence, sequence, Whole(), {{}});
  const OutputMeasure output = Summary("y", Whole(), {&result});
  EXPECT_EQ(output.samples, 0);
  EXPECT_EQ(output.note, "not measured: its type is sequence");
}

TEST(Verdict, SaysWhatWasFound) {
  Measures measures;
  measures.samples = 1;
  measures.outputs.push_back(MeasureOf(Whole(), {{}}, {2}, {{{1, 2}, {0, 0}}}));
  QuantizationParameters settings;
  settings.fail_on_collapse = true;
  const std::string text = VerdictJson({"m.onnx", {100, 75, 4, 3}, {{"a[Conv]", "ignore_op_types", 25}}},
                                       measures, JudgeGates(measures.outputs, settings), {{"more", "[1]"}});
  for (const char* part : {"\"pass\": false", "\"collapsed\": true", "\"macs\": 100", "\"int8_macs\": 75",
                           "\"operator\": \"a[Conv]\"", "\"bound\": null", "\"more\": [1]"})
    EXPECT_THAT(text, HasSubstr(part));
}

}  // namespace
}  // namespace xslim
