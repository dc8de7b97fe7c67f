// What calibration keeps of a tensor: minimum, maximum, a mergeable histogram and per-sample percentiles.
//
// The histogram has, per sign, 2048 bins in each of the seven octaves up to the largest magnitude seen (a
// bin is the float's exponent and its leading 11 mantissa bits) and 2048 equal bins below them: nowhere
// coarser than 2^-17 of the largest magnitude, 64 KiB. When a larger octave appears, the lowest one's bins
// merge exactly into the equal ones. Counts are integers. So the result is independent of the order of
// samples and merges. Zeros are counted apart. NaN and infinities are counted and otherwise left out.
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

// One sample's (batch's) elements, counted: what TensorStatistics::Add takes. Holds no tensor data; one
// object serves any number of samples and keeps its buffers.
class SampleSummary {
 public:
  SampleSummary() : counts_(kSlots + kZeroSlots) {}

  // percentile: max_percentile p; the values of 0-based ascending rank int(n*(1-p)) and int(n*p) are found
  // exactly (n: finite elements). top: TensorStatistics::top() of the statistics that it is meant for, as a
  // hint. Throws Error when n >= 2^32.
  void Count(const float* x, int64_t n, double percentile, int top);

 private:
  friend class TensorStatistics;
  static constexpr size_t kSlots = 2 * 8 * 2048, kZeroSlots = 16;

  // Up to this many elements are kept as slots instead of counts: most slots would be 0.
  static constexpr int64_t kSparse = 8192;
  struct Tail;  // the elements beyond a percentile

  void CountBlock(const float* x, int64_t n);  // at most 2048 finite elements, into counts_
  void Clear();

  uint64_t finite_ = 0, zeros_ = 0, nan_ = 0, infinite_ = 0;
  int top_ = 0;
  float min_ = 0, max_ = 0, low_ = 0, high_ = 0;
  bool sparse_ = false, signs_[2] = {false, false};
  std::vector<int32_t> slots_;    // when sparse, without zeros
  std::vector<uint32_t> counts_;  // otherwise; all 0 between samples
  std::vector<float> finite_elements_;
  struct Extremes {
    float lo, hi;
  };
  std::vector<Extremes> blocks_;
};

class TensorStatistics {
 public:
  // Adds what `sample` counted; a sample without finite elements has no percentiles. index: the sample's
  // place in the data, in whose order the percentiles are averaged.
  void Add(const SampleSummary& sample, int64_t index);
  // Count and Add in one, as the sample after the last one.
  void AddSample(const float* x, int64_t n, double percentile);
  void Merge(const TensorStatistics& other);  // exact; other's samples come after the own ones

  int64_t count() const;  // finite elements seen
  int64_t nan_count() const;
  int64_t infinite_count() const;
  float min() const;  // of the finite elements; 0 when there is none
  float max() const;
  float percentile_low() const;  // mean over samples (float64 sum, then float32)
  float percentile_high() const;
  int top() const { return top_; }  // exponent field of the histogram's highest octave
  std::vector<Bin> Histogram() const;
  size_t bytes() const;  // memory held
  // Replaces the samples' percentiles by those of all elements together, as exactly as the histogram's bins
  // tell (a bin's outer end).
  void UsePercentileOfHistogram(double percentile);

 private:
  friend struct StatisticsCodec;  // statistics_file.cc
  struct Percentiles {
    int64_t index;
    float low, high;
  };
  void Raise(int top);  // makes `top` the highest octave
  void MakeRoom(uint64_t elements);
  uint64_t CountAt(size_t sign, size_t bin) const;
  float Mean(float Percentiles::*value) const;

  std::vector<uint32_t> counts_[2];   // positive, negative; empty or 8 * 2048
  std::vector<uint64_t> spilled_[2];  // counts from before the 32-bit ones were in danger of wrapping
  uint64_t pending_ = 0;              // elements in counts_
  uint64_t count_ = 0, nan_ = 0, infinite_ = 0, zeros_ = 0;
  int top_ = 0;
  float min_ = 0, max_ = 0;
  std::vector<Percentiles> percentiles_;  // one per sample, in any order
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
//               of it whose MseCost is not above that of the full range, taken as for mse
//   default     min-max, after stray values are cut off (at most 1 element in 16384, further out than 8 times
//               the range of all others); left for a window only when the MSE with clipping counted four
//               times falls by more than 20%: a thin tail may carry the answer, and clipping it does far more
//               harm than a coarser step.
//
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
