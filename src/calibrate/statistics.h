// What calibration keeps of a tensor: minimum, maximum, a mergeable histogram and per-sample percentiles.
//
// A histogram bin is the float's own sign, exponent and leading 11 mantissa bits (a shift of its bit
// pattern); counts are integers; so two histograms add exactly in any order. Octaves are allocated as they
// appear, and those more than 20 under the largest are merged into one bin per sign. All of it is independent
// of the order of AddSample and Merge. Zeros (and |x| < 2^-137) are counted apart. NaN and infinities are
// counted and otherwise left out.
#ifndef XSLIM_CALIBRATE_STATISTICS_H_
#define XSLIM_CALIBRATE_STATISTICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quant/plan.h"
#include "xslim/config.h"

namespace xslim {

// One bin in ascending order of value: all elements lie in [lo, hi).
struct Bin {
  float lo, hi;
  int64_t count;
};

class TensorStatistics {
 public:
  // Adds one sample's (batch's) elements. percentile: max_percentile p; the k-th values at (1-p) and p,
  // 0-based index int(n*p), are found exactly by selection (n: finite elements). Throws Error when n >= 2^32.
  // Empty: no effect.
  void AddSample(const float* x, int64_t n, double percentile);
  void Merge(const TensorStatistics& other);  // exact; order of percentiles follows sample order

  int64_t count() const;  // finite elements seen
  int64_t nan_count() const;
  int64_t infinite_count() const;
  float min() const;  // of the finite elements; 0 when there is none
  float max() const;
  float percentile_low() const;  // mean over samples (float64 sum, then float32)
  float percentile_high() const;
  std::vector<Bin> Histogram() const;
  size_t bytes() const;  // memory held

 private:
  // counts of one (sign, exponent): 2048 bins by the leading mantissa bits. Key: the float's top 9 bits.
  using Octave = std::vector<uint32_t>;
  void Raise(int exponent);  // a new largest exponent: drops low octaves
  void AddOctave(uint32_t key, const uint32_t* counts, bool may_overflow);
  void AddElements(const float* x, int64_t n, uint32_t* counts);  // moves the counts of x's own bins here
  uint64_t Count(uint32_t key, const Octave& octave, uint32_t bin) const;  // 2^32 * carry + counter

  std::map<uint32_t, Octave> octaves_;
  std::map<uint32_t, uint64_t> carry_;  // key << 11 | bin: how often the 32-bit counter has wrapped
  uint64_t under_[2] = {0, 0};          // positive, negative elements below the octaves kept
  uint64_t count_ = 0, nan_ = 0, infinite_ = 0, zeros_ = 0;
  int top_ = -1;  // largest exponent field seen
  float min_ = 0, max_ = 0;
  std::vector<float> lows_, highs_;  // one per sample
};

// The part of a tensor that its consumers can see (see InterestRange in ops/operator.h).
struct RangeLimits {
  float lo, hi;
};

// How each type chooses, with the histogram cut to `limits` (what lies beyond costs nothing: no consumer sees
// it):
//   minmax      [min, max]
//   percentile  [mean of the samples' low values, mean of their high values]
//   mse         the window of lowest MseCost among ends min * f, max * g with f, g from 1 down to 2^-12 (in
//               steps of 2^-1/16 to a quarter, then 2^-1/4), plus the percentiles;
//               taken if its cost with each bin truly rounded is below that of the full range
//   kl          the window of lowest KlCost among those of whole 1/128 parts of [min, max] and at least 1/16
//   of it default     min-max, after stray values are cut off (at most 1 element in 16384, further out than 8
//   times the
//               range of all others); left for a window only when the MSE with clipping counted four times
//               falls by more than 20%: a thin tail may carry the answer, and clipping it does far more harm
//               than a coarser step.
// Decides a range (it holds 0) for 8-bit asymmetric quantization from the statistics alone. All five types;
// `limits` cuts what is represented. Constant, empty and tiny tensors give a usable range.
ChosenRange ChooseRange(const TensorStatistics& statistics, CalibrationType type, RangeLimits limits);

// Mean squared quantization error of representing the histogram by 256 levels on [lo, hi]: with N_in the
// non-zero elements inside (zero is a level: it costs nothing), each bin at its centre c, step = (hi-lo)/255:
// and [lo, hi] moved to whole steps as the zero point's rounding does, N_in reaching half a step beyond it:
//   (N_in * step^2/12 + clip_weight * (sum_{c<lo} n (lo-c)^2 + sum_{c>hi} n (c-hi)^2)) / N
double MseCost(const std::vector<Bin>& histogram, float lo, float hi, double clip_weight = 1.0);

// Divergence KL(P || Q) in bits of a window of 4096 equal bins on [full_lo, full_hi], start and width in
// bins. P: the bins of the window, what lies outside added to its end bins. Q: the bins of the window alone,
// each of 256 equal groups levelled over its occupied bins. Zeros are left out (they are represented
// exactly). Infinite when an end bin that takes clipped elements is empty in Q. width: >= 256.
double KlCost(const std::vector<Bin>& histogram, float full_lo, float full_hi, int start, int width);

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_STATISTICS_H_
