// Moving elements about by their size: what the operators that do not look at values are made of.
#ifndef XSLIM_OPS_COPY_H_
#define XSLIM_OPS_COPY_H_

#include <string>
#include <vector>

#include "ops/operator.h"

namespace xslim {

// A 16-byte element (complex128).
struct Wide {
  uint64_t low, high;
};

template <typename T>
T* Elements(Tensor& tensor) {
  if constexpr (std::is_same_v<T, std::string>) {
    return tensor.strings().data();
  } else {
    return reinterpret_cast<T*>(tensor.raw());
  }
}
template <typename T>
const T* Elements(const Tensor& tensor) {
  return Elements<T>(const_cast<Tensor&>(tensor));
}

// Calls body(T{}) with an unsigned integer of the element's size, Wide or std::string.
template <typename Body>
void ByElementSize(DType dtype, const Body& body) {
  if (dtype == DType::kString) return body(std::string());
  switch (SizeOf(dtype)) {
    case 1:
      return body(uint8_t{0});
    case 2:
      return body(uint16_t{0});
    case 4:
      return body(uint32_t{0});
    case 8:
      return body(uint64_t{0});
    default:
      return body(Wide{0, 0});
  }
}

// Element strides of a dense row-major tensor.
std::vector<int64_t> DenseStrides(const Shape& shape);

// out[out_offset + sum i_k*out_strides[k]] = in[in_offset + sum i_k*in_strides[k]] over all indices i of
// `dims`. Strides are in elements and may be 0 (in) or negative. Element types must agree. Splits the outputs
// over the pool.
struct StridedCopy {
  Shape dims;
  std::vector<int64_t> in_strides, out_strides;
  int64_t in_offset = 0, out_offset = 0;
};
void CopyStrided(ThreadPool& pool, const Tensor& in, Tensor& out, StridedCopy copy);

// Whether the sizes of parts, none of which is negative, are together `whole`; their sum need not fit
// int64_t.
bool AddUpTo(const std::vector<int64_t>& sizes, int64_t whole);

// Whether channels can be split into that many equal groups. Any number divides no channels, but work for
// each group would not end: of none there is one group at most.
bool AreGroups(int64_t groups, int64_t channels);

// `parts`, at least one and equal but for `axis`, one after the other along it; throws Error when they do not
// fit. Negative axes count from the end.
Tensor Joined(const EvalContext& context, const std::vector<Tensor>& parts, int64_t axis);
// The same along a new axis.
Tensor Stacked(const EvalContext& context, const std::vector<Tensor>& parts, int64_t axis);
// Elements [begin, begin + count) of an axis in [0, rank).
Tensor Part(const EvalContext& context, const Tensor& x, int64_t axis, int64_t begin, int64_t count);

// Every element becomes zero (false, "").
void FillZero(Tensor& out);

// The axis in [0, rank); throws Error naming `what` when it is outside [-rank, rank).
int64_t NormalAxis(int64_t axis, int64_t rank, const char* what = "axis");
// The same for a list; throws Error when one comes twice.
std::vector<int64_t> NormalAxes(const std::vector<int64_t>& axes, int64_t rank, const char* what = "axes");

// An integer list from input `slot`, or from the attribute when the input is left out.
std::vector<int64_t> IntsOf(const EvalContext& context, size_t slot, const std::string& attribute);

}  // namespace xslim

#endif  // XSLIM_OPS_COPY_H_
