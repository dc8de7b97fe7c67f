// A protobuf message in pieces: text of ours, and the bytes of tensors where they lie. No copy of a model's
// weights is made to write it.
#ifndef XSLIM_ONNX_ROPE_H_
#define XSLIM_ONNX_ROPE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace xslim {

// Tag and length of a length-delimited field of `bytes` bytes.
std::string FieldHead(uint32_t field, size_t bytes);

class Rope {
 public:
  void Add(std::string text);
  void Add(Tensor tensor);  // its elements; no strings
  void Add(Rope rope);
  void AddField(uint32_t field, const std::string& bytes) { Add(FieldHead(field, bytes.size()) + bytes); }
  void AddField(uint32_t field, Rope rope);

  size_t size() const { return size_; }  // in bytes
  std::string Text() const;
  // Calls sink for the pieces in their order. Pages of mapped tensors are given back behind it.
  void ForEach(const std::function<void(const void* data, size_t bytes)>& sink) const;

 private:
  std::vector<std::variant<std::string, Tensor>> pieces_;
  size_t size_ = 0;
};

}  // namespace xslim

#endif  // XSLIM_ONNX_ROPE_H_
