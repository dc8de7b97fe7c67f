// A pool of worker threads for loops whose iterations are independent. Work is split, sums never are:
// what a loop computes must not depend on how its range was cut.
#ifndef XSLIM_BASE_THREADS_H_
#define XSLIM_BASE_THREADS_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace xslim {

class ThreadPool {
 public:
  // threads: at least 1; the calling thread is one of them. Where the system refuses more threads, there are
  // fewer, and a warning.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, worker) over pieces of [0, n) of at most `grain` items; worker is in [0, size()).
  // A thread starts with its share, the same part of [0, n) in every loop, for what its cache holds of it,
  // and then helps others. One piece, with worker 0, when n <= grain, when the pool has one thread, and from
  // inside a body (of any pool). Rethrows the first exception. Not for two threads at once.
  using Body = std::function<void(int64_t begin, int64_t end, int worker)>;
  void ParallelFor(int64_t n, int64_t grain, const Body& body);

 private:
  struct Share {
    int64_t begin, end;
  };

  void Work(int worker);
  void Drain(int worker);
  // The next piece for a thread: of its own share from the front, of the largest other from the back; empty
  // when nothing is left. Under mutex_.
  Share Take(int worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;  // guards what is not atomic; atomics change under it, too
  std::condition_variable start_, done_;
  std::atomic<uint64_t> epoch_{0};  // how many loops there were
  std::atomic<bool> stop_{false};
  std::atomic<int> busy_{0};  // workers inside the loop
  int asleep_ = 0;            // workers that wait for start_
  const Body* body_ = nullptr;
  int64_t grain_ = 1;
  std::vector<Share> shares_;  // what is left of each thread's
  std::exception_ptr error_;
};

}  // namespace xslim

#endif  // XSLIM_BASE_THREADS_H_
