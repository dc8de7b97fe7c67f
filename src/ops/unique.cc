// Unique: the different elements or slices of a tensor.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "ops/copy.h"
#include "ops/elementwise.h"

namespace xslim {
namespace {

size_t Z(int64_t value) { return static_cast<size_t>(value); }

// -1, 0 or 1; NaN is equal to itself and behind all numbers.
template <typename T>
int Compared(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return Compared(ToFloat(a), ToFloat(b));
  } else {
    if (a < b) return -1;
    if (b < a) return 1;
    return static_cast<int>(a != a) - static_cast<int>(b != b);
  }
}

// Calls body(T{}) with the type of elements that can be put in order.
template <typename Body>
void ByOrder(DType dtype, const Body& body) {
  if (dtype == DType::kString) return body(std::string());
  if (dtype == DType::kBool) return body(uint8_t{0});
  VisitNumbers(dtype, body);
}

// Which of `count` slices of `run` elements differ: `order` holds the first of each group of equal ones in
// sorted order, `group` the position of every slice's group in it.
struct Groups {
  std::vector<int64_t> order, group, counts;
};
template <typename T>
Groups GroupSlices(const T* x, int64_t count, int64_t run) {
  const auto compare = [&](int64_t a, int64_t b) {
    for (int64_t i = 0; i < run; ++i) {
      const int result = Compared(x[a * run + i], x[b * run + i]);
      if (result != 0) return result;
    }
    return 0;
  };
  std::vector<int64_t> sorted(Z(count));
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(), [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
  Groups groups;
  groups.group.resize(Z(count));
  for (const int64_t slice : sorted) {
    if (groups.order.empty() || compare(groups.order.back(), slice) != 0) {
      groups.order.push_back(slice);
      groups.counts.push_back(0);
    }
    ++groups.counts.back();
    groups.group[Z(slice)] = static_cast<int64_t>(groups.order.size()) - 1;
  }
  return groups;
}

// Outputs: the different slices along the axis (elements without one), where each is first, for every slice
// which of them it is, and how often each comes.
void Unique(EvalContext& c) {
  const bool flat = !c.node.Has("axis");
  const Tensor x = flat ? c.in(0).Reshaped({c.in(0).size()}) : c.in(0);
  const int64_t axis = NormalAxis(c.node.Int("axis", 0), x.rank()), count = x.dim(axis);
  Tensor slices = x;  // [count, run]
  if (axis > 0) {
    StridedCopy copy;
    copy.dims = x.shape();
    copy.in_strides = DenseStrides(x.shape());
    std::rotate(copy.dims.begin(), copy.dims.begin() + axis, copy.dims.begin() + axis + 1);
    std::rotate(copy.in_strides.begin(), copy.in_strides.begin() + axis, copy.in_strides.begin() + axis + 1);
    copy.out_strides = DenseStrides(copy.dims);
    slices = c.scratch(x.dtype(), copy.dims);
    CopyStrided(c.pool, x, slices, copy);
  }
  Groups groups;
  ByOrder(x.dtype(), [&](auto type) {
    using T = decltype(type);
    groups = GroupSlices(Elements<T>(slices), count, count == 0 ? 0 : x.size() / count);
  });
  const auto found = static_cast<int64_t>(groups.order.size());
  std::vector<int64_t> place(Z(found));  // of a group in the output
  std::iota(place.begin(), place.end(), 0);
  std::vector<int64_t> shown = place;  // the group at each place
  if (c.node.Int("sorted", 1) == 0) {
    std::sort(shown.begin(), shown.end(),
              [&](int64_t a, int64_t b) { return groups.order[Z(a)] < groups.order[Z(b)]; });
    for (int64_t i = 0; i < found; ++i) place[Z(shown[Z(i)])] = i;
  }
  std::vector<int64_t> first, counts, inverse;
  for (const int64_t group : shown) {
    first.push_back(groups.order[Z(group)]);
    counts.push_back(groups.counts[Z(group)]);
  }
  for (const int64_t group : groups.group) inverse.push_back(place[Z(group)]);
  Shape shape = x.shape();
  shape[Z(axis)] = found;
  Tensor& y = c.out(0, x.dtype(), shape);
  const std::vector<int64_t> in_strides = DenseStrides(x.shape()), out_strides = DenseStrides(shape);
  shape[Z(axis)] = 1;
  for (int64_t i = 0; i < found; ++i) {
    CopyStrided(
        c.pool, x, y,
        {shape, in_strides, out_strides, first[Z(i)] * in_strides[Z(axis)], i * out_strides[Z(axis)]});
  }
  if (c.wants(1)) c.set_out(1, Tensor::Of({found}, first));
  if (c.wants(2)) c.set_out(2, Tensor::Of({count}, inverse));
  if (c.wants(3)) c.set_out(3, Tensor::Of({found}, counts));
}

}  // namespace

std::vector<OperatorRow> UniqueOperators() { return {{"", "Unique", 11, kAnyLater, Unique}}; }

}  // namespace xslim
