#include "calibrate/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>

#include "kernels/kernels.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr uint32_t kShift = 12, kBins = 2048;
constexpr uint32_t kOctaves = 8;              // the lowest one is linear
constexpr uint32_t kSide = kOctaves * kBins;  // slots of one sign
constexpr uint32_t kLargest = 0x7f7fffff;     // bits of the largest finite float
constexpr int kLowestTop = 32;                // so that a linear bin is no denormal
constexpr int64_t kBlock = 2048;              // elements whose extremes are noted together
constexpr float kInf = std::numeric_limits<float>::infinity();

int ExponentOf(float value) { return static_cast<int>((std::bit_cast<uint32_t>(value) >> 23) & 255); }

// Where the linear octave ends.
float LinearEnd(int top) { return std::bit_cast<float>(static_cast<uint32_t>(top - 6) << 23); }

// A bin's lower end in widths of the linear bins, and back.
uint64_t UnitsOf(uint32_t bin) {
  const uint32_t octave = bin / kBins, rest = bin % kBins;
  return octave == 0 ? rest : static_cast<uint64_t>(kBins + rest) << (octave - 1);
}
uint32_t BinOf(uint64_t units) {
  if (units < kBins) return static_cast<uint32_t>(units);
  const uint32_t octave = static_cast<uint32_t>(std::bit_width(units)) - 11;
  return octave * kBins + static_cast<uint32_t>(units >> (octave - 1)) - kBins;
}
// The bin after the top has risen by `rise`.
uint32_t Raised(uint32_t bin, int rise) { return rise < 32 ? BinOf(UnitsOf(bin) >> rise) : 0; }

bool Better(float a, float b, bool below) { return below ? a < b : a > b; }

}  // namespace

// Finds the element of rank `rank` from one end: keeps the best rank + 1 elements, and drops the others
// whenever twice as many have come together.
struct SampleSummary::Tail {
  Tail(bool below, uint64_t rank)
      : below(below), keep(static_cast<size_t>(rank) + 1), bound(below ? kInf : -kInf) {
    kept.reserve(2 * keep + 256);
  }

  bool Wants(const Extremes& block) const { return Better(below ? block.lo : block.hi, bound, below); }

  template <bool kBelow>
  void Scan(const float* x, int64_t n) {
    constexpr int64_t kGroup = 32;
    for (int64_t i = 0; i < n; i += kGroup) {
      const int64_t end = std::min(n, i + kGroup);
      if (end - i == kGroup) {
        int any = 0;
        for (int64_t j = i; j < end; ++j) any |= kBelow ? x[j] < bound : x[j] > bound;
        if (any == 0) continue;
      }
      for (int64_t j = i; j < end; ++j) {
        if (kBelow ? x[j] < bound : x[j] > bound) kept.push_back(x[j]);
      }
      if (kept.size() >= 2 * keep + 128) Prune();
    }
  }

  void Prune() {
    const auto last = kept.begin() + static_cast<std::ptrdiff_t>(keep - 1);
    if (below) {
      std::nth_element(kept.begin(), last, kept.end());
    } else {
      std::nth_element(kept.begin(), last, kept.end(), std::greater<float>());
    }
    bound = *last;
    kept.resize(keep);
  }

  float Result() {
    if (kept.size() > keep) Prune();
    return *(below ? std::max_element(kept.begin(), kept.end()) : std::min_element(kept.begin(), kept.end()));
  }

  bool below;
  size_t keep;
  float bound;
  std::vector<float> kept;
};

void SampleSummary::Clear() {
  if (!sparse_) {
    for (size_t sign : {0, 1}) {
      if (signs_[sign]) std::fill_n(counts_.begin() + static_cast<std::ptrdiff_t>(sign * kSide), kSide, 0u);
    }
  }
  slots_.clear();
  blocks_.clear();
  signs_[0] = signs_[1] = false;
  finite_ = zeros_ = nan_ = infinite_ = 0;
  min_ = kInf;
  max_ = -kInf;
}

void SampleSummary::Count(const float* x, int64_t n, double percentile, int top) {
  if (n > int64_t{std::numeric_limits<uint32_t>::max()})
    throw Error("a calibration sample of " + std::to_string(n) + " elements is too large.", "statistics",
                "at most 4294967295 elements per tensor");
  Clear();
  const kernels::Table& table = kernels::Active();
  sparse_ = n <= kSparse;
  top_ = std::max(top, kLowestTop);
  // As long as no element is above the octaves that are there already, a block is counted while it is in
  // cache.
  bool counting = !sparse_ && top > 0;
  for (int64_t i = 0; i < n; i += kBlock) {
    kernels::MinMax seen;
    const int64_t count = std::min(kBlock, n - i);
    table.min_max(x + i, count, &seen);
    if (counting) {
      counting = seen.finite == count && std::max(ExponentOf(seen.min), ExponentOf(seen.max)) <= top_;
      if (counting)
        CountBlock(x + i, count);
      else
        std::fill(counts_.begin(), counts_.end(), 0u);
    }
    finite_ += static_cast<uint64_t>(seen.finite);
    nan_ += static_cast<uint64_t>(seen.nan);
    infinite_ += static_cast<uint64_t>(seen.pos_inf + seen.neg_inf);
    blocks_.push_back({seen.min, seen.max});
    min_ = std::min(min_, seen.min);
    max_ = std::max(max_, seen.max);
  }
  if (finite_ == 0) return;
  if (finite_ < static_cast<uint64_t>(n)) {
    finite_elements_.clear();
    std::copy_if(x, x + n, std::back_inserter(finite_elements_), [](float v) { return std::isfinite(v); });
    x = finite_elements_.data();
    n = static_cast<int64_t>(finite_);
    blocks_.assign(static_cast<size_t>((n + kBlock - 1) / kBlock), {min_, max_});
  }
  min_ += 0.0f;  // no negative zero: which of two zeros comes first must not show
  max_ += 0.0f;
  const auto rank = [&](double position) {
    return std::min(finite_ - 1, static_cast<uint64_t>(std::max(0.0, position)));
  };
  const uint64_t low_rank = rank(static_cast<double>(finite_) * (1 - percentile));
  const uint64_t high_rank = finite_ - 1 - rank(static_cast<double>(finite_) * percentile);
  low_ = min_;
  high_ = max_;
  if (low_rank > 0 || high_rank > 0) {
    Tail low(true, low_rank), high(false, high_rank);
    for (size_t block = 0; block < blocks_.size(); ++block) {
      const int64_t begin = static_cast<int64_t>(block) * kBlock, count = std::min(kBlock, n - begin);
      if (low_rank > 0 && low.Wants(blocks_[block])) low.Scan<true>(x + begin, count);
      if (high_rank > 0 && high.Wants(blocks_[block])) high.Scan<false>(x + begin, count);
    }
    if (low_rank > 0) low_ = low.Result() + 0.0f;
    if (high_rank > 0) high_ = high.Result() + 0.0f;
  }
  top_ = std::max({top_, ExponentOf(min_), ExponentOf(max_)});
  signs_[0] = max_ > 0;
  signs_[1] = min_ < 0;
  if (sparse_) {
    slots_.resize(static_cast<size_t>(n));
    table.histogram_slots(x, n, LinearEnd(top_), slots_.data());
    std::erase_if(slots_, [](int32_t slot) { return slot >= static_cast<int32_t>(kSlots); });
    zeros_ = static_cast<uint64_t>(n) - slots_.size();
    return;
  }
  for (int64_t i = 0; i < n && !counting; i += kBlock) CountBlock(x + i, std::min(kBlock, n - i));
  for (size_t i = kSlots; i < counts_.size(); ++i) {
    zeros_ += counts_[i];
    counts_[i] = 0;
  }
}

void SampleSummary::CountBlock(const float* x, int64_t n) {
  int32_t slots[kBlock];
  uint32_t* counts = counts_.data();
  kernels::Active().histogram_slots(x, n, LinearEnd(top_), slots);
  for (int64_t i = 0; i < n; ++i) ++counts[slots[i]];
}

void TensorStatistics::Raise(int top) {
  const int rise = count_ > zeros_ ? top - top_ : 0;
  top_ = top;
  if (rise == 0) return;
  for (size_t sign : {0, 1}) {
    const auto move = [&](auto& counts) {
      if (counts.empty()) return;
      std::remove_reference_t<decltype(counts)> raised(counts.size());
      for (uint32_t bin = 0; bin < kSide; ++bin) raised[Raised(bin, rise)] += counts[bin];
      counts.swap(raised);
    };
    move(counts_[sign]);
    move(spilled_[sign]);
  }
}

void TensorStatistics::MakeRoom(uint64_t elements) {
  if (pending_ + elements > std::numeric_limits<uint32_t>::max()) {
    for (size_t sign : {0, 1}) {
      if (counts_[sign].empty()) continue;
      spilled_[sign].resize(kSide);
      for (size_t bin = 0; bin < kSide; ++bin) spilled_[sign][bin] += counts_[sign][bin];
      std::fill(counts_[sign].begin(), counts_[sign].end(), 0u);
    }
    pending_ = 0;
  }
  pending_ += elements;
}

uint64_t TensorStatistics::CountAt(size_t sign, size_t bin) const {
  return (counts_[sign].empty() ? 0 : counts_[sign][bin]) +
         (spilled_[sign].empty() ? 0 : spilled_[sign][bin]);
}

void TensorStatistics::Add(const SampleSummary& sample, int64_t index) {
  nan_ += sample.nan_;
  infinite_ += sample.infinite_;
  if (sample.finite_ == 0) return;
  percentiles_.push_back({index, sample.low_, sample.high_});
  min_ = count_ == 0 ? sample.min_ : std::min(min_, sample.min_);
  max_ = count_ == 0 ? sample.max_ : std::max(max_, sample.max_);
  if (sample.top_ > top_) Raise(sample.top_);
  const int rise = top_ - sample.top_;
  MakeRoom(sample.finite_);
  for (size_t sign : {0, 1}) {
    if (sample.signs_[sign] && counts_[sign].empty()) counts_[sign].resize(kSide);
  }
  count_ += sample.finite_;
  zeros_ += sample.zeros_;
  if (sample.sparse_) {
    for (const int32_t slot : sample.slots_) {
      const uint32_t bin = static_cast<uint32_t>(slot) % kSide;
      ++counts_[static_cast<uint32_t>(slot) / kSide][rise == 0 ? bin : Raised(bin, rise)];
    }
    return;
  }
  for (size_t sign : {0, 1}) {
    if (!sample.signs_[sign]) continue;
    const uint32_t* from = sample.counts_.data() + sign * kSide;
    uint32_t* to = counts_[sign].data();
    for (uint32_t bin = 0; bin < kSide; ++bin) {
      if (rise == 0) {
        to[bin] += from[bin];
      } else {
        to[Raised(bin, rise)] += from[bin];
      }
    }
  }
}

void TensorStatistics::AddSample(const float* x, int64_t n, double percentile) {
  thread_local SampleSummary summary;
  summary.Count(x, n, percentile, top_);
  int64_t next = 0;
  for (const Percentiles& known : percentiles_) next = std::max(next, known.index + 1);
  Add(summary, next);
}

void TensorStatistics::Merge(const TensorStatistics& other) {
  if (&other == this) {
    const TensorStatistics copy = other;
    Merge(copy);
    return;
  }
  nan_ += other.nan_;
  infinite_ += other.infinite_;
  if (other.count_ == 0) return;
  min_ = count_ == 0 ? other.min_ : std::min(min_, other.min_);
  max_ = count_ == 0 ? other.max_ : std::max(max_, other.max_);
  Raise(std::max(top_, other.top_));
  const int rise = top_ - other.top_;
  MakeRoom(other.pending_);
  count_ += other.count_;
  zeros_ += other.zeros_;
  for (size_t sign : {0, 1}) {
    const auto add = [&](const auto& from, auto& to) {
      if (from.empty()) return;
      to.resize(kSide);
      for (uint32_t bin = 0; bin < kSide; ++bin) to[rise == 0 ? bin : Raised(bin, rise)] += from[bin];
    };
    add(other.counts_[sign], counts_[sign]);
    add(other.spilled_[sign], spilled_[sign]);
  }
  int64_t next = 0;
  for (const Percentiles& known : percentiles_) next = std::max(next, known.index + 1);
  for (const Percentiles& known : other.percentiles_)
    percentiles_.push_back({next + known.index, known.low, known.high});
}

int64_t TensorStatistics::count() const { return static_cast<int64_t>(count_); }
int64_t TensorStatistics::nan_count() const { return static_cast<int64_t>(nan_); }
int64_t TensorStatistics::infinite_count() const { return static_cast<int64_t>(infinite_); }
float TensorStatistics::min() const { return min_; }
float TensorStatistics::max() const { return max_; }
float TensorStatistics::percentile_low() const { return Mean(&Percentiles::low); }
float TensorStatistics::percentile_high() const { return Mean(&Percentiles::high); }

float TensorStatistics::Mean(float Percentiles::*value) const {
  if (percentiles_.empty()) return 0.0f;
  std::vector<Percentiles> sorted = percentiles_;
  std::sort(sorted.begin(), sorted.end(),
            [](const Percentiles& a, const Percentiles& b) { return a.index < b.index; });
  double sum = 0;
  for (const Percentiles& one : sorted) sum += one.*value;
  return static_cast<float>(sum / static_cast<double>(sorted.size()));
}

std::vector<Bin> TensorStatistics::Histogram() const {
  std::vector<Bin> bins;
  if (count_ == 0) return bins;
  const auto value = [](uint32_t bits) { return std::bit_cast<float>(bits); };
  // Magnitudes with bit patterns in [begin, end); a negative bin's half-open side is the other one.
  const auto add = [&](bool negative, uint32_t begin, uint32_t end, uint64_t count) {
    const float lo = negative ? -value(end - 1) : value(begin),
                hi = negative ? -value(begin - 1) : value(std::min(end, kLargest));
    bins.push_back({lo, hi, static_cast<int64_t>(count)});
  };
  const uint32_t top = static_cast<uint32_t>(std::max(top_, kLowestTop));
  const uint32_t log_begin = (top - 6) << 23;
  const float width = value(log_begin) / kBins;
  const auto add_bin = [&](size_t sign, uint32_t bin) {
    const uint64_t count = CountAt(sign, bin);
    if (count == 0) return;
    const auto bits = [&](uint32_t at) {
      if (at >= kBins) return log_begin + ((at - kBins) << kShift);
      return std::max(std::bit_cast<uint32_t>(static_cast<float>(at) * width), 1u);
    };
    add(sign == 1, bits(bin), bits(bin + 1), count);
  };
  for (uint32_t bin = kSide; bin-- > 0;) add_bin(1, bin);
  if (zeros_ > 0) add(false, 0, 1, zeros_);
  for (uint32_t bin = 0; bin < kSide; ++bin) add_bin(0, bin);
  return bins;
}

void TensorStatistics::UsePercentileOfHistogram(double percentile) {
  if (count_ == 0) return;
  const auto rank = [&](double position) {
    return std::min(count_ - 1, static_cast<uint64_t>(std::max(0.0, position)));
  };
  const uint64_t low_rank = rank(static_cast<double>(count_) * (1 - percentile));
  const uint64_t high_rank = rank(static_cast<double>(count_) * percentile);
  Percentiles of_all{0, min_, max_};
  uint64_t seen = 0;
  for (const Bin& bin : Histogram()) {
    const uint64_t end = seen + static_cast<uint64_t>(bin.count);
    if (low_rank >= seen && low_rank < end) of_all.low = std::max(bin.lo, min_);
    if (high_rank >= seen && high_rank < end) of_all.high = std::min(bin.hi, max_);
    seen = end;
  }
  percentiles_.assign(1, of_all);
}

size_t TensorStatistics::bytes() const {
  size_t bytes = sizeof(*this) + percentiles_.capacity() * sizeof(Percentiles);
  for (size_t sign : {0, 1})
    bytes += counts_[sign].capacity() * sizeof(uint32_t) + spilled_[sign].capacity() * sizeof(uint64_t);
  return bytes;
}

}  // namespace xslim
