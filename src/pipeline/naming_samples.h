// Says which sample an operator cannot be run on.
#ifndef XSLIM_PIPELINE_NAMING_SAMPLES_H_
#define XSLIM_PIPELINE_NAMING_SAMPLES_H_

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "pipeline/float_model.h"

namespace xslim {

// What a run reads: a graph, and samples of a source.
struct SamplesRead {
  const Graph& graph;
  const SampleSource& source;
  std::vector<int64_t> indices;
};

// To be called while an error is handled, which is thrown again: with the name of the first sample on which a
// run of the graph has the same error, or as it is where there is none.
[[noreturn]] void RethrowNamingSample(const SamplesRead& read, ThreadPool& pool);

// Calls run(); errors go through RethrowNamingSample.
template <typename Function>
std::invoke_result_t<Function> NamingSamples(const SamplesRead& read, ThreadPool& pool, const Function& run) {
  try {
    return run();
  } catch (...) {
    RethrowNamingSample(read, pool);
  }
}

// The same for the samples that calibration and report are for.
template <typename Function>
std::invoke_result_t<Function> NamingSamples(const FloatModel& model, ThreadPool& pool, const Function& run) {
  std::vector<int64_t> indices = model.choice.calibration;
  indices.insert(indices.end(), model.choice.report.begin(), model.choice.report.end());
  return NamingSamples({model.graph, *model.samples, std::move(indices)}, pool, run);
}

}  // namespace xslim

#endif  // XSLIM_PIPELINE_NAMING_SAMPLES_H_
