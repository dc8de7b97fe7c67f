// Runs a stage's samples side by side. The first one is run by all threads together, which packs the weights
// once and shows how much memory a sample takes. Then each thread runs whole samples in a lane of its own:
// one-thread clones that share the weights, so that no thread waits for another at every operator.
#ifndef XSLIM_RUNTIME_SAMPLE_LANES_H_
#define XSLIM_RUNTIME_SAMPLE_LANES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/threads.h"

namespace xslim {

class SampleLanes {
 public:
  // A lane for each thread, but only as many as fit under the ceiling.
  SampleLanes(ThreadPool& pool, MemoryCeiling ceiling = MemoryCeiling()) : pool_(pool), ceiling_(ceiling) {}

  ThreadPool& pool() const { return pool_; }

  // Runs samples [begin, end), which are left when *first has run one on pool(). A lane holds what runs a
  // sample (an Executor or several, and what their taps write to), can be moved, and is empty when default
  // constructed.
  //   clone(from, one, lane) -> Lane : lane number `lane`, on the threads of `one`, sharing the weights of
  //     `from`. Lane 0 is made from *first, which is emptied then, the others from lane 0.
  //   run(lane, begin, end) : runs a piece of the samples. Called from several threads, for each lane once.
  // buffer_bytes: of the executors of *first (Executor::buffer_bytes). Throws CeilingTooLow naming `stage`
  // when the ceiling leaves no room for one lane; rethrows the first exception of a lane.
  template <typename Lane, typename Clone, typename RunPiece>
  void Run(const std::string& stage, int64_t begin, int64_t end, int64_t buffer_bytes, Lane* first,
           const Clone& clone, const RunPiece& run) const {
    if (begin >= end) return;
    ThreadPool one(1);
    std::vector<Lane> lanes;
    lanes.push_back(clone(*first, one, size_t{0}));
    *first = Lane();
    const int64_t count = Count(stage, end - begin, buffer_bytes);
    for (int64_t p = 1; p < count; ++p) lanes.push_back(clone(lanes[0], one, static_cast<size_t>(p)));
    pool_.ParallelFor(count, 1, [&](int64_t from, int64_t to, int) {
      for (int64_t p = from; p < to; ++p) {
        run(lanes[static_cast<size_t>(p)], begin + (end - begin) * p / count,
            begin + (end - begin) * (p + 1) / count);
      }
    });
  }

 private:
  int64_t Count(const std::string& stage, int64_t samples, int64_t buffer_bytes) const;

  ThreadPool& pool_;
  MemoryCeiling ceiling_;
};

}  // namespace xslim

#endif  // XSLIM_RUNTIME_SAMPLE_LANES_H_
