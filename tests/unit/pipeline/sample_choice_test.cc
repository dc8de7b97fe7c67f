#include "pipeline/sample_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace xslim {
namespace {

CalibrationParameters Steps(int steps, int batch = 1) {
  CalibrationParameters parameters;
  parameters.calibration_step = steps;
  parameters.calibration_batch_size = batch;
  return parameters;
}

TEST(ChooseSamples, TakesTheFirstAndMeasuresOthersWhereThereAreAny) {
  const SampleChoice choice = ChooseSamples(100, Steps(64));
  ASSERT_EQ(choice.calibration.size(), 64u);
  EXPECT_EQ(choice.calibration.front(), 0);
  EXPECT_EQ(choice.calibration.back(), 63);
  ASSERT_EQ(choice.report.size(), 16u);
  for (int64_t i : choice.report) {
    EXPECT_GE(i, 64);
    EXPECT_LT(i, 100);
  }
  EXPECT_EQ(std::set<int64_t>(choice.report.begin(), choice.report.end()).size(), 16u);
}

TEST(ChooseSamples, MeasuresThoseOfCalibrationWhereFewerThanFourAreLeft) {
  const SampleChoice choice = ChooseSamples(67, Steps(64));
  ASSERT_EQ(choice.report.size(), 16u);
  EXPECT_LT(*std::max_element(choice.report.begin(), choice.report.end()), 64);
  EXPECT_EQ(ChooseSamples(68, Steps(64)).report, (std::vector<int64_t>{64, 65, 66, 67}));
}

TEST(ChooseSamples, StepsAreDividedByTheBatch) {
  EXPECT_EQ(ChooseSamples(100, Steps(64, 16)).calibration.size(), 4u);
  EXPECT_EQ(ChooseSamples(100, Steps(8, 16)).calibration.size(), 1u);
  EXPECT_EQ(ChooseSamples(3, Steps(64)).calibration.size(), 3u);
}

TEST(NoiseSamples, AreFewerTheMoreWorkAndNeverLessThanTwo) {
  EXPECT_EQ(NoiseSamples(0, true), 32);
  EXPECT_EQ(NoiseSamples(1'000'000, true), 32);
  EXPECT_EQ(NoiseSamples(100'000'000, true), 8);
  EXPECT_EQ(NoiseSamples(100'000'000'000, true), 2);
  EXPECT_EQ(NoiseSamples(100'000'000'000, false), 2);
  EXPECT_GT(NoiseSamples(300'000'000, false), NoiseSamples(300'000'000, true));
}

TEST(MayWait, LargeSamplesDoNot) {
  const auto of = [](int64_t elements) { return std::vector<Sample>{{Tensor(DType::kFloat, {elements})}}; };
  EXPECT_TRUE(MayWait(of(4 << 20)));
  EXPECT_FALSE(MayWait(of((4 << 20) + 1)));
}

}  // namespace
}  // namespace xslim
