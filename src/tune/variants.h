// Tries many variants of one graph, each of which differs from it in a few operators: only what may come out
// different is run, from the first changed operator on.
#ifndef XSLIM_TUNE_VARIANTS_H_
#define XSLIM_TUNE_VARIANTS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "tune/output_noise.h"

namespace xslim {

// By output and sample: what OutputNoise::Of() gives.
using OutputNoises = std::vector<std::vector<std::vector<double>>>;
// Noise of each row of an OutputNoise.
using NoiseRatios = std::vector<double>;
// samples: those of the noise, or the first ones.
NoiseRatios NoiseOf(const Graph& graph, const OutputNoise& noise, const std::vector<Sample>& samples,
                    ThreadPool& pool);

class VariantRunner {
 public:
  // All must outlive the runner; runs `base` on all samples, all of which the noise keeps. Equal names in
  // base and a variant mean equal things: the same inputs, and nodes of one name with equal attributes.
  VariantRunner(const Graph& base, const OutputNoise& noise, const std::vector<Sample>& samples,
                ThreadPool& pool);

  const NoiseRatios& base() const { return base_ratios_; }

  // The noise of `count` variants. make(i) gives the i-th, on any thread but not at once; neighbours should
  // begin to differ from the base at neighbouring operators, because they share a run of what is before.
  // done(n) is called after each group with the number of variants that are measured.
  std::vector<NoiseRatios> Run(size_t count, const std::function<Graph(size_t)>& make,
                               const std::function<void(int64_t)>& done);

 private:
  class Variant;

  const Graph& base_;
  const OutputNoise& noise_;
  const std::vector<Sample>& samples_;
  ThreadPool& pool_;
  OutputNoises base_noise_;
  NoiseRatios base_ratios_;
  size_t group_;  // variants that share a run of what is before them
};

}  // namespace xslim

#endif  // XSLIM_TUNE_VARIANTS_H_
