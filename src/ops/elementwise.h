// What the elementwise families share: choosing a C++ type for an element type, and walking broadcast
// operands.
#ifndef XSLIM_OPS_ELEMENTWISE_H_
#define XSLIM_OPS_ELEMENTWISE_H_

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim {

inline constexpr int64_t kElementGrain = 16384;  // elements per piece of a parallel loop

// 16-bit floats are computed with as float, everything else as itself.
template <typename T>
inline constexpr bool kIsShortFloat = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <typename T>
using ComputeType = std::conditional_t<kIsShortFloat<T>, float, T>;

template <typename T>
ComputeType<T> Load(T value) {
  if constexpr (kIsShortFloat<T>)
    return ToFloat(value);
  else
    return value;
}
template <typename T, typename C>
T Store(C value) {
  if constexpr (std::is_same_v<T, Half>)
    return ToHalf(static_cast<float>(value));
  else if constexpr (std::is_same_v<T, BFloat16>)
    return ToBFloat16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

[[noreturn]] inline void BadType(DType type, const char* expected) {
  throw Unsupported(std::string("element type ") + NameOf(type) + " is not supported here", "",
                    std::string("expected ") + expected);
}

// Calls f(T{}) with the C++ type of `type`.
template <typename F>
void VisitFloats(DType type, F&& f) {
  switch (type) {
    case DType::kFloat:
      f(float{});
      break;
    case DType::kDouble:
      f(double{});
      break;
    case DType::kFloat16:
      f(Half{});
      break;
    case DType::kBFloat16:
      f(BFloat16{});
      break;
    default:
      BadType(type, "a floating point type");
  }
}
template <typename F>
void VisitInts(DType type, F&& f) {
  switch (type) {
    case DType::kInt8:
      f(int8_t{});
      break;
    case DType::kUint8:
      f(uint8_t{});
      break;
    case DType::kInt16:
      f(int16_t{});
      break;
    case DType::kUint16:
      f(uint16_t{});
      break;
    case DType::kInt32:
      f(int32_t{});
      break;
    case DType::kUint32:
      f(uint32_t{});
      break;
    case DType::kInt64:
      f(int64_t{});
      break;
    case DType::kUint64:
      f(uint64_t{});
      break;
    default:
      BadType(type, "an integer type");
  }
}
template <typename F>
void VisitNumbers(DType type, F&& f) {
  if (IsFloating(type))
    VisitFloats(type, f);
  else
    VisitInts(type, f);
}

// Numpy broadcasting of any number of operands to `out`, with neighbouring axes merged where every operand
// allows it, so that e.g. [N,C,H,W] op [1,C,1,1] walks rows of H*W elements with steps 1 and 0.
class Broadcast {
 public:
  explicit Broadcast(const std::vector<const Shape*>& operands) {
    for (const Shape* shape : operands) out_ = BroadcastShapes(out_, *shape);
    const size_t rank = out_.size(), count = operands.size();
    size_ = ElementCount(out_);
    std::vector<int64_t> next(count, 1);  // each operand's stride of the axis in hand
    for (size_t axis = rank; axis-- > 0;) {
      std::vector<int64_t> steps(count, 0);
      for (size_t k = 0; k < count; ++k) {
        const Shape& shape = *operands[k];
        const size_t skip = rank - shape.size();
        if (axis < skip) continue;
        const int64_t dim = shape[axis - skip];
        if (dim != 1) steps[k] = next[k];
        next[k] *= dim;
      }
      if (out_[axis] == 1) continue;
      bool merge = !dims_.empty();
      for (size_t k = 0; merge && k < count; ++k) merge = steps[k] == strides_.back()[k] * dims_.back();
      if (merge) {
        dims_.back() *= out_[axis];
      } else {
        dims_.push_back(out_[axis]);
        strides_.push_back(std::move(steps));
      }
    }
    if (dims_.empty()) {
      dims_.push_back(1);
      strides_.emplace_back(count, 0);
    }
  }

  const Shape& shape() const { return out_; }
  int64_t size() const { return size_; }
  // Elements from one operand element to the next along a run.
  int64_t step(size_t operand) const { return strides_[0][operand]; }

  // Calls body(out_index, n, offsets) for the runs that cover output elements [begin, end): n elements,
  // operand k from its element offsets[k] on with step(k).
  template <typename F>
  void Runs(int64_t begin, int64_t end, F&& body) const {
    const size_t count = strides_[0].size();
    std::vector<int64_t> offsets(count);
    while (begin < end) {
      int64_t rest = begin;
      std::fill(offsets.begin(), offsets.end(), 0);
      for (size_t axis = 0; axis < dims_.size(); ++axis) {
        const int64_t index = rest % dims_[axis];
        rest /= dims_[axis];
        for (size_t k = 0; k < count; ++k) offsets[k] += index * strides_[axis][k];
      }
      const int64_t n = std::min(end - begin, dims_[0] - begin % dims_[0]);
      body(begin, n, offsets.data());
      begin += n;
    }
  }

 private:
  Shape out_;
  int64_t size_ = 0;
  std::vector<int64_t> dims_;                  // merged, last axis first
  std::vector<std::vector<int64_t>> strides_;  // [axis][operand]
};

}  // namespace xslim

#endif  // XSLIM_OPS_ELEMENTWISE_H_
