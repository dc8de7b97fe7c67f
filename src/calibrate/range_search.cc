// Choosing an 8-bit range from a tensor's histogram: see statistics.h for the formulas.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "calibrate/statistics.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int kLevels = 256, kKlBins = 4096, kKlStep = kKlBins / kLevels * 2;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double Centre(const Bin& bin) { return 0.5 * (static_cast<double>(bin.lo) + bin.hi); }
bool IsZero(const Bin& bin) { return bin.lo == 0.0f && bin.hi < 1e-41f; }

// log2 of a positive normal double, the same on every machine: a table by the leading 11 mantissa bits, and
// the series of log(1+r), r < 2^-11 (error under 1e-14).
class Log2 {
 public:
  Log2() {
    for (int i = 0; i < kSize; ++i) {
      const double m = 1.0 + static_cast<double>(i) / kSize, t = (m - 1) / (m + 1);
      double term = t, sum = 0;  // log(m) = 2 atanh(t), t < 1/3
      for (int k = 1; k < 40; k += 2, term *= t * t) sum += term / k;
      table_[static_cast<size_t>(i)] = 2 * sum * kInverseLn2;
      inverse_[static_cast<size_t>(i)] = 1 / m;
    }
  }
  double operator()(double x) const {
    const uint64_t bits = std::bit_cast<uint64_t>(x);
    const size_t i = (bits >> 41) & (kSize - 1);
    const double low =
        std::bit_cast<double>((bits & ((uint64_t{1} << 41) - 1)) | (uint64_t{1023} << 52)) - 1.0;
    const double r = low * inverse_[i];
    return static_cast<double>(static_cast<int>(bits >> 52) - 1023) + table_[i] +
           r * (1 - r * (0.5 - r * (1.0 / 3))) * kInverseLn2;
  }

 private:
  static constexpr int kSize = 2048;
  static constexpr double kInverseLn2 = 1.4426950408889634;
  std::array<double, kSize> table_, inverse_;
};

const Log2& Log2Table() {
  static const Log2 table;
  return table;
}

// Sums over the bins below each bin edge, so that any window's cost takes constant time.
class MseSums {
 public:
  explicit MseSums(const std::vector<Bin>& bins) : centres_(bins.size()), sums_(bins.size() + 1) {
    for (size_t i = 0; i < bins.size(); ++i) {
      const double c = IsZero(bins[i]) ? 0.0 : Centre(bins[i]), n = static_cast<double>(bins[i].count);
      centres_[i] = c;
      sums_[i + 1] = {sums_[i].n + n, sums_[i].x + n * c, sums_[i].xx + n * c * c,
                      sums_[i].zeros + (c == 0 ? n : 0)};
    }
  }
  // Summed cost of 256 levels on [lo, hi], moved so that zero is a level (lo to a whole number of steps).
  // What lies up to half a step beyond an end is rounded to it, not clipped.
  double Cost(double lo, double hi, double clip_weight) const {
    const double step = (hi - lo) / (kLevels - 1);
    if (step > 0) lo = std::nearbyint(lo / step) * step;
    hi = lo + (kLevels - 1) * step;
    const auto first = centres_.begin(), last = centres_.end();
    const size_t begin = static_cast<size_t>(std::lower_bound(first, last, lo - step / 2) - first);
    const size_t end = static_cast<size_t>(std::upper_bound(first, last, hi + step / 2) - first);
    return clip_weight * (Distance(sums_[0], sums_[begin], lo) + Distance(sums_[end], sums_.back(), hi)) +
           Inside(begin, end, step);
  }
  // As Cost, but each bin's centre is rounded to its level: sees values piled up in one place. Linear in the
  // bins.
  double Rounded(double lo, double hi, double clip_weight) const {
    const double step = (hi - lo) / (kLevels - 1);
    if (!(step > 0)) return Cost(lo, hi, clip_weight);
    const double first = std::nearbyint(lo / step), last = first + (kLevels - 1);
    double sum = 0;
    for (size_t i = 0; i < centres_.size(); ++i) {
      const double at = centres_[i] / step,
                   distance = (std::clamp(std::nearbyint(at), first, last) - at) * step;
      const bool clipped = at < first - 0.5 || at > last + 0.5;
      sum += (sums_[i + 1].n - sums_[i].n) * distance * distance * (clipped ? clip_weight : 1);
    }
    return sum;
  }
  double total() const { return sums_.back().n; }

 private:
  double Inside(size_t begin, size_t end, double step) const {
    const double n =
        end <= begin ? 0 : (sums_[end].n - sums_[end].zeros) - (sums_[begin].n - sums_[begin].zeros);
    return n * step * step / 12;
  }
  struct Sums {
    double n = 0, x = 0, xx = 0, zeros = 0;
  };
  static double Distance(const Sums& a, const Sums& b, double end) {
    return std::max(0.0, (b.xx - a.xx) - 2 * end * (b.x - a.x) + end * end * (b.n - a.n));
  }
  std::vector<double> centres_;
  std::vector<Sums> sums_;
};

struct Window {
  double lo, hi, cost;
};

// One end's candidates: extreme * 2^-i/16 down to a quarter, on in steps of 2^-1/4 down to 2^-12, and the
// percentile.
std::vector<double> Ends(double extreme, double percentile) {
  if (extreme == 0) return {0.0};
  constexpr double kFine = 0.95760328069857365, kCoarse = 0.84089641525371454;  // 2^(-1/16), 2^(-1/4)
  std::vector<double> ends;
  double end = extreme;
  for (int i = 0; i <= 72; ++i, end *= i <= 32 ? kFine : kCoarse) ends.push_back(end);
  if (percentile / extreme > 0 && percentile / extreme < 1) ends.push_back(percentile);
  return ends;
}

// The window of lowest modelled cost, if its cost with true rounding is below `worthwhile` times that of the
// full one.
Window BestMse(const std::vector<Bin>& bins, const Window& full, double percentile_low,
               double percentile_high, double clip_weight, double worthwhile) {
  const MseSums sums(bins);
  const std::vector<double> lows = Ends(full.lo, percentile_low), highs = Ends(full.hi, percentile_high);
  Window best{full.lo, full.hi, kInfinity};
  for (double lo : lows)
    for (double hi : highs) {
      const double cost = sums.Cost(lo, hi, clip_weight);
      if (cost < best.cost) best = {lo, hi, cost};
    }
  const double unclipped = sums.Rounded(full.lo, full.hi, clip_weight);
  best.cost = sums.Rounded(best.lo, best.hi, clip_weight);
  return best.cost < worthwhile * unclipped ? best : Window{full.lo, full.hi, unclipped};
}

// Prefix sums of the 4096-bin histogram for the divergence of any window.
class KlSums {
 public:
  KlSums(const std::vector<Bin>& bins, double lo, double hi)
      : mass_(kKlBins), total_(kKlBins + 1), used_(kKlBins + 1), entropy_(kKlBins + 1) {
    const double scale = kKlBins / (hi - lo);
    const auto place = [&](double x) {
      return std::clamp((x - lo) * scale, 0.0, static_cast<double>(kKlBins));
    };
    for (const Bin& bin : bins) {
      if (IsZero(bin)) continue;
      const double a = place(bin.lo), b = place(bin.hi), n = static_cast<double>(bin.count);
      const int first = std::min(static_cast<int>(a), kKlBins - 1);
      if (b <= first + 1) {
        mass_[static_cast<size_t>(first)] += n;
        continue;
      }
      for (int i = first; i < kKlBins && i < b; ++i)
        mass_[static_cast<size_t>(i)] +=
            n * (std::min(b, i + 1.0) - std::max(a, static_cast<double>(i))) / (b - a);
    }
    for (size_t i = 0; i < kKlBins; ++i) {
      total_[i + 1] = total_[i] + mass_[i];
      used_[i + 1] = used_[i] + (mass_[i] > 0);
      entropy_[i + 1] = entropy_[i] + Term(mass_[i]);
    }
  }

  double Cost(int start, int width) const {
    const Log2& log2 = Log2Table();
    const size_t begin = static_cast<size_t>(start), end = static_cast<size_t>(start + width), last = end - 1;
    const double all = total_.back(), inside = total_[end] - total_[begin];
    const double below = total_[begin], above = all - total_[end];
    if (all <= 0) return 0;
    if (inside <= 0 || (below > 0 && mass_[begin] <= 0) || (above > 0 && mass_[last] <= 0)) return kInfinity;
    // sum p log p, then minus sum p log q with q = group mass / occupied bins of the group.
    double sum = entropy_[end] - entropy_[begin] + Term(mass_[begin] + below) - Term(mass_[begin]) +
                 Term(mass_[last] + above) - Term(mass_[last]);
    size_t a = begin;
    for (int g = 1; g <= kLevels; ++g) {
      const size_t b = begin + static_cast<size_t>(g) * static_cast<size_t>(width) / kLevels;
      const int used = used_[b] - used_[a];
      if (used > 0) {
        const double mass = total_[b] - total_[a];
        const double p = mass + (g == 1 ? below : 0) + (g == kLevels ? above : 0);
        if (mass > 0) sum -= p * log2(mass / used);
      }
      a = b;
    }
    return std::max(0.0, sum / all + log2(inside) - log2(all));
  }

 private:
  static double Term(double n) { return n > 0 ? n * Log2Table()(n) : 0.0; }
  std::vector<double> mass_, total_;
  std::vector<int> used_;
  std::vector<double> entropy_;
};

// The window of lowest divergence among those of no higher squared error than the full one. The divergence
// alone cuts rare values off whatever they weigh, and of few values it sees chance: most of 4096 bins hold
// none or one.
Window BestKl(const std::vector<Bin>& bins, const Window& full) {
  const KlSums sums(bins, full.lo, full.hi);
  const MseSums errors(bins);
  const double unit = (full.hi - full.lo) / kKlBins, zero = -full.lo / unit;
  const double allowed = errors.Cost(full.lo, full.hi, 1);
  Window best{full.lo, full.hi, sums.Cost(0, kKlBins)};
  for (int start = 0; start <= zero; start += kKlStep)
    for (int end = kKlBins; end >= zero && end - start >= kLevels; end -= kKlStep) {
      const double lo = start == 0 ? full.lo : full.lo + start * unit,
                   hi = end == kKlBins ? full.hi : full.lo + end * unit;
      if (errors.Cost(lo, hi, 1) > allowed) continue;
      const double cost = sums.Cost(start, end - start);
      if (cost < best.cost) best = {lo, hi, cost};
    }
  return errors.Rounded(best.lo, best.hi, 1) <= errors.Rounded(full.lo, full.hi, 1) ? best : full;
}

// Cuts off values so few and so far out that they would cost all others three bits.
Window WithoutStrays(const std::vector<Bin>& bins, Window full) {
  constexpr int64_t kRare = 16384;
  constexpr double kFar = 8;
  int64_t total = 0;
  for (const Bin& bin : bins) total += bin.count;
  const int64_t allowed = total / kRare;
  int64_t seen = 0;
  double hi = full.hi, lo = full.lo;
  for (size_t i = bins.size(); i-- > 1;) {
    if ((seen += bins[i].count) > allowed) break;
    const double inner = std::max(0.0, static_cast<double>(bins[i - 1].hi));
    if (bins[i].lo > kFar * (inner - full.lo)) hi = inner;
  }
  seen = 0;
  for (size_t i = 0; i + 1 < bins.size(); ++i) {
    if ((seen += bins[i].count) > allowed) break;
    const double inner = std::min(0.0, static_cast<double>(bins[i + 1].lo));
    if (-bins[i].hi > kFar * (hi - inner)) lo = inner;
  }
  return hi > lo ? Window{lo, hi, 0} : full;
}

// The bins whose centre lies in [lo, hi].
std::vector<Bin> Within(const std::vector<Bin>& bins, double lo, double hi) {
  std::vector<Bin> kept;
  for (const Bin& bin : bins)
    if (Centre(bin) >= lo && Centre(bin) <= hi) kept.push_back(bin);
  return kept;
}

// The histogram with its end bins cut to the extremes that were seen, so that their centres lie inside.
std::vector<Bin> Trimmed(const TensorStatistics& statistics) {
  std::vector<Bin> bins = statistics.Histogram();
  for (Bin& bin : bins) {
    bin.lo = std::max(bin.lo, statistics.min());
    bin.hi = std::max(bin.lo, std::min(bin.hi, statistics.max()));
  }
  return bins;
}

std::string Percent(double part, double all) {
  const int64_t thousandths = static_cast<int64_t>(100000 * part / all + 0.5);
  std::string digits = std::to_string(thousandths % 1000);
  return std::to_string(thousandths / 1000) + "." + std::string(3 - digits.size(), '0') + digits + "%";
}

// "mse: 1.250% clipped"
std::string Reason(const char* type, const std::vector<Bin>& bins, const Window& window) {
  double all = 0, out = 0;
  for (const Bin& bin : bins) {
    all += static_cast<double>(bin.count);
    if (bin.hi <= window.lo || bin.lo > window.hi) out += static_cast<double>(bin.count);
  }
  return std::string(type) + ": " + Percent(out, std::max(all, 1.0)) + " clipped";
}

ChosenRange Rendered(const Window& window, std::string why) {
  return {static_cast<float>(std::min(0.0, window.lo)), static_cast<float>(std::max(0.0, window.hi)),
          std::move(why)};
}

}  // namespace

double MseCost(const std::vector<Bin>& histogram, float lo, float hi, double clip_weight) {
  const MseSums sums(histogram);
  if (sums.total() == 0) return 0;
  return sums.Cost(lo, hi, clip_weight) / sums.total();
}

double KlCost(const std::vector<Bin>& histogram, float full_lo, float full_hi, int start, int width) {
  if (!(full_hi > full_lo) || start < 0 || width < kLevels || start + width > kKlBins)
    throw Error(
        "window " + std::to_string(start) + "+" + std::to_string(width) + " is not inside the histogram.",
        "KlCost", "4096 bins, at least 256 wide");
  return KlSums(histogram, full_lo, full_hi).Cost(start, width);
}

ChosenRange ChooseRange(const TensorStatistics& statistics, CalibrationType type, RangeLimits limits) {
  constexpr double kSmallest =
      1.1920928955078125e-07 * (kLevels - 1);  // under this the scale's floor decides
  const auto limited = [&](float lo, float hi) {
    return Window{std::min(0.0, static_cast<double>(std::max(lo, limits.lo))),
                  std::max(0.0, static_cast<double>(std::min(hi, limits.hi))), 0};
  };
  const Window full = limited(statistics.min(), statistics.max());
  if (statistics.count() == 0) return Rendered(full, "no data");
  const Window percentile = limited(statistics.percentile_low(), statistics.percentile_high());
  if (type == CalibrationType::kPercentile) return Rendered(percentile, "percentile");
  if (type == CalibrationType::kMinMax) return Rendered(full, "minmax");
  if (statistics.min() == statistics.max() || full.hi - full.lo < kSmallest)
    return Rendered(full, "minmax: constant or tiny");

  const std::vector<Bin> bins =
      Within(Trimmed(statistics), std::min<double>(limits.lo, 0), std::max<double>(limits.hi, 0));
  if (bins.empty()) return Rendered(full, "minmax: all values beyond the limits");
  if (type == CalibrationType::kMse) {
    const Window best = BestMse(bins, full, percentile.lo, percentile.hi, 1, 1);
    return Rendered(best, Reason("mse", bins, best));
  }
  if (type == CalibrationType::kKl) {
    const Window best = BestKl(bins, full);
    return Rendered(best, Reason("kl", bins, best));
  }
  constexpr double kClipWeight = 4, kWorthwhile = 0.8;
  const Window base = WithoutStrays(bins, full);
  const std::vector<Bin> rest = Within(bins, base.lo, base.hi);
  const Window chosen = BestMse(rest, base, percentile.lo, percentile.hi, kClipWeight, kWorthwhile);
  if (chosen.lo == full.lo && chosen.hi == full.hi) return Rendered(full, "default: minmax");
  return Rendered(chosen, Reason("default", bins, chosen));
}

}  // namespace xslim
