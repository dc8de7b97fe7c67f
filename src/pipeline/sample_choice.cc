#include "pipeline/sample_choice.h"

#include <algorithm>

#include "base/random.h"

namespace xslim {
namespace {

constexpr int64_t kReportSamples = 16, kBranchSamples = 16, kChannelSamples = 8;
constexpr uint64_t kReportSeed = 20260101, kChannelSeed = 20260303, kNoiseSeed = 20260505,
                   kBranchSeed = 20260707;
constexpr int64_t kWaitingBytes = 16 << 20;  // of samples that wait for a later stage
// Of the search for fragile operators: samples, and WorkOf() that this may take, about.
constexpr int64_t kFewestNoiseSamples = 2, kMostNoiseSamples = 32;
constexpr int64_t kNoiseWork = 6'000'000'000, kQuickNoiseWork = 800'000'000;

}  // namespace

SampleChoice ChooseSamples(int64_t available, const CalibrationParameters& parameters) {
  SampleChoice choice;
  const int64_t batch = std::max(parameters.calibration_batch_size, 1);
  const int64_t wanted = std::max<int64_t>(parameters.calibration_step / batch, 1);
  for (int64_t i = 0; i < std::min(available, wanted); ++i) choice.calibration.push_back(i);
  const int64_t used = std::ssize(choice.calibration), unused = available - used;
  Random random(kReportSeed);
  const bool fresh = unused >= 4;
  for (int64_t i : Choose(random, fresh ? unused : used, kReportSamples))
    choice.report.push_back(fresh ? used + i : i);
  return choice;
}

std::vector<Sample> DrawForChannels(const SampleSource& source, const std::vector<int64_t>& indices,
                                    ThreadPool& pool) {
  return DrawSamples(source, indices, kChannelSamples, kChannelSeed, pool, kDrawnBytes);
}

bool MayWait(const std::vector<Sample>& samples) {
  int64_t bytes = 0;
  for (const Sample& sample : samples) bytes += BytesOf(sample);
  return bytes <= kWaitingBytes;
}

int64_t NoiseSamples(int64_t work, bool quick) {
  const int64_t most = quick ? kQuickNoiseWork : kNoiseWork;
  return std::clamp(most / std::max<int64_t>(work, 1), kFewestNoiseSamples, kMostNoiseSamples);
}

std::vector<Sample> DrawForNoise(const SampleSource& source, const std::vector<int64_t>& indices,
                                 int64_t count, ThreadPool& pool) {
  return DrawSamples(source, indices, count, kNoiseSeed, pool, kDrawnBytes);
}

std::vector<int64_t> ChooseForBranch(int64_t available) {
  Random random(kBranchSeed);
  return Choose(random, available, kBranchSamples);
}

}  // namespace xslim
