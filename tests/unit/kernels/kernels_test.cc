// Every table that this machine can run against the scalar one, bit for bit, and the scalar one against the
// definition.
#include "kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace xslim::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<const Table*> Tables() {
  const Table* tables[kMostTables];
  const int count = Available(tables);
  return {tables, tables + count};
}

// Random values with ties, zeros, denormals, infinities and NaN at the front.
std::vector<float> Values(int64_t n, unsigned seed, bool special) {
  const float odd[] = {0.0f, -0.0f, 0.5f, -0.5f,  1.5f,  2.5f,   -2.5f,
                       kInf, -kInf, kNan, 1e-40f, 3e38f, -3e38f, 127.5f};
  std::mt19937 engine(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (size_t i = 0; i < values.size(); ++i) {
    const bool pick = special && engine() % 4 == 0;
    values[i] = pick ? odd[engine() % 14]
                     : static_cast<float>(static_cast<int>(engine() % 200001) - 100000) / 7919.0f;
  }
  return values;
}

::testing::AssertionResult SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "element " << i << ": " << a[i] << " and " << b[i];
    }
  }
  return ::testing::AssertionSuccess();
}

const int64_t kSizes[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 100, 1003};

TEST(Tables, ElementwiseAgreeBitForBit) {
  for (const Table* table : Tables()) {
    const Table& scalar = *Tables()[0];
    for (int64_t n : kSizes) {
      SCOPED_TRACE(::testing::Message() << table->name << " n " << n);
      const auto a = Values(n, 1, true), b = Values(n, 2, true);
      auto want = a, got = a;
      for (int op = kExp; op <= kCos; ++op) {
        scalar.unary(static_cast<UnaryOp>(op), a.data(), want.data(), n);
        table->unary(static_cast<UnaryOp>(op), a.data(), got.data(), n);
        EXPECT_TRUE(SameBits(got, want)) << "unary " << op;
      }
      for (int i = kAdd; i <= kMax; ++i) {
        const auto op = static_cast<BinaryOp>(i);
        scalar.binary(op, a.data(), b.data(), want.data(), n);
        table->binary(op, a.data(), b.data(), got.data(), n);
        EXPECT_TRUE(SameBits(got, want)) << "binary " << i;
        scalar.binary_scalar(op, a.data(), 0.3f, want.data(), n);
        table->binary_scalar(op, a.data(), 0.3f, got.data(), n);
        EXPECT_TRUE(SameBits(got, want)) << "binary_scalar " << i;
        scalar.scalar_binary(op, 0.3f, a.data(), want.data(), n);
        table->scalar_binary(op, 0.3f, a.data(), got.data(), n);
        EXPECT_TRUE(SameBits(got, want)) << "scalar_binary " << i;
      }
      const auto both = [&](const char* name, auto call) {
        call(scalar, want.data());
        call(*table, got.data());
        EXPECT_TRUE(SameBits(got, want)) << name;
      };
      both("clamp", [&](const Table& t, float* y) { t.clamp(a.data(), 0, 6, y, n); });
      both("hard_sigmoid", [&](const Table& t, float* y) { t.hard_sigmoid(a.data(), 0.2f, 0.5f, y, n); });
      both("leaky_relu", [&](const Table& t, float* y) { t.leaky_relu(a.data(), 0.01f, y, n); });
      both("scale_shift", [&](const Table& t, float* y) { t.scale_shift(a.data(), 1.7f, -0.3f, y, n); });
      both("fake_quantize",
           [&](const Table& t, float* y) { t.fake_quantize(a.data(), 0.1f, 3, -128, 127, y, n); });
      const auto finite = Values(n, 3, false);
      both("softmax", [&](const Table& t, float* y) { t.softmax(finite.data(), y, n); });
      both("softmax", [&](const Table& t, float* y) { t.softmax(a.data(), y, n); });
      both("layer_norm", [&](const Table& t, float* y) {
        t.layer_norm(finite.data(), b.data(), n % 2 ? a.data() : nullptr, 1e-5f, y, n);
      });
    }
  }
}

TEST(Tables, ReductionsAgreeBitForBit) {
  for (const Table* table : Tables()) {
    const Table& scalar = *Tables()[0];
    for (int64_t n : kSizes) {
      for (bool special : {false, true}) {
        SCOPED_TRACE(::testing::Message() << table->name << " n " << n);
        const auto x = Values(n, 5, special);
        const auto all = [&](const Table& t) {
          MinMax m;
          t.min_max(x.data(), n, &m);
          return std::vector<float>{t.sum(x.data(), n),
                                    t.sum_of_squares(x.data(), 0.7f, n),
                                    t.max(x.data(), n),
                                    t.min(x.data(), n),
                                    m.min,
                                    m.max,
                                    static_cast<float>(m.finite),
                                    static_cast<float>(m.nan),
                                    static_cast<float>(m.pos_inf),
                                    static_cast<float>(m.neg_inf)};
        };
        EXPECT_TRUE(SameBits(all(*table), all(scalar)));
      }
    }
  }
}

// Across the blocks that min_max works in.
TEST(Tables, MinMaxCountsWhatIsNotFiniteInLongInputs) {
  std::vector<float> x = Values(10000, 6, false);
  x[100] = -99;
  x[2047] = kNan;
  x[2048] = kInf;
  x[9999] = -kInf;
  x[6000] = 98;
  for (const Table* table : Tables()) {
    MinMax m;
    table->min_max(x.data(), 10000, &m);
    EXPECT_EQ(m.min, -99) << table->name;
    EXPECT_EQ(m.max, 98);
    EXPECT_EQ(m.finite, 9997);
    EXPECT_EQ(m.nan + m.pos_inf * 10 + m.neg_inf * 100, 111);
  }
}

TEST(Tables, HistogramSlots) {
  for (const float linear_end : {0.5f, 1.0f, 0x1p-90f}) {
    for (int64_t n : kSizes) {
      std::vector<float> x = Values(n, 7, false);
      for (float& v : x) v *= linear_end;
      for (int64_t i = 0; i < n; i += 5)
        x[static_cast<size_t>(i)] = i % 2 ? 0.0f : i % 3 ? -0.0f : linear_end * 127.99f;
      for (int64_t i = 3; i < n; i += 7)
        x[static_cast<size_t>(i)] = (i % 2 ? 1.0f : -1.0f) * linear_end * (i % 4 ? 1.0f : 0.99999f);
      std::vector<int32_t> expected(x.size());
      for (int64_t i = 0; i < n; ++i) {
        const float v = x[static_cast<size_t>(i)], m = std::fabs(v);
        uint32_t bits, end;
        std::memcpy(&bits, &m, 4);
        std::memcpy(&end, &linear_end, 4);
        int32_t slot = m < linear_end
                           ? static_cast<int32_t>(std::floor(static_cast<double>(m) * 2048 / linear_end))
                           : static_cast<int32_t>(2048 + (bits - end) / 4096);
        if (v < 0) slot += 16384;
        expected[static_cast<size_t>(i)] = v == 0 ? static_cast<int32_t>(32768 + i % 16) : slot;
      }
      for (const Table* table : Tables()) {
        std::vector<int32_t> slots(x.size());
        table->histogram_slots(x.data(), n, linear_end, slots.data());
        EXPECT_EQ(slots, expected) << table->name << " n " << n;
      }
    }
  }
}

TEST(Tables, QuantizationRoundsHalfToEvenAddsTheZeroPointAndSaturates) {
  const std::vector<float> x = {0.5f,  1.5f, 2.5f, -0.5f, -1.5f, 1000, -1000, kNan, kInf,
                                -kInf, 0,    3,    4,     5,     6,    7,     8.5f};
  const int64_t n = static_cast<int64_t>(x.size());
  for (const Table* table : Tables()) {
    SCOPED_TRACE(table->name);
    std::vector<int8_t> q(x.size());
    table->quantize_s8(x.data(), 1.0f, 3, q.data(), n);
    EXPECT_EQ(q, (std::vector<int8_t>{3, 5, 5, 3, 1, 127, -128, 3, 127, -128, 3, 6, 7, 8, 9, 10, 11}));
    std::vector<uint8_t> u(x.size());
    table->quantize_u8(x.data(), 1.0f, 3, u.data(), n);
    EXPECT_EQ(u, (std::vector<uint8_t>{3, 5, 5, 3, 1, 255, 0, 3, 255, 0, 3, 6, 7, 8, 9, 10, 11}));
    std::vector<float> y(x.size()), fake(x.size());
    table->quantize_s8(x.data(), 0.25f, -7, q.data(), n);
    table->dequantize_s8(q.data(), 0.25f, -7, y.data(), n);
    table->fake_quantize(x.data(), 0.25f, -7, -128, 127, fake.data(), n);
    EXPECT_TRUE(SameBits(fake, y));
    table->dequantize_u8(u.data(), 0.5f, 3, y.data(), n);
    EXPECT_EQ(y[5], 126.0f);
  }
}

TEST(Tables, GemmIsOneFusedChainPerElement) {
  const auto a = Values(40 * 600, 7, false), b = Values(600 * 70, 8, false), bias = Values(70, 9, false);
  for (const Table* table : Tables()) {
    for (int64_t m : {1, 5, 6, 7, 14, 29}) {
      for (int64_t n : {1, 15, 16, 17, 33, 64}) {
        for (int64_t k : {0, 1, 256, 257, 600}) {
          std::vector<float> packed_a(static_cast<size_t>((m + table->mr) * (k + 1)));
          std::vector<float> packed_b(static_cast<size_t>((n + table->nr) * (k + 1)));
          table->pack_a(m, k, a.data(), 1, m, packed_a.data());  // transposed
          table->pack_b(k, n, b.data(), n, 1, packed_b.data());
          for (int start = 0; start < 4; ++start) {  // zero, row bias, column bias, c
            std::vector<float> got(static_cast<size_t>(m * n), 0.25f), want = got;
            table->gemm(m, n, k, packed_a.data(), packed_b.data(), got.data(), n,
                        start == 1 ? bias.data() : nullptr, start == 2 ? bias.data() : nullptr, start == 3,
                        {kClamp, -90, 90});
            for (int64_t i = 0; i < m; ++i) {
              for (int64_t j = 0; j < n; ++j) {
                const float starts[] = {0, bias[static_cast<size_t>(i)], bias[static_cast<size_t>(j)], 0.25f};
                float sum = starts[start];
                for (int64_t d = 0; d < k; ++d) {
                  sum = std::fma(a[static_cast<size_t>(d * m + i)], b[static_cast<size_t>(d * n + j)], sum);
                }
                want[static_cast<size_t>(i * n + j)] = std::fmin(std::fmax(sum, -90.0f), 90.0f);
              }
            }
            ASSERT_TRUE(SameBits(got, want))
                << table->name << " " << m << "x" << n << "x" << k << " start " << start;
          }
        }
      }
    }
  }
}

TEST(Tables, DepthwiseAgreesBitForBit) {
  for (const Table* table : Tables()) {
    const Table& scalar = *Tables()[0];
    for (int64_t kernel : {1, 3, 5}) {
      for (int64_t stride : {1, 2, 3}) {
        for (int64_t dilation : {1, 2}) {
          for (int64_t pad : {0, 1, 2}) {
            const int64_t height = 13, width = 75, extent = (kernel - 1) * dilation + 1;
            const int64_t oh = (height + 2 * pad - extent) / stride + 1,
                          ow = (width + 2 * pad - extent) / stride + 1;
            const auto in = Values(height * width, 11, false), weight = Values(25, 12, false);
            std::vector<float> got(static_cast<size_t>(oh * ow)), want = got;
            const auto run = [&](const Table& t, float* out) {
              const float bias = 0.5f;
              t.depthwise(
                  1, in.data(),
                  {height, width, kernel, kernel, stride, stride, dilation, dilation, pad, pad, oh, ow},
                  weight.data(), &bias, out, {kClamp, 0, 50});
            };
            run(*table, got.data());
            run(scalar, want.data());
            EXPECT_TRUE(SameBits(got, want)) << table->name << " kernel " << kernel << " stride " << stride;
          }
        }
      }
    }
  }
}

// Largest error in units of the last place against libm in double, over [lo, hi].
double WorstUlp(UnaryOp op, double (*exact)(double), float lo, float hi) {
  const int64_t n = 200000;
  std::vector<float> x(n), y(n);
  for (int64_t i = 0; i < n; ++i) {
    x[static_cast<size_t>(i)] = lo + (hi - lo) * static_cast<float>(i) / static_cast<float>(n);
  }
  Active().unary(op, x.data(), y.data(), n);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double want = exact(static_cast<double>(x[i]));
    if (want == 0) continue;
    int exponent;
    std::frexp(want, &exponent);
    worst = std::fmax(worst, std::fabs(static_cast<double>(y[i]) - want) / std::ldexp(1.0, exponent - 24));
  }
  return worst;
}

TEST(Accuracy, ElementaryFunctions) {
  EXPECT_LT(WorstUlp(
                kExp, [](double x) { return std::exp(x); }, -85, 88),
            1.5);
  EXPECT_LT(WorstUlp(
                kLog, [](double x) { return std::log(x); }, 1e-3f, 100),
            1.5);
  EXPECT_LT(WorstUlp(
                kTanh, [](double x) { return std::tanh(x); }, -10, 10),
            2);
  EXPECT_LT(WorstUlp(
                kErf, [](double x) { return std::erf(x); }, -5, 5),
            1.5);
  EXPECT_LT(WorstUlp(
                kSigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 20),
            3);
  EXPECT_LT(WorstUlp(
                kSoftplus, [](double x) { return std::log1p(std::exp(x)); }, -80, 20),
            3);
}

TEST(Accuracy, SineAndCosine) {
  for (float x = -9000; x < 9000; x += 0.37f) {
    float s, c;
    Active().unary(kSin, &x, &s, 1);
    Active().unary(kCos, &x, &c, 1);
    ASSERT_NEAR(s, std::sin(static_cast<double>(x)), 5e-7) << x;
    ASSERT_NEAR(c, std::cos(static_cast<double>(x)), 5e-7) << x;
  }
}

TEST(Select, RefusesUnknownNamesAndTakesScalar) {
  const char* error = nullptr;
  setenv("XSLIM_ISA", "pentium", 1);
  EXPECT_EQ(Select(&error), nullptr);
  ASSERT_NE(error, nullptr);
  setenv("XSLIM_ISA", "scalar", 1);
  EXPECT_STREQ(Select(&error)->name, "scalar");
  unsetenv("XSLIM_ISA");
  EXPECT_EQ(Select(&error), Tables().back());
}

}  // namespace
}  // namespace xslim::kernels
