#include "onnx/rope.h"

#include <utility>

#include "base/file.h"

namespace xslim {
namespace {

void AppendVarint(uint64_t number, std::string* out) {
  for (; number >= 128; number >>= 7) out->push_back(static_cast<char>(number | 128));
  out->push_back(static_cast<char>(number));
}

}  // namespace

std::string FieldHead(uint32_t field, size_t bytes) {
  std::string head;
  AppendVarint(field << 3 | 2, &head);
  AppendVarint(bytes, &head);
  return head;
}

void Rope::Add(std::string text) {
  size_ += text.size();
  if (!pieces_.empty() && std::holds_alternative<std::string>(pieces_.back())) {
    std::get<std::string>(pieces_.back()) += text;
  } else {
    pieces_.emplace_back(std::move(text));
  }
}

void Rope::Add(Tensor tensor) {
  size_ += tensor.bytes();
  pieces_.emplace_back(std::move(tensor));
}

void Rope::Add(Rope rope) {
  for (auto& piece : rope.pieces_) std::visit([this](auto& part) { Add(std::move(part)); }, piece);
}

void Rope::AddField(uint32_t field, Rope rope) {
  Add(FieldHead(field, rope.size_));
  Add(std::move(rope));
}

std::string Rope::Text() const {
  std::string text;
  text.reserve(size_);
  ForEach([&](const void* data, size_t bytes) { text.append(static_cast<const char*>(data), bytes); });
  return text;
}

void Rope::ForEach(const std::function<void(const void* data, size_t bytes)>& sink) const {
  for (const auto& piece : pieces_) {
    if (const auto* text = std::get_if<std::string>(&piece)) {
      sink(text->data(), text->size());
    } else {
      const Tensor& tensor = std::get<Tensor>(piece);
      sink(tensor.raw(), tensor.bytes());
      if (tensor.mapped()) ForgetMapped(tensor.raw(), tensor.bytes());
    }
  }
}

}  // namespace xslim
