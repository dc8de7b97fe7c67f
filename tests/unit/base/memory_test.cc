#include "base/memory.h"

#include <gtest/gtest.h>

#include <limits>

namespace xslim {
namespace {

TEST(MemoryTest, SmallBlocksAreThereAndNoSystemHasAnExabyte) {
  EXPECT_TRUE(HasMemoryFor(0));
  EXPECT_TRUE(HasMemoryFor(size_t{1} << 20));
  EXPECT_FALSE(HasMemoryFor(std::numeric_limits<size_t>::max() / 16));
}

}  // namespace
}  // namespace xslim
