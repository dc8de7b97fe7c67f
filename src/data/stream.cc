#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "base/random.h"
#include "data/samples.h"
#include "xslim/error.h"

namespace xslim {

int64_t BytesOf(const Sample& sample) {
  int64_t bytes = 0;
  for (const Tensor& tensor : sample) bytes += static_cast<int64_t>(tensor.bytes());
  return bytes;
}

SampleStream::SampleStream(const SampleSource& source, std::vector<int64_t> indices)
    : source_(source), indices_(std::move(indices)) {
  ReadAhead();
}

void SampleStream::ReadAhead() {
  if (at_ == indices_.size()) return;
  // Deferred: what the standard library does where there is no thread to be had.
  ahead_ = std::async(std::launch::async | std::launch::deferred,
                      [&source = source_, index = indices_[at_]] { return source.at(index); });
}

bool SampleStream::Next(Sample* sample) {
  if (!ahead_.valid()) return false;  // at the end, or behind a sample that could not be read
  *sample = ahead_.get();
  ++at_;
  ReadAhead();
  return true;
}

namespace {

constexpr int64_t kFewestDrawn = 2;  // however large they are
constexpr int64_t kRound = 8;        // samples that are decoded at once, before their bytes are looked at

// Never 0.
int64_t CostOf(const Sample& sample) { return BytesOf(sample) + 1; }

bool HoldsNaN(const Tensor& tensor) {
  if (!IsFloating(tensor.dtype())) return false;
  const Tensor floats = tensor.ToFloat32();
  const float* x = floats.data<float>();
  return std::any_of(x, x + floats.size(), [](float value) { return std::isnan(value); });
}

}  // namespace

std::vector<Sample> DrawSamples(const SampleSource& source, const std::vector<int64_t>& indices,
                                int64_t count, uint64_t seed, ThreadPool& pool, int64_t most_bytes) {
  const auto choose = [&](int64_t number) {
    Random random(seed);
    return Choose(random, static_cast<int64_t>(indices.size()), number);
  };
  std::vector<int64_t> chosen = choose(count);
  const bool bounded = most_bytes < std::numeric_limits<int64_t>::max();
  Sample first;  // that tells how many fit, if the others are as large
  if (bounded && !chosen.empty()) {
    first = source.at(indices[static_cast<size_t>(chosen[0])]);
    const int64_t fit = std::max(most_bytes / CostOf(first), kFewestDrawn);
    if (fit < std::ssize(chosen)) {
      chosen = choose(fit);
      first.clear();
    }
  }
  // In rounds, since the others may be larger. The first in order that fails or is too much counts, whoever
  // met one first and wherever a round ends.
  const int64_t number = std::ssize(chosen), round = bounded ? kRound : std::max<int64_t>(number, 1);
  std::vector<Sample> samples;
  int64_t bytes = 0;
  for (int64_t start = 0; start < number && std::ssize(samples) == start; start += round) {
    std::vector<Sample> decoded(static_cast<size_t>(std::min(round, number - start)));
    std::vector<std::exception_ptr> failures(decoded.size());
    pool.ParallelFor(std::ssize(decoded), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const auto at = static_cast<size_t>(i);
        if (start + i == 0 && !first.empty()) {
          decoded[at] = std::move(first);
          continue;
        }
        try {
          decoded[at] = source.at(indices[static_cast<size_t>(chosen[static_cast<size_t>(start + i)])]);
        } catch (...) {
          failures[at] = std::current_exception();
        }
      }
    });
    for (size_t i = 0; i < decoded.size(); ++i) {
      if (failures[i]) std::rethrow_exception(failures[i]);
      bytes += CostOf(decoded[i]);
      if (bytes > most_bytes && std::ssize(samples) >= kFewestDrawn) break;
      samples.push_back(std::move(decoded[i]));
    }
  }
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
