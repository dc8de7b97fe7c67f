#include "calibrate/statistics_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>

#include "base/file.h"
#include "base/hash.h"
#include "base/random.h"
#include "xslim/error.h"

namespace xslim {
namespace {

class StatisticsFileTest : public ::testing::Test {
 protected:
  StatisticsFileTest()
      : path_(
            (std::filesystem::temp_directory_path() / ("xslim_stats_" + std::to_string(getpid()))).string()) {
    Random random(5);
    for (const char* name : {"b", "a", "empty"}) {
      const ValueId id = graph_.AddValue(name, DType::kFloat);
      TensorStatistics& statistics = file_.observed.statistics[id];
      const double percentile = file_.percentiles[id] = *name == 'a' ? 0.999 : 0.99;
      if (std::string(name) == "empty") continue;
      std::vector<float> x(20000);
      for (int sample = 0; sample < 3; ++sample) {
        for (float& v : x) v = (random.Unit() - 0.25f) * (*name == 'a' ? 3.0f : 1e-20f);
        x[7] = std::numeric_limits<float>::infinity();
        x[8] = 0;
        statistics.AddSample(x.data(), sample == 1 ? 500 : 20000, percentile);
      }
    }
    file_.observed.means[{graph_.Find("a"), -1}] = {0.25, -3};
    file_.observed.means[{graph_.Find("a"), 1}] = {};
    file_.preparation = {true, {{"c", {-1.5, 0}}, {"d", {}}}, {{"a", {0.5, 2}}, {"b", {}}}};
    SaveStatistics(path_, graph_, key_, file_);
    bytes_ = ReadFile(path_);
  }
  ~StatisticsFileTest() override { std::remove(path_.c_str()); }

  // What loading `bytes` says; "" when it is accepted.
  std::string Complaint(const std::string& bytes, const StatisticsKey& key) {
    OutputFile file(path_);
    file.Write(bytes);
    file.Commit();
    try {
      LoadedStatistics(path_).Read(graph_, key);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  static std::string Signed(std::string bytes) {
    Hasher hasher;
    hasher.Add(bytes.data(), bytes.size());
    return bytes + hasher.Hex();
  }

  const std::string path_;
  const StatisticsKey key_{"model", "data"};
  Graph graph_;
  StatisticsFile file_;
  std::string bytes_;
};

TEST_F(StatisticsFileTest, ComesBackAsItWas) {
  const StatisticsFile loaded = LoadedStatistics(path_).Read(graph_, key_);
  EXPECT_TRUE(loaded.preparation.compared);
  EXPECT_EQ(loaded.preparation.centers, file_.preparation.centers);
  EXPECT_EQ(loaded.preparation.factors, file_.preparation.factors);
  EXPECT_EQ(loaded.percentiles, file_.percentiles);
  EXPECT_EQ(loaded.observed.means, file_.observed.means);
  ASSERT_EQ(loaded.observed.statistics.size(), 3u);
  for (const auto& [id, expected] : file_.observed.statistics) {
    const TensorStatistics& actual = loaded.observed.statistics.at(id);
    EXPECT_EQ(actual.count(), expected.count());
    EXPECT_EQ(actual.infinite_count(), expected.infinite_count());
    EXPECT_EQ(actual.min(), expected.min());
    EXPECT_EQ(actual.max(), expected.max());
    EXPECT_EQ(actual.percentile_low(), expected.percentile_low());
    EXPECT_EQ(actual.percentile_high(), expected.percentile_high());
    const auto x = actual.Histogram(), y = expected.Histogram();
    ASSERT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(x[i].lo, y[i].lo);
      EXPECT_EQ(x[i].hi, y[i].hi);
      EXPECT_EQ(x[i].count, y[i].count);
    }
  }
}

TEST_F(StatisticsFileTest, RefusesAnotherModelOtherDataAndAnotherVersion) {
  EXPECT_EQ(Complaint(bytes_, key_), "");
  EXPECT_NE(Complaint(bytes_, {"other", "data"}).find("another model"), std::string::npos);
  EXPECT_NE(Complaint(bytes_, {"model", "other"}).find("other data"), std::string::npos);
  std::string newer = bytes_;
  newer[8] = 9;
  EXPECT_NE(Complaint(newer, key_).find("version 9"), std::string::npos);
  EXPECT_NE(Complaint("", key_).find("no file of statistics"), std::string::npos);
}

TEST_F(StatisticsFileTest, EveryCutAndEveryFlippedByteIsNoticed) {
  for (size_t length = 12; length < bytes_.size(); length += 1 + bytes_.size() / 97)
    EXPECT_NE(Complaint(bytes_.substr(0, length), key_), "") << length;
  for (size_t at = 0; at < bytes_.size(); at += 1 + bytes_.size() / 97) {
    std::string flipped = bytes_;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x41);
    EXPECT_NE(Complaint(flipped, key_), "") << at;
  }
}

// Behind a right checksum stands whatever its writer wanted: no read may leave the file or a histogram.
TEST_F(StatisticsFileTest, HostileContentsWithARightChecksumAreRefusedOrHarmless) {
  const std::string body = bytes_.substr(0, bytes_.size() - 32);
  ASSERT_EQ(Signed(body), bytes_);
  for (size_t length = 12; length < body.size(); length += 1 + body.size() / 97)
    EXPECT_NE(Complaint(Signed(body.substr(0, length)), key_), "") << length;
  EXPECT_NE(Complaint(Signed(body + "more"), key_), "");
  Random random(9);
  for (int i = 0; i < 300; ++i) {
    std::string changed = body;
    const size_t at =
        12 + static_cast<size_t>(random.Unit() * static_cast<float>(std::min<size_t>(body.size() - 12, 400)));
    changed[std::min(at, body.size() - 1)] = static_cast<char>(random.Unit() * 256);
    Complaint(Signed(changed), key_);
  }
}

TEST(PercentileOfHistogram, LiesInTheBinOfTheElement) {
  std::vector<float> x(10000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 3000.0f;
  TensorStatistics statistics;
  statistics.AddSample(x.data(), 10000, 1.0);
  statistics.UsePercentileOfHistogram(0.99);
  EXPECT_NEAR(statistics.percentile_low(), -2900, 3);
  EXPECT_NEAR(statistics.percentile_high(), 6900, 5);
  statistics.UsePercentileOfHistogram(1.0);
  EXPECT_EQ(statistics.percentile_low(), -3000);
  EXPECT_EQ(statistics.percentile_high(), 6999);
}

}  // namespace
}  // namespace xslim
