#include "tensor/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "base/log.h"
#include "base/memory.h"
#include "base/sanitizer.h"
#include "tensor/minifloat.h"
#include "xslim/error.h"

namespace xslim {

int64_t ElementCount(const Shape& shape) {
  constexpr int64_t kMost = int64_t{1} << 46;
  int64_t count = 1;
  bool empty = false;
  for (int64_t dim : shape) {
    if (dim < 0) throw Error("negative dimension in shape " + ToString(shape));
    if (dim == 0) empty = true;
    if (dim > 0 && count > kMost / dim) throw Error("shape " + ToString(shape) + " is too large");
    if (dim > 0) count *= dim;
  }
  return empty ? 0 : count;
}

int64_t InnerCount(const Shape& shape, int64_t axis) {
  return std::accumulate(shape.begin() + axis + 1, shape.end(), int64_t{1}, std::multiplies<>());
}

std::string ToString(const Shape& shape) { return "[" + StrJoin(shape, ",") + "]"; }

Shape BroadcastShapes(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {  // i counts from the last axis
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1, y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1)
      throw Error("shapes " + ToString(a) + " and " + ToString(b) + " do not broadcast");
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

namespace {

// Blocks from this size on come from the system one by one and go straight back to it: in the heap they would
// stay as holes between longer-lived ones. Tools that check the heap see every block there.
#if defined(XSLIM_ADDRESS_SANITIZER)
constexpr size_t kMapped = std::numeric_limits<size_t>::max();
#else
constexpr size_t kMapped = size_t{256} << 10;
#endif

[[noreturn]] void Refuse(size_t bytes) {
  throw OutOfMemory("out of memory: " + std::to_string(bytes) + " bytes for one tensor");
}

}  // namespace

std::shared_ptr<std::byte> AllocateAligned(size_t bytes) {
  if (!HasMemoryFor(bytes)) Refuse(bytes);
  const size_t rounded = std::max<size_t>((bytes + 63) / 64 * 64, 64);
  if (rounded >= kMapped) {
    // All of it will be written: cheaper now than by a fault at each page.
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
    void* block = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, kFlags, -1, 0);
    if (block == MAP_FAILED) Refuse(bytes);
    return {static_cast<std::byte*>(block), [rounded](std::byte* p) { munmap(p, rounded); }};
  }
  void* block = std::aligned_alloc(64, rounded);
  if (block == nullptr) Refuse(bytes);
  return {static_cast<std::byte*>(block), [](std::byte* p) { std::free(p); }};
}

Tensor::Tensor(DType dtype, Shape shape, Allocator* allocator)
    : dtype_(dtype), shape_(std::move(shape)), size_(ElementCount(shape_)) {
  if (dtype_ != DType::kUndefined && dtype_ != DType::kString && SizeOf(dtype_) == 0)
    throw Error("element type " + std::to_string(static_cast<int>(dtype_)) + " has no elements");
  if (dtype_ == DType::kString) {
    strings_ = std::make_shared<std::vector<std::string>>(static_cast<size_t>(size_));
  } else {
    data_ = allocator ? allocator->Allocate(bytes()) : AllocateAligned(bytes());
  }
}

Tensor Tensor::Strings(Shape shape, std::vector<std::string> values) {
  Tensor tensor(DType::kString, std::move(shape));
  *tensor.strings_ = std::move(values);
  return tensor;
}

Tensor Tensor::Sequence(std::vector<Tensor> items) {
  Tensor sequence;
  sequence.dtype_ = DType::kSequence;
  sequence.size_ = static_cast<int64_t>(items.size());
  sequence.shape_ = {sequence.size_};
  sequence.items_ = std::make_shared<const std::vector<Tensor>>(std::move(items));
  return sequence;
}

Tensor Tensor::EmptyOptional() {
  Tensor empty;
  empty.dtype_ = DType::kEmptyOptional;
  empty.shape_ = {0};
  return empty;
}

size_t Tensor::bytes() const {
  if (dtype_ != DType::kSequence) return static_cast<size_t>(size_) * SizeOf(dtype_);
  size_t total = 0;
  for (const Tensor& item : *items_) total += item.bytes();
  return total;
}

const std::vector<Tensor>& Tensor::items() const {
  if (dtype_ != DType::kSequence) throw Error(std::string("got ") + NameOf(dtype_) + ", expected a sequence");
  return *items_;
}

Tensor Tensor::Borrow(DType dtype, Shape shape, std::shared_ptr<std::byte> bytes, bool mapped) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.size_ = ElementCount(shape);
  tensor.shape_ = std::move(shape);
  tensor.mapped_ = mapped;
  tensor.data_ = std::move(bytes);
  return tensor;
}

void Tensor::Detach() {
  const std::shared_ptr<std::byte> pages = std::move(data_);
  mapped_ = false;
  data_ = AllocateAligned(bytes());
  std::memcpy(data_.get(), pages.get(), bytes());
}

void Tensor::Check(DType wanted) const {
  if (dtype_ == wanted) return;
  if (wanted == DType::kInt8 && (dtype_ == DType::kInt4 || dtype_ == DType::kInt2)) return;
  if (wanted == DType::kUint8 &&
      (dtype_ == DType::kUint4 || dtype_ == DType::kUint2 || dtype_ == DType::kBool)) {
    return;
  }
  throw Error(std::string("element type is ") + NameOf(dtype_) + ", expected " + NameOf(wanted));
}

Tensor Tensor::Reshaped(Shape shape) const {
  if (ElementCount(shape) != size_ || !is_tensor())
    throw Error("cannot reshape " + ToString(shape_) + " to " + ToString(shape));
  Tensor out = *this;
  out.shape_ = std::move(shape);
  return out;
}

Tensor Tensor::Clone() const {
  if (!is_tensor()) return *this;  // items never change
  Tensor out(dtype_, shape_);
  if (dtype_ == DType::kString)
    *out.strings_ = *strings_;
  else
    std::memcpy(out.raw(), raw(), bytes());
  return out;
}

namespace {
template <typename To, typename From>
void ConvertInto(To* out, const std::byte* from, int64_t count) {
  const From* in = reinterpret_cast<const From*>(from);
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>)
      out[i] = static_cast<To>(ToFloat(in[i]));
    else
      out[i] = static_cast<To>(in[i]);
  }
}
}  // namespace

std::vector<int64_t> Tensor::ToInts() const {
  std::vector<int64_t> out(static_cast<size_t>(size_));
  switch (dtype_) {
    case DType::kInt8:
    case DType::kInt4:
    case DType::kInt2:
      ConvertInto<int64_t, int8_t>(out.data(), raw(), size_);
      break;
    case DType::kUint8:
    case DType::kUint4:
    case DType::kUint2:
    case DType::kBool:
      ConvertInto<int64_t, uint8_t>(out.data(), raw(), size_);
      break;
    case DType::kInt16:
      ConvertInto<int64_t, int16_t>(out.data(), raw(), size_);
      break;
    case DType::kUint16:
      ConvertInto<int64_t, uint16_t>(out.data(), raw(), size_);
      break;
    case DType::kInt32:
      ConvertInto<int64_t, int32_t>(out.data(), raw(), size_);
      break;
    case DType::kUint32:
      ConvertInto<int64_t, uint32_t>(out.data(), raw(), size_);
      break;
    case DType::kInt64:
      ConvertInto<int64_t, int64_t>(out.data(), raw(), size_);
      break;
    case DType::kUint64:
      ConvertInto<int64_t, uint64_t>(out.data(), raw(), size_);
      break;
    default:
      throw Error(std::string("element type is ") + NameOf(dtype_) + ", expected integers");
  }
  return out;
}

Tensor Tensor::ToFloat32() const {
  if (dtype_ == DType::kFloat) return *this;
  Tensor result(DType::kFloat, shape_);
  float* out = result.data<float>();
  if (IsMiniFloat(dtype_)) {
    for (int64_t i = 0; i < size_; ++i) out[i] = MiniToFloat(dtype_, static_cast<uint8_t>(raw()[i]));
    return result;
  }
  switch (dtype_) {
    case DType::kInt8:
    case DType::kInt4:
    case DType::kInt2:
      ConvertInto<float, int8_t>(out, raw(), size_);
      break;
    case DType::kUint8:
    case DType::kUint4:
    case DType::kUint2:
    case DType::kBool:
      ConvertInto<float, uint8_t>(out, raw(), size_);
      break;
    case DType::kInt16:
      ConvertInto<float, int16_t>(out, raw(), size_);
      break;
    case DType::kUint16:
      ConvertInto<float, uint16_t>(out, raw(), size_);
      break;
    case DType::kInt32:
      ConvertInto<float, int32_t>(out, raw(), size_);
      break;
    case DType::kUint32:
      ConvertInto<float, uint32_t>(out, raw(), size_);
      break;
    case DType::kInt64:
      ConvertInto<float, int64_t>(out, raw(), size_);
      break;
    case DType::kUint64:
      ConvertInto<float, uint64_t>(out, raw(), size_);
      break;
    case DType::kDouble:
      ConvertInto<float, double>(out, raw(), size_);
      break;
    case DType::kFloat16:
      ConvertInto<float, Half>(out, raw(), size_);
      break;
    case DType::kBFloat16:
      ConvertInto<float, BFloat16>(out, raw(), size_);
      break;
    default:
      throw Error(std::string("element type is ") + NameOf(dtype_) + ", expected numbers");
  }
  return result;
}

bool Tensor::SameBytes(const Tensor& other) const {
  if (dtype_ != other.dtype_ || shape_ != other.shape_) return false;
  if (dtype_ == DType::kString) return *strings_ == *other.strings_;
  if (dtype_ == DType::kSequence) {
    return std::equal(items_->begin(), items_->end(), other.items_->begin(),
                      [](const Tensor& a, const Tensor& b) { return a.SameBytes(b); });
  }
  return size_ == 0 || std::memcmp(raw(), other.raw(), bytes()) == 0;
}

}  // namespace xslim
