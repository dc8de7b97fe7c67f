#include "calibrate/statistics.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "xslim/error.h"

namespace xslim {
namespace {

constexpr uint32_t kShift = 12, kBins = 2048, kOctaves = 512;
constexpr uint32_t kNegative = 256;        // the sign in an octave's key
constexpr int kSpecial = 255;              // exponent of NaN and infinity
constexpr uint32_t kLargest = 0x7f7fffff;  // bits of the largest finite float
constexpr int kKept = 20;                  // octaves kept below the largest

constexpr int64_t kBlock = 1024;         // elements whose extremes are noted together
constexpr int64_t kSparse = 16 * kBins;  // samples up to this size are moved on element by element

struct Extremes {
  float lo, hi;
};

// One sample's histogram: a table by the float's top 20 bits, of which only the touched octaves are read and
// cleared.
struct Scratch {
  std::vector<uint32_t> counts = std::vector<uint32_t>(kOctaves * kBins);
  uint32_t lanes[4][kOctaves] =
      {};  // elements of each octave; four counters, so that equal ones do not wait in line
  uint64_t sums[kOctaves] = {};
  std::vector<Extremes> blocks;
  std::vector<float> low, high;  // elements of the bins that hold the percentiles
};

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// Counts up to kBlock elements; the extremes skip NaN but not infinities.
Extremes CountBlock(const float* x, int64_t n, uint32_t* counts, uint32_t (*lanes)[kOctaves]) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  float lo[4] = {kInf, kInf, kInf, kInf}, hi[4] = {-kInf, -kInf, -kInf, -kInf};
  const auto one = [&](float value, int lane) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    ++counts[bits >> kShift];
    ++lanes[lane][bits >> 23];
    lo[lane] = value < lo[lane] ? value : lo[lane];
    hi[lane] = value > hi[lane] ? value : hi[lane];
  };
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    one(x[i], 0);
    one(x[i + 1], 1);
    one(x[i + 2], 2);
    one(x[i + 3], 3);
  }
  for (; i < n; ++i) one(x[i], 0);
  return {std::min(std::min(lo[0], lo[1]), std::min(lo[2], lo[3])),
          std::max(std::max(hi[0], hi[1]), std::max(hi[2], hi[3]))};
}

// Fills the scratch table; returns the extremes over all.
Extremes CountAll(const float* x, int64_t n, Scratch& scratch) {
  Extremes all{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  scratch.blocks.clear();
  for (int64_t i = 0; i < n; i += kBlock) {
    const Extremes block = CountBlock(x + i, std::min(kBlock, n - i), scratch.counts.data(), scratch.lanes);
    all = {std::min(all.lo, block.lo), std::max(all.hi, block.hi)};
    scratch.blocks.push_back(block);
  }
  for (uint32_t key = 0; key < kOctaves; ++key) {
    scratch.sums[key] = 0;
    for (auto& lane : scratch.lanes) {
      scratch.sums[key] += lane[key];
      lane[key] = 0;
    }
  }
  return all;
}

// The bin (top 20 bits) of the element of ascending rank `rank` and the rank inside that bin (ascending by
// value).
struct Place {
  uint32_t bin;
  uint64_t rank;
};

Place Find(const Scratch& scratch, uint64_t rank) {
  const auto inside = [&](uint32_t key, bool negative) {
    const uint32_t* counts = &scratch.counts[key * kBins];
    for (uint32_t i = 0; i < kBins; ++i) {
      const uint32_t bin = negative ? kBins - 1 - i : i;
      if (rank < counts[bin]) return Place{key * kBins + bin, rank};
      rank -= counts[bin];
    }
    return Place{0, 0};
  };
  for (uint32_t key = kOctaves; key-- > kNegative;) {
    if (rank < scratch.sums[key]) return inside(key, true);
    rank -= scratch.sums[key];
  }
  for (uint32_t key = 0; key < kNegative; ++key) {
    if (rank < scratch.sums[key]) return inside(key, false);
    rank -= scratch.sums[key];
  }
  return {0, 0};
}

bool IsZeroBin(uint32_t bin) { return (bin & (kNegative * kBins - 1)) == 0; }

// The elements of bins a and b (may be equal; then only `low` is filled); kNoBin: none wanted.
constexpr uint32_t kNoBin = kOctaves * kBins;
void Gather(const float* x, int64_t n, uint32_t a, uint32_t b, Scratch& scratch) {
  scratch.low.clear();
  scratch.high.clear();
  // A bin's values, closed at both ends.
  const auto range = [](uint32_t bin) {
    if (bin == kNoBin)
      return Extremes{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
    const float inner = std::bit_cast<float>(bin << kShift);
    const float outer = std::bit_cast<float>((bin << kShift) | ((1u << kShift) - 1));
    return Extremes{std::min(inner, outer), std::max(inner, outer)};
  };
  const Extremes range_a = range(a), range_b = range(b);
  const auto meets = [](const Extremes& p, const Extremes& q) { return p.lo <= q.hi && q.lo <= p.hi; };
  for (size_t block = 0; block < scratch.blocks.size(); ++block) {
    const Extremes& seen = scratch.blocks[block];
    if (!meets(seen, range_a) && !meets(seen, range_b)) continue;
    const int64_t begin = static_cast<int64_t>(block) * kBlock, end = std::min(n, begin + kBlock);
    for (int64_t i = begin; i < end; ++i) {
      const uint32_t bin = std::bit_cast<uint32_t>(x[i]) >> kShift;
      if (bin == a)
        scratch.low.push_back(x[i]);
      else if (bin == b)
        scratch.high.push_back(x[i]);
    }
  }
}

float Select(std::vector<float>& values, uint64_t rank) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

float Mean(const std::vector<float>& values) {
  double sum = 0;
  for (float v : values) sum += v;
  return values.empty() ? 0.0f : static_cast<float>(sum / static_cast<double>(values.size()));
}

}  // namespace

void TensorStatistics::Raise(int exponent) {
  if (exponent <= top_) return;
  top_ = exponent;
  for (auto it = octaves_.begin(); it != octaves_.end();) {
    if (static_cast<int>(it->first % kNegative) >= top_ - kKept) {
      ++it;
      continue;
    }
    uint64_t& under = under_[it->first >= kNegative];
    for (uint32_t bin = 0; bin < kBins; ++bin) under += Count(it->first, it->second, bin);
    carry_.erase(carry_.lower_bound(it->first * kBins), carry_.lower_bound((it->first + 1) * kBins));
    it = octaves_.erase(it);
  }
}

uint64_t TensorStatistics::Count(uint32_t key, const Octave& octave, uint32_t bin) const {
  if (carry_.empty()) return octave[bin];
  const auto it = carry_.find(key * kBins + bin);
  return octave[bin] + (it == carry_.end() ? 0 : it->second << 32);
}

void TensorStatistics::AddOctave(uint32_t key, const uint32_t* counts, bool may_overflow) {
  if (static_cast<int>(key % kNegative) < top_ - kKept) {
    under_[key >= kNegative] += std::accumulate(counts, counts + kBins, uint64_t{0});
    return;
  }
  Octave& octave = octaves_[key];
  if (octave.empty()) octave.resize(kBins);
  uint32_t* out = octave.data();
  if (!may_overflow) {
    for (uint32_t i = 0; i < kBins; ++i) out[i] += counts[i];
    return;
  }
  for (uint32_t i = 0; i < kBins; ++i) {
    out[i] += counts[i];
    if (out[i] < counts[i]) ++carry_[key * kBins + i];
  }
}

void TensorStatistics::AddSample(const float* x, int64_t n, double percentile) {
  if (n <= 0) return;
  if (n > int64_t{std::numeric_limits<uint32_t>::max()})
    throw Error("a calibration sample of " + std::to_string(n) + " elements is too large.", "statistics",
                "at most 4294967295 elements per tensor");
  Scratch& scratch = ThreadScratch();
  Extremes extremes = CountAll(x, n, scratch);
  uint64_t finite = static_cast<uint64_t>(n);
  bool all_finite = true;
  for (uint32_t key : {uint32_t{kSpecial}, kSpecial + kNegative}) {
    if (scratch.sums[key] == 0) continue;
    scratch.sums[key] = 0;
    std::fill_n(&scratch.counts[key * kBins], kBins, 0u);
    all_finite = false;
  }
  if (!all_finite) {
    extremes = {std::numeric_limits<float>::max(), std::numeric_limits<float>::lowest()};
    for (int64_t i = 0; i < n; ++i) {
      if (std::isfinite(x[i])) {
        extremes = {std::min(extremes.lo, x[i]), std::max(extremes.hi, x[i])};
        continue;
      }
      ++(std::isnan(x[i]) ? nan_ : infinite_);
      --finite;
    }
  }
  if (finite == 0) return;
  const auto clamped = [&](double position) {
    return std::min(finite - 1, static_cast<uint64_t>(std::max(0.0, position)));
  };
  const uint64_t low_rank = clamped(static_cast<double>(finite) * (1 - percentile));
  const uint64_t high_rank = clamped(static_cast<double>(finite) * percentile);
  float low = extremes.lo, high = extremes.hi;
  const auto at_end = [&](uint64_t rank, float& value) {
    if (rank == 0)
      value = extremes.lo;
    else if (rank == finite - 1)
      value = extremes.hi;
    else
      return false;
    return true;
  };
  const bool low_known = at_end(low_rank, low), high_known = at_end(high_rank, high);
  if (!low_known || !high_known) {
    const Place a = Find(scratch, low_rank), b = Find(scratch, high_rank);
    const bool low_wanted = !low_known && !IsZeroBin(a.bin), high_wanted = !high_known && !IsZeroBin(b.bin);
    if (!low_known && !low_wanted) low = 0;
    if (!high_known && !high_wanted) high = 0;
    if (low_wanted || high_wanted)
      Gather(x, n, low_wanted ? a.bin : kNoBin, high_wanted ? b.bin : kNoBin, scratch);
    if (low_wanted) low = Select(scratch.low, a.rank);
    if (high_wanted) high = Select(low_wanted && a.bin == b.bin ? scratch.low : scratch.high, b.rank);
  }
  lows_.push_back(low);
  highs_.push_back(high);

  min_ = count_ == 0 ? extremes.lo : std::min(min_, extremes.lo);
  max_ = count_ == 0 ? extremes.hi : std::max(max_, extremes.hi);
  count_ += finite;
  for (uint32_t key : {0u, kNegative}) {
    zeros_ += scratch.counts[key * kBins];
    scratch.sums[key] -= scratch.counts[key * kBins];
    scratch.counts[key * kBins] = 0;
  }
  for (uint32_t key = 0; key < kOctaves; ++key)
    if (scratch.sums[key] > 0) Raise(static_cast<int>(key % kNegative));
  const bool may_overflow = count_ > std::numeric_limits<uint32_t>::max();
  if (n <= kSparse && !may_overflow) {
    AddElements(x, n, scratch.counts.data());
    return;
  }
  for (uint32_t key = 0; key < kOctaves; ++key) {
    if (scratch.sums[key] == 0) continue;
    uint32_t* counts = &scratch.counts[key * kBins];
    AddOctave(key, counts, may_overflow);
    std::fill_n(counts, kBins, 0u);
  }
}

void TensorStatistics::AddElements(const float* x, int64_t n, uint32_t* counts) {
  std::array<uint32_t*, kOctaves> octaves{};
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t index = std::bit_cast<uint32_t>(x[i]) >> kShift, key = index / kBins;
    const uint32_t count = counts[index];
    if (count == 0) continue;  // moved already
    counts[index] = 0;
    if (static_cast<int>(key % kNegative) < top_ - kKept) {
      under_[key >= kNegative] += count;
      continue;
    }
    if (octaves[key] == nullptr) {
      Octave& octave = octaves_[key];
      if (octave.empty()) octave.resize(kBins);
      octaves[key] = octave.data();
    }
    octaves[key][index % kBins] += count;
  }
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
  count_ += other.count_;
  zeros_ += other.zeros_;
  Raise(other.top_);
  for (int sign : {0, 1}) under_[sign] += other.under_[sign];
  const bool may_overflow = count_ > std::numeric_limits<uint32_t>::max();
  for (const auto& [key, octave] : other.octaves_) AddOctave(key, octave.data(), may_overflow);
  for (const auto& [index, carry] : other.carry_) {
    const uint32_t key = index / kBins;
    if (static_cast<int>(key % kNegative) < top_ - kKept)
      under_[key >= kNegative] += carry << 32;
    else
      carry_[index] += carry;
  }
  lows_.insert(lows_.end(), other.lows_.begin(), other.lows_.end());
  highs_.insert(highs_.end(), other.highs_.begin(), other.highs_.end());
}

int64_t TensorStatistics::count() const { return static_cast<int64_t>(count_); }
int64_t TensorStatistics::nan_count() const { return static_cast<int64_t>(nan_); }
int64_t TensorStatistics::infinite_count() const { return static_cast<int64_t>(infinite_); }
float TensorStatistics::min() const { return min_; }
float TensorStatistics::max() const { return max_; }
float TensorStatistics::percentile_low() const { return Mean(lows_); }
float TensorStatistics::percentile_high() const { return Mean(highs_); }

std::vector<Bin> TensorStatistics::Histogram() const {
  std::vector<Bin> bins;
  // Magnitudes with bit patterns in [begin, end); a negative bin's half-open side is the other one.
  const auto add = [&](bool negative, uint32_t begin, uint32_t end, uint64_t count) {
    if (count == 0) return;
    const auto value = [](uint32_t bits) { return std::bit_cast<float>(bits); };
    const float lo = negative ? -value(end - 1) : value(begin),
                hi = negative ? -value(begin - 1) : value(std::min(end, kLargest));
    bins.push_back({lo, hi, static_cast<int64_t>(count)});
  };
  const uint32_t cut = static_cast<uint32_t>(std::max(1, top_ - kKept)) << 23;
  for (auto it = octaves_.rbegin(); it != octaves_.rend() && it->first >= kNegative; ++it)
    for (uint32_t bin = kBins; bin-- > 0;) {
      const uint32_t bits = ((it->first % kNegative) * kBins + bin) << kShift;
      add(true, bits, bits + (1u << kShift), Count(it->first, it->second, bin));
    }
  add(true, 1, cut, under_[1]);
  add(false, 0, 1, zeros_);
  add(false, 1, cut, under_[0]);
  for (const auto& [key, octave] : octaves_) {
    if (key >= kNegative) break;
    for (uint32_t bin = 0; bin < kBins; ++bin) {
      const uint32_t bits = (key * kBins + bin) << kShift;
      add(false, bits, bits + (1u << kShift), Count(key, octave, bin));
    }
  }
  return bins;
}

size_t TensorStatistics::bytes() const {
  return sizeof(*this) + octaves_.size() * (kBins * sizeof(uint32_t) + 80) + carry_.size() * 48 +
         (lows_.capacity() + highs_.capacity()) * sizeof(float);
}

}  // namespace xslim
