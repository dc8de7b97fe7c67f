#include "runtime/tapped_samples.h"

#include <cstdint>
#include <memory>

#include "runtime/executor.h"

namespace xslim {
namespace {

struct Lane {
  std::unique_ptr<Executor> executor;
  std::unique_ptr<size_t> sample;  // that it is at
};

}  // namespace

void RunTapped(const std::string& stage, const Graph& graph, const std::vector<std::vector<Tensor>>& samples,
               const std::vector<ValueId>& watched, const SampleTap& tap, const SampleDone& done,
               const SampleLanes& lanes) {
  if (samples.empty()) return;
  const auto tap_of = [&tap](const size_t* sample) -> TapFn {
    return [&tap, sample](ValueId id, const Tensor& tensor) { tap(*sample, id, tensor); };
  };
  const auto run = [&](const Lane& lane, int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      *lane.sample = static_cast<size_t>(s);
      const std::vector<Tensor> outputs = lane.executor->Run(samples[*lane.sample]);
      if (done) done(*lane.sample, outputs);
    }
  };
  Lane first = {std::make_unique<Executor>(graph, lanes.pool()), std::make_unique<size_t>()};
  first.executor->SetTaps(watched, tap_of(first.sample.get()));
  run(first, 0, 1);
  const auto clone = [&](const Lane& from, ThreadPool& one, size_t) {
    auto sample = std::make_unique<size_t>();
    return Lane{from.executor->Clone(one, tap_of(sample.get())), std::move(sample)};
  };
  lanes.Run(stage, 1, static_cast<int64_t>(samples.size()), first.executor->buffer_bytes(), &first, clone,
            run);
}

}  // namespace xslim
