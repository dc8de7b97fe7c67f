#include "quant/weight_codes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.h"
#include "quant/mapped.h"
#include "quant/scale.h"

namespace xslim {
namespace {

constexpr float kLargestPair = 127;  // 255 * 128 < 2^15
constexpr int kShrinks = 13;         // ranges of 1, 31/32, ... 19/32 of the full one

struct Grid4 {
  float scale = 1;
  float zero = 0;  // added to the code; 0 for int4
  float lo = -8, hi = 7;
};

float Code(float x, const Grid4& grid) {
  return std::clamp(std::nearbyint(x / grid.scale) + grid.zero, grid.lo, grid.hi);
}

double SquaredError(const std::vector<float>& x, const Grid4& grid) {
  double sum = 0;
  for (float value : x) {
    const double d =
        static_cast<double>(value) - static_cast<double>((Code(value, grid) - grid.zero) * grid.scale);
    sum += d * d;
  }
  return sum;
}

// The least-squares scale for the codes that `grid` gives.
float Refined(const std::vector<float>& x, const Grid4& grid) {
  double dot = 0, square = 0;
  for (float value : x) {
    const double q = static_cast<double>(Code(value, grid) - grid.zero);
    dot += q * static_cast<double>(value);
    square += q * q;
  }
  return square > 0 ? static_cast<float>(dot / square) : grid.scale;
}

// Tries one grid and its refinement; keeps the better one.
void Try(const std::vector<float>& x, Grid4 grid, Grid4* best, double* least) {
  for (int pass = 0; pass < 2; ++pass) {
    if (!(grid.scale >= kMinFreeScale)) return;
    const double error = SquaredError(x, grid);
    if (error < *least) {
      *least = error;
      *best = grid;
    }
    grid.scale = Refined(x, grid);
  }
}

Grid4 BestGrid(const std::vector<float>& x, bool with_zero_point) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const float lo = std::min(*low, 0.0f), hi = std::max(*high, 0.0f), most = std::max(-lo, hi);
  Grid4 best;
  if (with_zero_point) best = {1, 0, 0, 15};
  if (most == 0) return best;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kShrinks; ++i) {
    const float part = static_cast<float>(32 - i) / 32;
    if (with_zero_point) {
      Grid4 grid{(hi - lo) * part / 15, 0, 0, 15};
      if (!(grid.scale >= kMinFreeScale)) continue;
      grid.zero = std::clamp(std::nearbyint(-lo * part / grid.scale), 0.0f, 15.0f);
      Try(x, grid, &best, &least);
      continue;
    }
    for (float levels : {7.0f, 7.5f, 8.0f}) Try(x, {most * part / levels, 0, -8, 7}, &best, &least);
  }
  // Weights under the smallest scale: all codes are zero.
  if (!std::isfinite(least)) best.scale = kMinFreeScale;
  return best;
}

// Columns of a matrix that are gone through together, row by row: what lies side by side is read once.
constexpr int64_t kBlock = 256;

struct ColumnBlock {
  const float* x;  // first row, first column of the block
  int64_t rows, stride, width;
};

// The columns of a [rows, columns] matrix, block by block: of(block, first column).
template <typename F>
void ForColumnBlocks(const float* x, int64_t rows, int64_t columns, F&& of) {
  for (int64_t begin = 0; begin < columns; begin += kBlock)
    of(ColumnBlock{x + begin, rows, columns, std::min(kBlock, columns - begin)}, begin);
}

// most = max(most, |x|), for each column.
void TakeLargest(const float* x, int64_t width, float* most) {
  float size[kBlock];
  kernels::Active().unary(kernels::kAbs, x, size, width);
  kernels::Active().binary(kernels::kMax, most, size, most, width);
}

void LargestOfColumns(const ColumnBlock& block, float* most) {
  std::fill_n(most, block.width, 0.0f);
  for (int64_t row = 0; row < block.rows; ++row) TakeLargest(block.x + row * block.stride, block.width, most);
}

// Of the sums of rows 2i and 2i + 1.
void LargestOfPairs(const ColumnBlock& block, float* most) {
  float sum[kBlock];
  std::fill_n(most, block.width, 0.0f);
  for (int64_t row = 1; row < block.rows; row += 2) {
    const float* x = block.x + row * block.stride;
    kernels::Active().binary(kernels::kAdd, x, x - block.stride, sum, block.width);
    TakeLargest(sum, block.width, most);
  }
}

// A scale for each column; a zero point for each, or null where all are 0. q: the block's first code.
void EncodeBlock(const ColumnBlock& block, const float* scale, const float* zero_point, int8_t* q) {
  const kernels::Table& table = kernels::Active();
  float steps[kBlock];
  for (int64_t row = 0; row < block.rows; ++row) {
    table.binary(kernels::kDiv, block.x + row * block.stride, scale, steps, block.width);
    if (zero_point != nullptr) {  // added after rounding
      table.unary(kernels::kRound, steps, steps, block.width);
      table.binary(kernels::kAdd, steps, zero_point, steps, block.width);
    }
    table.quantize_s8(steps, 1.0f, 0, q + row * block.stride, block.width);
  }
}

}  // namespace

AxisView ViewAround(const Shape& shape, int64_t axis) {
  AxisView view;
  for (int64_t d = 0; d < static_cast<int64_t>(shape.size()); ++d)
    (d < axis ? view.outer : d > axis ? view.inner : view.axis) *= shape[static_cast<size_t>(d)];
  return view;
}

std::vector<float> LargestAlongAxis(const Tensor& x, int axis) {
  const AxisView view = ViewAround(x.shape(), axis);
  std::vector<float> largest(static_cast<size_t>(view.axis), 0.0f);
  const float* data = x.data<float>();
  if (view.inner == 1) {
    ForColumnBlocks(data, view.outer, view.axis, [&](const ColumnBlock& block, int64_t begin) {
      LargestOfColumns(block, largest.data() + begin);
    });
    return largest;
  }
  for (int64_t o = 0; o < view.outer; ++o) {
    for (float& most : largest) {
      most =
          std::max({most, kernels::Active().max(data, view.inner), -kernels::Active().min(data, view.inner)});
      data += view.inner;
    }
  }
  return largest;
}

QuantParams SymmetricAlongAxis(const Tensor& x, int axis, float least) {
  QuantParams params;
  params.axis = axis;
  for (float most : LargestAlongAxis(x, axis))
    params.scale.push_back(most > 0 ? SymmetricScale(most, least) : kMinScale);
  params.zero_point.assign(params.scale.size(), 0);
  return params;
}

Tensor EncodeInt8(const Tensor& x, const QuantParams& params) {
  Tensor codes(DType::kInt8, x.shape());
  const AxisView view = ViewAround(x.shape(), params.axis);  // all of x is `inner` without an axis
  const float* in = x.data<float>();
  int8_t* q = codes.data<int8_t>();
  if (params.axis >= 0 && view.inner == 1) {
    const std::vector<float> zero_points(params.zero_point.begin(), params.zero_point.end());
    ForColumnBlocks(in, view.outer, view.axis, [&](const ColumnBlock& block, int64_t begin) {
      EncodeBlock(block, params.scale.data() + begin, zero_points.data() + begin, q + begin);
    });
  } else {
    for (int64_t o = 0; o < view.outer; ++o) {
      for (size_t channel = 0; channel < static_cast<size_t>(view.axis); ++channel) {
        kernels::Active().quantize_s8(in, params.scale[channel], params.zero_point[channel], q, view.inner);
        in += view.inner;
        q += view.inner;
      }
    }
  }
  ForgetPages(x);
  return codes;
}

namespace {

// The codes of one filter and what their rounding added to each element, in steps.
class Filter {
 public:
  Filter(const float* x, int8_t* codes, int64_t kernels, int64_t taps, float scale)
      : codes_(codes), kernels_(kernels), taps_(taps), errors_(static_cast<size_t>(kernels * taps)) {
    for (int64_t i = 0; i < kernels * taps; ++i) {
      const float steps = x[i] / scale, code = std::clamp(std::nearbyint(steps), kLowest, kHighest);
      codes_[i] = static_cast<int8_t>(code);
      errors_[static_cast<size_t>(i)] = static_cast<double>(code) - static_cast<double>(steps);
    }
  }

  void Balance() {
    std::vector<Candidate> elements;
    for (int64_t k = 0; k < kernels_ && taps_ > 1; ++k) {
      elements.clear();
      for (int64_t i = k * taps_; i < (k + 1) * taps_; ++i) elements.push_back({i, Error(i)});
      Turn(&elements);
    }
    // Of each kernel one element at most, so that its own sum stays within a step.
    std::vector<Candidate> kernels;
    for (int64_t k = 0; k < kernels_; ++k) kernels.push_back({k, 0});
    for (Candidate& kernel : kernels) {
      for (int64_t i = kernel.element * taps_; i < (kernel.element + 1) * taps_; ++i)
        kernel.error += Error(i);
      int64_t most = kernel.element * taps_;
      for (int64_t i = most; i < (kernel.element + 1) * taps_; ++i) {
        if (Error(i) * kernel.error > Error(most) * kernel.error) most = i;
      }
      kernel.element = most;
    }
    Turn(&kernels);
  }

 private:
  static constexpr float kLowest = -128, kHighest = 127;

  struct Candidate {
    int64_t element;
    double error;  // of the element, or of the kernel that it stands for
  };

  double Error(int64_t i) const { return errors_[static_cast<size_t>(i)]; }

  // Rounds as many elements the other way as the sum of the errors asks for, those of the largest ones. Uses
  // the candidates up.
  void Turn(std::vector<Candidate>* candidates) {
    double sum = 0;
    for (const Candidate& each : *candidates) sum += each.error;
    const int step = sum > 0 ? -1 : 1;
    int64_t left = std::llround(std::fabs(sum));
    if (left == 0) return;
    // Few of many are needed: a heap with the largest error on top, of equal ones the first element.
    const auto later = [step](const Candidate& a, const Candidate& b) {
      return a.error == b.error ? a.element > b.element : a.error * step > b.error * step;
    };
    std::make_heap(candidates->begin(), candidates->end(), later);
    for (; left > 0 && !candidates->empty(); candidates->pop_back()) {
      std::pop_heap(candidates->begin(), candidates->end(), later);
      const Candidate& each = candidates->back();
      if (each.error * step >= 0) return;
      const int code = codes_[each.element] + step;
      if (code < static_cast<int>(kLowest) || code > static_cast<int>(kHighest)) continue;
      codes_[each.element] = static_cast<int8_t>(code);
      errors_[static_cast<size_t>(each.element)] += step;
      --left;
    }
  }

  int8_t* codes_;
  const int64_t kernels_, taps_;
  std::vector<double> errors_;
};

}  // namespace

Tensor EncodeFilters(const Tensor& x, const QuantParams& params, ThreadPool& pool) {
  Tensor codes(DType::kInt8, x.shape());
  const int64_t filters = x.dim(0), kernels = x.dim(1),
                taps = x.size() / std::max<int64_t>(filters * kernels, 1);
  pool.ParallelFor(filters, 1, [&](int64_t from, int64_t to, int) {
    for (int64_t f = from; f < to; ++f) {
      const int64_t begin = f * kernels * taps;
      Filter(x.data<float>() + begin, codes.data<int8_t>() + begin, kernels, taps,
             params.scale[static_cast<size_t>(f)])
          .Balance();
    }
  });
  ForgetPages(x);
  return codes;
}

ColumnCodes EncodeColumns(const Tensor& x, bool full_range, ThreadPool& pool) {
  const int64_t rows = x.dim(-2), columns = x.dim(-1);
  ColumnCodes result;
  result.codes = Tensor(DType::kInt8, x.shape());
  Shape shape{columns};
  if (x.rank() > 2) {
    shape = x.shape();
    shape[shape.size() - 2] = 1;
  }
  result.scale = Tensor(DType::kFloat, shape);
  const int64_t blocks = (columns + kBlock - 1) / kBlock,
                matrices = result.scale.size() / std::max<int64_t>(columns, 1);
  pool.ParallelFor(matrices * blocks, 1, [&](int64_t from, int64_t to, int) {
    for (int64_t piece = from; piece < to; ++piece) {
      const int64_t matrix = piece / blocks, column = piece % blocks * kBlock;
      const int64_t top = matrix * rows * columns + column;
      const ColumnBlock block = {x.data<float>() + top, rows, columns, std::min(kBlock, columns - column)};
      float most[kBlock], pair[kBlock];
      LargestOfColumns(block, most);
      if (!full_range) LargestOfPairs(block, pair);
      float* scales = result.scale.data<float>() + matrix * columns + column;
      for (int64_t c = 0; c < block.width; ++c) {
        scales[c] = most[c] > 0 ? SymmetricScale(most[c], kMinFreeScale) : kMinScale;
        // Two codes that each round up by half still add to no more than 128.
        if (!full_range) scales[c] = std::max(scales[c], pair[c] / kLargestPair);
      }
      EncodeBlock(block, scales, nullptr, result.codes.data<int8_t>() + top);
    }
  });
  ForgetPages(x);
  return result;
}

bool NearlyWhole(const Tensor& x) {
  const float* data = x.data<float>();
  return std::all_of(data, data + x.size(),
                     [](float v) { return std::fabs(v - std::nearbyint(v)) <= 1e-5f; });
}

bool AllFinite(const Tensor& x) {
  kernels::MinMax seen;
  kernels::Active().min_max(x.data<float>(), x.size(), &seen);
  return seen.finite == x.size();
}

BlockCodes EncodeBlocks4(const Tensor& x, int axis, int64_t block, bool with_zero_points, ThreadPool& pool) {
  const AxisView view = ViewAround(x.shape(), axis);
  const int64_t blocks = (view.axis + block - 1) / block;
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = blocks;
  BlockCodes result;
  result.codes = Tensor(with_zero_points ? DType::kUint4 : DType::kInt4, x.shape());
  result.scale = Tensor(DType::kFloat, shape);
  if (with_zero_points) result.zero_points = Tensor(DType::kUint4, shape);
  const float* in = x.data<float>();
  pool.ParallelFor(view.outer * blocks, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> values;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t first = row % blocks * block, count = std::min(block, view.axis - first);
      const int64_t base = (row / blocks * view.axis + first) * view.inner;
      for (int64_t i = 0; i < view.inner; ++i) {
        values.clear();
        for (int64_t k = 0; k < count; ++k) values.push_back(in[base + k * view.inner + i]);
        const Grid4 grid = BestGrid(values, with_zero_points);
        result.scale.data<float>()[row * view.inner + i] = grid.scale;
        for (int64_t k = 0; k < count; ++k) {
          result.codes.raw()[base + k * view.inner + i] =
              static_cast<std::byte>(static_cast<int8_t>(Code(values[static_cast<size_t>(k)], grid)));
        }
        if (with_zero_points)
          result.zero_points.raw()[row * view.inner + i] =
              static_cast<std::byte>(static_cast<int8_t>(grid.zero));
      }
    }
  });
  return result;
}

}  // namespace xslim
