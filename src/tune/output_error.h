// How far the outputs of a quantized graph are from those of its float graph: the one number that tuning
// lowers.
#ifndef XSLIM_TUNE_OUTPUT_ERROR_H_
#define XSLIM_TUNE_OUTPUT_ERROR_H_

#include <string>
#include <vector>

#include "data/samples.h"
#include "quant/plan.h"
#include "runtime/sample_lanes.h"

namespace xslim {

// Where quality is judged: the float outputs of the graph. Parts of an output whose scales differ so much
// that it was protected (boxes beside scores) count one by one; in place of an output that is no float tensor
// stand the float tensors that it is computed from. Those that no int8 operator leads to do not count, as
// long as there are others. Names, which the exported graph keeps.
std::vector<std::string> OutputPoints(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts);

// The sum of squares of a float tensor.
double Power(const Tensor& tensor);

using SampleRatios = std::vector<std::vector<double>>;  // by point and sample

// The float values of the points on some samples, and the distance of other values from them.
class OutputError {
 public:
  OutputError(const Graph& graph, std::vector<std::string> points, const std::vector<Sample>& samples,
              const SampleLanes& lanes);

  const std::vector<std::string>& points() const { return points_; }

  // values[point][sample], undefined where it is not known. By point and sample: the noise-to-signal ratio; a
  // sample without much signal counts as one of a thousandth of the mean signal. At most 1e6, which is that
  // of NaN, infinity and another shape than the reference's, too; 0 where nothing can be said: silent points,
  // samples whose reference is not finite.
  SampleRatios BySample(const std::vector<std::vector<Tensor>>& values) const;
  // By point: the squared mean of sqrt(ratio) over the samples of which something can be said, 0 where there
  // is none. The mean of the ratios themselves would mostly be that of the one sample with the least signal,
  // and choices by it those of chance.
  static std::vector<double> Means(const SampleRatios& by_sample);
  // How many standard errors the samples' roots of ratios, as shares of their point's mean root before, have
  // risen by on average: under 1 it may be chance. Infinity where fewer than two samples tell.
  static double RiseInErrors(const SampleRatios& before, const SampleRatios& after);
  // The mean of ln(ratio) over the points of which something can be said; 0 where there is none.
  static double MeanLog(const std::vector<double>& ratios);
  // Undefined where the float graph does not compute the point.
  const Tensor& wanted(size_t point, size_t sample) const { return reference_[point][sample]; }
  // By point: what is added to a sample's signal.
  double floor(size_t point) const;

 private:
  std::vector<std::string> points_;
  std::vector<std::vector<Tensor>> reference_;
  std::vector<double> signal_;  // by point: mean over the samples
};

// The ratios of a graph that has the points under their names: by point and sample, and their means.
SampleRatios SampleRatiosOf(const Graph& graph, const OutputError& error, const std::vector<Sample>& samples,
                            const SampleLanes& lanes);
std::vector<double> RatiosOf(const Graph& graph, const OutputError& error, const std::vector<Sample>& samples,
                             const SampleLanes& lanes);

}  // namespace xslim

#endif  // XSLIM_TUNE_OUTPUT_ERROR_H_
