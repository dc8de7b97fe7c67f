// Attributes of nodes: made, and asked for.
#include <algorithm>
#include <utility>

#include "graph/graph.h"
#include "xslim/error.h"

namespace xslim {
namespace {

[[noreturn]] void WrongKind(const Node& node, const std::string& attribute, const char* wanted) {
  throw Error("attribute " + attribute + " has the wrong type.", "node " + node.Title(),
              std::string("expected ") + wanted);
}

const Attribute* Get(const Node& node, const std::string& name, Attribute::Kind kind, const char* wanted) {
  auto at = node.attributes.find(name);
  if (at == node.attributes.end()) return nullptr;
  if (at->second.kind != kind) WrongKind(node, name, wanted);
  return &at->second;
}

}  // namespace

Attribute Attribute::Int(int64_t value) {
  Attribute a;
  a.kind = Kind::kInt;
  a.i = value;
  return a;
}
Attribute Attribute::Float(float value) {
  Attribute a;
  a.kind = Kind::kFloat;
  a.f = value;
  return a;
}
Attribute Attribute::String(std::string value) {
  Attribute a;
  a.kind = Kind::kString;
  a.s = std::move(value);
  return a;
}
Attribute Attribute::Ints(std::vector<int64_t> values) {
  Attribute a;
  a.kind = Kind::kInts;
  a.ints = std::move(values);
  return a;
}
Attribute Attribute::Floats(std::vector<float> values) {
  Attribute a;
  a.kind = Kind::kFloats;
  a.floats = std::move(values);
  return a;
}
Attribute Attribute::OfTensor(Tensor value) {
  Attribute a;
  a.kind = Kind::kTensor;
  a.tensor = std::move(value);
  return a;
}

int64_t Node::Int(const std::string& attribute, int64_t otherwise) const {
  const Attribute* a = Get(*this, attribute, Attribute::Kind::kInt, "an integer");
  return a ? a->i : otherwise;
}
float Node::Float(const std::string& attribute, float otherwise) const {
  const Attribute* a = Get(*this, attribute, Attribute::Kind::kFloat, "a float");
  return a ? a->f : otherwise;
}
std::string Node::String(const std::string& attribute, const std::string& otherwise) const {
  const Attribute* a = Get(*this, attribute, Attribute::Kind::kString, "a string");
  return a ? a->s : otherwise;
}
std::vector<int64_t> Node::Ints(const std::string& attribute, std::vector<int64_t> otherwise) const {
  const Attribute* a = Get(*this, attribute, Attribute::Kind::kInts, "a list of integers");
  return a ? a->ints : otherwise;
}
std::vector<float> Node::Floats(const std::string& attribute, std::vector<float> otherwise) const {
  const Attribute* a = Get(*this, attribute, Attribute::Kind::kFloats, "a list of floats");
  return a ? a->floats : otherwise;
}
const Tensor* Node::TensorOf(const std::string& attribute) const {
  const Attribute* a = Get(*this, attribute, Attribute::Kind::kTensor, "a tensor");
  return a ? &a->tensor : nullptr;
}

bool Node::IsOneOf(std::initializer_list<std::string_view> types) const {
  return domain.empty() && std::find(types.begin(), types.end(), op_type) != types.end();
}

bool Node::IsRecurrent() const { return Is("LSTM") || Is("GRU") || Is("RNN"); }

bool Node::IsScaledGemm() const {
  return Is("Gemm") && (Float("alpha", 1.0f) != 1.0f || Float("beta", 1.0f) != 1.0f);
}

}  // namespace xslim
