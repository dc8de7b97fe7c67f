// Learning: the rounding of weights and the biases are moved along the derivatives of the outputs' error,
// which go straight through the rounding (Adam, Kingma and Ba 2015, with steps that are sized by what they
// promise).
#ifndef XSLIM_TUNE_LEARN_H_
#define XSLIM_TUNE_LEARN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/samples.h"
#include "quant/plan.h"
#include "runtime/sample_lanes.h"
#include "tune/output_error.h"

namespace xslim {

struct LearnOptions {
  int steps = 96;  // of Adam
  int batch = 8;   // samples to a step
  int checks = 4;  // how often held-back samples are asked
};

// Samples and the float values of the points on them.
struct JudgedSamples {
  const std::vector<Sample>& samples;
  const OutputError& error;
};

enum class LearnEnd {
  kKept,
  kNoWeights,      // no operator has a bias or weights that derivatives arrive at
  kNothingToGain,  // the weights make too little of the noise
  kUndone,         // no check found less noise in the held-back samples
  kFailed          // `why`: mostly shapes that depend on values, and those on weights
};

struct LearnResult {
  LearnEnd end = LearnEnd::kUndone;
  std::string why;                 // it failed
  size_t biases = 0, weights = 0;  // operators that take part
  int64_t codes = 0;               // weights that are rounded another way now
  // Noise-to-signal ratios of the held-back samples (geometric mean of the points), with and without the
  // rounding of activations: before, and of the best check.
  double before = 0, after = 0, before_unrounded = 0, after_unrounded = 0;
  std::vector<NodeId> stopped;  // operators that derivatives cannot pass
};

// Corrects the biases of a graph for a plan with rounded activations.
using CorrectBiases = std::function<void(Graph*, QuantPlan*)>;

// Changes biases of the graph and codes of the plan; unless the held-back samples have less noise then, all
// that changes is that operators without a bias may have one of zeros (nothing does where it fails). Throws
// OutOfMemory and CeilingTooLow; every other Error becomes kFailed. The result is the same for any number of
// threads.
LearnResult Learn(Graph* graph, QuantPlan* plan, const JudgedSamples& learned, const JudgedSamples& held,
                  const LearnOptions& options, const CorrectBiases& correct, const SampleLanes& lanes,
                  const std::function<void(int64_t, int64_t)>& progress);

}  // namespace xslim

#endif  // XSLIM_TUNE_LEARN_H_
