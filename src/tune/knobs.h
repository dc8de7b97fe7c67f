// A search over constants of a graph by what they do to its outputs: the last word of tuning. No gradient, no
// model of the noise: every setting is tried on the quantized graph, from the constant on.
#ifndef XSLIM_TUNE_KNOBS_H_
#define XSLIM_TUNE_KNOBS_H_

#include <functional>
#include <vector>

#include "base/threads.h"
#include "data/samples.h"
#include "tune/output_error.h"

namespace xslim {

// Constants that are set together, in one of several ways.
struct Knob {
  std::vector<ValueId> constants;             // of the exported graph
  std::vector<std::vector<Tensor>> settings;  // by setting, by constant; the first is how they are now
};

// Turns one knob after the other, which come in topological order, and keeps a setting that lowers the error
// by at least `worthwhile` (relative). Returns the setting of each knob.
std::vector<size_t> TurnKnobs(const Graph& exported, const std::vector<Knob>& knobs, const OutputError& error,
                              const std::vector<Sample>& samples, double worthwhile, ThreadPool& pool,
                              const std::function<void(int64_t, int64_t)>& progress);

// The noise-to-signal ratios of a graph as it is, by point.
std::vector<double> RatiosOf(const Graph& exported, const OutputError& error,
                             const std::vector<Sample>& samples, ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_TUNE_KNOBS_H_
