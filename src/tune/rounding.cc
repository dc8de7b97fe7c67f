#include "tune/rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/matmul.h"

namespace xslim {
namespace {

constexpr int64_t kBlock = 64;  // columns that are factored, or rounded, between two matrix products
constexpr int64_t kVector = 8;  // elements that the compiler takes at once; divides kBlock
constexpr float kLowest = -128.0f, kHighest = 127.0f;

// LDL' of the symmetric matrix h (n x n, row length n; the lower triangle is used): afterwards its strict
// lower triangle holds L, its diagonal D. Blocked; each element's updates come in one order.
void FactorLdl(std::vector<float>* h, int64_t n, ThreadPool& pool) {
  float* a = h->data();
  std::vector<float> scaled;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n), width = end - begin;
    for (int64_t j = begin; j < end; ++j) {
      double diagonal = a[j * n + j];
      for (int64_t d = begin; d < j; ++d) {
        diagonal -= static_cast<double>(a[j * n + d]) * a[j * n + d] * a[d * n + d];
      }
      // Damping keeps the pivots positive; rounding may still eat a tiny one.
      const float pivot = static_cast<float>(std::max(diagonal, 1e-30));
      a[j * n + j] = pivot;
      const auto eliminate = [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          double sum = a[i * n + j];
          for (int64_t d = begin; d < j; ++d) {
            sum -= static_cast<double>(a[i * n + d]) * a[j * n + d] * a[d * n + d];
          }
          a[i * n + j] = static_cast<float>(sum / pivot);
        }
      };
      eliminate(j + 1, end);
    }
    if (end == n) break;
    // The rows below: each solves its own triangle, so rows are split over the threads.
    pool.ParallelFor(n - end, 16, [&](int64_t first, int64_t last, int) {
      for (int64_t i = end + first; i < end + last; ++i) {
        for (int64_t j = begin; j < end; ++j) {
          double sum = a[i * n + j];
          for (int64_t d = begin; d < j; ++d) {
            sum -= static_cast<double>(a[i * n + d]) * a[j * n + d] * a[d * n + d];
          }
          a[i * n + j] = static_cast<float>(sum / a[j * n + j]);
        }
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

constexpr int64_t kFew = 32;  // depth (of depthwise filters) that packed products are too large for

// second += x x' of each patch; more of a row than its lower triangle is summed up, in whole vectors.
void AddFew(const float* patches, int64_t count, int64_t depth, float* second) {
  float x[kFew] = {}, sums[kFew * kFew] = {};
  for (int64_t i = 0; i < depth; ++i) std::copy_n(second + i * depth, i + 1, sums + i * kFew);
  for (int64_t p = 0; p < count; ++p, patches += depth) {
    std::copy_n(patches, depth, x);
    for (int64_t i = 0; i < depth; ++i) {
      for (int64_t j = 0; j <= i; j += kVector) {
        float* row = sums + i * kFew + j;
        for (int64_t lane = 0; lane < kVector; ++lane) row[lane] += x[i] * x[j + lane];
      }
    }
  }
  for (int64_t i = 0; i < depth; ++i) std::copy_n(sums + i * kFew, i + 1, second + i * depth);
}

float RoundedCode(float value) { return std::clamp(std::nearbyint(value), kLowest, kHighest); }

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
    std::vector<float> factor(n * n);
    pool.ParallelFor(depth, 16, [&](int64_t first, int64_t last, int) {
      for (size_t i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
        const float* const from = matrix.data() + static_cast<size_t>(order_[i]) * n;
        float* const to = factor.data() + (n - 1 - i) * n;
        for (size_t j = 0; j < n; ++j) to[n - 1 - j] = from[static_cast<size_t>(order_[j])];
      }
    });
    FactorLdl(&factor, depth, pool);
    upper_.assign(n * n, 0.0f);
    pool.ParallelFor(depth, 16, [&](int64_t first, int64_t last, int) {
      for (size_t i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
        for (size_t j = i; j < n; ++j) upper_[i * n + j] = factor[(n - 1 - i) * n + (n - 1 - j)];
      }
    });
  }

  struct Result {
    std::vector<int8_t> codes;
    std::vector<double> costs;  // by row: (w - q s)' H (w - q s)
  };
  Result Round(const std::vector<float>& weights, const std::vector<float>& scales) const {
    const int64_t rows = static_cast<int64_t>(scales.size());
    // w, q, and e = w - q in steps of the row's scale, in the order of rounding.
    std::vector<float> w(static_cast<size_t>(rows * depth_)), e(w.size()), target;
    pool_.ParallelFor(rows, 8, [&](int64_t first, int64_t last, int) {
      for (int64_t r = first; r < last; ++r) {
        const float* const from = weights.data() + r * depth_;
        for (int64_t i = 0; i < depth_; ++i) {
          w[static_cast<size_t>(r * depth_ + i)] =
              from[order_[static_cast<size_t>(i)]] / scales[static_cast<size_t>(r)];
        }
      }
    });
    Result result;
    result.codes.resize(w.size());
    result.costs.assign(scales.size(), 0.0);
    for (int64_t begin = 0; begin < depth_; begin += kBlock) {
      const int64_t end = std::min(begin + kBlock, depth_), width = end - begin;
      // target = w + (errors so far) * U, for the columns of the block.
      target.resize(static_cast<size_t>(rows * width));
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(w.begin() + r * depth_ + begin, width, target.begin() + r * width);
      AddProduct(pool_, rows, width, begin, e.data(), depth_, 1, upper_.data() + begin, depth_, 1,
                 target.data(), width);
      pool_.ParallelFor(rows, 8, [&](int64_t first, int64_t last, int) {
        for (int64_t r = first; r < last; ++r) {
          float values[kBlock] = {};
          std::copy_n(target.begin() + r * width, width, values);
          for (int64_t i = 0; i < width; ++i) {
            const int64_t j = begin + i;
            const size_t at = static_cast<size_t>(r * depth_ + j);
            const float code = RoundedCode(values[i]), error = w[at] - code;
            e[at] = error;
            result.codes[static_cast<size_t>(r * depth_ + order_[static_cast<size_t>(j)])] =
                static_cast<int8_t>(code);
            const double missed = static_cast<double>(values[i] - code) * scales[static_cast<size_t>(r)];
            result.costs[static_cast<size_t>(r)] += missed * missed * Pivot(j);
            // Zeros before the diagonal and the pivot on it only reach values that are done.
            const float* const u = upper_.data() + j * depth_ + begin;
            int64_t k = i / kVector * kVector;
            for (; k + kVector <= width; k += kVector) {
              for (int64_t lane = 0; lane < kVector; ++lane) values[k + lane] += error * u[k + lane];
            }
            for (; k < width; ++k) values[k] += error * u[k];
          }
        }
      });
    }
    return result;
  }

 private:
  // Of the pivots D, which stand on the diagonal in the place of U's ones.
  float Pivot(int64_t j) const { return upper_[static_cast<size_t>(j * (depth_ + 1))]; }

  const int64_t depth_;
  ThreadPool& pool_;
  std::vector<int64_t> order_;
  std::vector<float> upper_;  // U and D
};

}  // namespace

void AddProduct(ThreadPool& pool, int64_t m, int64_t n, int64_t k, const float* a, int64_t am, int64_t ak,
                const float* b, int64_t bk, int64_t bn, float* c, int64_t ldc) {
  if (m == 0 || n == 0 || k == 0) return;
  std::vector<float> left(static_cast<size_t>(PackedSizeA(m, k))),
      right(static_cast<size_t>(PackedSizeB(k, n)));
  kernels::Active().pack_a(m, k, a, am, ak, left.data());
  PackBParallel(pool, k, n, b, bk, bn, right.data());
  PackedProduct product{m, n, k, left.data(), right.data(), c, ldc};
  product.accumulate = true;
  RunProduct(pool, product);
}

void Moments::Add(const std::vector<float>& patches, ThreadPool& pool) {
  const int64_t rows = depth_ == 0 ? 0 : static_cast<int64_t>(patches.size()) / depth_;
  if (rows == 0) return;
  count_ += rows;
  for (int64_t p = 0; p < rows; ++p) {
    for (int64_t d = 0; d < depth_; ++d)
      first_[static_cast<size_t>(d)] += patches[static_cast<size_t>(p * depth_ + d)];
  }
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

std::vector<float> Moments::Matrix(double keep_out, double damping) const {
  const size_t n = static_cast<size_t>(depth_);
  std::vector<float> matrix(n * n, 0.0f);
  const double inverse = count_ ? 1.0 / static_cast<double>(count_) : 0.0;
  const double share = 0.5 * static_cast<double>(depth_) * inverse;
  const double trust = 1 - std::min(1.0, share * share);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      const double value =
          (second_[i * n + j] * inverse - keep_out * (first_[i] * inverse) * (first_[j] * inverse)) *
          (i == j ? 1.0 : trust);
      matrix[i * n + j] = matrix[j * n + i] = static_cast<float>(value);
    }
  }
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
  RoundedRows best = {std::vector<int8_t>(weights.size()), scales};
  std::vector<double> least(scales.size(), std::numeric_limits<double>::infinity());
  for (float multiple : multiples) {
    std::vector<float> tried = scales;
    for (float& scale : tried) scale *= multiple;
    const Rounder::Result result = rounder.Round(weights, tried);
    for (size_t r = 0; r < tried.size(); ++r) {
      if (!(result.costs[r] < least[r])) continue;
      least[r] = result.costs[r];
      best.scales[r] = tried[r];
      const auto row = result.codes.begin() + static_cast<int64_t>(r) * depth;
      std::copy_n(row, depth, best.codes.begin() + static_cast<int64_t>(r) * depth);
    }
  }
  return best;
}

}  // namespace xslim
