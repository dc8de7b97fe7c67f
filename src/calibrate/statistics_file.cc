#include "calibrate/statistics_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>

#include "base/file.h"
#include "base/hash.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr char kMagic[] = "xslim-st";
constexpr uint32_t kVersion = 5;
constexpr size_t kChecksum = 32;
constexpr uint32_t kBins = 8 * 2048;  // of one sign
constexpr int kLowestTop = 32, kHighestTop = 254;

class Writer {
 public:
  void Fixed(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_ += static_cast<char>((value >> (8 * i)) & 255);
  }
  void Float(float value) { Fixed(std::bit_cast<uint32_t>(value), 4); }
  void Double(double value) { Fixed(std::bit_cast<uint64_t>(value), 8); }
  void Text(const std::string& text) {
    Fixed(text.size(), 4);
    bytes_ += text;
  }
  void Doubles(const std::vector<double>& numbers) {
    Count(numbers.size());
    for (double number : numbers) Double(number);
  }
  void Count(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>((value & 127) | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

// Every read is checked against the end.
class Reader {
 public:
  Reader(const std::string& bytes, size_t end, const std::string& path, size_t at = 0)
      : bytes_(bytes), end_(end), path_(path), at_(at) {}

  [[noreturn]] void Bad(const std::string& what) const {
    throw Error("the statistics are damaged: " + what, path_, "make the file anew with --save-stats");
  }
  uint64_t Fixed(int count) {
    if (static_cast<size_t>(count) > end_ - at_) Bad("the file ends early");
    uint64_t value = 0;
    for (int i = 0; i < count; ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes_[at_++])) << (8 * i);
    return value;
  }
  float Float() { return std::bit_cast<float>(static_cast<uint32_t>(Fixed(4))); }
  float FiniteFloat() {
    const float value = Float();
    if (!std::isfinite(value)) Bad("a value is not finite");
    return value;
  }
  double Double() { return std::bit_cast<double>(Fixed(8)); }
  std::string Text() {
    const size_t length = Fixed(4);
    if (length > end_ - at_) Bad("a text is too long");
    at_ += length;
    return bytes_.substr(at_ - length, length);
  }
  uint64_t Count() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const uint64_t byte = Fixed(1);
      if (shift == 63 && byte > 1) Bad("a count is too large");
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
  std::vector<double> Doubles() {
    const uint64_t count = Count();
    if (count > (end_ - at_) / sizeof(double)) Bad("the file ends early");
    std::vector<double> numbers(count);
    for (double& number : numbers) number = Double();
    return numbers;
  }
  size_t at() const { return at_; }
  bool AtEnd() const { return at_ == end_; }

 private:
  const std::string& bytes_;
  const size_t end_;
  const std::string& path_;
  size_t at_;
};

std::string ChecksumOf(const std::string& bytes, size_t end) {
  Hasher hasher;
  hasher.Add(bytes.data(), end);
  return hasher.Hex();
}

}  // namespace

// The one who knows the members of TensorStatistics.
struct StatisticsCodec {
  static void Write(const TensorStatistics& s, Writer* out) {
    out->Fixed(static_cast<uint64_t>(s.top_), 4);
    out->Float(s.min_);
    out->Float(s.max_);
    for (const uint64_t count : {s.count_, s.nan_, s.infinite_, s.zeros_}) out->Count(count);
    for (size_t sign : {0, 1}) {
      uint64_t occupied = 0;
      for (uint32_t bin = 0; bin < kBins; ++bin) occupied += s.CountAt(sign, bin) > 0;
      out->Count(occupied);
      uint32_t previous = 0;
      for (uint32_t bin = 0; bin < kBins; ++bin) {
        const uint64_t count = s.CountAt(sign, bin);
        if (count == 0) continue;
        out->Count(bin - previous);
        out->Count(count);
        previous = bin;
      }
    }
    out->Count(s.percentiles_.size());
    for (const auto& one : s.percentiles_) {
      out->Fixed(static_cast<uint64_t>(one.index), 8);
      out->Float(one.low);
      out->Float(one.high);
    }
  }

  static TensorStatistics Read(Reader* in) {
    TensorStatistics s;
    const uint64_t top = in->Fixed(4);
    s.min_ = in->FiniteFloat();
    s.max_ = in->FiniteFloat();
    for (uint64_t* count : {&s.count_, &s.nan_, &s.infinite_, &s.zeros_}) {
      *count = in->Count();
      if (*count > uint64_t{1} << 62) in->Bad("a count is too large");
    }
    if (s.min_ > s.max_ || s.zeros_ > s.count_)
      in->Bad("a tensor's extremes or counts contradict each other");
    if (s.count_ > 0 && (top < kLowestTop || top > kHighestTop)) in->Bad("an exponent is out of range");
    s.top_ = static_cast<int>(s.count_ > 0 ? top : 0);
    uint64_t all = s.zeros_;
    const bool narrow = s.count_ <= std::numeric_limits<uint32_t>::max();  // half the memory
    if (narrow) s.pending_ = s.count_;
    for (size_t sign : {0, 1}) {
      const uint64_t occupied = in->Count();
      if (occupied == 0) continue;
      if (occupied > kBins) in->Bad("a histogram has too many bins");
      if (narrow) {
        s.counts_[sign].resize(kBins);
      } else {
        s.spilled_[sign].resize(kBins);
      }
      uint64_t bin = 0;
      for (uint64_t i = 0; i < occupied; ++i) {
        const uint64_t step = in->Count(), count = in->Count();
        if (step >= kBins || bin + step >= kBins || (i > 0 && step == 0)) in->Bad("a bin is out of range");
        bin += step;
        if (count == 0 || count > s.count_ - all) in->Bad("a histogram does not fit its number of elements");
        if (narrow) {
          s.counts_[sign][bin] = static_cast<uint32_t>(count);
        } else {
          s.spilled_[sign][bin] = count;
        }
        all += count;
      }
    }
    if (all != s.count_) in->Bad("a histogram does not fit its number of elements");
    const uint64_t samples = in->Count();
    if (samples > s.count_) in->Bad("there are more samples than elements");
    for (uint64_t i = 0; i < samples; ++i) {
      const uint64_t index = in->Fixed(8);
      if (index > uint64_t{1} << 62) in->Bad("a sample's index is too large");
      const float low = in->FiniteFloat(), high = in->FiniteFloat();
      s.percentiles_.push_back({static_cast<int64_t>(index), low, high});
    }
    return s;
  }
};

void SaveStatistics(const std::string& path, const Graph& graph, const StatisticsKey& key,
                    const StatisticsFile& file) {
  std::map<std::string, ValueId> by_name;
  for (const auto& [id, statistics] : file.observed.statistics) by_name[graph.value(id).name] = id;
  Writer out;
  out.bytes() = kMagic;
  out.Fixed(kVersion, 4);
  out.Text(key.model);
  out.Text(key.data);
  out.Fixed(file.preparation.compared, 4);
  for (const auto* vectors : {&file.preparation.centers, &file.preparation.factors}) {
    out.Fixed(vectors->size(), 4);
    for (const auto& [name, numbers] : *vectors) {
      out.Text(name);
      out.Doubles(numbers);
    }
  }
  out.Fixed(by_name.size(), 4);
  for (const auto& [name, id] : by_name) {
    out.Text(name);
    out.Double(file.percentiles.at(id));
    StatisticsCodec::Write(file.observed.statistics.at(id), &out);
  }
  std::map<std::pair<std::string, int>, const std::vector<double>*> means;
  for (const auto& [channels, mean] : file.observed.means)
    means[{graph.value(channels.first).name, channels.second}] = &mean;
  out.Fixed(means.size(), 4);
  for (const auto& [channels, mean] : means) {
    out.Text(channels.first);
    out.Fixed(static_cast<uint32_t>(channels.second), 4);
    out.Doubles(*mean);
  }
  out.bytes() += ChecksumOf(out.bytes(), out.bytes().size());
  OutputFile target(path);
  target.Write(out.bytes());
  target.Commit();
}

LoadedStatistics::LoadedStatistics(const std::string& path) : path_(path), bytes_(ReadFile(path)) {
  const size_t magic = sizeof(kMagic) - 1;
  if (bytes_.compare(0, magic, kMagic) != 0)
    throw Error("is no file of statistics", "--load-stats: " + path_, "expected one that --save-stats wrote");
  Reader header(bytes_, bytes_.size(), path_, magic);
  const uint64_t version = header.Fixed(4);
  if (version != kVersion) {
    throw Error("the statistics have version " + std::to_string(version) + ", this program reads version " +
                    std::to_string(kVersion),
                path_, "make the file anew with --save-stats");
  }
  if (bytes_.size() < header.at() + kChecksum) header.Bad("the file ends early");
  end_ = bytes_.size() - kChecksum;
  if (bytes_.compare(end_, kChecksum, ChecksumOf(bytes_, end_)) != 0) header.Bad("the checksum is wrong");
  Reader in(bytes_, end_, path_, header.at());
  key_.model = in.Text();
  key_.data = in.Text();
  preparation_.compared = in.Fixed(4) != 0;
  for (auto* vectors : {&preparation_.centers, &preparation_.factors}) {
    for (uint64_t left = in.Fixed(4); left > 0; --left) {
      const std::string name = in.Text();
      std::vector<double> numbers = in.Doubles();
      const bool factors = vectors == &preparation_.factors;
      if (!std::all_of(numbers.begin(), numbers.end(),
                       [&](double x) { return std::isfinite(x) && (x > 0 || !factors); }))
        in.Bad(factors ? "a factor is not positive" : "a center is not finite");
      (*vectors)[name] = std::move(numbers);
    }
  }
  tensors_at_ = in.at();
}

StatisticsFile LoadedStatistics::Read(const Graph& graph, const StatisticsKey& key) const {
  // The data first: centering and equalization looked at them, so that other data may give another graph.
  if (key_.data != key.data) {
    throw Error("the statistics are of other data: list, files, preprocessing or number of samples differ",
                path_, "make the file anew with --save-stats");
  }
  if (key_.model != key.model) {
    throw Error(
        "the statistics are of another model, or of this one with another --opset, --input-shapes, "
        "simplification, centering or equalization",
        path_, "make the file anew with --save-stats");
  }
  Reader in(bytes_, end_, path_, tensors_at_);
  StatisticsFile file;
  file.preparation = preparation_;
  const uint64_t tensors = in.Fixed(4);
  for (uint64_t i = 0; i < tensors; ++i) {
    const std::string name = in.Text();
    const double percentile = in.Double();
    if (!(percentile > 0 && percentile <= 1)) in.Bad("a percentile is out of range");
    TensorStatistics statistics = StatisticsCodec::Read(&in);
    const ValueId id = graph.Find(name);
    if (id == kNone) in.Bad("tensor " + name + " is not in the model");
    if (!file.observed.statistics.emplace(id, std::move(statistics)).second)
      in.Bad("tensor " + name + " is there twice");
    file.percentiles[id] = percentile;
  }
  const uint64_t means = in.Fixed(4);
  for (uint64_t i = 0; i < means; ++i) {
    const std::string name = in.Text();
    const int axis = static_cast<int>(static_cast<uint32_t>(in.Fixed(4)));
    const ValueId id = graph.Find(name);
    if (id == kNone) in.Bad("tensor " + name + " is not in the model");
    file.observed.means[{id, axis}] = in.Doubles();
  }
  if (!in.AtEnd()) in.Bad("there is more than the tensors");
  return file;
}

}  // namespace xslim
