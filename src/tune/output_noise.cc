#include "tune/output_noise.h"

#include <algorithm>
#include <cmath>

#include "runtime/executor.h"

namespace xslim {
namespace {

constexpr double kLost = 1e30;  // noise power where nothing can be compared

bool IsMeasured(const Tensor& output, const OutputParts& parts) {
  return output.defined() &&
         (output.dtype() == DType::kFloat || (parts.rounded && IsInteger(output.dtype())));
}

}  // namespace

OutputNoise::OutputNoise(const Graph& reference, std::vector<OutputParts> parts,
                         const std::vector<Sample>& samples, ThreadPool& pool, int64_t kept_bytes)
    : graph_(reference),
      parts_(std::move(parts)),
      samples_(samples.size()),
      reference_(parts_.size()),
      signal_(parts_.size()) {
  std::vector<bool> judged(parts_.size(), true);
  Executor executor(reference, pool);
  for (size_t s = 0; s < samples_; ++s) {
    const std::vector<Tensor> outputs = executor.Run(samples[s]);
    int64_t bytes = 0;
    for (size_t o = 0; o < parts_.size(); ++o) {
      const Tensor& output = outputs[o];
      judged[o] = judged[o] && IsMeasured(output, parts_[o]) && output.size() > 0;
      if (!judged[o]) continue;
      signal_[o].push_back(Powers(o, output, nullptr));
      bytes += static_cast<int64_t>(output.bytes());
    }
    if (kept_ < s || bytes > kept_bytes) continue;
    ++kept_;
    kept_bytes -= bytes;
    for (size_t o = 0; o < parts_.size(); ++o)
      reference_[o].push_back(judged[o] ? outputs[o].Clone() : Tensor());
  }
  for (size_t o = 0; o < parts_.size(); ++o) {
    const std::string& name = reference.value(reference.outputs()[o]).name;
    if (!judged[o]) signal_[o].clear();
    if (signal_[o].empty()) {
      reference_[o].clear();
      continue;
    }
    rows_.push_back({name, ""});
    if (parts_[o].parts.size() < 2) continue;
    for (const OutputPart& part : parts_[o].parts) rows_.push_back({name, part.tensor});
  }
}

// Of the reference itself, or of its difference from `value`.
std::vector<double> OutputNoise::Powers(size_t output, const Tensor& reference, const Tensor* value) const {
  const OutputParts& parts = parts_[output];
  const size_t divisions = parts.parts.size() < 2 ? 0 : parts.parts.size();
  std::vector<double> powers(1 + divisions, 0.0);
  const bool divides = parts.Divides(reference.shape());
  const Tensor wanted = reference.ToFloat32(), given = value == nullptr ? Tensor() : value->ToFloat32();
  const float* const x = wanted.data<float>();
  const float* const y = value == nullptr ? nullptr : given.data<float>();
  for (int64_t i = 0; i < reference.size(); ++i) {
    if (!std::isfinite(x[i])) continue;
    const double d = y == nullptr ? x[i] : static_cast<double>(y[i]) - x[i];
    powers[0] += d * d;
    if (divides) powers[1 + static_cast<size_t>(parts.labels[static_cast<size_t>(i)])] += d * d;
  }
  for (double& power : powers) {
    if (!std::isfinite(power)) power = kLost;
  }
  return powers;
}

std::vector<std::vector<double>> OutputNoise::Signals() const {
  std::vector<std::vector<double>> rows;
  for (size_t o = 0; o < parts_.size(); ++o) {
    if (signal_[o].empty()) continue;
    for (size_t row = 0; row < signal_[o][0].size(); ++row) {
      rows.emplace_back();
      for (const std::vector<double>& sample : signal_[o]) rows.back().push_back(sample[row]);
    }
  }
  return rows;
}

std::vector<double> OutputNoise::Of(size_t output, size_t sample, const Tensor& value,
                                    const Tensor* wanted) const {
  if (signal_[output].empty()) return {};
  const Tensor& reference = wanted != nullptr ? *wanted : reference_[output][sample];
  const std::vector<double>& signal = signal_[output][sample];
  if (!IsMeasured(value, parts_[output])) return std::vector<double>(signal.size(), kLost);
  if (value.shape() != reference.shape()) return signal;
  return Powers(output, reference, &value);
}

std::vector<double> OutputNoise::Ratios(const std::vector<std::vector<std::vector<double>>>& noise) const {
  std::vector<double> ratios;
  for (size_t o = 0; o < parts_.size(); ++o) {
    if (signal_[o].empty()) continue;
    const size_t samples = noise[o].size();
    std::vector<double> signals;
    for (size_t s = 0; s < samples; ++s) signals.push_back(signal_[o][s][0]);
    const double least = SilentBelow(signals);
    double sum = 0;
    int loud = 0;
    for (size_t s = 0; s < samples; ++s) {
      if (signals[s] < least) continue;
      sum += NoiseRatio(noise[o][s][0], signals[s]);
      ++loud;
    }
    ratios.push_back(sum / std::max(loud, 1));
    for (size_t p = 1; p < signal_[o][0].size(); ++p) {
      double all = 0, signal = 0;
      for (size_t s = 0; s < samples; ++s) {
        all += noise[o][s][p];
        signal += signal_[o][s][p];
      }
      ratios.push_back(NoiseRatio(all, signal));
    }
  }
  return ratios;
}

}  // namespace xslim
