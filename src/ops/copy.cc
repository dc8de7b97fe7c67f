#include "ops/copy.h"

#include <algorithm>
#include <cstring>

#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kGrainElements = 1 << 14;  // of one parallel piece
constexpr int64_t kTile = 16;                // elements per side: one cache line of floats

// Drops axes of one element and joins neighbours that are one run in both tensors.
void Coalesce(StridedCopy& copy) {
  size_t kept = 0;
  for (size_t i = 0; i < copy.dims.size(); ++i) {
    if (copy.dims[i] == 1) continue;
    if (kept > 0 && copy.in_strides[kept - 1] == copy.in_strides[i] * copy.dims[i] &&
        copy.out_strides[kept - 1] == copy.out_strides[i] * copy.dims[i]) {
      copy.dims[kept - 1] *= copy.dims[i];
    } else {
      copy.dims[kept++] = copy.dims[i];
    }
    copy.in_strides[kept - 1] = copy.in_strides[i];
    copy.out_strides[kept - 1] = copy.out_strides[i];
  }
  copy.dims.resize(kept);
  copy.in_strides.resize(kept);
  copy.out_strides.resize(kept);
}

// Offsets of the index `position` (row-major over all axes but those skipped).
struct Offsets {
  int64_t in, out;
};
Offsets At(const StridedCopy& copy, int64_t position) {
  Offsets offsets{copy.in_offset, copy.out_offset};
  for (size_t k = copy.dims.size(); k-- > 0;) {
    const int64_t index = position % copy.dims[k];
    position /= copy.dims[k];
    offsets.in += index * copy.in_strides[k];
    offsets.out += index * copy.out_strides[k];
  }
  return offsets;
}

template <typename T>
void CopyRun(const T* in, int64_t in_stride, T* out, int64_t out_stride, int64_t count) {
  if (in_stride == 1 && out_stride == 1) {
    std::copy_n(in, count, out);
  } else if (in_stride == 0 && out_stride == 1) {
    std::fill_n(out, count, *in);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i * out_stride] = in[i * in_stride];
  }
}

// One plane: out[u*out_stride + l] = in[u + l*in_stride], u in [u0, u1), l in [0, count), by tiles.
template <typename T>
void TransposePlane(const T* in, int64_t in_stride, T* out, int64_t out_stride, int64_t u0, int64_t u1,
                    int64_t count) {
  for (int64_t l0 = 0; l0 < count; l0 += kTile) {
    const int64_t l1 = std::min(l0 + kTile, count);
    for (int64_t t0 = u0; t0 < u1; t0 += kTile) {
      const int64_t t1 = std::min(t0 + kTile, u1);
      for (int64_t u = t0; u < t1; ++u) {
        T* to = out + u * out_stride;
        const T* from = in + u;
        for (int64_t l = l0; l < l1; ++l) to[l] = from[l * in_stride];
      }
    }
  }
}

template <typename T>
void Run(ThreadPool& pool, const T* in, T* out, StridedCopy copy) {
  Coalesce(copy);
  if (copy.dims.empty()) {
    out[copy.out_offset] = in[copy.in_offset];
    return;
  }
  const int64_t count = copy.dims.back(), in_stride = copy.in_strides.back(),
                out_stride = copy.out_strides.back();
  copy.dims.pop_back();
  copy.in_strides.pop_back();
  copy.out_strides.pop_back();
  const auto unit = std::find(copy.in_strides.begin(), copy.in_strides.end(), 1);
  if (out_stride == 1 && in_stride > 1 && unit != copy.in_strides.end()) {
    const auto axis = unit - copy.in_strides.begin();
    const int64_t width = copy.dims[static_cast<size_t>(axis)],
                  u_stride = copy.out_strides[static_cast<size_t>(axis)];
    copy.dims.erase(copy.dims.begin() + axis);
    copy.in_strides.erase(copy.in_strides.begin() + axis);
    copy.out_strides.erase(copy.out_strides.begin() + axis);
    const int64_t planes = ElementCount(copy.dims);
    const int64_t band = std::max<int64_t>(kTile, kGrainElements / count / kTile * kTile);
    const int64_t bands = (width + band - 1) / band;
    const int64_t grain = std::max<int64_t>(1, kGrainElements / (count * std::min(band, width)));
    pool.ParallelFor(planes * bands, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const Offsets at = At(copy, i / bands);
        const int64_t u0 = i % bands * band;
        TransposePlane(in + at.in, in_stride, out + at.out, u_stride, u0, std::min(u0 + band, width), count);
      }
    });
    return;
  }
  const int64_t rows = ElementCount(copy.dims);
  const int64_t grain = std::max<int64_t>(1, kGrainElements / count);
  pool.ParallelFor(rows, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const Offsets at = At(copy, row);
      CopyRun(in + at.in, in_stride, out + at.out, out_stride, count);
    }
  });
}

}  // namespace

std::vector<int64_t> DenseStrides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

void CopyStrided(ThreadPool& pool, const Tensor& in, Tensor& out, StridedCopy copy) {
  if (in.dtype() != out.dtype()) {
    throw Error(std::string("element types ") + NameOf(in.dtype()) + " and " + NameOf(out.dtype()) +
                " differ");
  }
  if (ElementCount(copy.dims) == 0) return;
  ByElementSize(in.dtype(), [&](auto type) {
    using T = decltype(type);
    Run<T>(pool, Elements<T>(in), Elements<T>(out), std::move(copy));
  });
}

Tensor Joined(const EvalContext& context, const std::vector<Tensor>& parts, int64_t axis) {
  const Tensor& first = parts.at(0);
  axis = NormalAxis(axis, first.rank());
  const size_t at = static_cast<size_t>(axis);
  Shape shape = first.shape();
  shape[at] = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    Shape other = parts[i].shape();
    if (parts[i].rank() == first.rank()) other[at] = first.dim(axis);
    if (other != first.shape()) {
      throw Error("tensor " + std::to_string(i) + " of shape " + ToString(parts[i].shape()) +
                  " does not join tensor 0 of shape " + ToString(first.shape()) + " on axis " +
                  std::to_string(axis));
    }
    shape[at] += parts[i].dim(axis);
  }
  Tensor y = context.scratch(first.dtype(), shape);
  const std::vector<int64_t> strides = DenseStrides(shape);
  int64_t offset = 0;
  for (const Tensor& x : parts) {
    CopyStrided(context.pool, x, y, {x.shape(), DenseStrides(x.shape()), strides, 0, offset});
    offset += x.dim(axis) * strides[at];
  }
  return y;
}

Tensor Stacked(const EvalContext& context, const std::vector<Tensor>& parts, int64_t axis) {
  axis = NormalAxis(axis, parts.at(0).rank() + 1);
  std::vector<Tensor> slices;
  for (const Tensor& part : parts) {
    Shape shape = part.shape();
    shape.insert(shape.begin() + std::min(axis, part.rank()), 1);
    slices.push_back(part.Reshaped(std::move(shape)));
  }
  return Joined(context, slices, axis);
}

bool AddUpTo(const std::vector<int64_t>& sizes, int64_t whole) {
  for (const int64_t size : sizes) {
    if (size < 0 || size > whole) return false;
    whole -= size;
  }
  return whole == 0;
}

bool AreGroups(int64_t groups, int64_t channels) {
  return groups >= 1 && groups <= std::max<int64_t>(channels, 1) && channels % groups == 0;
}

Tensor Part(const EvalContext& context, const Tensor& x, int64_t axis, int64_t begin, int64_t count) {
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = count;
  const std::vector<int64_t> strides = DenseStrides(x.shape());
  Tensor y = context.scratch(x.dtype(), shape);
  const int64_t offset = begin * strides[static_cast<size_t>(axis)];
  CopyStrided(context.pool, x, y, {shape, strides, DenseStrides(shape), offset, 0});
  return y;
}

void FillZero(Tensor& out) {
  if (out.dtype() == DType::kString) {
    std::fill(out.strings().begin(), out.strings().end(), std::string());
  } else {
    std::memset(out.raw(), 0, out.bytes());
  }
}

int64_t NormalAxis(int64_t axis, int64_t rank, const char* what) {
  if (axis < -rank || axis >= rank) {
    throw Error(std::string(what) + " " + std::to_string(axis) + " is out of range", "",
                "expected " + std::to_string(-rank) + ".." + std::to_string(rank - 1));
  }
  return axis < 0 ? axis + rank : axis;
}

std::vector<int64_t> NormalAxes(const std::vector<int64_t>& axes, int64_t rank, const char* what) {
  std::vector<int64_t> normal;
  for (int64_t axis : axes) {
    const int64_t value = NormalAxis(axis, rank, what);
    if (std::find(normal.begin(), normal.end(), value) != normal.end()) {
      throw Unsupported(std::string(what) + " " + ToString(axes) + " names an axis twice");
    }
    normal.push_back(value);
  }
  return normal;
}

std::vector<int64_t> IntsOf(const EvalContext& context, size_t slot, const std::string& attribute) {
  return context.has(slot) ? context.in(slot).ToInts() : context.node.Ints(attribute);
}

}  // namespace xslim
