// How far the outputs of the exported model are from the float model's, and whether one of them has
// collapsed.
#ifndef XSLIM_REPORT_OUTPUT_MEASURE_H_
#define XSLIM_REPORT_OUTPUT_MEASURE_H_

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quant/output_parts.h"
#include "quant/plan.h"

namespace xslim {

// Sums from which the measures follow; float64, added in the order of elements and samples. Elements that are
// the same infinity in both, or NaN, are left out: masked logits are measured by the others.
struct ErrorSums {
  double signal = 0, noise = 0, dot = 0, quant = 0;  // sum f^2, (q-f)^2, f*q, q^2
  int64_t count = 0;
  void Add(double f, double q);
  void Add(const ErrorSums& other);
  double Snr() const { return NoiseRatio(noise, signal); }
  double Mse() const { return count ? noise / static_cast<double>(count) : 0; }
  double Cosine() const;  // 1 for two zero vectors, 0 for one
};

ErrorSums Compare(const float* reference, const float* other, int64_t n);

// The smallest and largest number that int8 codes give to a part of an output, and their step; none where
// the part is not quantized.
struct CodeEnds {
  float lo = 0, hi = 0, step = 0;
};
CodeEnds EndsOf(const QuantPlan& plan, const OutputPart& part);

// A part of an output (quant/output_parts.h) over all samples.
struct PartMeasure {
  std::string tensor;
  double snr = 0, cosine = 0;  // of all elements of all samples together
  double saturated = 0;        // share of the elements that are cut at an end of the int8 range, see below
  std::string collapse;        // what is wrong with it, "" when nothing is
};

struct OutputMeasure {
  std::string name;
  double snr = 0, snr_worst = 0, cosine = 0, cosine_worst = 1;  // mean and worst over `samples`
  int64_t samples = 0;  // that were compared and are not silent; 0: the numbers say nothing
  int64_t undefined =
      0;  // samples left out: they and the float model's output hold NaN or infinity, and not all do
  std::string note;  // why samples were not compared, or what was instead; "" when all were
  bool is_float = true;
  std::string selected_by;         // as in OutputParts
  std::vector<PartMeasure> parts;  // one for the whole output where it has no parts; empty: not compared
};

// "output y is all zero ...", one line for each part that has collapsed.
std::vector<std::string> Collapses(const OutputMeasure& output);

// "output y keeps little ..." or, of less noise, "output y is noisy ...": one line for each output that has
// not collapsed, but whose noise, or that of a part of it, is more than a third, or a tenth, of its signal.
std::vector<std::string> Lost(const OutputMeasure& output);

// What the elements of one part are: of one sample or, added up, of all. Elements whose float value is NaN or
// infinite only count where the other model's are finite.
struct PartSums {
  ErrorSums sums;
  float f_min = INFINITY, f_max = -INFINITY, q_min = INFINITY, q_max = -INFINITY;
  int64_t lost = 0;       // not finite, where the float model's is
  int64_t saturated = 0;  // at an end of the int8 range, more than a step from the float model's value
  void Add(const PartSums& other);
};

// One output of one sample, against the original's.
struct OutputResult {
  std::optional<ErrorSums> sums;  // of floats of one shape
  std::vector<PartSums> parts;    // one when the output has another shape than the parts were found for
  DType dtype = DType::kUndefined;
  bool lost = false, other_shape = false, other_kind = false;  // why it was not compared
  int64_t equal = 0, total = 0;                                // elements of other types
  double apart = 0, furthest = 0;  // of integers: the sum and the largest of the differences
  bool odd_data = false;           // the sample holds NaN or infinity
};

OutputResult CompareOutputs(const Tensor& expected, const Tensor& actual, const OutputParts& parts,
                            const std::vector<CodeEnds>& ends);

// Means over the samples, what there is to say beside them, and which parts have collapsed. A part has
// collapsed when it holds NaN or infinities that the float model does not; when all its elements are equal on
// all samples and the float model's are not (they differ by more than a thousandth of the largest magnitude);
// or when at least nine in ten elements are saturated.
OutputMeasure Summary(const std::string& name, const OutputParts& parts,
                      const std::vector<const OutputResult*>& results);

}  // namespace xslim

#endif  // XSLIM_REPORT_OUTPUT_MEASURE_H_
