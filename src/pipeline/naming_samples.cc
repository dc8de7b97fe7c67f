#include "pipeline/naming_samples.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/memory.h"
#include "runtime/executor.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// The message of the error that a run on the sample ends with; "" where it ends well.
std::string ErrorOn(const Sample& sample, Executor* executor) {
  try {
    executor->Run(sample);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

void RethrowNamingSample(const SamplesRead& read, ThreadPool& pool) {
  try {
    throw;
  } catch (const OutOfMemory&) {
    throw;
  } catch (const CeilingTooLow&) {
    throw;
  } catch (const TooManySteps&) {
    throw;
  } catch (const Error& error) {
    const auto here = [&](NodeId id) {
      return error.where().starts_with(read.graph.node(id).Title() + " (");
    };
    const std::vector<NodeId> order = read.graph.Order();
    if (std::none_of(order.begin(), order.end(), here)) throw;
    Executor executor(read.graph, pool);
    for (int64_t index : read.indices) {
      const std::string again = ErrorOn(read.source.at(index), &executor);
      if (again == error.what()) throw Error(again, read.source.TitleOf(index));
      if (!again.empty()) throw;
    }
    throw;
  }
}

}  // namespace xslim
