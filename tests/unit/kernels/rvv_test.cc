// What only RISC-V has: which table runs on which processor, and that rounding is named by the kernels.
// XSLIM_EXPECT_VLEN: the vector length in bits that the processor must have, 0: none.
#include <gtest/gtest.h>

#include <cfenv>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/kernels.h"

#if defined(__riscv)

namespace xslim::kernels {
namespace {

const Table* Rvv() {
  const Table* tables[kMostTables];
  const int count = Available(tables);
  for (int i = 0; i < count; ++i) {
    if (std::strcmp(tables[i]->name, "rvv") == 0) return tables[i];
  }
  return nullptr;
}

// In bits. Only with the vector extension.
int VectorLength() {
  unsigned long bytes;
  asm volatile(".option push\n.option arch, +v\ncsrr %0, vlenb\n.option pop" : "=r"(bytes));
  return static_cast<int>(bytes * 8);
}

TEST(Rvv, RunsWhereTheProcessorHasVectorsAndOnlyThere) {
  const char* expected = std::getenv("XSLIM_EXPECT_VLEN");
  if (expected == nullptr) GTEST_SKIP() << "XSLIM_EXPECT_VLEN is not set";
  const int length = std::atoi(expected);
  const char* error = nullptr;
  setenv("XSLIM_ISA", "rvv", 1);
  const Table* named = Select(&error);
  unsetenv("XSLIM_ISA");
  if (length == 0) {
    EXPECT_EQ(Rvv(), nullptr);
    EXPECT_EQ(named, nullptr);
    EXPECT_NE(error, nullptr);
    EXPECT_STREQ(Active().name, "scalar");
    return;
  }
  ASSERT_NE(Rvv(), nullptr);
  EXPECT_EQ(named, Rvv());
  EXPECT_EQ(&Active(), Rvv());
  EXPECT_EQ(VectorLength(), length);
  EXPECT_EQ(Rvv()->nr, length >= 512 ? 32 : length / 16);
  std::printf("table %s, %d bits, tile %d x %d\n", Active().name, VectorLength(), Active().mr, Active().nr);
}

TEST(Rvv, HasItsOwnFunctionForEveryEntry) {
  if (Rvv() == nullptr) GTEST_SKIP() << "no vectors";
  const Table* tables[kMostTables];
  Available(tables);
  // Pointers from `gemm` to the end, two tables that differ in all of them.
  const size_t first = offsetof(Table, gemm) / sizeof(void*), count = sizeof(Table) / sizeof(void*);
  const auto* scalar = reinterpret_cast<void* const*>(tables[0]);
  const auto* vector = reinterpret_cast<void* const*>(Rvv());
  for (size_t i = first; i < count; ++i) {
    EXPECT_NE(vector[i], nullptr) << "entry " << i;
    EXPECT_NE(vector[i], scalar[i]) << "entry " << i;
  }
}

TEST(Rvv, RoundsHalfToEvenInEveryModeAndKeepsTheMode) {
  if (Rvv() == nullptr) GTEST_SKIP() << "no vectors";
  const Table& t = *Rvv();
  std::vector<float> x;
  for (int i = -90; i <= 90; ++i) x.push_back(static_cast<float>(i) + 0.5f);
  const int64_t n = static_cast<int64_t>(x.size());
  const auto run = [&](std::vector<int8_t>& q, std::vector<uint8_t>& u, std::vector<float>& y) {
    q.resize(x.size());
    u.resize(x.size());
    y.resize(2 * x.size());
    t.quantize_s8(x.data(), 1.0f, 3, q.data(), n);
    t.quantize_u8(x.data(), 1.0f, 100, u.data(), n);
    t.fake_quantize(x.data(), 1.0f, 3, -128, 127, y.data(), n);
    t.unary(kRound, x.data(), y.data() + n, n);
  };
  std::vector<int8_t> q, q2;
  std::vector<uint8_t> u, u2;
  std::vector<float> y, y2;
  run(q, u, y);
  EXPECT_EQ(q[90], 3);  // 0.5
  EXPECT_EQ(q[91], 5);  // 1.5
  for (int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::fesetround(mode);
    run(q2, u2, y2);
    const int after = std::fegetround();
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(after, mode);
    EXPECT_EQ(q2, q) << mode;
    EXPECT_EQ(u2, u) << mode;
    EXPECT_EQ(y2, y) << mode;
  }
}

}  // namespace
}  // namespace xslim::kernels

#endif  // defined(__riscv)
