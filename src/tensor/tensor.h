// A dense tensor: element type, shape, shared storage. Copying a Tensor shares its storage; Clone() copies
// it. ONNX's sequences and optionals travel in the same class, so that every value of a graph is a Tensor.
#ifndef XSLIM_TENSOR_TENSOR_H_
#define XSLIM_TENSOR_TENSOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor/dtype.h"
#include "xslim/error.h"

namespace xslim {

using Shape = std::vector<int64_t>;

// Product of the dimensions; throws Error on negative dimensions or a product over 2^46.
int64_t ElementCount(const Shape& shape);
// Product of the dimensions behind `axis`.
int64_t InnerCount(const Shape& shape, int64_t axis);
std::string ToString(const Shape& shape);  // "[1,3,224,224]"
// Numpy's rule; throws Error when the shapes do not agree.
Shape BroadcastShapes(const Shape& a, const Shape& b);

// The machine, not the model: nothing that goes on after other errors goes on after this one.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// Where the bytes of a tensor come from; a pool hands out recycled blocks. Blocks are 64-byte aligned.
class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual std::shared_ptr<std::byte> Allocate(size_t bytes) = 0;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: dtype kUndefined
  // Uninitialised elements (strings: empty ones). allocator may be null (heap).
  Tensor(DType dtype, Shape shape, Allocator* allocator = nullptr);

  template <typename T>
  static Tensor Of(Shape shape, const std::vector<T>& values) {
    Tensor tensor(DTypeOf<T>::value, std::move(shape));
    T* out = tensor.data<T>();
    for (size_t i = 0; i < values.size(); ++i) out[i] = values[i];
    return tensor;
  }
  template <typename T>
  static Tensor Scalar(T value) {
    return Of<T>({}, std::vector<T>{value});
  }
  static Tensor Strings(Shape shape, std::vector<std::string> values);
  static Tensor Sequence(std::vector<Tensor> items);  // kSequence, shape [items]
  static Tensor EmptyOptional();                      // kEmptyOptional, shape [0]
  // Elements that lie elsewhere and are kept alive by `bytes`, aligned for their type (not for strings). With
  // `mapped` they are pages of a file that nobody may write to: who asks for a non-const pointer gets a copy.
  static Tensor Borrow(DType dtype, Shape shape, std::shared_ptr<std::byte> bytes, bool mapped);

  bool mapped() const { return mapped_; }  // elements are pages of a file
  bool defined() const { return dtype_ != DType::kUndefined; }
  bool is_tensor() const { return defined() && dtype_ < DType::kSequence; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t dim(int64_t axis) const { return shape_[static_cast<size_t>(axis < 0 ? axis + rank() : axis)]; }
  int64_t size() const { return size_; }
  // Of the elements; of all items' for a sequence. 0 for strings.
  size_t bytes() const;

  // The elements; throws Error when T is not the element type (int8_t also reads int4 and int2, uint8_t
  // also uint4, uint2 and bool).
  template <typename T>
  T* data() {
    Check(DTypeOf<T>::value);
    if (mapped_) Detach();
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* data() const {
    Check(DTypeOf<T>::value);
    return reinterpret_cast<const T*>(data_.get());
  }
  std::byte* raw() {
    if (mapped_) Detach();
    return data_.get();
  }
  const std::byte* raw() const { return data_.get(); }
  // What keeps the elements alive: tensors that share them have equal ones. Null for strings and what is no
  // tensor. Not to be written through.
  const std::shared_ptr<std::byte>& storage() const { return data_; }
  std::vector<std::string>& strings() { return *strings_; }
  const std::vector<std::string>& strings() const { return *strings_; }
  const std::vector<Tensor>& items() const;  // of a sequence; throws Error when it is none

  Tensor Reshaped(Shape shape) const;  // shares storage; throws Error when the element counts differ
  Tensor Clone() const;
  // Element values converted; integer and boolean types only.
  std::vector<int64_t> ToInts() const;
  // Any numeric type converted to float32 (shares storage when it is float32 already).
  Tensor ToFloat32() const;
  bool SameBytes(const Tensor& other) const;  // dtype, shape and every bit, of all items too

 private:
  void Check(DType wanted) const;
  void Detach();
  DType dtype_ = DType::kUndefined;
  bool mapped_ = false;
  Shape shape_;
  int64_t size_ = 0;
  std::shared_ptr<std::byte> data_;
  std::shared_ptr<std::vector<std::string>> strings_;
  std::shared_ptr<const std::vector<Tensor>> items_;
};

// Bytes on a fresh 64-byte aligned heap block (never null, also for 0 bytes). Throws OutOfMemory.
std::shared_ptr<std::byte> AllocateAligned(size_t bytes);

}  // namespace xslim

#endif  // XSLIM_TENSOR_TENSOR_H_
