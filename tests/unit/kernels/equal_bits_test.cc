// Shapes and values at the edges of each table's vectors: equal bits to the scalar table, and nothing written
// behind the end. Sized so that an emulator gets through.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace xslim::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kGuard = 12345.5f;
constexpr int64_t kGuards = 40;

// Lengths around the lanes of 128 to 1024 bits, in groups of up to 4 registers.
const int64_t kLengths[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  15,  16,  17,  23,  31,
                            32, 33, 47, 48, 49, 63, 64, 65, 95, 127, 128, 129, 255, 300};

std::vector<const Table*> Tables() {
  const Table* tables[kMostTables];
  const int count = Available(tables);
  return {tables, tables + count};
}

std::vector<float> Values(int64_t n, unsigned seed, bool special) {
  const float odd[] = {0.0f, -0.0f, 0.5f,   -0.5f,   1.5f,    -2.5f,  kInf,   -kInf,
                       kNan, -kNan, 1e-40f, -1e-45f, 3.4e38f, -3e38f, 127.5f, 8388607.5f};
  std::mt19937 engine(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) {
    const bool pick = special && engine() % 4 == 0;
    value = pick ? odd[engine() % 16]
                 : static_cast<float>(static_cast<int>(engine() % 200001) - 100000) / 7919.0f;
  }
  return values;
}

// A copy of values with memory behind the last one that cannot be read.
class AtTheEdge {
 public:
  explicit AtTheEdge(const std::vector<float>& values) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), bytes = values.size() * sizeof(float);
    const size_t pages = (bytes + page - 1) / page * page;
    size_ = pages + page;
    memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    char* const end = static_cast<char*>(memory_) + pages;
    if (mprotect(end, page, PROT_NONE) != 0) throw std::bad_alloc();
    data_ = reinterpret_cast<float*>(end - bytes);
    std::copy(values.begin(), values.end(), data_);
  }
  ~AtTheEdge() { munmap(memory_, size_); }
  AtTheEdge(const AtTheEdge&) = delete;
  AtTheEdge& operator=(const AtTheEdge&) = delete;
  const float* data() const { return data_; }

 private:
  void* memory_;
  size_t size_;
  float* data_;
};

template <typename T>
::testing::AssertionResult SameBits(const std::vector<T>& got, const std::vector<T>& want) {
  if (got.size() != want.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < got.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(got[i]) && std::isnan(want[i])) continue;
    }
    if (std::memcmp(&got[i], &want[i], sizeof(T)) != 0) {
      return ::testing::AssertionFailure() << "element " << i << ": " << +got[i] << ", expected " << +want[i];
    }
  }
  return ::testing::AssertionSuccess();
}

// Runs `call` on the scalar table and on each other one, on outputs of n elements with guards behind.
template <typename T, typename Call>
void Compare(int64_t n, const char* what, const Call& call) {
  const auto tables = Tables();
  std::vector<T> want(static_cast<size_t>(n + kGuards), static_cast<T>(99));
  call(*tables[0], want.data());
  for (size_t t = 1; t < tables.size(); ++t) {
    std::vector<T> got(static_cast<size_t>(n + kGuards), static_cast<T>(99));
    call(*tables[t], got.data());
    EXPECT_TRUE(SameBits(got, want)) << tables[t]->name << " " << what << ", n " << n;
  }
}

TEST(EqualBits, ElementwiseAtEveryLength) {
  for (int64_t n : kLengths) {
    const auto a = Values(n, 1, true), b = Values(n, 2, true);
    for (int op = kExp; op <= kCos; ++op) {
      Compare<float>(n, "unary",
                     [&](const Table& t, float* y) { t.unary(static_cast<UnaryOp>(op), a.data(), y, n); });
    }
    for (int i = kAdd; i <= kMax; ++i) {
      const auto op = static_cast<BinaryOp>(i);
      Compare<float>(n, "binary", [&](const Table& t, float* y) { t.binary(op, a.data(), b.data(), y, n); });
      for (float scalar : {0.3f, -0.0f, kNan, kInf}) {
        Compare<float>(n, "binary_scalar",
                       [&](const Table& t, float* y) { t.binary_scalar(op, a.data(), scalar, y, n); });
        Compare<float>(n, "scalar_binary",
                       [&](const Table& t, float* y) { t.scalar_binary(op, scalar, a.data(), y, n); });
      }
    }
    Compare<float>(n, "clamp", [&](const Table& t, float* y) { t.clamp(a.data(), 0, 6, y, n); });
    Compare<float>(n, "hard_sigmoid",
                   [&](const Table& t, float* y) { t.hard_sigmoid(a.data(), 0.2f, 0.5f, y, n); });
    Compare<float>(n, "leaky_relu", [&](const Table& t, float* y) { t.leaky_relu(a.data(), 0.01f, y, n); });
    Compare<float>(n, "scale_shift",
                   [&](const Table& t, float* y) { t.scale_shift(a.data(), 1.7f, -0.3f, y, n); });
  }
}

TEST(EqualBits, ElementwiseInPlace) {
  const int64_t n = 131;
  const auto a = Values(n, 3, true);
  for (const Table* table : Tables()) {
    std::vector<float> want(a.size()), got = a;
    table->unary(kSigmoid, a.data(), want.data(), n);
    table->unary(kSigmoid, got.data(), got.data(), n);
    EXPECT_TRUE(SameBits(got, want)) << table->name;
  }
}

TEST(EqualBits, RoundingOfEveryFractionNearTheLastOnes) {
  std::vector<float> x = {0.49999997f, 8388607.5f, 8388608.0f, 8388609.0f, 16777216.0f, 2147483648.0f, 3e38f};
  for (int i = -40; i <= 40; ++i) x.push_back(static_cast<float>(i) / 4.0f);
  const size_t count = x.size();
  for (size_t i = 0; i < count; ++i) x.push_back(-x[i]);
  const int64_t n = static_cast<int64_t>(x.size());
  for (UnaryOp op : {kRound, kFloor, kCeil}) {
    Compare<float>(n, "rounding", [&](const Table& t, float* y) { t.unary(op, x.data(), y, n); });
  }
}

TEST(EqualBits, QuantizationAtEveryLength) {
  for (int64_t n : kLengths) {
    const auto x = Values(n, 5, true);
    for (int zero_point : {-128, -7, 0, 127}) {
      Compare<int8_t>(n, "quantize_s8",
                      [&](const Table& t, int8_t* q) { t.quantize_s8(x.data(), 0.037f, zero_point, q, n); });
      Compare<uint8_t>(n, "quantize_u8", [&](const Table& t, uint8_t* q) {
        t.quantize_u8(x.data(), 0.037f, zero_point + 128, q, n);
      });
      Compare<float>(n, "fake_quantize", [&](const Table& t, float* y) {
        t.fake_quantize(x.data(), 0.037f, zero_point, -128, 127, y, n);
      });
      std::vector<int8_t> q(static_cast<size_t>(n));
      std::vector<uint8_t> u(static_cast<size_t>(n));
      for (size_t i = 0; i < q.size(); ++i) {
        u[i] = static_cast<uint8_t>(i * 37);
        q[i] = static_cast<int8_t>(u[i] - 128);
      }
      Compare<float>(n, "dequantize_s8",
                     [&](const Table& t, float* y) { t.dequantize_s8(q.data(), 0.037f, zero_point, y, n); });
      Compare<float>(n, "dequantize_u8", [&](const Table& t, float* y) {
        t.dequantize_u8(u.data(), 0.037f, zero_point + 128, y, n);
      });
    }
  }
}

TEST(EqualBits, QuantizationOfTiesAndOfWhatOverflows) {
  std::vector<float> x = {kInf,  -kInf,    kNan,      -kNan,    3.4e38f,       -3.4e38f,       1e-45f,
                          -0.0f, 32767.5f, -32768.5f, 65536.0f, 2147483648.0f, -2147483904.0f, 4294967296.0f};
  for (int i = -300; i <= 300; ++i) x.push_back(static_cast<float>(i) + 0.5f);
  const int64_t n = static_cast<int64_t>(x.size());
  for (float scale : {1.0f, 0.5f, 1e-30f}) {
    for (int zero_point : {-128, -1, 0, 7, 127}) {
      Compare<int8_t>(n, "quantize_s8",
                      [&](const Table& t, int8_t* q) { t.quantize_s8(x.data(), scale, zero_point, q, n); });
      Compare<uint8_t>(n, "quantize_u8", [&](const Table& t, uint8_t* q) {
        t.quantize_u8(x.data(), scale, zero_point + 128, q, n);
      });
      for (int bits : {4, 8, 16, 24}) {
        const int32_t high = (1 << (bits - 1)) - 1;
        Compare<float>(n, "fake_quantize", [&](const Table& t, float* y) {
          t.fake_quantize(x.data(), scale, zero_point % 8, -high - 1 + (bits == 24), high, y, n);
        });
      }
    }
  }
}

// Elements half a code and a few units in the last place beside it, of scales of all sizes.
TEST(EqualBits, QuantizationBesideTies) {
  std::mt19937 random(11);
  std::uniform_real_distribution<float> unit(0, 1);
  for (int exponent = -130; exponent <= 127; ++exponent) {
    const float scale = std::ldexp(1 + unit(random), exponent);
    std::vector<float> x;
    for (int code = -300; code <= 300; code += 3) {
      float beside = scale * (static_cast<float>(code) + 0.5f);
      for (int step = 0; step < 4; ++step) beside = std::nextafter(beside, -kInf);
      for (int step = 0; step < 8; ++step) x.push_back(beside = std::nextafter(beside, kInf));
    }
    Compare<int8_t>(static_cast<int64_t>(x.size()), "quantize_s8", [&](const Table& t, int8_t* q) {
      t.quantize_s8(x.data(), scale, -3, q, static_cast<int64_t>(x.size()));
    });
    Compare<float>(static_cast<int64_t>(x.size()), "fake_quantize", [&](const Table& t, float* y) {
      t.fake_quantize(x.data(), scale, 5, -(1 << 23), 1 << 23, y, static_cast<int64_t>(x.size()));
    });
  }
}

TEST(EqualBits, EverySecondAtEveryLength) {
  for (int64_t n : kLengths) {
    const auto x = Values(n > 0 ? 2 * n - 1 : 0, 31, true);
    const AtTheEdge edge(x);
    Compare<float>(n, "every_second", [&](const Table& t, float* y) { t.every_second(edge.data(), y, n); });
    std::vector<float> y(static_cast<size_t>(n)), want;
    for (size_t i = 0; i < y.size(); ++i) want.push_back(x[2 * i]);
    Tables()[0]->every_second(edge.data(), y.data(), n);
    EXPECT_TRUE(SameBits(y, want)) << n;
  }
}

TEST(EqualBits, ReductionsAtEveryLength) {
  for (int64_t n : kLengths) {
    for (bool special : {false, true}) {
      const auto x = Values(n, 6, special), gamma = Values(n, 7, false), beta = Values(n, 8, false);
      Compare<float>(10, "reductions", [&](const Table& t, float* y) {
        MinMax m;
        t.min_max(x.data(), n, &m);
        const float all[] = {t.sum(x.data(), n),
                             t.sum_of_squares(x.data(), 0.7f, n),
                             t.max(x.data(), n),
                             t.min(x.data(), n),
                             m.min,
                             m.max,
                             static_cast<float>(m.finite),
                             static_cast<float>(m.nan),
                             static_cast<float>(m.pos_inf),
                             static_cast<float>(m.neg_inf)};
        std::memcpy(y, all, sizeof(all));
      });
      Compare<float>(n, "softmax", [&](const Table& t, float* y) { t.softmax(x.data(), y, n); });
      Compare<float>(n, "layer_norm", [&](const Table& t, float* y) {
        t.layer_norm(x.data(), gamma.data(), n % 2 ? beta.data() : nullptr, 1e-5f, y, n);
      });
    }
  }
}

TEST(EqualBits, ExtremesSurviveWhatIsNotFiniteBehindThem) {
  // The extremes are in the first vector, and every later one has NaN or infinity in the same places.
  const int64_t n = 1000;
  for (int64_t period : {1, 2, 3}) {
    std::vector<float> x(static_cast<size_t>(n));
    for (size_t i = 0; i < x.size(); ++i) {
      const bool odd = i >= 4 && static_cast<int64_t>(i) % period == 0;
      x[i] = i < 4 ? static_cast<float>(i) - 1.5f : odd ? (i % 2 ? kNan : i % 4 ? kInf : -kInf) : 0.25f;
    }
    for (const Table* table : Tables()) {
      MinMax m;
      table->min_max(x.data(), n, &m);
      EXPECT_EQ(m.min, -1.5f) << table->name << " " << period;
      EXPECT_EQ(m.max, 1.5f) << table->name << " " << period;
      EXPECT_EQ(m.finite + m.nan + m.pos_inf + m.neg_inf, n) << table->name;
    }
  }
}

TEST(EqualBits, AZeroExtremeIsPositive) {
  for (const Table* table : Tables()) {
    for (size_t length : {1, 16, 40, 200}) {
      std::vector<float> x(length, -0.0f);
      x[length / 2] = 0.0f;
      for (size_t sign : {0, 1}) {
        if (sign == 1) x.assign(length, -0.0f);
        const int64_t n = static_cast<int64_t>(length);
        MinMax m;
        table->min_max(x.data(), n, &m);
        for (float extreme : {m.min, m.max, table->min(x.data(), n), table->max(x.data(), n)}) {
          EXPECT_TRUE(extreme == 0 && !std::signbit(extreme)) << table->name << " " << n;
        }
      }
    }
  }
}

// One product on the table's own packing; c has guard columns.
std::vector<float> Product(const Table& t, int64_t m, int64_t n, int64_t k, const std::vector<float>& a,
                           const std::vector<float>& b, const std::vector<float>& bias, int start,
                           bool transposed) {
  const int64_t ldc = n + kGuards;
  std::vector<float> packed_a(static_cast<size_t>((m + t.mr - 1) / t.mr * t.mr * k));
  std::vector<float> packed_b(static_cast<size_t>((n + t.nr - 1) / t.nr * t.nr * k));
  std::vector<float> c(static_cast<size_t>(m * ldc), kGuard);
  t.pack_a(m, k, a.data(), transposed ? 1 : k, transposed ? m : 1, packed_a.data());
  t.pack_b(k, n, b.data(), transposed ? 1 : n, transposed ? k : 1, packed_b.data());
  const AtTheEdge left(packed_a), right(packed_b);
  t.gemm(m, n, k, left.data(), right.data(), c.data(), ldc, start == 1 ? bias.data() : nullptr,
         start == 2 ? bias.data() : nullptr, start == 3, {start % 2 ? kClamp : kNoActivation, -90, 90});
  return c;
}

// Columns in runs of all lengths, and of whole panels: the same bits as a packed product, nothing read or
// written outside of what the columns name.
TEST(EqualBits, GatheredProducts) {
  const int64_t plane = 150;
  const auto bias = Values(29, 21, false);
  for (int64_t k : {0, 1, 3, 97, 330}) {
    const auto a = Values(29 * k, 22, false), b = Values((k + 1) * plane, 23, false);
    std::vector<int64_t> rows;
    for (int64_t d = 0; d < k; ++d) rows.push_back((d * 7 % (k + 1)) * plane);
    for (int64_t run : {1, 3, 7, 16, 20, 1000}) {
      std::vector<int64_t> columns;  // `run` side by side, then a step
      for (int64_t j = 0; j < 70; ++j) columns.push_back(j + (run < 1000 ? j / run : 0));
      for (int64_t n : {1, 8, 9, 32, 70}) {
        // All columns end where the matrix does.
        const int64_t first = plane - 1 - columns[static_cast<size_t>(n - 1)];
        const std::vector<float> exact(b.begin(), b.begin() + (k == 0 ? 0 : k * plane + plane));
        const AtTheEdge edge(exact);
        std::vector<float> dense(static_cast<size_t>(k * n));
        for (int64_t d = 0; d < k; ++d) {
          for (int64_t j = 0; j < n; ++j) {
            dense[static_cast<size_t>(d * n + j)] = exact[static_cast<size_t>(
                rows[static_cast<size_t>(d)] + first + columns[static_cast<size_t>(j)])];
          }
        }
        for (int64_t m : {1, 6, 14, 29}) {
          const auto want = Product(*Tables()[0], m, n, k, a, dense, bias, 1, false);
          for (const Table* t : Tables()) {
            const int64_t ldc = n + kGuards;
            std::vector<float> packed(static_cast<size_t>((m + t->mr) * (k + 1)));
            std::vector<float> c(static_cast<size_t>(m * ldc), kGuard);
            t->pack_a(m, k, a.data(), k, 1, packed.data());
            t->gemm_gather(m, n, k, packed.data(), edge.data() + first, rows.data(), columns.data(), c.data(),
                           ldc, bias.data(), {kClamp, -90, 90});
            ASSERT_TRUE(SameBits(c, want)) << t->name << " " << m << "x" << n << "x" << k << " run " << run;
          }
        }
      }
    }
  }
}

// The first run of columns ends where memory does, the second one lies before it.
TEST(EqualBits, GatheredProductsOfRunsThatGoBack) {
  const int64_t plane = 40, m = 17, n = 32, k = 5;
  const auto a = Values(m * k, 24, false), b = Values(k * plane, 25, false), bias = Values(m, 26, false);
  const AtTheEdge edge(b);
  std::vector<int64_t> rows, columns;
  for (int64_t d = 0; d < k; ++d) rows.push_back(d * plane);
  for (int64_t j = 0; j < n; ++j) columns.push_back(j < 10 ? plane - 10 + j : j - 10);
  std::vector<float> dense;
  for (const int64_t row : rows) {
    for (const int64_t column : columns) dense.push_back(b[static_cast<size_t>(row + column)]);
  }
  const auto want = Product(*Tables()[0], m, n, k, a, dense, bias, 1, false);
  for (const Table* t : Tables()) {
    const int64_t ldc = n + kGuards;
    std::vector<float> packed(static_cast<size_t>((m + t->mr) * k)), c(static_cast<size_t>(m * ldc), kGuard);
    t->pack_a(m, k, a.data(), k, 1, packed.data());
    t->gemm_gather(m, n, k, packed.data(), edge.data(), rows.data(), columns.data(), c.data(), ldc,
                   bias.data(), {kClamp, -90, 90});
    ASSERT_TRUE(SameBits(c, want)) << t->name;
  }
}

TEST(EqualBits, ProductsAtEveryEdgeOfTheTile) {
  const int64_t most = 66;
  const auto bias = Values(most, 9, true);
  // Depths around the blocks of k; few of them, an emulator is slow.
  const std::vector<std::vector<int64_t>> depths = {{0, 1, 2, 3, 4, 5}, {95, 97, 193}, {385}};
  for (size_t set = 0; set < depths.size(); ++set) {
    for (int64_t k : depths[set]) {
      for (bool special : {false, true}) {
        if (special && k > 5) continue;
        const auto a = Values(most * k, 10, special), b = Values(most * k, 11, special);
        for (int64_t m :
             set == 0 ? std::vector<int64_t>{1, 3, 13, 14, 15, 29} : std::vector<int64_t>{2, 15}) {
          for (int64_t n : set == 0 ? std::vector<int64_t>{1, 7, 8, 9, 16, 17, 31, 32, 33, 65}
                                    : std::vector<int64_t>{9, 33}) {
            const auto tables = Tables();
            const int start = static_cast<int>((m + n + k) % 4);
            const auto want = Product(*tables[0], m, n, k, a, b, bias, start, k % 2);
            for (size_t t = 1; t < tables.size(); ++t) {
              ASSERT_TRUE(SameBits(Product(*tables[t], m, n, k, a, b, bias, start, k % 2), want))
                  << tables[t]->name << " " << m << "x" << n << "x" << k << " start " << start;
            }
          }
        }
      }
    }
  }
}

// Few columns behind whole vectors, or alone; 5 panels of 14 rows and more than a block of rows.
TEST(EqualBits, LastColumnsOfManyRows) {
  const int64_t most_rows = 211, most_columns = 65;
  const auto bias = Values(most_rows, 15, false);
  for (int64_t k : {3, 350}) {
    const auto a = Values(most_rows * k, 16, false), b = Values(most_columns * k, 17, false);
    for (int64_t m : k == 3 ? std::vector<int64_t>{43, 61, most_rows} : std::vector<int64_t>{61}) {
      for (int64_t n : {1, 2, 3, 5, 10, 17, 26, 49, 65}) {
        for (int start = 0; start < 4; ++start) {
          const auto want = Product(*Tables()[0], m, n, k, a, b, bias, start, false);
          for (const Table* t : Tables()) {
            ASSERT_TRUE(SameBits(Product(*t, m, n, k, a, b, bias, start, false), want))
                << t->name << " " << m << "x" << n << "x" << k << " start " << start;
          }
        }
      }
    }
  }
}

TEST(EqualBits, TallProductsCrossTheRowBlocks) {
  const int64_t m = 211, n = 9, k = 3;
  const auto a = Values(m * k, 12, false), b = Values(n * k, 13, false), bias = Values(m, 14, false);
  for (const Table* table : Tables()) {
    EXPECT_TRUE(SameBits(Product(*table, m, n, k, a, b, bias, 1, false),
                         Product(*Tables()[0], m, n, k, a, b, bias, 1, false)))
        << table->name;
  }
}

TEST(EqualBits, DepthwisePlanes) {
  struct Plane {
    int64_t height, width, kernel, stride, pad;
  };
  std::vector<Plane> planes;
  for (int64_t kernel : {3, 5}) {
    for (int64_t stride : {1, 2}) {
      for (int64_t width : {1, 2, 5, 7, 14, 17, 33}) planes.push_back({7, width, kernel, stride, kernel / 2});
      planes.push_back({5, 271, kernel, stride, 1});
      planes.push_back({3, 600, kernel, stride, 4});
      planes.push_back({40, 130, kernel, stride, 2});  // more rows than a band holds
    }
  }
  planes.push_back({3, 24893, 3, 2, 1});  // the last strip of columns is narrower than its vectors
  planes.push_back({3, 32513, 3, 2, 1});
  for (const Plane& p : planes) {
    const int64_t out_h = (p.height + 2 * p.pad - p.kernel) / p.stride + 1;
    const int64_t out_w = (p.width + 2 * p.pad - p.kernel) / p.stride + 1;
    if (out_h < 1 || out_w < 1) continue;
    for (bool special : {false, true}) {
      const auto in = Values(p.height * p.width, 15, special), weight = Values(25, 16, false);
      for (float bias : {0.5f, -0.0f}) {
        Compare<float>(out_h * out_w, "depthwise", [&](const Table& t, float* out) {
          t.depthwise(
              1, in.data(),
              {p.height, p.width, p.kernel, p.kernel, p.stride, p.stride, 1, 1, p.pad, p.pad, out_h, out_w},
              weight.data(), &bias, out, {bias > 0 ? kClamp : kNoActivation, 0, 50});
        });
      }
    }
  }
}

// Rows of a signal: against a plain loop, too. The widest kernels are those around the limit of a band.
TEST(EqualBits, DepthwiseRows) {
  struct Row {
    int64_t width, kernel, stride, dilation, pad;
  };
  const Row rows[] = {{400, 31, 1, 1, 15}, {900, 65, 1, 1, 0},  {1500, 256, 2, 1, 3},  {700, 300, 5, 1, 150},
                      {600, 512, 1, 1, 9}, {600, 513, 1, 1, 9}, {1300, 200, 1, 3, 77}, {1100, 511, 4, 2, 40}};
  for (const Row& r : rows) {
    const int64_t n = (r.width + 2 * r.pad - (r.kernel - 1) * r.dilation - 1) / r.stride + 1;
    const auto in = Values(r.width, 17, false), weight = Values(r.kernel, 18, false);
    std::vector<float> want;
    for (int64_t x = 0; x < n; ++x) {
      float sum = 0.25f;
      for (int64_t k = 0; k < r.kernel; ++k) {
        const int64_t at = x * r.stride + k * r.dilation - r.pad;
        if (at < 0 || at >= r.width) continue;
        sum = std::fma(in[static_cast<size_t>(at)], weight[static_cast<size_t>(k)], sum);
      }
      want.push_back(sum);
    }
    for (const Table* table : Tables()) {
      std::vector<float> got(want.size());
      const float bias = 0.25f;
      table->depthwise(1, in.data(), {1, r.width, 1, r.kernel, 1, r.stride, 1, r.dilation, 0, r.pad, 1, n},
                       weight.data(), &bias, got.data(), {});
      EXPECT_TRUE(SameBits(got, want)) << table->name << " kernel " << r.kernel << " stride " << r.stride;
    }
  }
}

}  // namespace
}  // namespace xslim::kernels
