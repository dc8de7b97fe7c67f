// Which samples serve which stage of a run, and how many. What tuning and its measurements draw is in
// src/tune.
#ifndef XSLIM_PIPELINE_SAMPLE_CHOICE_H_
#define XSLIM_PIPELINE_SAMPLE_CHOICE_H_

#include <cstdint>
#include <vector>

#include "data/samples.h"

namespace xslim {

// Indices of the samples that calibration uses, and of those that the report measures: ones that calibration
// did not use where the list has more than it needs.
struct SampleChoice {
  std::vector<int64_t> calibration, report;
};

SampleChoice ChooseSamples(int64_t available, const CalibrationParameters& parameters);

// The samples that channels are equalized and means are kept by: a seeded choice of 8, fewer
// where they are large.
std::vector<Sample> DrawForChannels(const SampleSource& source, const std::vector<int64_t>& indices,
                                    ThreadPool& pool);

// Whether they are small enough to wait in memory for a later stage; else that one decodes them anew.
bool MayWait(const std::vector<Sample>& samples);

// How many samples tell whether the noise of int8 is too large, of a graph whose WorkOf() is `work`. quick:
// the few that are tried first.
int64_t NoiseSamples(int64_t work, bool quick);
std::vector<Sample> DrawForNoise(const SampleSource& source, const std::vector<int64_t>& indices,
                                 int64_t count, ThreadPool& pool);

// Places of the samples by which a branch of `available` samples is held against its part of auto_precision.
std::vector<int64_t> ChooseForBranch(int64_t available);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_SAMPLE_CHOICE_H_
