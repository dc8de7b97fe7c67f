#include "base/memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "xslim/error.h"

namespace xslim {
namespace {

TEST(MemoryTest, SmallBlocksAreThereAndNoSystemHasAnExabyte) {
  EXPECT_TRUE(HasMemoryFor(0));
  EXPECT_TRUE(HasMemoryFor(size_t{1} << 20));
  EXPECT_FALSE(HasMemoryFor(std::numeric_limits<size_t>::max() / 16));
}

// The size that is said to do is what was needed and a little more.
TEST(MemoryTest, RoomIsWhatTheCeilingLeaves) {
  const int64_t held = ResidentBytes();
  if (held == 0) GTEST_SKIP() << "the system does not tell";
  EXPECT_GT(MemoryCeiling().Room(), int64_t{1} << 60);
  EXPECT_EQ(MemoryCeiling(1).Room(), 0);
  constexpr int64_t kMore = int64_t{64} << 20;
  EXPECT_NEAR(static_cast<double>(MemoryCeiling(held + kMore).Room()), static_cast<double>(kMore),
              kMore / 4.0);
}

TEST(MemoryTest, AdviceIsTight) {
  const auto advice = [](int64_t ceiling, int64_t bytes) -> std::pair<int64_t, int64_t> {
    try {
      MemoryCeiling(ceiling).Lanes(1, bytes, "the test");
    } catch (const Error& error) {
      const std::string text = error.what();
      const auto number = [&text](const std::string& before) {
        return std::stoll(text.substr(text.find(before) + before.size()));
      };
      return {number("needs about "), number("give at least ")};
    }
    return {0, 0};
  };
  constexpr int64_t kGiga = 1000 * 1000 * 1000;
  const auto [needed, advised] = advice(kGiga, 2 * kGiga);
  EXPECT_GE(needed, 2000);
  EXPECT_GT(advised, needed);
  EXPECT_LE(advised, needed + needed / 40);
  EXPECT_EQ(advice((advised + 10) * 1000 * 1000, 2 * kGiga).first, 0);
}

}  // namespace
}  // namespace xslim
