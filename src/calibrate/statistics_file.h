// Statistics as a file, so that other settings can be decided from them without running the model again.
//
// All numbers are little-endian; a "count" is a LEB128 number of up to 64 bits. After the magic "xslim-st"
// and a 32-bit version: model hash, data hash (strings: 32-bit length, bytes); 1 if the simplified
// graph was compared with the original, else 0 (32-bit); what was taken from channels: number of vectors
// (32-bit), then for each, in the order of their names: name, number of channels (a count), each number
// (float64); the factors of channels likewise; number of tensors (32-bit), then for each, in the order of their names: name; percentile (float64); top (32-bit), min and max
// (float32); counts of finite elements, NaN, infinities and zeros; for each sign the number of occupied bins,
// then each bin's distance from the one before and its count; the number of samples with percentiles, then
// each one's index (64-bit), low and high (float32). Then the number of channel means (32-bit), and for each,
// in the order of names and axes: name, axis (32-bit, two's complement), number of channels, each mean
// (float64). At the end a 128-bit checksum of all before it, as 32 hexadecimal digits.
#ifndef XSLIM_CALIBRATE_STATISTICS_FILE_H_
#define XSLIM_CALIBRATE_STATISTICS_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "calibrate/calibrate.h"

namespace xslim {

// What the statistics are of; hashes of the float graph that was run and of the samples that it was fed.
struct StatisticsKey {
  std::string model, data;
};

// What was found out on the way to the graph that was run: a later run does the same without the trials.
struct Preparation {
  bool compared = false;  // what the simplifier made, with the original: equal, and no pass was undone
  std::map<std::string, std::vector<double>> centers;  // of centering, by tensor; none: left alone
  std::map<std::string, std::vector<double>> factors;  // of equalization, likewise
};

struct StatisticsFile {
  Preparation preparation;
  Observations observed;
  std::map<ValueId, double> percentiles;  // that each tensor's were collected with
};

void SaveStatistics(const std::string& path, const Graph& graph, const StatisticsKey& key,
                    const StatisticsFile& file);

// A file in two steps: what prepares the graph comes before the graph that the statistics are of.
class LoadedStatistics {
 public:
  // Throws Error naming the file when it is damaged or of another version.
  explicit LoadedStatistics(const std::string& path);
  const std::string& path() const { return path_; }
  const Preparation& preparation() const { return preparation_; }
  // Throws Error naming the file when it is of another model or other data than `key` says.
  StatisticsFile Read(const Graph& graph, const StatisticsKey& key) const;

 private:
  std::string path_, bytes_;
  size_t end_ = 0, tensors_at_ = 0;  // in bytes_: of the checked part, and where the tensors begin
  StatisticsKey key_;
  Preparation preparation_;
};

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_STATISTICS_FILE_H_
