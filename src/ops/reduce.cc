// Operators that reduce along axes (Reduce*, ArgMax, ArgMin) and those that scan or sort along one (CumSum,
// TopK).
//
// Reduce* brings the reduced axes to the end and reduces contiguous rows. float32 sums, minima and maxima are
// those of the kernels; the other reductions of floating point types accumulate in double in the order of the
// elements.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernels.h"
#include "ops/elementwise.h"
#include "ops/precise_math.h"

namespace xslim {
namespace {

size_t NormalAxis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) {
    throw Error("axis " + std::to_string(axis) + " is outside a tensor of rank " + std::to_string(rank));
  }
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

// Which axes of `shape` an operator reduces, and what that makes of it.
struct Reduction {
  std::vector<bool> reduced;
  Shape out;
  int64_t rows = 1, width = 1;  // output elements; input elements of each
};

// Axes are an attribute before `input_since`, input 1 from then on.
Reduction PlanReduction(EvalContext& ctx, int input_since) {
  const Shape& shape = ctx.in(0).shape();
  const int64_t rank = ctx.in(0).rank();
  std::vector<int64_t> axes;
  if (ctx.opset < input_since)
    axes = ctx.node.Ints("axes");
  else if (ctx.has(1))
    axes = ctx.in(1).ToInts();
  const bool keep = ctx.node.Int("keepdims", 1) != 0;
  const bool all = axes.empty() && ctx.node.Int("noop_with_empty_axes", 0) == 0;
  Reduction plan;
  plan.reduced.assign(shape.size(), all);
  for (int64_t axis : axes) plan.reduced[NormalAxis(axis, rank)] = true;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (plan.reduced[axis])
      plan.width *= shape[axis];
    else
      plan.rows *= shape[axis];
    if (!plan.reduced[axis])
      plan.out.push_back(shape[axis]);
    else if (keep)
      plan.out.push_back(1);
  }
  return plan;
}

// The input with its reduced axes last, as [rows, width]; shares storage when they are last already.
Tensor RowsOf(EvalContext& ctx, const Reduction& plan) {
  const Tensor& x = ctx.in(0);
  bool in_order = true, seen = false;
  for (size_t axis = 0; axis < plan.reduced.size(); ++axis) {
    if (x.shape()[axis] == 1) continue;
    if (plan.reduced[axis])
      seen = true;
    else if (seen)
      in_order = false;
  }
  if (in_order || x.size() == 0) return x.Reshaped({plan.rows, plan.width});
  std::vector<int64_t> stride(x.shape().size(), 1);
  for (size_t axis = stride.size() - 1; axis-- > 0;) stride[axis] = stride[axis + 1] * x.shape()[axis + 1];
  // Element offsets of the rows' starts and of the elements within a row.
  const auto offsets = [&](bool reduced, int64_t count) {
    std::vector<int64_t> list(1, 0);
    list.reserve(static_cast<size_t>(count));
    for (size_t axis = 0; axis < stride.size(); ++axis) {
      if (plan.reduced[axis] != reduced) continue;
      std::vector<int64_t> next;
      next.reserve(static_cast<size_t>(count));
      for (int64_t base : list) {
        for (int64_t i = 0; i < x.shape()[axis]; ++i) next.push_back(base + i * stride[axis]);
      }
      list = std::move(next);
    }
    return list;
  };
  const std::vector<int64_t> row_offsets = offsets(false, plan.rows),
                             element_offsets = offsets(true, plan.width);
  Tensor rows = ctx.scratch(x.dtype(), {plan.rows, plan.width});
  const auto gather = [&](auto unit) {
    using T = decltype(unit);
    const T* from = reinterpret_cast<const T*>(x.raw());
    T* to = reinterpret_cast<T*>(rows.raw());
    ctx.pool.ParallelFor(plan.rows, std::max<int64_t>(1, kElementGrain / plan.width),
                         [&](int64_t begin, int64_t end, int) {
                           for (int64_t r = begin; r < end; ++r) {
                             const T* start = from + row_offsets[static_cast<size_t>(r)];
                             for (int64_t i = 0; i < plan.width; ++i)
                               to[r * plan.width + i] = start[element_offsets[static_cast<size_t>(i)]];
                           }
                         });
  };
  switch (SizeOf(x.dtype())) {
    case 1:
      gather(uint8_t{});
      break;
    case 2:
      gather(uint16_t{});
      break;
    case 4:
      gather(uint32_t{});
      break;
    default:
      gather(uint64_t{});
      break;
  }
  return rows;
}

enum class ReduceOp { kSum, kMean, kMax, kMin, kProd, kL1, kL2, kLogSum, kLogSumExp, kSumSquare };

template <ReduceOp kOp>
float ReduceFloatRow(const float* x, int64_t n) {
  const kernels::Table& table = kernels::Active();
  if constexpr (kOp == ReduceOp::kSum)
    return table.sum(x, n);
  else if constexpr (kOp == ReduceOp::kMean)
    return table.sum(x, n) / static_cast<float>(n);
  else if constexpr (kOp == ReduceOp::kMax)
    return table.max(x, n);
  else if constexpr (kOp == ReduceOp::kMin)
    return table.min(x, n);
  else
    return table.sum_of_squares(x, 0.0f, n);
}

template <typename C>
C Largest() {
  return std::numeric_limits<C>::has_infinity ? std::numeric_limits<C>::infinity()
                                              : std::numeric_limits<C>::max();
}
template <typename C>
C Smallest() {
  return std::numeric_limits<C>::has_infinity ? -std::numeric_limits<C>::infinity()
                                              : std::numeric_limits<C>::lowest();
}

template <ReduceOp kOp, typename T>
T ExtremeOfRow(const T* x, int64_t n) {
  using C = ComputeType<T>;
  C best = kOp == ReduceOp::kMax ? Smallest<C>() : Largest<C>();
  for (int64_t i = 0; i < n; ++i) {
    const C v = Load(x[i]);
    if constexpr (std::is_floating_point_v<C>) {
      if (std::isnan(v)) return x[i];
    }
    if (kOp == ReduceOp::kMax ? v > best : v < best) best = v;
  }
  return Store<T>(best);
}

// log of the sum of e^x, shifted by the largest element.
template <typename T>
double LogSumExp(const T* x, int64_t n) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) {
    const double v = static_cast<double>(Load(x[i]));
    if (std::isnan(v)) return v;
    largest = std::max(largest, v);
  }
  if (std::isinf(largest)) return largest;
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += precise::Exp(static_cast<double>(Load(x[i])) - largest);
  return largest + precise::Log(sum);
}

template <ReduceOp kOp, typename T>
T ReduceRow(const T* x, int64_t n) {
  constexpr bool kInteger = std::is_integral_v<ComputeType<T>>;
  if constexpr (kOp == ReduceOp::kMax || kOp == ReduceOp::kMin) {
    return ExtremeOfRow<kOp>(x, n);
  } else if constexpr (kOp == ReduceOp::kLogSumExp) {
    return Store<T>(LogSumExp(x, n));
  } else if constexpr (kInteger && kOp != ReduceOp::kMean && kOp != ReduceOp::kL2 &&
                       kOp != ReduceOp::kLogSum) {
    uint64_t total = kOp == ReduceOp::kProd ? 1 : 0;  // wraps
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t v = static_cast<uint64_t>(x[i]);
      if constexpr (kOp == ReduceOp::kProd)
        total *= v;
      else if constexpr (kOp == ReduceOp::kL1)
        total += std::is_signed_v<T> && x[i] < T{0} ? 0 - v : v;
      else if constexpr (kOp == ReduceOp::kSumSquare)
        total += v * v;
      else
        total += v;
    }
    return static_cast<T>(total);
  } else {
    double total = kOp == ReduceOp::kProd ? 1 : 0;
    for (int64_t i = 0; i < n; ++i) {
      const double v = static_cast<double>(Load(x[i]));
      if constexpr (kOp == ReduceOp::kProd)
        total *= v;
      else if constexpr (kOp == ReduceOp::kL1)
        total += std::fabs(v);
      else if constexpr (kOp == ReduceOp::kL2 || kOp == ReduceOp::kSumSquare)
        total += v * v;
      else
        total += v;
    }
    if constexpr (kOp == ReduceOp::kMean) {
      if (kInteger && n == 0) return T{};
      total /= static_cast<double>(n);
    }
    if constexpr (kOp == ReduceOp::kL2) total = std::sqrt(total);
    if constexpr (kOp == ReduceOp::kLogSum) total = precise::Log(total);
    return Store<T>(total);
  }
}

template <ReduceOp kOp, int kAxesInputSince>
void Reduce(EvalContext& ctx) {
  const Reduction plan = PlanReduction(ctx, kAxesInputSince);
  const Tensor x = RowsOf(ctx, plan);
  Tensor& y = ctx.out(0, x.dtype(), plan.out);
  const int64_t width = plan.width, grain = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, width));
  const auto run = [&](auto type, auto&& row) {
    using T = decltype(type);
    const T* from = x.template data<T>();
    T* to = y.template data<T>();
    ctx.pool.ParallelFor(plan.rows, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) to[r] = row(from + r * width, width);
    });
  };
  constexpr bool kExtreme = kOp == ReduceOp::kMax || kOp == ReduceOp::kMin;
  constexpr bool kKernel =
      kExtreme || kOp == ReduceOp::kSum || kOp == ReduceOp::kMean || kOp == ReduceOp::kSumSquare;
  if constexpr (kExtreme) {
    if (x.dtype() == DType::kBool) {
      return run(bool{}, [](const bool* v, int64_t n) {
        return kOp == ReduceOp::kMax ? std::any_of(v, v + n, [](bool b) { return b; })
                                     : std::all_of(v, v + n, [](bool b) { return b; });
      });
    }
  }
  if constexpr (kKernel) {
    if (x.dtype() == DType::kFloat) return run(float{}, ReduceFloatRow<kOp>);
  }
  VisitNumbers(x.dtype(), [&](auto type) { run(type, ReduceRow<kOp, decltype(type)>); });
}

// A tensor seen as [outer, n, inner] around one axis.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;
  AxisView(const Shape& shape, size_t axis) {
    for (size_t i = 0; i < shape.size(); ++i) (i < axis ? outer : i == axis ? n : inner) *= shape[i];
  }
  // Start of line `line` of outer * inner; its elements are `inner` apart.
  int64_t Start(int64_t line) const { return line / inner * n * inner + line % inner; }
  int64_t lines() const { return outer * inner; }
  int64_t grain() const { return std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, n)); }
};

// Index of the largest (smallest) element; the first NaN wins over numbers, as in numpy.
template <bool kLargest>
void ArgExtreme(EvalContext& ctx) {
  const Tensor& x = ctx.in(0);
  if (x.rank() == 0) {
    ctx.out(0, DType::kInt64, {}).template data<int64_t>()[0] = 0;
    return;
  }
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), x.rank());
  const bool keep = ctx.node.Int("keepdims", 1) != 0, last = ctx.node.Int("select_last_index", 0) != 0;
  const AxisView view(x.shape(), axis);
  if (view.n == 0) throw Error("the axis has no elements: shape " + ToString(x.shape()));
  Shape shape = x.shape();
  if (keep)
    shape[axis] = 1;
  else
    shape.erase(shape.begin() + static_cast<int64_t>(axis));
  int64_t* to = ctx.out(0, DType::kInt64, shape).template data<int64_t>();
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.template data<T>();
    ctx.pool.ParallelFor(view.lines(), view.grain(), [&](int64_t begin, int64_t end, int) {
      for (int64_t line = begin; line < end; ++line) {
        const T* p = from + view.Start(line);
        int64_t best = 0;
        auto value = Load(p[0]);
        for (int64_t i = 1; i < view.n; ++i) {
          const auto v = Load(p[i * view.inner]);
          if (value != value) break;  // a NaN
          if (v != v || (kLargest ? v > value : v < value) || (last && v == value)) {
            best = i;
            value = v;
          }
        }
        to[line] = best;
      }
    });
  });
}

// The axis is input 1. exclusive: element i sums those before it; reverse: from the end.
void CumSum(EvalContext& ctx) {
  const Tensor& x = ctx.in(0);
  const std::vector<int64_t> axes = ctx.in(1).ToInts();
  if (axes.size() != 1)
    throw Error("CumSum: axis has shape " + ToString(ctx.in(1).shape()), "", "expected one number");
  const AxisView view(x.shape(), NormalAxis(axes[0], x.rank()));
  const bool exclusive = ctx.node.Int("exclusive", 0) != 0, reverse = ctx.node.Int("reverse", 0) != 0;
  Tensor& y = ctx.out(0, x.dtype(), x.shape());
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    using Sum = std::conditional_t<std::is_integral_v<ComputeType<T>>, uint64_t, double>;
    const T* from = x.data<T>();
    T* to = y.data<T>();
    ctx.pool.ParallelFor(view.lines(), view.grain(), [&](int64_t begin, int64_t end, int) {
      for (int64_t line = begin; line < end; ++line) {
        Sum sum = 0;
        for (int64_t i = 0; i < view.n; ++i) {
          const int64_t at = view.Start(line) + (reverse ? view.n - 1 - i : i) * view.inner;
          const Sum before = sum;
          sum += static_cast<Sum>(Load(from[at]));
          to[at] = Store<T>(exclusive ? before : sum);
        }
      }
    });
  });
}

// K is an attribute until opset 9, then input 1. Ties go to the lower index; NaN counts as the largest
// number.
void TopK(EvalContext& ctx) {
  const Tensor& x = ctx.in(0);
  int64_t k = 0;
  if (ctx.opset < 10) {
    k = ctx.node.Int("k", -1);
  } else {
    const std::vector<int64_t> wanted = ctx.in(1).ToInts();
    if (wanted.size() != 1)
      throw Error("TopK: K has shape " + ToString(ctx.in(1).shape()), "", "expected one number");
    k = wanted[0];
  }
  const size_t axis = NormalAxis(ctx.node.Int("axis", -1), x.rank());
  const AxisView view(x.shape(), axis);
  if (k < 0 || k > view.n) {
    throw Error("TopK: K is " + std::to_string(k) + " along an axis of " + std::to_string(view.n) +
                " elements");
  }
  const bool largest = ctx.node.Int("largest", 1) != 0, sorted = ctx.node.Int("sorted", 1) != 0;
  Shape shape = x.shape();
  shape[axis] = k;
  Tensor values = ctx.scratch(x.dtype(), shape), indices = ctx.scratch(DType::kInt64, shape);
  const AxisView out(shape, axis);
  VisitNumbers(x.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* from = x.data<T>();
    T* to = values.data<T>();
    int64_t* index = indices.data<int64_t>();
    ctx.pool.ParallelFor(view.lines(), view.grain(), [&](int64_t begin, int64_t end, int) {
      std::vector<int64_t> order(static_cast<size_t>(view.n));
      for (int64_t line = begin; line < end; ++line) {
        const T* p = from + view.Start(line);
        std::iota(order.begin(), order.end(), int64_t{0});
        const auto less = [](auto a, auto b) { return a < b || (b != b && a == a); };
        const auto before = [&](int64_t i, int64_t j) {
          const auto a = Load(p[i * view.inner]), b = Load(p[j * view.inner]);
          if (less(a, b)) return !largest;
          if (less(b, a)) return largest;
          return i < j;
        };
        std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
        if (!sorted) std::sort(order.begin(), order.begin() + k);
        const int64_t start = out.Start(line);
        for (int64_t i = 0; i < k; ++i) {
          const int64_t source = order[static_cast<size_t>(i)];
          to[start + i * view.inner] = p[source * view.inner];
          index[start + i * view.inner] = source;
        }
      }
    });
  });
  ctx.set_out(0, std::move(values));
  if (ctx.wants(1)) ctx.set_out(1, std::move(indices));
}

}  // namespace

std::vector<OperatorRow> ReduceOperators() {
  return {
      {"", "ReduceMean", 1, kAnyLater, Reduce<ReduceOp::kMean, 18>, QuantRole::kElementwise},
      {"", "ReduceSum", 1, kAnyLater, Reduce<ReduceOp::kSum, 13>},
      {"", "ReduceMax", 1, kAnyLater, Reduce<ReduceOp::kMax, 18>},
      {"", "ReduceMin", 1, kAnyLater, Reduce<ReduceOp::kMin, 18>},
      {"", "ReduceProd", 1, kAnyLater, Reduce<ReduceOp::kProd, 18>},
      {"", "ReduceL1", 1, kAnyLater, Reduce<ReduceOp::kL1, 18>},
      {"", "ReduceL2", 1, kAnyLater, Reduce<ReduceOp::kL2, 18>},
      {"", "ReduceLogSum", 1, kAnyLater, Reduce<ReduceOp::kLogSum, 18>},
      {"", "ReduceLogSumExp", 1, kAnyLater, Reduce<ReduceOp::kLogSumExp, 18>},
      {"", "ReduceSumSquare", 1, kAnyLater, Reduce<ReduceOp::kSumSquare, 18>},
      {"", "ArgMax", 1, kAnyLater, ArgExtreme<true>},
      {"", "ArgMin", 1, kAnyLater, ArgExtreme<false>},
      {"", "CumSum", 11, kAnyLater, CumSum},
      {"", "TopK", 1, kAnyLater, TopK},
  };
}

}  // namespace xslim
