// Says which sample an operator cannot be run on.
#ifndef XSLIM_PIPELINE_NAMING_SAMPLES_H_
#define XSLIM_PIPELINE_NAMING_SAMPLES_H_

#include <type_traits>

#include "base/threads.h"
#include "pipeline/float_model.h"

namespace xslim {

// To be called while an error is handled, which is thrown again: with the name of the first of the model's
// samples on which a run of the float model has the same error, or as it is where there is none.
[[noreturn]] void RethrowNamingSample(const FloatModel& model, ThreadPool& pool);

// Calls run(); errors go through RethrowNamingSample.
template <typename Function>
std::invoke_result_t<Function> NamingSamples(const FloatModel& model, ThreadPool& pool, const Function& run) {
  try {
    return run();
  } catch (...) {
    RethrowNamingSample(model, pool);
  }
}

}  // namespace xslim

#endif  // XSLIM_PIPELINE_NAMING_SAMPLES_H_
