// Operators that put elements around a tensor, or cut some off.
#include <algorithm>
#include <numeric>

#include "ops/copy.h"
#include "xslim/error.h"

namespace xslim {
namespace {

size_t Z(int64_t value) { return static_cast<size_t>(value); }

enum class PadMode { kConstant, kReflect, kEdge, kWrap };

// The input index that each output index of one axis reads, -1 for the constant. Negative pads crop first,
// the rest is then filled from what remains.
std::vector<int64_t> PadSources(int64_t n, int64_t before, int64_t after, PadMode mode) {
  constexpr int64_t kMost = int64_t{1} << 46;  // as ElementCount has it; sums of three stay in range
  if (before < -kMost || before > kMost || after < -kMost || after > kMost)
    throw Error("pads " + std::to_string(before) + " and " + std::to_string(after) + " are too large");
  const int64_t low = std::max<int64_t>(0, -before), kept = n - low - std::max<int64_t>(0, -after);
  const int64_t total = n + before + after;
  if (total < 0 || (kept < 0 && total > 0)) {
    throw Error("pads " + std::to_string(before) + " and " + std::to_string(after) +
                " crop more than the size " + std::to_string(n));
  }
  if (kept <= 0 && total > 0 && mode != PadMode::kConstant)
    throw Error("there is nothing to pad an empty axis from");
  std::vector<int64_t> sources(Z(total), -1);
  const int64_t shift = std::max<int64_t>(0, before), period = std::max<int64_t>(1, 2 * (kept - 1));
  for (int64_t i = 0; i < total; ++i) {
    int64_t at = i - shift;  // in the kept part
    if (at < 0 || at >= kept) {
      switch (mode) {
        case PadMode::kConstant:
          continue;
        case PadMode::kEdge:
          at = std::clamp<int64_t>(at, 0, kept - 1);
          break;
        case PadMode::kWrap:
          at = (at % kept + kept) % kept;
          break;
        case PadMode::kReflect:
          at = (at % period + period) % period;
          if (at >= kept) at = period - at;
          break;
      }
    }
    sources[Z(i)] = low + at;
  }
  return sources;
}

template <typename T>
void PadRows(ThreadPool& pool, const T* in, const Shape& in_dims, T* out, const Shape& dims,
             const std::vector<std::vector<int64_t>>& sources, T value) {
  const std::vector<int64_t> strides = DenseStrides(in_dims);
  const int64_t width = dims.back(), rows = ElementCount(Shape(dims.begin(), dims.end() - 1));
  const std::vector<int64_t>& last = sources.back();
  // [begin, end) of the row that copies one unbroken run of the input.
  int64_t begin = 0, end = 0;
  while (begin < width && last[Z(begin)] < 0) ++begin;
  for (int64_t i = begin; i < width; ++i) {  // the longest run
    int64_t j = i + 1;
    while (j < width && last[Z(j)] == last[Z(j - 1)] + 1 && last[Z(i)] >= 0) ++j;
    if (last[Z(i)] >= 0 && j - i > end - begin) begin = i, end = j;
    i = j - 1;
  }
  end = std::max(begin, end);
  pool.ParallelFor(rows, std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(width, 1)),
                   [&](int64_t first, int64_t stop, int) {
                     const int64_t height = dims.size() > 1 ? dims[dims.size() - 2] : 1;
                     int64_t outer = 0, y = first % height;
                     bool outside = false;
                     for (int64_t row = first; row < stop; ++row, y = y + 1 == height ? 0 : y + 1) {
                       if (row == first || y == 0) {  // the axes before the last two
                         outer = 0;
                         outside = false;
                         int64_t rest = row / height;
                         for (size_t k = dims.size() < 2 ? 0 : dims.size() - 2; k-- > 0;) {
                           const int64_t source = sources[k][Z(rest % dims[k])];
                           rest /= dims[k];
                           outside = outside || source < 0;
                           outer += source * strides[k];
                         }
                       }
                       const int64_t line = dims.size() > 1 ? sources[dims.size() - 2][Z(y)] : 0;
                       const bool constant = outside || line < 0;
                       const int64_t offset = dims.size() > 1 ? outer + line * strides[dims.size() - 2] : 0;
                       T* to = out + row * width;
                       if (constant) {
                         std::fill_n(to, width, value);
                         continue;
                       }
                       const T* from = in + offset;
                       for (int64_t i = 0; i < begin; ++i) to[i] = last[Z(i)] < 0 ? value : from[last[Z(i)]];
                       if (end > begin) std::copy_n(from + last[Z(begin)], end - begin, to + begin);
                       for (int64_t i = end; i < width; ++i)
                         to[i] = last[Z(i)] < 0 ? value : from[last[Z(i)]];
                     }
                   });
}

// The fill value as a one-element tensor of the wanted type.
Tensor PadValue(const EvalContext& c, DType dtype) {
  if (c.has(2)) {
    if (c.in(2).dtype() != dtype || c.in(2).size() != 1) {
      throw Error(std::string("constant_value must be one ") + NameOf(dtype));
    }
    return c.in(2);
  }
  Tensor value(dtype, {1});
  FillZero(value);
  const float given = c.node.Float("value", 0);
  if (dtype == DType::kFloat) *value.data<float>() = given;
  if (dtype == DType::kDouble) *value.data<double>() = given;
  if (dtype == DType::kFloat16) *value.data<Half>() = ToHalf(given);
  return value;
}

void Pad(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::string name = c.node.String("mode", "constant");
  PadMode mode = PadMode::kConstant;
  if (name == "reflect") {
    mode = PadMode::kReflect;
  } else if (name == "edge") {
    mode = PadMode::kEdge;
  } else if (name == "wrap") {
    mode = PadMode::kWrap;
  } else if (name != "constant") {
    throw Error("unknown mode " + name, "", "expected constant, reflect, edge or wrap");
  }
  const std::vector<int64_t> pads = IntsOf(c, 1, "pads");
  std::vector<int64_t> axes;
  if (c.has(3)) {
    axes = NormalAxes(c.in(3).ToInts(), x.rank());
  } else {
    axes.resize(Z(x.rank()));
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (pads.size() != 2 * axes.size()) {
    throw Error("pads " + ToString(pads) + " must have two values for each of " +
                std::to_string(axes.size()) + " axes");
  }
  if (std::all_of(pads.begin(), pads.end(), [](int64_t pad) { return pad == 0; })) return c.set_out(0, x);
  std::vector<int64_t> before(Z(x.rank()), 0), after = before;
  for (size_t i = 0; i < axes.size(); ++i) {
    before[Z(axes[i])] = pads[i];
    after[Z(axes[i])] = pads[axes.size() + i];
  }
  std::vector<std::vector<int64_t>> sources;
  Shape shape;
  for (size_t i = 0; i < before.size(); ++i) {
    sources.push_back(PadSources(x.shape()[i], before[i], after[i], mode));
    shape.push_back(static_cast<int64_t>(sources.back().size()));
  }
  const Tensor value = PadValue(c, x.dtype());
  Tensor& y = c.out(0, x.dtype(), shape);
  if (y.size() == 0) return;
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    PadRows<T>(c.pool, Elements<T>(x), x.shape(), Elements<T>(y), shape, sources, *Elements<T>(value));
  });
}

void CenterCropPad(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::vector<int64_t> sizes = c.in(1).ToInts();
  std::vector<int64_t> axes = c.node.Ints("axes");
  if (!c.node.Has("axes")) {
    axes.resize(Z(x.rank()));
    std::iota(axes.begin(), axes.end(), 0);
  }
  axes = NormalAxes(axes, x.rank());
  if (sizes.size() != axes.size()) {
    throw Error("shape " + ToString(sizes) + " must have a size for each of " + std::to_string(axes.size()) +
                " axes");
  }
  Shape shape = x.shape();
  for (size_t i = 0; i < axes.size(); ++i) shape[Z(axes[i])] = sizes[i];
  Tensor& y = c.out(0, x.dtype(), shape);
  FillZero(y);
  StridedCopy copy{x.shape(), DenseStrides(x.shape()), DenseStrides(shape), 0, 0};
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t excess = x.shape()[i] - shape[i];
    copy.dims[i] = std::min(x.shape()[i], shape[i]);
    if (excess > 0) copy.in_offset += excess / 2 * copy.in_strides[i];
    if (excess < 0) copy.out_offset += -excess / 2 * copy.out_strides[i];
  }
  CopyStrided(c.pool, x, y, std::move(copy));
}

}  // namespace

std::vector<OperatorRow> PadOperators() {
  return {
      {"", "Pad", 2, kAnyLater, Pad, QuantRole::kPassive},
      {"", "CenterCropPad", 18, kAnyLater, CenterCropPad},
  };
}

}  // namespace xslim
