// How stages tell how far they are.
#ifndef XSLIM_PIPELINE_PROGRESS_H_
#define XSLIM_PIPELINE_PROGRESS_H_

#include <functional>

#include "tune/sensitivity.h"
#include "xslim/xslim.h"

namespace xslim {

// By a stage's name what it calls: the run's callback, where there is one. options must outlive it.
inline std::function<ProgressCall(const char*)> StageProgress(const RunOptions& options) {
  return [&options](const char* stage) -> ProgressCall {
    return [&options, stage](int64_t done, int64_t total) {
      if (options.progress) options.progress(stage, done, total);
    };
  };
}

}  // namespace xslim

#endif  // XSLIM_PIPELINE_PROGRESS_H_
