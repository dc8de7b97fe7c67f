// Says which sample an operator cannot be run on.
#ifndef XSLIM_PIPELINE_NAMING_SAMPLES_H_
#define XSLIM_PIPELINE_NAMING_SAMPLES_H_

#include <algorithm>
#include <string>
#include <vector>

#include "base/memory.h"
#include "pipeline/float_model.h"
#include "runtime/executor.h"
#include "xslim/error.h"

namespace xslim {

// Calls run(). An error that a run of the float model on one of its samples has, too, is thrown with the
// first such sample's name.
template <typename Function>
auto NamingSamples(const FloatModel& model, ThreadPool& pool, const Function& run) {
  try {
    return run();
  } catch (const OutOfMemory&) {
    throw;
  } catch (const CeilingTooLow&) {
    throw;
  } catch (const TooManySteps&) {
    throw;
  } catch (const Error& error) {
    const auto here = [&](NodeId id) {
      return error.where().starts_with(model.graph.node(id).Title() + " (");
    };
    const std::vector<NodeId> order = model.graph.Order();
    if (std::none_of(order.begin(), order.end(), here)) throw;
    Executor executor(model.graph, pool);
    for (const auto& indices : {model.choice.calibration, model.choice.report}) {
      for (int64_t index : indices) {
        const Sample sample = model.samples->at(index);
        std::string again;
        try {
          executor.Run(sample);
        } catch (const Error& same) {
          again = same.what();
        }
        if (again == error.what()) throw Error(again, model.samples->TitleOf(index));
        if (!again.empty()) throw;
      }
    }
    throw;
  }
}

}  // namespace xslim

#endif  // XSLIM_PIPELINE_NAMING_SAMPLES_H_
