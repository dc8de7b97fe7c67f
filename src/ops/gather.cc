// Operators that pick or place elements by index.
#include <algorithm>
#include <cmath>

#include "ops/copy.h"
#include "ops/elementwise.h"
#include "xslim/error.h"

namespace xslim {
namespace {

size_t Z(int64_t value) { return static_cast<size_t>(value); }

int64_t Count(const Shape& shape, int64_t begin, int64_t end) {
  return ElementCount(Shape(shape.begin() + begin, shape.begin() + end));
}

// Indices of [-n, n) made [0, n); throws Error on others.
std::vector<int64_t> Indices(const Tensor& tensor, int64_t n, int64_t axis) {
  std::vector<int64_t> indices = tensor.ToInts();
  for (int64_t& index : indices) {
    if (index < -n || index >= n) {
      throw Error("index " + std::to_string(index) + " is out of range on axis " + std::to_string(axis), "",
                  "expected " + std::to_string(-n) + ".." + std::to_string(n - 1));
    }
    if (index < 0) index += n;
  }
  return indices;
}

void Gather(EvalContext& c) {
  const Tensor& x = c.in(0);
  const int64_t axis = NormalAxis(c.node.Int("axis", 0), x.rank()), n = x.dim(axis);
  const std::vector<int64_t> indices = Indices(c.in(1), n, axis);
  Shape shape(x.shape().begin(), x.shape().begin() + axis);
  shape.insert(shape.end(), c.in(1).shape().begin(), c.in(1).shape().end());
  shape.insert(shape.end(), x.shape().begin() + axis + 1, x.shape().end());
  Tensor& y = c.out(0, x.dtype(), shape);
  if (y.size() == 0) return;
  const int64_t run = Count(x.shape(), axis + 1, x.rank()), picks = static_cast<int64_t>(indices.size());
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* in = Elements<T>(x);
    T* out = Elements<T>(y);
    c.pool.ParallelFor(
        y.size() / run, std::max<int64_t>(1, (1 << 14) / run), [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin; i < end; ++i) {
            std::copy_n(in + (i / picks * n + indices[Z(i % picks)]) * run, run, out + i * run);
          }
        });
  });
}

// For every element of a tensor of shape `dims`: its offset in a tensor of shape `x` when its coordinate on
// `axis` is replaced by indices[element].
std::vector<int64_t> AlongAxis(const Shape& x, const Shape& dims, int64_t axis,
                               const std::vector<int64_t>& indices) {
  const std::vector<int64_t> strides = DenseStrides(x);
  std::vector<int64_t> offsets(indices.size());
  Shape at(dims.size(), 0);
  for (size_t i = 0; i < indices.size(); ++i) {
    int64_t offset = 0;
    for (size_t k = 0; k < dims.size(); ++k) {
      offset += (static_cast<int64_t>(k) == axis ? indices[i] : at[k]) * strides[k];
    }
    offsets[i] = offset;
    for (size_t k = dims.size(); k-- > 0;) {
      if (++at[k] < dims[k]) break;
      at[k] = 0;
    }
  }
  return offsets;
}

// Index tensors of the ...Elements operators may be smaller than the data, except along `axis`.
void CheckElementIndices(const Tensor& x, const Tensor& indices, int64_t axis) {
  bool fits = indices.rank() == x.rank();
  for (int64_t k = 0; fits && k < x.rank(); ++k) fits = k == axis || indices.dim(k) <= x.dim(k);
  if (!fits) {
    throw Error("indices of shape " + ToString(indices.shape()) + " do not fit data of shape " +
                ToString(x.shape()) + " on axis " + std::to_string(axis));
  }
}

void GatherElements(EvalContext& c) {
  const Tensor &x = c.in(0), &index = c.in(1);
  const int64_t axis = NormalAxis(c.node.Int("axis", 0), x.rank());
  CheckElementIndices(x, index, axis);
  const std::vector<int64_t> offsets =
      AlongAxis(x.shape(), index.shape(), axis, Indices(index, x.dim(axis), axis));
  Tensor& y = c.out(0, x.dtype(), index.shape());
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < offsets.size(); ++i) Elements<T>(y)[i] = Elements<T>(x)[offsets[i]];
  });
}

// Offsets in `x` (in elements) that the index tuples in the last axis of `index` name, behind `batch_dims`
// shared axes.
std::vector<int64_t> TupleOffsets(const Tensor& x, const Tensor& index, int64_t batch_dims) {
  const int64_t length = index.rank() == 0 ? 0 : index.dim(-1);
  bool fits = batch_dims >= 0 && batch_dims < index.rank() && batch_dims + length <= x.rank() && length >= 1;
  for (int64_t k = 0; fits && k < batch_dims; ++k) fits = index.dim(k) == x.dim(k);
  if (!fits) {
    throw Error("indices of shape " + ToString(index.shape()) + " do not fit data of shape " +
                ToString(x.shape()) + " with batch_dims " + std::to_string(batch_dims));
  }
  const std::vector<int64_t> strides = DenseStrides(x.shape()), values = index.ToInts();
  const int64_t tuples = index.size() / length, batches = Count(x.shape(), 0, batch_dims);
  const int64_t per_batch = tuples / std::max<int64_t>(batches, 1),
                batch_stride = Count(x.shape(), batch_dims, x.rank());
  std::vector<int64_t> offsets(Z(tuples));
  for (int64_t i = 0; i < tuples; ++i) {
    int64_t offset = i / per_batch * batch_stride;
    for (int64_t k = 0; k < length; ++k) {
      const int64_t axis = batch_dims + k, n = x.dim(axis), at = values[Z(i * length + k)];
      if (at < -n || at >= n) {
        throw Error("index " + std::to_string(at) + " is out of range on axis " + std::to_string(axis), "",
                    "expected " + std::to_string(-n) + ".." + std::to_string(n - 1));
      }
      offset += (at < 0 ? at + n : at) * strides[Z(axis)];
    }
    offsets[Z(i)] = offset;
  }
  return offsets;
}

void GatherND(EvalContext& c) {
  const Tensor &x = c.in(0), &index = c.in(1);
  const int64_t batch_dims = c.node.Int("batch_dims", 0);
  const std::vector<int64_t> offsets = TupleOffsets(x, index, batch_dims);
  const int64_t used = batch_dims + index.dim(-1), run = Count(x.shape(), used, x.rank());
  Shape shape(index.shape().begin(), index.shape().end() - 1);
  shape.insert(shape.end(), x.shape().begin() + used, x.shape().end());
  Tensor& y = c.out(0, x.dtype(), shape);
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    for (size_t i = 0; i < offsets.size(); ++i) {
      std::copy_n(Elements<T>(x) + offsets[i], run, Elements<T>(y) + static_cast<int64_t>(i) * run);
    }
  });
}

enum class Reduction { kNone, kAdd, kMul, kMin, kMax };

Reduction ReductionOf(const Node& node) {
  const std::string name = node.String("reduction", "none");
  if (name == "none") return Reduction::kNone;
  if (name == "add") return Reduction::kAdd;
  if (name == "mul") return Reduction::kMul;
  if (name == "min") return Reduction::kMin;
  if (name == "max") return Reduction::kMax;
  throw Error("unknown reduction " + name, "", "expected none, add, mul, min or max");
}

template <typename T>
T Reduced(T a, T b, Reduction reduction) {
  if constexpr (std::is_same_v<T, Half>) {
    return ToHalf(Reduced(ToFloat(a), ToFloat(b), reduction));
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return ToBFloat16(Reduced(ToFloat(a), ToFloat(b), reduction));
  } else {
    if constexpr (std::is_floating_point_v<T>) {  // as in numpy, NaN wins
      if (std::isnan(a)) return a;
      if (std::isnan(b)) return b;
    }
    // Integers wrap around: the sum and the product are taken modulo 2^64, where overflow is defined.
    using Ring = std::conditional_t<std::is_integral_v<T>, uint64_t, T>;
    switch (reduction) {
      case Reduction::kAdd:
        return static_cast<T>(static_cast<Ring>(a) + static_cast<Ring>(b));
      case Reduction::kMul:
        return static_cast<T>(static_cast<Ring>(a) * static_cast<Ring>(b));
      case Reduction::kMin:
        return std::min(a, b);
      case Reduction::kMax:
        return std::max(a, b);
      default:
        return b;
    }
  }
}

template <typename T>
void ReduceRuns(const Tensor& updates, const std::vector<int64_t>& offsets, int64_t run, Reduction reduction,
                Tensor& y) {
  const T* from = updates.data<T>();
  T* to = y.data<T>();
  for (size_t i = 0; i < offsets.size(); ++i) {
    for (int64_t k = 0; k < run; ++k) {
      T& element = to[offsets[i] + k];
      element = Reduced(element, from[static_cast<int64_t>(i) * run + k], reduction);
    }
  }
}

// y = data, then y[offset_i ...] = reduction(y[offset_i ...], updates_i ...), i ascending, `run` elements
// each.
void ScatterRuns(EvalContext& c, const std::vector<int64_t>& offsets, int64_t run) {
  const Tensor &x = c.in(0), &updates = c.in(2);
  const Reduction reduction = ReductionOf(c.node);
  if (updates.dtype() != x.dtype()) {
    throw Error(std::string("updates are ") + NameOf(updates.dtype()) + ", expected " + NameOf(x.dtype()));
  }
  Tensor& y = c.out(0, x.dtype(), x.shape());
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    std::copy_n(Elements<T>(x), x.size(), Elements<T>(y));
    if (reduction != Reduction::kNone) return;
    for (size_t i = 0; i < offsets.size(); ++i) {
      std::copy_n(Elements<T>(updates) + static_cast<int64_t>(i) * run, run, Elements<T>(y) + offsets[i]);
    }
  });
  if (reduction == Reduction::kNone) return;
  switch (x.dtype()) {
    case DType::kFloat:
      return ReduceRuns<float>(updates, offsets, run, reduction, y);
    case DType::kDouble:
      return ReduceRuns<double>(updates, offsets, run, reduction, y);
    case DType::kFloat16:
      return ReduceRuns<Half>(updates, offsets, run, reduction, y);
    case DType::kBFloat16:
      return ReduceRuns<BFloat16>(updates, offsets, run, reduction, y);
    case DType::kInt8:
      return ReduceRuns<int8_t>(updates, offsets, run, reduction, y);
    case DType::kUint8:
      return ReduceRuns<uint8_t>(updates, offsets, run, reduction, y);
    case DType::kInt16:
      return ReduceRuns<int16_t>(updates, offsets, run, reduction, y);
    case DType::kUint16:
      return ReduceRuns<uint16_t>(updates, offsets, run, reduction, y);
    case DType::kInt32:
      return ReduceRuns<int32_t>(updates, offsets, run, reduction, y);
    case DType::kUint32:
      return ReduceRuns<uint32_t>(updates, offsets, run, reduction, y);
    case DType::kInt64:
      return ReduceRuns<int64_t>(updates, offsets, run, reduction, y);
    case DType::kUint64:
      return ReduceRuns<uint64_t>(updates, offsets, run, reduction, y);
    default:
      throw Error(std::string("no reduction of ") + NameOf(x.dtype()), "", "expected numbers");
  }
}

void ScatterElements(EvalContext& c) {
  const Tensor &x = c.in(0), &index = c.in(1);
  const int64_t axis = NormalAxis(c.node.Int("axis", 0), x.rank());
  CheckElementIndices(x, index, axis);
  if (c.in(2).shape() != index.shape()) {
    throw Error("updates of shape " + ToString(c.in(2).shape()) + ", expected " + ToString(index.shape()));
  }
  ScatterRuns(c, AlongAxis(x.shape(), index.shape(), axis, Indices(index, x.dim(axis), axis)), 1);
}

void ScatterND(EvalContext& c) {
  const Tensor &x = c.in(0), &index = c.in(1);
  const std::vector<int64_t> offsets = TupleOffsets(x, index, 0);
  Shape wanted(index.shape().begin(), index.shape().end() - 1);
  wanted.insert(wanted.end(), x.shape().begin() + index.dim(-1), x.shape().end());
  if (c.in(2).shape() != wanted) {
    throw Error("updates of shape " + ToString(c.in(2).shape()) + ", expected " + ToString(wanted));
  }
  ScatterRuns(c, offsets, Count(x.shape(), index.dim(-1), x.rank()));
}

// An index or depth may come as a float tensor.
std::vector<int64_t> Whole(const Tensor& tensor) {
  if (tensor.dtype() != DType::kFloat && tensor.dtype() != DType::kDouble &&
      tensor.dtype() != DType::kFloat16) {
    return tensor.ToInts();
  }
  const Tensor values = tensor.ToFloat32();
  std::vector<int64_t> whole(Z(tensor.size()));
  for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<int64_t>(values.data<float>()[i]);
  return whole;
}

void OneHot(EvalContext& c) {
  const Tensor &index = c.in(0), &values = c.in(2);
  if (c.in(1).size() != 1)
    throw Error("depth has shape " + ToString(c.in(1).shape()), "", "expected one element");
  const int64_t depth = Whole(c.in(1))[0];
  if (values.size() != 2)
    throw Error("values have shape " + ToString(values.shape()), "", "expected two: off and on");
  const int64_t axis = NormalAxis(c.node.Int("axis", -1), index.rank() + 1);
  const int64_t run = Count(index.shape(), axis, index.rank());
  const std::vector<int64_t> hot = Whole(index);
  Shape shape = index.shape();
  shape.insert(shape.begin() + axis, depth);
  Tensor& y = c.out(0, values.dtype(), shape);
  ByElementSize(values.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* off_on = Elements<T>(values);
    T* out = Elements<T>(y);
    std::fill_n(out, y.size(), off_on[0]);
    for (size_t i = 0; i < hot.size(); ++i) {  // indices outside [-depth, depth) leave the column off
      if (hot[i] < -depth || hot[i] >= depth) continue;
      const int64_t at = hot[i] < 0 ? hot[i] + depth : hot[i], position = static_cast<int64_t>(i);
      out[(position / run * depth + at) * run + position % run] = off_on[1];
    }
  });
}

// Whether each element is not zero; -0.0 is zero.
std::vector<char> NotZero(const Tensor& x) {
  std::vector<char> flags(Z(x.size()));
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* in = Elements<T>(x);
    for (size_t i = 0; i < flags.size(); ++i) {
      if constexpr (std::is_same_v<T, std::string>) {
        flags[i] = !in[i].empty();
      } else if constexpr (std::is_same_v<T, Wide>) {
        flags[i] = (in[i].low | in[i].high) != 0;
      } else {
        flags[i] = in[i] != 0;
      }
    }
  });
  switch (x.dtype()) {
    case DType::kFloat:
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kDouble:
      break;
    default:
      return flags;
  }
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_integral_v<T>) {
      const T minus_zero = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
      for (size_t i = 0; i < flags.size(); ++i) flags[i] = flags[i] && Elements<T>(x)[i] != minus_zero;
    }
  });
  return flags;
}

void NonZero(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::vector<char> flags = NotZero(x);
  const auto found = static_cast<int64_t>(std::count(flags.begin(), flags.end(), 1));
  const std::vector<int64_t> strides = DenseStrides(x.shape());
  Tensor& y = c.out(0, DType::kInt64, {x.rank(), found});
  int64_t* out = y.data<int64_t>();
  int64_t column = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    if (!flags[Z(i)]) continue;
    for (int64_t k = 0; k < x.rank(); ++k) out[k * found + column] = i / strides[Z(k)] % x.dim(k);
    ++column;
  }
}

// Writes update [B, ..., length, ...] into the cache along `axis`, batch item b from write_indices[b] on;
// circular: behind the end follows the beginning.
void TensorScatter(EvalContext& c) {
  const Tensor &cache = c.in(0), &update = c.in(1);
  const int64_t axis = NormalAxis(c.node.Int("axis", -2), cache.rank());
  Shape wanted = cache.shape();
  if (update.rank() == cache.rank()) wanted[Z(axis)] = update.dim(axis);
  if (axis == 0 || update.shape() != wanted || update.dtype() != cache.dtype()) {
    throw Error("update of shape " + ToString(update.shape()) + " does not fit the cache " +
                ToString(cache.shape()) + " on axis " + std::to_string(axis));
  }
  const std::string mode = c.node.String("mode", "linear");
  if (mode != "linear" && mode != "circular")
    throw Error("unknown mode " + mode, "", "expected linear or circular");
  const int64_t batch = cache.dim(0), rows = cache.dim(axis), length = update.dim(axis);
  std::vector<int64_t> first(Z(batch), 0);
  if (c.has(2)) first = c.in(2).ToInts();
  if (static_cast<int64_t>(first.size()) != batch)
    throw Error("write_indices of shape " + ToString(c.in(2).shape()), "", "expected [batch]");
  for (const int64_t at : first) {
    if (at < 0 || at >= std::max<int64_t>(rows, 1) || length > rows ||
        (mode == "linear" && at > rows - length))
      throw Error(std::to_string(length) + " rows from " + std::to_string(at) + " on do not fit into " +
                  std::to_string(rows));
  }
  const int64_t outer = Count(cache.shape(), 1, axis), inner = Count(cache.shape(), axis + 1, cache.rank());
  Tensor& y = c.out(0, cache.dtype(), cache.shape());
  ByElementSize(cache.dtype(), [&](auto type) {
    using T = decltype(type);
    std::copy_n(Elements<T>(cache), cache.size(), Elements<T>(y));
    const T* from = Elements<T>(update);
    for (int64_t i = 0; i < batch * outer; ++i) {
      for (int64_t row = 0; row < length; ++row, from += inner) {
        const int64_t to = (first[Z(i / outer)] + row) % rows;
        std::copy_n(from, inner, Elements<T>(y) + (i * rows + to) * inner);
      }
    }
  });
}

}  // namespace

std::vector<OperatorRow> GatherOperators() {
  return {
      {"", "Gather", 1, kAnyLater, Gather, QuantRole::kPassive},
      {"", "GatherElements", 11, kAnyLater, GatherElements},
      {"", "GatherND", 11, kAnyLater, GatherND},
      {"", "Scatter", 9, 10, ScatterElements},
      {"", "ScatterElements", 11, kAnyLater, ScatterElements},
      {"", "ScatterND", 11, kAnyLater, ScatterND},
      {"", "OneHot", 9, kAnyLater, OneHot},
      {"", "NonZero", 9, kAnyLater, NonZero},
      {"", "TensorScatter", 24, kAnyLater, TensorScatter},
  };
}

}  // namespace xslim
