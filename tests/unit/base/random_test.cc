#include "base/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/hash.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The sequence of SplitMix64 that its authors' C program gives.
TEST(Random, IsSplitMix64) {
  Random random(1234567);
  for (uint64_t number : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                          4593380528125082431u, 16408922859458223821u})
    EXPECT_EQ(random.Next(), number);
}

TEST(Random, UnitAndBelowStayInside) {
  Random random(5);
  for (int i = 0; i < 1000; ++i) {
    const float unit = random.Unit();
    EXPECT_GE(unit, 0.0f);
    EXPECT_LT(unit, 1.0f);
    EXPECT_LT(random.Below(3), 3u);
  }
}

// Which samples a run takes hangs on these: they must never change.
TEST(Choose, KnownAnswers) {
  const auto choose = [](uint64_t seed, int64_t n, int64_t count) {
    Random random(seed);
    return Choose(random, n, count);
  };
  EXPECT_THAT(choose(7, 10, 4), ElementsAre(2, 5, 7, 9));
  EXPECT_THAT(choose(20260202, 100, 5), ElementsAre(17, 20, 22, 64, 91));
  EXPECT_THAT(choose(7, 3, 9), ElementsAre(0, 1, 2));
  EXPECT_THAT(choose(7, 5, 0), IsEmpty());
  EXPECT_THAT(choose(7, 0, 5), IsEmpty());
}

TEST(Choose, TakesEachAsOften) {
  Random random(11);
  std::vector<int> taken(10, 0);
  for (int turn = 0; turn < 10000; ++turn) {
    for (int64_t i : Choose(random, 10, 3)) ++taken[static_cast<size_t>(i)];
  }
  for (int count : taken) EXPECT_NEAR(count, 3000, 200);
}

// Files of statistics hold such checksums.
TEST(Hasher, KnownAnswers) {
  Hasher hasher;
  EXPECT_EQ(hasher.Hex(), "cd8e9833517351cd4334d534d4134f50");
  hasher.Add(std::string("abc"));
  EXPECT_EQ(hasher.Hex(), "49c762632a07825fc9ba266fb4e09623");
  Hasher other;
  other.Add("0123456789", 10);
  other.Add(uint64_t{42});
  EXPECT_EQ(other.Hex(), "8b137c887d95c1340223f4ecb690c615");
}

TEST(Hasher, TellsWhereTextsEndAndInWhichOrderTheyCome) {
  const auto hash = [](const std::vector<std::string>& texts) {
    Hasher hasher;
    for (const std::string& text : texts) hasher.Add(text);
    return hasher.Hex();
  };
  EXPECT_NE(hash({"ab", "c"}), hash({"a", "bc"}));
  EXPECT_NE(hash({"a", "b"}), hash({"b", "a"}));
  EXPECT_NE(hash({"a"}), hash({"a", ""}));
  EXPECT_NE(hash({"a"}), hash({std::string("a\0", 2)}));
}

}  // namespace
}  // namespace xslim
