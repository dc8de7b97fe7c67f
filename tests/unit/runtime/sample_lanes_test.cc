#include "runtime/sample_lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <vector>

namespace xslim {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Le;

// Counts those that are alive.
struct Counted {
  explicit Counted(int* alive) : alive_(alive) { ++*alive_; }
  ~Counted() { --*alive_; }
  Counted(const Counted&) = delete;

 private:
  int* alive_;
};

struct Lane {
  std::unique_ptr<Counted> held;
  int made_from = -1;  // lane; -1: the first
  int number = -1;
};

struct Outcome {
  std::vector<int> runs;   // by sample: how often it was run
  std::vector<int> lanes;  // by sample: which lane
  std::vector<int> made_from;
  std::vector<int> alive_before;  // each clone
};

Outcome RunSamples(const SampleLanes& lanes, int64_t begin, int64_t end, int64_t bytes = 1000) {
  Outcome outcome;
  outcome.runs.assign(static_cast<size_t>(end), 0);
  outcome.lanes.assign(static_cast<size_t>(end), -1);
  int alive = 0;
  Lane first = {std::make_unique<Counted>(&alive)};
  std::mutex mutex;
  lanes.Run(
      "the test", begin, end, bytes, &first,
      [&](const Lane& from, ThreadPool& one, size_t lane) {
        EXPECT_EQ(one.size(), 1);
        outcome.made_from.push_back(from.number);
        outcome.alive_before.push_back(alive);
        return Lane{std::make_unique<Counted>(&alive), from.number, static_cast<int>(lane)};
      },
      [&](const Lane& lane, int64_t from, int64_t to) {
        std::lock_guard<std::mutex> lock(mutex);
        for (int64_t s = from; s < to; ++s) {
          ++outcome.runs[static_cast<size_t>(s)];
          outcome.lanes[static_cast<size_t>(s)] = lane.number;
        }
      });
  EXPECT_EQ(alive, first.held ? 1 : 0);
  return outcome;
}

TEST(SampleLanes, RunsEachSampleOnceInContiguousPieces) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t end : {1, 2, 3, 7, 20}) {
      const Outcome outcome = RunSamples(pool, 1, end);
      EXPECT_EQ(outcome.runs[0], 0);
      for (size_t s = 1; s < outcome.runs.size(); ++s) EXPECT_EQ(outcome.runs[s], 1) << s;
      for (size_t s = 2; s < outcome.lanes.size(); ++s) EXPECT_LE(outcome.lanes[s - 1], outcome.lanes[s]);
      EXPECT_EQ(static_cast<int64_t>(outcome.made_from.size()), std::min<int64_t>(threads, end - 1));
    }
  }
}

// What all threads ran together holds memory that the lanes need.
TEST(SampleLanes, TheFirstIsGoneBeforeTheSecondLaneIsMade) {
  ThreadPool pool(3);
  const Outcome outcome = RunSamples(pool, 0, 9);
  EXPECT_EQ(outcome.made_from, (std::vector<int>{-1, 0, 0}));
  EXPECT_EQ(outcome.alive_before, (std::vector<int>{1, 1, 2}));
}

TEST(SampleLanes, ACeilingLeavesFewerLanes) {
  const int64_t held = ResidentBytes();
  if (held == 0) GTEST_SKIP() << "the system does not tell";
  ThreadPool pool(4);
  constexpr int64_t kBytes = int64_t{1} << 30;
  const Outcome outcome = RunSamples({pool, MemoryCeiling(held + 4 * kBytes)}, 1, 9, kBytes);
  EXPECT_EQ(outcome.made_from.size(), 2u) << "a lane takes half as much again";
  for (size_t s = 1; s < outcome.runs.size(); ++s) EXPECT_EQ(outcome.runs[s], 1) << s;
  EXPECT_THAT(outcome.lanes, Each(Le(1)));
}

TEST(SampleLanes, ACeilingWithoutRoomForOneLaneIsRefused) {
  if (ResidentBytes() == 0) GTEST_SKIP() << "the system does not tell";
  ThreadPool pool(2);
  try {
    RunSamples({pool, MemoryCeiling(1)}, 1, 3);
    FAIL() << "no error";
  } catch (const CeilingTooLow& error) {
    EXPECT_THAT(error.what(), HasSubstr("the test"));
  }
  EXPECT_EQ(RunSamples({pool, MemoryCeiling(1)}, 1, 1).made_from.size(), 0u) << "nothing is left to run";
}

}  // namespace
}  // namespace xslim
