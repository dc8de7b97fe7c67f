#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "base/random.h"
#include "data/samples.h"
#include "xslim/error.h"

namespace xslim {

struct SampleStream::Impl {
  Impl(const SampleSource& source, std::vector<int64_t> indices)
      : source(source), indices(std::move(indices)) {
    thread = std::thread([this] { Decode(); });
  }
  ~Impl() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      stop = true;
    }
    changed.notify_all();
    thread.join();
  }

  void Decode() {
    constexpr size_t kAhead = 1;
    for (const int64_t index : indices) {
      {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return stop || ready.size() < kAhead; });
        if (stop) return;
      }
      Sample sample;
      std::exception_ptr failure;
      try {
        sample = source.at(index);
      } catch (...) {
        failure = std::current_exception();
      }
      {
        std::lock_guard<std::mutex> lock(mutex);
        if (failure)
          error = failure;
        else
          ready.push_back(std::move(sample));
      }
      changed.notify_all();
      if (failure) return;
    }
    std::lock_guard<std::mutex> lock(mutex);
    finished = true;
    changed.notify_all();
  }

  const SampleSource& source;
  const std::vector<int64_t> indices;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Sample> ready;
  std::exception_ptr error;
  bool finished = false, stop = false;
  std::thread thread;
};

SampleStream::SampleStream(const SampleSource& source, std::vector<int64_t> indices)
    : impl_(std::make_unique<Impl>(source, std::move(indices))) {}

SampleStream::~SampleStream() = default;

bool SampleStream::Next(Sample* sample) {
  std::unique_lock<std::mutex> lock(impl_->mutex);
  impl_->changed.wait(lock, [this] { return !impl_->ready.empty() || impl_->error || impl_->finished; });
  if (impl_->ready.empty()) {
    if (impl_->error) std::rethrow_exception(impl_->error);
    return false;
  }
  *sample = std::move(impl_->ready.front());
  impl_->ready.pop_front();
  lock.unlock();
  impl_->changed.notify_all();
  return true;
}

namespace {

bool HoldsNaN(const Tensor& tensor) {
  if (!IsFloating(tensor.dtype())) return false;
  const Tensor floats = tensor.ToFloat32();
  const float* x = floats.data<float>();
  return std::any_of(x, x + floats.size(), [](float value) { return std::isnan(value); });
}

}  // namespace

std::vector<Sample> DrawSamples(const SampleSource& source, const std::vector<int64_t>& indices,
                                int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<Sample> samples;
  for (int64_t at : Choose(random, static_cast<int64_t>(indices.size()), count))
    samples.push_back(source.at(indices[static_cast<size_t>(at)]));
  std::vector<Sample> sound;
  for (const Sample& sample : samples) {
    if (std::none_of(sample.begin(), sample.end(), HoldsNaN)) sound.push_back(sample);
  }
  return sound.empty() ? samples : sound;
}

bool HoldValues(const SampleSource& source, const std::vector<int64_t>& indices,
                const std::vector<ModelInput>& inputs) {
  std::vector<size_t> waiting;  // float inputs without a finite element so far
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (IsFloating(inputs[i].dtype)) waiting.push_back(i);
  }
  const std::vector<size_t> floats = waiting;
  bool varies = floats.empty();
  for (size_t s = 0; s < indices.size() && !(varies && waiting.empty()); ++s) {
    const Sample sample = source.at(indices[s]);
    for (const size_t input : floats) {
      const Tensor tensor = sample[input].ToFloat32();
      const float *begin = tensor.data<float>(), *end = begin + tensor.size();
      varies = varies || std::any_of(begin, end, [](float x) { return std::isfinite(x) && x != 0; });
      if (begin == end || std::any_of(begin, end, [](float x) { return std::isfinite(x); }))
        std::erase(waiting, input);
    }
  }
  if (!waiting.empty())
    throw Error("no finite sample: all calibration data of input " + inputs[waiting.front()].name +
                    " are NaN or infinite",
                "calibration_parameters.input_parameters", "mend the data or their preprocessing");
  return varies;
}

}  // namespace xslim
