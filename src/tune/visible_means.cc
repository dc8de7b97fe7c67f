#include "tune/visible_means.h"

#include <algorithm>
#include <cmath>

#include "base/vector_clones.h"
#include "kernels/kernels.h"

namespace xslim {
namespace {

constexpr int64_t kRun = 256;  // elements that are added up in float32

// Adds up (in float32: a run) what the range shows of x + move, and counts what lies inside.
// NaN counts as zero, and as not inside.
XSLIM_VECTOR_CLONES void AddShown(const float* x, int64_t n, float move, InterestRange visible, double* sum,
                                  int64_t* inside) {
  constexpr int64_t kLanes = 8;  // sums of their own: none waits for the one before
  using Int8 = int32_t __attribute__((vector_size(32)));
  const Float8 lo = Float8{} + visible.lo, hi = Float8{} + visible.hi;
  Float8 shown = {};
  Int8 same = {};
  const auto add = [&](const Float8& value) {
    const Float8 above = value < lo ? lo : value, clamped = above > hi ? hi : above;
    shown += clamped == clamped ? clamped : Float8{};
    same -= clamped == value;  // true is -1
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Float8 value;
    Load(x + i, &value);
    add(value + move);
  }
  for (; i < n; ++i) add(Float8{x[i] + move, NAN, NAN, NAN, NAN, NAN, NAN, NAN});
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    *sum += static_cast<double>(shown[lane]);
    *inside += same[lane];
  }
}

// The same of one row of channels: for each its own move, sum and count.
XSLIM_VECTOR_CLONES void AddShownRow(const float* x, int64_t n, const float* moves, InterestRange visible,
                                     double* sums, double* inside) {
  for (int64_t c = 0; c < n; ++c) {
    const float value = x[c] + moves[c];
    const float above = value < visible.lo ? visible.lo : value;
    const float clamped = above > visible.hi ? visible.hi : above;
    sums[c] += clamped == clamped ? static_cast<double>(clamped) : 0.0;
    inside[c] += clamped == value ? 1.0 : 0.0;
  }
}

// Adds up (in float32: a run) what a Sigmoid g(x), or x g(x), makes of numbers, and by how much
// it rises there. g: of each x.
XSLIM_VECTOR_CLONES void AddCurved(const float* x, const float* g, int64_t n, bool gated, double* sum,
                                   double* slope) {
  constexpr int64_t kLanes = 8;
  const Float8 zero = {}, one = zero + 1.0f;
  Float8 made = {}, rise = {};
  const auto add = [&](const Float8& value, const Float8& gate) {
    const Float8 bend = gate * (one - gate);
    const Float8 result = gated ? value * gate : gate, slope_here = gated ? gate + value * bend : bend;
    made += result == result ? result : zero;
    rise += slope_here == slope_here ? slope_here : zero;
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Float8 value, gate;
    Load(x + i, &value);
    Load(g + i, &gate);
    add(value, gate);
  }
  for (; i < n; ++i)
    add(Float8{x[i], NAN, NAN, NAN, NAN, NAN, NAN, NAN}, Float8{g[i], NAN, NAN, NAN, NAN, NAN, NAN, NAN});
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    *sum += static_cast<double>(made[lane]);
    *slope += static_cast<double>(rise[lane]);
  }
}

// The same of `n` elements that lie `stride` apart, with `move` added to them.
void AddBehindCurve(const float* x, int64_t n, int64_t stride, float move, Curve curve, double* sum,
                    double* slope) {
  float moved[kRun], gates[kRun];
  for (int64_t begin = 0; begin < n; begin += kRun) {
    const int64_t count = std::min(kRun, n - begin);
    for (int64_t i = 0; i < count; ++i) moved[i] = x[(begin + i) * stride] + move;
    kernels::Active().unary(kernels::kSigmoid, moved, gates, count);
    AddCurved(moved, gates, count, curve == Curve::kSilu, sum, slope);
  }
}

}  // namespace

void VisibleMeans::Add(const Tensor& y, int64_t axis, InterestRange visible,
                       const std::vector<double>& shift) {
  const int64_t channels = y.dim(axis), inner = InnerCount(y.shape(), axis);
  const auto count = static_cast<size_t>(channels);
  mean.resize(count);
  inside.resize(count);
  if (y.size() == 0) return;
  const int64_t batch = y.size() / (channels * inner);
  std::vector<float> moves(count);
  for (size_t c = 0; c < shift.size(); ++c) moves[c] = static_cast<float>(shift[c]);
  std::vector<double> seen(count), within(count);
  const bool curved = visible.curve != Curve::kNone, rows = inner == 1;
  // Of rows, a curve takes a channel's elements of all of them at once.
  for (int64_t n = 0; n < (curved && rows ? 1 : batch); ++n) {
    const float* const image = y.data<float>() + n * channels * inner;
    if (rows && !curved) {
      AddShownRow(image, channels, moves.data(), visible, seen.data(), within.data());
      continue;
    }
    for (int64_t c = 0; c < channels; ++c) {
      const auto at = static_cast<size_t>(c);
      const float* const x = image + c * inner;
      if (curved) {
        AddBehindCurve(x, rows ? batch : inner, rows ? channels : 1, moves[at], visible.curve, &seen[at],
                       &within[at]);
        continue;
      }
      int64_t elements = 0;
      for (int64_t begin = 0; begin < inner; begin += kRun)
        AddShown(x + begin, std::min(kRun, inner - begin), moves[at], visible, &seen[at], &elements);
      within[at] += static_cast<double>(elements);
    }
  }
  for (size_t c = 0; c < count; ++c) {
    mean[c] += seen[c] / static_cast<double>(batch * inner);
    inside[c] += within[c] / static_cast<double>(batch * inner);
  }
}

void VisibleMeans::Add(const VisibleMeans& of_sample) {
  mean.resize(of_sample.mean.size());
  inside.resize(of_sample.inside.size());
  for (size_t c = 0; c < of_sample.mean.size(); ++c) {
    mean[c] += of_sample.mean[c];
    inside[c] += of_sample.inside[c];
  }
}

void VisibleMeans::Divide(size_t samples) {
  for (double& x : mean) x /= static_cast<double>(std::max<size_t>(samples, 1));
  for (double& x : inside) x /= static_cast<double>(std::max<size_t>(samples, 1));
}

}  // namespace xslim
