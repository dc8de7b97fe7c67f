// How much the outputs of a graph feel an error of each value inside it: the derivatives of the outputs,
// projected on random signs.
#ifndef XSLIM_TUNE_DERIVATIVES_H_
#define XSLIM_TUNE_DERIVATIVES_H_

#include <functional>
#include <set>
#include <vector>

#include "data/samples.h"
#include "quant/facts.h"
#include "runtime/sample_lanes.h"

namespace xslim {

// An output (or what stands for one, see OutputPoints), and what an error of it costs:
// weight * |error|^2 / (|value|^2 + floor), by sample.
struct WeightedPoint {
  ValueId value;
  double weight, floor;
};

// Chosen runs of neighbouring elements of a tensor, one after the other: all of a tensor of up to 65536
// elements, of a larger one every so many'th run.
inline constexpr int64_t kRunElements = 32;
struct RunsOf {
  std::vector<float> elements;
  int64_t every = 1;
};

using SeeValue = std::function<void(size_t sample, ValueId value, const Tensor& x)>;
using FeelValue = std::function<void(size_t sample, ValueId value, const RunsOf& x, const RunsOf& g)>;

struct Visit {
  std::vector<NodeId> stopped;    // operators that derivatives could not pass
  std::vector<size_t> only_seen;  // samples that derivatives failed for: what was felt of them does not count
};

// Runs the float graph forwards and backwards on all samples. Shows each of `seen` (that is float) in the
// forward pass, and in the backward pass each of `felt` that derivatives arrive at, with its elements x and
// what belongs to them, g. With n an error of x whose elements are independent of each other, sum (g n)^2 is
// what it costs at the points, in expectation over the signs of the projection. Called from several threads,
// for one sample from one; of a sample that derivatives fail for, values may be seen twice, and felt although
// others are not. Throws Error for a sample that the float graph fails for, OutOfMemory at once.
Visit VisitSensitivities(const Graph& graph, const ValueFacts& facts,
                         const std::vector<WeightedPoint>& points, const std::vector<Sample>& samples,
                         const SampleLanes& lanes, const std::set<ValueId>& seen, const SeeValue& see,
                         const std::set<ValueId>& felt, const FeelValue& feel);

}  // namespace xslim

#endif  // XSLIM_TUNE_DERIVATIVES_H_
