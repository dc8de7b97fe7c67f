#include "tune/rounding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/vector_clones.h"
#include "ops/matmul.h"

namespace xslim {
namespace {

constexpr int64_t kBlock = 64;  // columns that are factored, or rounded, between two matrix products
constexpr int64_t kLanes = 8;   // elements, or rows, that the compiler takes at once
constexpr float kLowest = -128.0f, kHighest = 127.0f;

// Columns of kTogether rows, which stand side by side, four to a vector: one sum need not wait for another.
constexpr int64_t kTogether = 16, kSums = kTogether / 4;
using Double4 = double __attribute__((vector_size(32)));
struct SideBySide {
  Double4 columns[kBlock][kSums];

  double& at(int64_t row, int64_t column) { return reinterpret_cast<double*>(columns[column])[row]; }
};

// Columns [first, last) of L in the rows, one after the other: what L D L' of the columns before them makes
// is taken away, and the rest divided by the pivot. scaled: row j holds L[j][d] D[d]. (A product of three
// float32 numbers is rounded once, whichever two are multiplied first, as two of them fit a double.)
XSLIM_VECTOR_CLONES void SolveRows(const double* scaled, const double* pivots, int64_t first, int64_t last,
                                   SideBySide* rows) {
  using Float4 = float __attribute__((vector_size(16)));
  for (int64_t j = first; j < last; ++j) {
    const double* const row = scaled + j * kBlock;
    Double4* const own = rows->columns[j];
    Double4 a = own[0], b = own[1], c = own[2], e = own[3];
    for (int64_t d = 0; d < j; ++d) {
      const Double4 *const before = rows->columns[d], of_row = Double4{} + row[d];
      a -= before[0] * of_row;
      b -= before[1] * of_row;
      c -= before[2] * of_row;
      e -= before[3] * of_row;
    }
    const Double4 pivot = Double4{} + pivots[j];
    own[0] = a / pivot;
    own[1] = b / pivot;
    own[2] = c / pivot;
    own[3] = e / pivot;
    for (int64_t i = 0; i < kSums; ++i)
      own[i] = __builtin_convertvector(__builtin_convertvector(own[i], Float4), Double4);
  }
}

// The rows, as many as there are, of `width` columns of a matrix with row length n, there and back.
void Take(const float* from, int64_t n, int64_t count, int64_t width, SideBySide* rows) {
  for (int64_t r = 0; r < count; ++r)
    for (int64_t j = 0; j < width; ++j) rows->at(r, j) = from[r * n + j];
}
void Put(SideBySide* rows, int64_t n, int64_t count, int64_t width, float* to) {
  for (int64_t r = 0; r < count; ++r)
    for (int64_t j = 0; j < width; ++j) to[r * n + j] = static_cast<float>(rows->at(r, j));
}

// A block of columns, while it is factored.
struct LdlBlock {
  double scaled[kBlock * kBlock];  // as SolveRows takes them
  double pivots[kBlock];
};

// LDL' of the `width` x `width` matrix at `a`, in place.
void FactorBlock(float* a, int64_t n, int64_t width, LdlBlock* block) {
  std::array<SideBySide, kBlock / kTogether> all = {};
  for (int64_t row = 0; row < width; row += kTogether)
    Take(a + row * n, n, std::min(kTogether, width - row), width, &all[static_cast<size_t>(row / kTogether)]);
  const auto at = [&all](int64_t row, int64_t column) {
    return all[static_cast<size_t>(row / kTogether)].at(row % kTogether, column);
  };
  for (int64_t j = 0; j < width; ++j) {
    double diagonal = at(j, j);
    for (int64_t d = 0; d < j; ++d) {
      double& scaled = block->scaled[j * kBlock + d];
      scaled = at(j, d) * block->pivots[d];
      diagonal -= at(j, d) * scaled;
    }
    // Damping keeps the pivots positive; rounding may still eat a tiny one.
    block->pivots[j] = static_cast<float>(std::max(diagonal, 1e-30));
    // What this makes of the diagonal and of what lies above it is never read.
    for (int64_t group = (j + 1) / kTogether; group * kTogether < width; ++group)
      SolveRows(block->scaled, block->pivots, j, j + 1, &all[static_cast<size_t>(group)]);
  }
  for (int64_t i = 0; i < width; ++i) {
    for (int64_t j = 0; j < i; ++j) a[i * n + j] = static_cast<float>(at(i, j));
    a[i * n + i] = static_cast<float>(block->pivots[i]);
  }
}

// LDL' of the symmetric matrix at a (n x n, row length n; the lower triangle is used): afterwards its strict
// lower triangle holds L, its diagonal D. Blocked; each element's updates come in one order.
void FactorLdl(float* a, int64_t n, ThreadPool& pool) {
  std::vector<float> scaled;
  const auto block = std::make_unique<LdlBlock>();
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n), width = end - begin;
    FactorBlock(a + begin * n + begin, n, width, block.get());
    if (end == n) break;
    // The rows below: each solves its own triangle, so rows are split over the threads.
    pool.ParallelFor((n - end + kTogether - 1) / kTogether, 1, [&](int64_t first, int64_t last, int) {
      SideBySide rows = {};
      for (int64_t row = end + first * kTogether; row < std::min(end + last * kTogether, n);
           row += kTogether) {
        float* const at = a + row * n + begin;
        const int64_t count = std::min(kTogether, n - row);
        Take(at, n, count, width, &rows);
        SolveRows(block->scaled, block->pivots, 0, width, &rows);
        Put(&rows, n, count, width, at);
      }
    });
    // What remains -= L D L', a stripe of columns at a time and only from the diagonal down.
    const int64_t rest = n - end;
    scaled.resize(static_cast<size_t>(rest * width));
    for (int64_t i = 0; i < rest; ++i) {
      for (int64_t d = 0; d < width; ++d) {
        scaled[static_cast<size_t>(i * width + d)] =
            -a[(end + i) * n + begin + d] * a[(begin + d) * n + begin + d];
      }
    }
    constexpr int64_t kStripe = 256;
    for (int64_t j = 0; j < rest; j += kStripe) {
      AddProduct(pool, rest - j, std::min(kStripe, rest - j), width, scaled.data() + j * width, width, 1,
                 a + (end + j) * n + begin, 1, n, a + (end + j) * n + end + j, n);
    }
  }
}

constexpr size_t kMostTogether = 1 << 20;  // weights that are rounded at once, each with each scale
constexpr int64_t kFew = 32;  // depth (of depthwise filters) that packed products are too large for

// second += x x' of each patch, of the lower triangle in whole vectors.
XSLIM_VECTOR_CLONES void AddFew(const float* patches, int64_t count, int64_t depth, float* second) {
  constexpr int64_t kRows = 4;  // of the triangle, so that no sum waits for the one before it
  // The last patches are read from a copy, as vectors reach beyond a patch.
  const int64_t total = count * depth, copied = std::min(count, (kFew + depth - 1) / depth);
  float end[3 * kFew] = {};
  std::copy(patches + (count - copied) * depth, patches + total, end);
  const auto for_patches = [&](const auto& add) {
    for (int64_t p = 0; p < count - copied; ++p) add(patches + p * depth);
    for (int64_t p = 0; p < copied; ++p) add(end + p * depth);
  };
  int64_t i = 0;
  for (; i + 1 < depth; i += kRows) {
    const int64_t rows = std::min(kRows, depth - i);
    for (int64_t j = 0; j < i + rows; j += kLanes) {
      Float8 a = {}, b = {}, c = {}, d = {};
      const auto for_sums = [&](const auto& move) {
        Float8* const sums[kRows] = {&a, &b, &c, &d};
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t l = 0; l < kLanes && j + l <= i + r; ++l)
            move(second + (i + r) * depth + j + l, sums[r], l);
      };
      for_sums([](float* element, Float8* sum, int64_t l) { (*sum)[l] = *element; });
      for_patches([&](const float* x) {
        Float8 right;
        Load(x + j, &right);
        a += x[i] * right;
        b += x[i + 1] * right;
        c += x[i + 2] * right;
        d += x[i + 3] * right;
      });
      for_sums([](float* element, Float8* sum, int64_t l) { *element = (*sum)[l]; });
    }
  }
  if (i >= depth) return;
  // One row is left where the filter has 3 x 3 or 5 x 5 taps: two of its vectors at once.
  for (int64_t j = 0; j < depth; j += 2 * kLanes) {
    Float8 a = {}, b = {};
    const auto for_sums = [&](const auto& move) {
      for (int64_t l = 0; l < 2 * kLanes && j + l <= i; ++l)
        move(second + i * depth + j + l, l < kLanes ? &a : &b, l % kLanes);
    };
    for_sums([](float* element, Float8* sum, int64_t l) { (*sum)[l] = *element; });
    for_patches([&](const float* x) {
      Float8 left, right;
      Load(x + j, &left);
      Load(x + j + kLanes, &right);
      a += x[i] * left;
      b += x[i] * right;
    });
    for_sums([](float* element, Float8* sum, int64_t l) { *element = (*sum)[l]; });
  }
}

// One block of columns of kLanes rows, which stand side by side.
struct RowBlock {
  int64_t width;                          // columns
  Float8 wanted[kBlock], weight[kBlock];  // w + what errors so far ask for; w
  Float8 code[kBlock];
  Double8 cost;  // grows by the block's
};

// Rounds column by column and hands the errors on to the columns that follow; u: upper triangle, the pivots
// on its diagonal, as Rounder::Upper gives it: backwards, rows of length `stride`; scales: of the rows.
XSLIM_VECTOR_CLONES void RoundBlock(const float* u, int64_t stride, const float* scales, RowBlock* block) {
  // Half to even, as sums with this number have no bits for fractions.
  constexpr float kNoFraction = 12582912.0f;  // 1.5 * 2^23
  Float8 scale;
  Load(scales, &scale);
  const Float8 lowest = Float8{} + kLowest, highest = Float8{} + kHighest;
  const Double8 wide_scale = __builtin_convertvector(scale, Double8);
  Double8 cost = block->cost;
  for (int64_t i = 0; i < block->width; ++i, u -= stride) {
    const Float8 wanted = block->wanted[i];
    const Float8 low = wanted > lowest ? wanted : lowest, clamped = low < highest ? low : highest;
    const Float8 code = (clamped + kNoFraction) - kNoFraction;
    const Float8 error = block->weight[i] - code;
    const Double8 missed = __builtin_convertvector(wanted - code, Double8) * wide_scale;
    cost += missed * missed * static_cast<double>(u[-i]);
    block->code[i] = code;
    for (int64_t k = i + 1; k < block->width; ++k) block->wanted[k] += error * u[-k];
  }
  block->cost = cost;
}

// Rounds rows against one matrix, as often as wanted: it is factored once.
class Rounder {
 public:
  Rounder(const std::vector<float>& matrix, int64_t depth, ThreadPool& pool)
      : depth_(depth), pool_(pool), order_(static_cast<size_t>(depth)) {
    const size_t n = static_cast<size_t>(depth);
    // Largest second moment first: what is rounded last has nobody left to mend its error.
    std::iota(order_.begin(), order_.end(), int64_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) {
      return matrix[static_cast<size_t>(a) * n + static_cast<size_t>(a)] >
             matrix[static_cast<size_t>(b) * n + static_cast<size_t>(b)];
    });
    // H = U D U' with U upper triangular in that order is LDL' of the matrix with rows and columns reversed.
    factor_ = std::make_unique_for_overwrite<float[]>(n * n);
    pool.ParallelFor(depth, 16, [&](int64_t first, int64_t last, int) {
      for (size_t i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
        const float* const from = matrix.data() + static_cast<size_t>(order_[i]) * n;
        float* const to = factor_.get() + (n - 1 - i) * n;
        for (size_t j = 0; j < n; ++j) to[n - 1 - j] = from[static_cast<size_t>(order_[j])];
      }
    });
    FactorLdl(factor_.get(), depth, pool);
  }

  struct Result {
    std::vector<int8_t> codes;
    std::vector<double> costs;  // by row: (w - q s)' H (w - q s)
  };
  // Rows [first, last) of the weights, each with each of its scales: result row i is row first + i % (last -
  // first) at scales[i].
  Result Round(const std::vector<float>& weights, int64_t first, int64_t last,
               const std::vector<float>& scales) const {
    const int64_t rows = static_cast<int64_t>(scales.size());
    const auto buffer = [&] {
      return std::make_unique_for_overwrite<float[]>(static_cast<size_t>(rows * depth_));
    };
    // In steps of the row's scale, in the order of rounding: w, w + what errors so far ask for, and w - q.
    const auto w = buffer(), wanted = buffer(), e = buffer();
    pool_.ParallelFor(rows, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        const float* const from = weights.data() + (first + r % (last - first)) * depth_;
        float* const to = w.get() + r * depth_;
        for (int64_t i = 0; i < depth_; ++i)
          to[i] = from[order_[static_cast<size_t>(i)]] / scales[static_cast<size_t>(r)];
        std::copy_n(to, depth_, wanted.get() + r * depth_);
      }
    });
    Result result;
    result.codes.resize(static_cast<size_t>(rows * depth_));
    result.costs.assign(scales.size(), 0.0);
    for (int64_t begin = 0; begin < depth_; begin += kBlock) {
      const int64_t width = std::min(kBlock, depth_ - begin);
      AddProduct(pool_, rows, width, begin, e.get(), depth_, 1, Upper(0, begin), -depth_, -1,
                 wanted.get() + begin, depth_);
      pool_.ParallelFor((rows + kLanes - 1) / kLanes, 1, [&](int64_t from, int64_t to, int) {
        for (int64_t group = from; group < to; ++group) {
          const int64_t row = group * kLanes, lanes = std::min(kLanes, rows - row);
          RowBlock block = {};
          block.width = width;
          float own[kLanes] = {};
          for (int64_t l = 0; l < lanes; ++l) {
            own[l] = scales[static_cast<size_t>(row + l)];
            block.cost[l] = result.costs[static_cast<size_t>(row + l)];
            const int64_t at = (row + l) * depth_ + begin;
            for (int64_t i = 0; i < width; ++i) {
              block.wanted[i][l] = wanted[static_cast<size_t>(at + i)];
              block.weight[i][l] = w[static_cast<size_t>(at + i)];
            }
          }
          RoundBlock(Upper(begin, begin), depth_, own, &block);
          for (int64_t l = 0; l < lanes; ++l) {
            result.costs[static_cast<size_t>(row + l)] = block.cost[l];
            float* const error = e.get() + (row + l) * depth_ + begin;
            int8_t* const codes = result.codes.data() + (row + l) * depth_;
            for (int64_t i = 0; i < width; ++i) {
              const float code = block.code[i][l];
              error[i] = block.weight[i][l] - code;
              codes[order_[static_cast<size_t>(begin + i)]] = static_cast<int8_t>(code);
            }
          }
        }
      });
    }
    return result;
  }

 private:
  // U, and the pivots D in the place of its diagonal of ones; the next element of a row stands before it, and
  // so does the next row.
  const float* Upper(int64_t row, int64_t column) const {
    return factor_.get() + (depth_ - 1 - row) * depth_ + (depth_ - 1 - column);
  }

  const int64_t depth_;
  ThreadPool& pool_;
  std::vector<int64_t> order_;
  std::unique_ptr<float[]> factor_;
};

}  // namespace

void AddProduct(ThreadPool& pool, int64_t m, int64_t n, int64_t k, const float* a, int64_t am, int64_t ak,
                const float* b, int64_t bk, int64_t bn, float* c, int64_t ldc) {
  if (m == 0 || n == 0 || k == 0) return;
  const auto left = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(PackedSizeA(m, k))),
             right = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(PackedSizeB(k, n)));
  PackAParallel(pool, m, k, a, am, ak, left.get());
  PackBParallel(pool, k, n, b, bk, bn, right.get());
  PackedProduct product{m, n, k, left.get(), right.get(), c, ldc};
  product.accumulate = true;
  RunProduct(pool, product);
}

void Moments::Add(const std::vector<float>& patches, ThreadPool& pool) {
  const int64_t rows = depth_ == 0 ? 0 : static_cast<int64_t>(patches.size()) / depth_;
  if (rows == 0) return;
  count_ += rows;
  pool.ParallelFor(depth_, 64, [&](int64_t begin, int64_t end, int) {
    for (int64_t p = 0; p < rows; ++p) {
      for (int64_t d = begin; d < end; ++d)
        first_[static_cast<size_t>(d)] += patches[static_cast<size_t>(p * depth_ + d)];
    }
  });
  if (depth_ <= kFew) {
    AddFew(patches.data(), rows, depth_, second_.data());
    return;
  }
  constexpr int64_t kStripe = 256;  // columns; rows from the stripe's diagonal down
  for (int64_t j = 0; j < depth_; j += kStripe) {
    AddProduct(pool, depth_ - j, std::min(kStripe, depth_ - j), rows, patches.data() + j, 1, depth_,
               patches.data() + j, depth_, 1, second_.data() + j * depth_ + j, depth_);
  }
}

std::vector<float> Moments::Matrix(double keep_out, double damping, ThreadPool& pool) const {
  const size_t n = static_cast<size_t>(depth_);
  std::vector<float> matrix(n * n, 0.0f);
  const double inverse = count_ ? 1.0 / static_cast<double>(count_) : 0.0;
  const double share = 0.5 * static_cast<double>(depth_) * inverse;
  const double trust = 1 - std::min(1.0, share * share);
  pool.ParallelFor(depth_, 64, [&](int64_t begin, int64_t end, int) {
    for (size_t i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      for (size_t j = 0; j <= i; ++j) {
        const double value =
            (second_[i * n + j] * inverse - keep_out * (first_[i] * inverse) * (first_[j] * inverse)) *
            (i == j ? 1.0 : trust);
        matrix[i * n + j] = matrix[j * n + i] = static_cast<float>(value);
      }
    }
  });
  double trace = 0;
  for (size_t i = 0; i < n; ++i) trace += std::max(matrix[i * n + i], 0.0f);
  const float extra =
      static_cast<float>(std::max(damping * trace / static_cast<double>(std::max<size_t>(n, 1)), 1e-12));
  for (size_t i = 0; i < n; ++i) matrix[i * n + i] = std::max(matrix[i * n + i], 0.0f) + extra;
  return matrix;
}

RoundedRows RoundAgainst(const std::vector<float>& weights, const std::vector<float>& scales,
                         const std::vector<float>& multiples, const std::vector<float>& matrix, int64_t depth,
                         ThreadPool& pool) {
  const Rounder rounder(matrix, depth, pool);
  const size_t rows = scales.size(), width = static_cast<size_t>(depth);
  // A row with each of its scales is a row of its own. As many rows at once as keep within some megabytes.
  const size_t together = std::max<size_t>(1, kMostTogether / std::max<size_t>(1, multiples.size() * width));
  RoundedRows best;
  best.codes.resize(rows * width);
  best.scales.resize(rows);
  for (size_t first = 0; first < rows; first += together) {
    const size_t last = std::min(first + together, rows);
    std::vector<float> tried;
    for (float multiple : multiples) {
      for (size_t r = first; r < last; ++r) tried.push_back(scales[r] * multiple);
    }
    const Rounder::Result result =
        rounder.Round(weights, static_cast<int64_t>(first), static_cast<int64_t>(last), tried);
    for (size_t r = first; r < last; ++r) {
      size_t least = r - first;  // the largest scale, unless another one has less cost
      for (size_t at = least; at < tried.size(); at += last - first) {
        if (result.costs[at] < result.costs[least]) least = at;
      }
      best.scales[r] = tried[least];
      std::copy_n(result.codes.begin() + static_cast<std::ptrdiff_t>(least * width), width,
                  best.codes.begin() + static_cast<std::ptrdiff_t>(r * width));
    }
  }
  return best;
}

}  // namespace xslim
