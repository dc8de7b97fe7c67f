#include "base/threads.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace xslim {
namespace {

thread_local bool inside_body = false;

// Waits a little (some ten microseconds) without sleeping: most loops are over, or followed by the next one,
// by then, and to wake a thread takes longer. Whoever else wants the core gets it.
template <typename Done>
void WaitAwake(const Done& done) {
  constexpr int kTurns = 640;
  for (int i = 0; i < kTurns && !done(); ++i) std::this_thread::yield();
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  workers_.reserve(static_cast<size_t>(std::max(threads, 1)));
  shares_.reserve(workers_.capacity());  // so that ParallelFor throws nothing once it has begun
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { Work(i); });
  } catch (const std::exception& error) {  // a limit of the system's; results are the same with fewer
    LogWarning("the system gives ", size(), " of ", threads, " threads: ", error.what());
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ParallelFor(int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (workers_.empty() || n <= grain || inside_body) {
    body(0, n, 0);
    return;
  }
  bool wake;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    body_ = &body;
    grain_ = grain;
    const int64_t pieces = (n + grain - 1) / grain, threads = size();
    shares_.clear();
    for (int64_t t = 0; t < threads; ++t) {
      shares_.push_back({pieces * t / threads * grain, std::min(pieces * (t + 1) / threads * grain, n)});
    }
    error_ = nullptr;
    ++epoch_;
    wake = asleep_ > 0;
  }
  if (wake) start_.notify_all();
  Drain(0);
  // Only for those inside: a worker that comes later finds nothing left.
  WaitAwake([this] { return busy_ == 0; });
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
  body_ = nullptr;
  if (error_) std::rethrow_exception(error_);
}

ThreadPool::Share ThreadPool::Take(int worker) {
  Share& own = shares_[static_cast<size_t>(worker)];
  if (own.begin < own.end) {
    const int64_t begin = own.begin;
    own.begin = std::min(own.end, begin + grain_);
    return {begin, own.begin};
  }
  Share& most = *std::max_element(shares_.begin(), shares_.end(), [](const Share& a, const Share& b) {
    return a.end - a.begin < b.end - b.begin;
  });
  // Only the last piece of all may be a short one.
  const int64_t end = most.end, left = end - most.begin;
  if (left > 0) most.end -= left % grain_ != 0 ? left % grain_ : grain_;
  return {most.end, end};
}

void ThreadPool::Drain(int worker) {
  inside_body = true;
  for (;;) {
    Share piece;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      piece = Take(worker);
    }
    if (piece.begin >= piece.end) break;
    try {
      (*body_)(piece.begin, piece.end, worker);
    } catch (...) {  // handed to the caller of ParallelFor
      std::lock_guard<std::mutex> lock(mutex_);
      if (!error_) error_ = std::current_exception();
      shares_.assign(shares_.size(), {0, 0});
    }
  }
  inside_body = false;
}

void ThreadPool::Work(int worker) {
  uint64_t seen = 0;
  for (;;) {
    const auto called = [&] { return stop_ || epoch_ != seen; };
    WaitAwake(called);
    {
      std::unique_lock<std::mutex> lock(mutex_);
      ++asleep_;
      start_.wait(lock, called);
      --asleep_;
      if (stop_) return;
      seen = epoch_;
      if (body_ == nullptr) continue;  // over already
      ++busy_;
    }
    Drain(worker);
    bool last;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      last = --busy_ == 0;
    }
    if (last) done_.notify_one();
  }
}

}  // namespace xslim
