#include "base/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/sanitizer.h"

namespace xslim {
namespace {

// How often each of n items was seen.
std::vector<int> Seen(ThreadPool& pool, int64_t n, int64_t grain) {
  std::vector<int> seen(static_cast<size_t>(n), 0);
  pool.ParallelFor(n, grain, [&](int64_t begin, int64_t end, int worker) {
    EXPECT_LT(begin, end);
    EXPECT_GE(worker, 0);
    EXPECT_LT(worker, pool.size());
    for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
  });
  return seen;
}

TEST(ThreadPool, CoversEveryItemOnce) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int64_t n : {0, 1, 7, 64, 1000}) {
      for (int64_t grain : {0, 1, 3, 64, 5000}) {
        const std::vector<int> once(static_cast<size_t>(n), 1);
        EXPECT_EQ(Seen(pool, n, grain), once) << threads << " threads, " << n << " by " << grain;
      }
    }
  }
}

TEST(ThreadPool, ThoseThatAreDoneHelpTheSlowOne) {
  ThreadPool pool(4);
  constexpr int64_t kItems = 400, kGrain = 7;
  std::vector<int> seen(kItems, 0), by(kItems, -1);
  std::atomic<bool> others_are_done = false;
  pool.ParallelFor(kItems, kGrain, [&](int64_t begin, int64_t end, int worker) {
    EXPECT_LE(end - begin, kGrain);
    EXPECT_EQ(begin % kGrain, 0);
    for (int64_t i = begin; i < end; ++i) {
      ++seen[static_cast<size_t>(i)];
      by[static_cast<size_t>(i)] = worker;
    }
    if (begin == 91) others_are_done = true;  // the last piece of the first share, where helpers begin
    while (begin == 0 && !others_are_done) std::this_thread::yield();
  });
  EXPECT_EQ(seen, std::vector<int>(kItems, 1));
  EXPECT_NE(by[91], 0);
}

TEST(ThreadPool, ManySmallLoopsInARow) {
  ThreadPool pool(4);
  std::vector<int64_t> sums(16, 0);
  constexpr int64_t kLoops = 20000;
  for (int64_t loop = 0; loop < kLoops; ++loop) {
    pool.ParallelFor(16, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sums[static_cast<size_t>(i)] += loop;
    });
  }
  EXPECT_EQ(sums, std::vector<int64_t>(16, kLoops * (kLoops - 1) / 2));
}

TEST(ThreadPool, ABodyMayStartLoopsOfItsOwn) {
  ThreadPool pool(4);
  std::vector<int> seen(64 * 8, 0);
  pool.ParallelFor(64, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      pool.ParallelFor(8, 1, [&](int64_t inner_begin, int64_t inner_end, int worker) {
        EXPECT_EQ(worker, 0);
        for (int64_t j = inner_begin; j < inner_end; ++j) ++seen[static_cast<size_t>(i * 8 + j)];
      });
    }
  });
  EXPECT_EQ(seen, std::vector<int>(64 * 8, 1));
}

TEST(ThreadPool, HandsOnAnExceptionAndGoesOn) {
  for (int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int turn = 0; turn < 50; ++turn) {
      EXPECT_THROW(pool.ParallelFor(100, 1,
                                    [](int64_t begin, int64_t end, int) {
                                      if (begin <= 37 && 37 < end) throw std::runtime_error("37");
                                    }),
                   std::runtime_error);
      EXPECT_EQ(Seen(pool, 100, 1), std::vector<int>(100, 1));
    }
  }
}

// In a process of its own whose memory has room for some threads' stacks, and not for a thousand.
[[noreturn]] void RunOutOfThreads() {
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t room = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (rlim_t{128} << 20);
  const rlimit limit = {room, room};
  rlimit set = {};
  if (setrlimit(RLIMIT_AS, &limit) != 0 || getrlimit(RLIMIT_AS, &set) != 0) std::_Exit(1);
  if (set.rlim_cur != room) std::_Exit(0);  // qemu takes no limits from programs: nothing to see there
  ThreadPool pool(1000);
  if (pool.size() >= 1000) std::_Exit(2);
  std::vector<int64_t> numbers(1000, 0);
  pool.ParallelFor(1000, 1, [&](int64_t begin, int64_t end, int worker) {
    if (worker >= pool.size()) std::_Exit(3);
    for (int64_t i = begin; i < end; ++i) numbers[static_cast<size_t>(i)] += i;
  });
  std::_Exit(std::accumulate(numbers.begin(), numbers.end(), int64_t{0}) == 499500 ? 0 : 4);
}

TEST(ThreadPoolDeathTest, MakesDoWithTheThreadsThatThereAre) {
#if defined(XSLIM_ADDRESS_SANITIZER)
  GTEST_SKIP() << "the sanitizer needs more memory than the test leaves";
#endif
  EXPECT_EXIT(RunOutOfThreads(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace xslim
