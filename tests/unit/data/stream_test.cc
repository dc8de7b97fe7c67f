#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/samples.h"
#include "xslim/error.h"

namespace xslim {
namespace {

// Sample i holds i; NaN where `broken` says so.
class Numbers : public SampleSource {
 public:
  explicit Numbers(std::vector<bool> broken) : broken_(std::move(broken)) {}
  int64_t size() const override { return static_cast<int64_t>(broken_.size()); }
  Sample at(int64_t index) const override {
    return {Tensor::Scalar(broken_[static_cast<size_t>(index)] ? NAN : static_cast<float>(index)),
            Tensor::Scalar<int64_t>(index)};
  }
  std::string Describe() const override { return "numbers"; }

 private:
  std::vector<bool> broken_;
};

std::vector<int64_t> Drawn(const SampleSource& source, const std::vector<int64_t>& indices, int64_t count) {
  ThreadPool pool(2);
  std::vector<int64_t> numbers;
  for (const Sample& sample : DrawSamples(source, indices, count, 1, pool))
    numbers.push_back(sample[1].ToInts()[0]);
  return numbers;
}

TEST(DrawSamples, GivesAllInOrderWhenThereAreFewer) {
  EXPECT_THAT(Drawn(Numbers(std::vector<bool>(6)), {1, 2, 5}, 10), testing::ElementsAre(1, 2, 5));
}

TEST(DrawSamples, IsASeededChoice) {
  const Numbers source(std::vector<bool>(50));
  std::vector<int64_t> all(50);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const std::vector<int64_t> drawn = Drawn(source, all, 7);
  EXPECT_EQ(drawn.size(), 7u);
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  EXPECT_EQ(drawn, Drawn(source, all, 7));
}

// A sample is a float and an integer of eight bytes: 12 in all.
TEST(DrawSamples, AreFewerWhereTheyAreLarge) {
  const Numbers source(std::vector<bool>(9));
  const std::vector<int64_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  ThreadPool pool(2);
  EXPECT_EQ(DrawSamples(source, all, 8, 1, pool, 1000).size(), 8u);
  EXPECT_EQ(DrawSamples(source, all, 8, 1, pool, 60).size(), 4u);  // a byte is counted besides
  EXPECT_EQ(DrawSamples(source, all, 8, 1, pool, 1).size(), 2u);
  EXPECT_EQ(DrawSamples(source, all, 4, 1, pool, 60)[3][1].ToInts(),
            DrawSamples(source, all, 8, 1, pool, 60)[3][1].ToInts());
}

// Sample i takes 4 bytes for i = 0 and 400 else; sample `broken` cannot be read.
class Uneven : public SampleSource {
 public:
  explicit Uneven(int64_t broken) : broken_(broken) {}
  int64_t size() const override { return 100; }
  Sample at(int64_t index) const override {
    if (index == broken_) throw Error("broken");
    const Shape shape = {index == 0 ? 1 : 100};
    return {Tensor::Of<float>(shape, std::vector<float>(static_cast<size_t>(shape[0]), 1.0f))};
  }
  std::string Describe() const override { return "uneven"; }

 private:
  int64_t broken_;
};

// As many in any number of threads; what is not held cannot fail.
TEST(DrawSamples, AreFewerWhereOthersThanTheFirstAreLarge) {
  std::vector<int64_t> all(100);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    const auto held = [&](int64_t most_bytes, int64_t broken = -1) {
      return DrawSamples(Uneven(broken), all, 100, 1, pool, most_bytes).size();
    };
    EXPECT_EQ(held(5000), 13u) << threads;
    EXPECT_EQ(held(1000), 3u) << threads;
    EXPECT_EQ(held(100), 2u) << threads;
    EXPECT_EQ(held(1000, 4), 3u) << threads;
    EXPECT_THROW(held(1000, 2), Error) << threads;
  }
}

TEST(DrawSamples, LeavesOutWhatHoldsNaNUnlessAllDo) {
  EXPECT_THAT(Drawn(Numbers({false, true, false, true}), {0, 1, 2, 3}, 4), testing::ElementsAre(0, 2));
  EXPECT_THAT(Drawn(Numbers({true, true}), {0, 1}, 4), testing::ElementsAre(0, 1));
}

}  // namespace
}  // namespace xslim
