// Operators that move elements and look at none of their values.
#include <algorithm>
#include <numeric>

#include "ops/copy.h"
#include "xslim/error.h"

namespace xslim {
namespace {

size_t Z(int64_t value) { return static_cast<size_t>(value); }

// The whole input as a copy whose strides are permuted: out axis i is in axis order[i].
StridedCopy Permuted(const Shape& in_dims, const std::vector<int64_t>& order) {
  const std::vector<int64_t> strides = DenseStrides(in_dims);
  StridedCopy copy;
  for (int64_t axis : order) {
    copy.dims.push_back(in_dims[Z(axis)]);
    copy.in_strides.push_back(strides[Z(axis)]);
  }
  copy.out_strides = DenseStrides(copy.dims);
  return copy;
}

void Reshape(EvalContext& c) {
  const Tensor& x = c.in(0);
  Shape shape = IntsOf(c, 1, "shape");
  const Shape wanted = shape;
  const bool allow_zero = c.node.Int("allowzero", 0) != 0;
  int64_t known = 1, free_axis = -1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !allow_zero) {
      if (static_cast<int64_t>(i) >= x.rank()) {
        throw Error("shape " + ToString(wanted) + " copies dimension " + std::to_string(i) +
                    " of an input of shape " + ToString(x.shape()));
      }
      shape[i] = x.shape()[i];
    }
    if (shape[i] == -1) {
      if (free_axis >= 0) throw Error("shape " + ToString(wanted) + " has more than one -1");
      free_axis = static_cast<int64_t>(i);
    } else if (shape[i] < 0) {
      throw Error("shape " + ToString(wanted) + " has a negative dimension", "", "only -1 is allowed");
    } else if (__builtin_mul_overflow(known, shape[i], &known)) {
      throw Error("shape " + ToString(wanted) + " is too large");
    }
  }
  if (free_axis >= 0) {
    if (known == 0 ? x.size() != 0 : x.size() % known != 0) {
      throw Error("cannot reshape " + ToString(x.shape()) + " to " + ToString(wanted));
    }
    shape[Z(free_axis)] = known == 0 ? 0 : x.size() / known;
  }
  c.set_out(0, x.Reshaped(std::move(shape)));
}

void Flatten(EvalContext& c) {
  const Tensor& x = c.in(0);
  int64_t axis = c.node.Int("axis", 1);
  if (axis < -x.rank() || axis > x.rank()) {
    throw Error("axis " + std::to_string(axis) + " is out of range for shape " + ToString(x.shape()));
  }
  if (axis < 0) axis += x.rank();
  const Shape& dims = x.shape();
  const auto split = dims.begin() + axis;
  c.set_out(0,
            x.Reshaped({ElementCount(Shape(dims.begin(), split)), ElementCount(Shape(split, dims.end()))}));
}

void Squeeze(EvalContext& c) {
  const Tensor& x = c.in(0);
  std::vector<int64_t> axes = NormalAxes(IntsOf(c, 1, "axes"), x.rank());
  const bool all = !c.has(1) && !c.node.Has("axes");
  Shape shape;
  for (int64_t i = 0; i < x.rank(); ++i) {
    const bool named = std::find(axes.begin(), axes.end(), i) != axes.end();
    if (named && x.dim(i) != 1) {
      throw Error("cannot squeeze axis " + std::to_string(i) + " of shape " + ToString(x.shape()), "",
                  "expected size 1");
    }
    if (!(named || (all && x.dim(i) == 1))) shape.push_back(x.dim(i));
  }
  c.set_out(0, x.Reshaped(std::move(shape)));
}

void Unsqueeze(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::vector<int64_t> given = IntsOf(c, 1, "axes");
  const int64_t rank = x.rank() + static_cast<int64_t>(given.size());
  const std::vector<int64_t> axes = NormalAxes(given, rank);
  Shape shape(Z(rank), 0);
  for (int64_t axis : axes) shape[Z(axis)] = 1;
  size_t next = 0;
  for (int64_t& dim : shape) {
    if (dim == 0) dim = x.shape()[next++];
  }
  c.set_out(0, x.Reshaped(std::move(shape)));
}

void Transpose(EvalContext& c) {
  const Tensor& x = c.in(0);
  std::vector<int64_t> order = c.node.Ints("perm");
  if (order.empty()) {
    for (int64_t i = x.rank(); i-- > 0;) order.push_back(i);
  }
  if (static_cast<int64_t>(order.size()) != x.rank()) {
    throw Error("perm " + ToString(order) + " does not fit shape " + ToString(x.shape()));
  }
  order = NormalAxes(order, x.rank(), "perm");
  StridedCopy copy = Permuted(x.shape(), order);
  std::vector<int64_t> large;  // a permutation that only moves axes of one element moves nothing
  for (int64_t axis : order) {
    if (x.dim(axis) != 1) large.push_back(axis);
  }
  if (std::is_sorted(large.begin(), large.end())) return c.set_out(0, x.Reshaped(copy.dims));
  Tensor& y = c.out(0, x.dtype(), copy.dims);
  CopyStrided(c.pool, x, y, std::move(copy));
}

void Slice(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::vector<int64_t> starts = IntsOf(c, 1, "starts"), ends = IntsOf(c, 2, "ends");
  std::vector<int64_t> axes = IntsOf(c, 3, "axes"), steps;
  if (c.has(4)) steps = c.in(4).ToInts();
  if (!c.has(3) && !c.node.Has("axes")) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (steps.empty()) steps.assign(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    throw Error("starts, ends, axes and steps must have the same length");
  }
  axes = NormalAxes(axes, x.rank());
  StridedCopy copy;
  copy.dims = x.shape();
  copy.in_strides = DenseStrides(x.shape());
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = Z(axes[i]);
    const int64_t n = x.shape()[axis];
    const int64_t step = std::clamp<int64_t>(steps[i], -n - 1, n + 1);  // longer steps also take one element
    if (step == 0) throw Error("step 0 on axis " + std::to_string(axes[i]));
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const int64_t start = std::clamp(starts[i] < 0 ? starts[i] + n : starts[i], step > 0 ? low : int64_t{0},
                                     std::max<int64_t>(high, 0));
    const int64_t end = std::clamp(ends[i] < 0 ? ends[i] + n : ends[i], low, std::max(high, low));
    const int64_t span = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    copy.dims[axis] = n == 0 || span <= 0 ? 0 : (span + stride - 1) / stride;
    copy.in_offset += start * copy.in_strides[axis];
    copy.in_strides[axis] *= step;
  }
  if (copy.dims == x.shape() && copy.in_offset == 0) return c.set_out(0, x);
  copy.out_strides = DenseStrides(copy.dims);
  Tensor& y = c.out(0, x.dtype(), copy.dims);
  CopyStrided(c.pool, x, y, std::move(copy));
}

void Concat(EvalContext& c) {
  std::vector<Tensor> parts;
  for (size_t i = 0; i < c.num_inputs(); ++i) parts.push_back(c.in(i));
  if (parts.empty()) throw Error("there is nothing to join");
  c.set_out(0, Joined(c, parts, c.node.Int("axis", 1)));
}

void Split(EvalContext& c) {
  const Tensor& x = c.in(0);
  const int64_t axis = NormalAxis(c.node.Int("axis", 0), x.rank()), n = x.dim(axis);
  std::vector<int64_t> sizes = IntsOf(c, 1, "split");
  const auto parts = static_cast<int64_t>(c.node.outputs.size());
  if (!c.has(1) && !c.node.Has("split")) {
    const int64_t wanted = c.node.Int("num_outputs", parts),
                  each = wanted > 0 ? (n + wanted - 1) / wanted : 0;
    if (wanted != parts) {
      throw Error("num_outputs is " + std::to_string(wanted) + " but the node has " + std::to_string(parts) +
                  " outputs");
    }
    if ((n % parts != 0 && c.opset < 18) || n < each * (parts - 1)) {
      throw Error("axis " + std::to_string(axis) + " of shape " + ToString(x.shape()) +
                  " does not split into " + std::to_string(parts) + " parts");
    }
    sizes.assign(Z(parts), each);
    sizes.back() = n - each * (parts - 1);
  }
  if (static_cast<int64_t>(sizes.size()) != parts || !AddUpTo(sizes, n)) {
    throw Error("split " + ToString(sizes) + " does not fit axis " + std::to_string(axis) + " of shape " +
                ToString(x.shape()) + " and " + std::to_string(parts) + " outputs");
  }
  int64_t begin = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (c.wants(i)) c.set_out(i, Part(c, x, axis, begin, sizes[i]));
    begin += sizes[i];
  }
}

void Tile(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::vector<int64_t> repeats = c.in(1).ToInts();
  if (static_cast<int64_t>(repeats.size()) != x.rank()) {
    throw Error("repeats " + ToString(repeats) + " does not fit shape " + ToString(x.shape()));
  }
  const std::vector<int64_t> strides = DenseStrides(x.shape());
  StridedCopy copy;
  Shape shape;
  for (size_t i = 0; i < repeats.size(); ++i) {
    copy.dims.insert(copy.dims.end(), {repeats[i], x.shape()[i]});
    copy.in_strides.insert(copy.in_strides.end(), {0, strides[i]});
    shape.push_back(ElementCount({repeats[i], x.shape()[i]}));  // refuses what is negative or too large
  }
  copy.out_strides = DenseStrides(copy.dims);
  Tensor& y = c.out(0, x.dtype(), std::move(shape));
  CopyStrided(c.pool, x, y, std::move(copy));
}

void Expand(EvalContext& c) {
  const Tensor& x = c.in(0);
  const Shape shape = BroadcastShapes(x.shape(), c.in(1).ToInts());
  if (shape == x.shape()) return c.set_out(0, x);
  StridedCopy copy;
  copy.dims = shape;
  copy.out_strides = DenseStrides(shape);
  copy.in_strides.assign(shape.size(), 0);
  const std::vector<int64_t> strides = DenseStrides(x.shape());
  const size_t lead = shape.size() - x.shape().size();
  for (size_t i = 0; i < x.shape().size(); ++i) {
    if (x.shape()[i] != 1) copy.in_strides[lead + i] = strides[i];
  }
  Tensor& y = c.out(0, x.dtype(), shape);
  CopyStrided(c.pool, x, y, std::move(copy));
}

// The one element of an integer or boolean input.
int64_t OnlyInt(const EvalContext& c, size_t slot) {
  if (c.in(slot).size() != 1) {
    throw Error("input " + std::to_string(slot) + " has shape " + ToString(c.in(slot).shape()), "",
                "expected one element");
  }
  return c.in(slot).ToInts()[0];
}

int64_t BlockSize(const EvalContext& c) {
  constexpr int64_t kMost = 1 << 16;  // its square is exact and more than any model's
  const int64_t block = c.node.Int("blocksize", 0);
  if (block < 1 || block > kMost) {
    throw Error("blocksize is " + std::to_string(block), "", "expected 1 to " + std::to_string(kMost));
  }
  if (c.in(0).rank() != 4)
    throw Error("input shape is " + ToString(c.in(0).shape()), "", "expected four dimensions");
  return block;
}

void DepthToSpace(EvalContext& c) {
  const Tensor& x = c.in(0);
  const int64_t b = BlockSize(c), depth = x.dim(1) / (b * b);
  if (x.dim(1) % (b * b) != 0) {
    throw Error(std::to_string(x.dim(1)) + " channels do not divide into blocks of " + std::to_string(b * b));
  }
  const bool columns = c.node.String("mode", "DCR") == "CRD";
  StridedCopy copy = columns ? Permuted({x.dim(0), depth, b, b, x.dim(2), x.dim(3)}, {0, 1, 4, 2, 5, 3})
                             : Permuted({x.dim(0), b, b, depth, x.dim(2), x.dim(3)}, {0, 3, 4, 1, 5, 2});
  Tensor& y = c.out(0, x.dtype(), {x.dim(0), depth, x.dim(2) * b, x.dim(3) * b});
  CopyStrided(c.pool, x, y, std::move(copy));
}

void SpaceToDepth(EvalContext& c) {
  const Tensor& x = c.in(0);
  const int64_t b = BlockSize(c), height = x.dim(2) / b, width = x.dim(3) / b;
  if (x.dim(2) % b != 0 || x.dim(3) % b != 0) {
    throw Error("spatial size of " + ToString(x.shape()) + " does not divide into blocks of " +
                std::to_string(b));
  }
  StridedCopy copy = Permuted({x.dim(0), x.dim(1), height, b, width, b}, {0, 3, 5, 1, 2, 4});
  Tensor& y = c.out(0, x.dtype(), {x.dim(0), x.dim(1) * b * b, height, width});
  CopyStrided(c.pool, x, y, std::move(copy));
}

void ReverseSequence(EvalContext& c) {
  const Tensor& x = c.in(0);
  const std::vector<int64_t> lengths = c.in(1).ToInts();
  if (x.rank() < 2)
    throw Error("input shape is " + ToString(x.shape()), "", "expected two dimensions or more");
  const auto batch_axis = NormalAxis(c.node.Int("batch_axis", 1), 2, "batch_axis");
  const auto time_axis = NormalAxis(c.node.Int("time_axis", 0), 2, "time_axis");
  if (batch_axis == time_axis) throw Error("batch_axis and time_axis are the same");
  const int64_t steps = x.dim(time_axis), batch = x.dim(batch_axis);
  if (static_cast<int64_t>(lengths.size()) != batch) {
    throw Error("sequence_lens has " + std::to_string(lengths.size()) + " values for a batch of " +
                std::to_string(batch));
  }
  const std::vector<int64_t> strides = DenseStrides(x.shape());
  const int64_t step_stride = strides[Z(time_axis)], batch_stride = strides[Z(batch_axis)], run = strides[1];
  Tensor& y = c.out(0, x.dtype(), x.shape());
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = lengths[Z(b)], at = b * batch_stride;
    if (length < 0 || length > steps) {
      throw Error("sequence length " + std::to_string(length) + " is out of range", "",
                  "expected 0.." + std::to_string(steps));
    }
    CopyStrided(c.pool, x, y,
                {{length, run}, {-step_stride, 1}, {step_stride, 1}, at + (length - 1) * step_stride, at});
    const int64_t tail = at + length * step_stride;
    CopyStrided(c.pool, x, y, {{steps - length, run}, {step_stride, 1}, {step_stride, 1}, tail, tail});
  }
}

void Identity(EvalContext& c) { c.set_out(0, c.any_in(0)); }

void Dropout(EvalContext& c) {
  const Tensor& x = c.in(0);
  if (c.has(2) && OnlyInt(c, 2) != 0) {
    throw Error("training_mode is true", "", "expected a model for inference");
  }
  c.set_out(0, x);
  if (!c.wants(1)) return;
  // Inference keeps every element; before opset 10 the mask has the input's type.
  Tensor& mask = c.out(1, c.opset < 10 ? x.dtype() : DType::kBool, x.shape());
  FillZero(mask);
  if (mask.dtype() == DType::kBool) std::fill_n(mask.data<bool>(), mask.size(), true);
  if (mask.dtype() == DType::kFloat) std::fill_n(mask.data<float>(), mask.size(), 1.0f);
  if (mask.dtype() == DType::kDouble) std::fill_n(mask.data<double>(), mask.size(), 1.0);
  if (mask.dtype() == DType::kFloat16) std::fill_n(mask.data<Half>(), mask.size(), ToHalf(1.0f));
}

void Trilu(EvalContext& c) {
  const Tensor& x = c.in(0);
  if (x.rank() < 2)
    throw Error("input shape is " + ToString(x.shape()), "", "expected two dimensions or more");
  const bool upper = c.node.Int("upper", 1) != 0;
  const int64_t height = x.dim(-2), width = x.dim(-1);
  // Beyond the matrix every k means the same; this also keeps row + k from overflowing.
  const int64_t k = std::clamp<int64_t>(c.has(1) ? OnlyInt(c, 1) : 0, -height - 1, width + 1);
  Tensor& y = c.out(0, x.dtype(), x.shape());
  FillZero(y);
  if (x.size() == 0) return;
  ByElementSize(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* in = Elements<T>(x);
    T* out = Elements<T>(y);
    for (int64_t row = 0; row < x.size() / width; ++row) {
      const int64_t diagonal = row % height + k;
      const int64_t begin = upper ? std::clamp<int64_t>(diagonal, 0, width) : 0;
      const int64_t end = upper ? width : std::clamp<int64_t>(diagonal + 1, 0, width);
      std::copy(in + row * width + begin, in + row * width + end, out + row * width + begin);
    }
  });
}

void Compress(EvalContext& c) {
  const bool flat = !c.node.Has("axis");
  const Tensor x = flat ? c.in(0).Reshaped({c.in(0).size()}) : c.in(0);
  const int64_t axis = flat ? 0 : NormalAxis(c.node.Int("axis", 0), x.rank());
  const std::vector<int64_t> condition = c.in(1).ToInts();
  std::vector<int64_t> kept;
  for (size_t i = 0; i < condition.size(); ++i) {
    if (condition[i] == 0) continue;
    if (static_cast<int64_t>(i) >= x.dim(axis)) {
      throw Error("condition is true at " + std::to_string(i) + ", beyond axis " + std::to_string(axis) +
                  " of shape " + ToString(x.shape()));
    }
    kept.push_back(static_cast<int64_t>(i));
  }
  Shape shape = x.shape();
  shape[Z(axis)] = static_cast<int64_t>(kept.size());
  Tensor& y = c.out(0, x.dtype(), shape);
  const std::vector<int64_t> in_strides = DenseStrides(x.shape()), out_strides = DenseStrides(shape);
  shape[Z(axis)] = 1;
  for (size_t i = 0; i < kept.size(); ++i) {
    CopyStrided(c.pool, x, y,
                {shape, in_strides, out_strides, kept[i] * in_strides[Z(axis)],
                 static_cast<int64_t>(i) * out_strides[Z(axis)]});
  }
}

}  // namespace

std::vector<OperatorRow> MoveOperators() {
  constexpr auto kPassive = QuantRole::kPassive;
  return {
      {"", "Reshape", 1, kAnyLater, Reshape, kPassive},
      {"", "Flatten", 1, kAnyLater, Flatten, kPassive},
      {"", "Squeeze", 1, kAnyLater, Squeeze, kPassive},
      {"", "Unsqueeze", 1, kAnyLater, Unsqueeze, kPassive},
      {"", "Transpose", 1, kAnyLater, Transpose, kPassive},
      {"", "Slice", 1, kAnyLater, Slice, kPassive},
      {"", "Concat", 1, kAnyLater, Concat, QuantRole::kElementwise},
      {"", "Split", 1, kAnyLater, Split, kPassive},
      {"", "Tile", 6, kAnyLater, Tile},
      {"", "Expand", 8, kAnyLater, Expand},
      {"", "DepthToSpace", 1, kAnyLater, DepthToSpace},
      {"", "SpaceToDepth", 1, kAnyLater, SpaceToDepth},
      {"", "ReverseSequence", 10, kAnyLater, ReverseSequence},
      {"", "Identity", 1, kAnyLater, Identity, kPassive},
      {"", "Dropout", 7, kAnyLater, Dropout, kPassive},
      {"", "Trilu", 14, kAnyLater, Trilu},
      {"", "Compress", 9, kAnyLater, Compress},
  };
}

}  // namespace xslim
