// Before: y = op(x), z = op(x) with equal attributes; initializers a and b of equal bytes
// After:  readers of z read y; readers of b read a
#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "graph/function.h"
#include "ops/operator.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

constexpr size_t kPrefix = 64;

template <typename T>
void Append(const T& plain, std::string* key) {
  key->append(reinterpret_cast<const char*>(&plain), sizeof plain);
}

void Append(const std::string& text, std::string* key) {
  Append(text.size(), key);
  *key += text;
}

template <typename T>
void Append(const std::vector<T>& list, std::string* key) {
  Append(list.size(), key);
  for (const T& element : list) Append(element, key);
}

void Append(const Tensor& tensor, std::string* key) {
  Append(tensor.dtype(), key);
  Append(tensor.shape(), key);
  if (tensor.bytes() > 0) key->append(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
}

// Everything that the result of the node depends on; none where that cannot be said.
std::optional<std::string> KeyOf(const Node& node) {
  if (IsRandom(node) || node.inputs.empty()) return std::nullopt;
  std::string key;
  Append(node.domain, &key);
  Append(node.op_type, &key);
  Append(node.inputs, &key);
  for (ValueId output : node.outputs) Append(output == kNone, &key);
  for (const auto& [name, attribute] : node.attributes) {
    using Kind = Attribute::Kind;
    if (attribute.kind == Kind::kGraph || attribute.kind == Kind::kGraphs ||
        attribute.kind == Kind::kTensors || attribute.kind == Kind::kOther ||
        attribute.tensor.dtype() == DType::kString) {
      return std::nullopt;
    }
    Append(name, &key);
    Append(attribute.kind, &key);
    Append(attribute.i, &key);
    Append(attribute.f, &key);
    Append(attribute.s, &key);
    Append(attribute.ints, &key);
    Append(attribute.floats, &key);
    Append(attribute.strings, &key);
    if (attribute.tensor.defined()) Append(attribute.tensor, &key);
  }
  return key;
}

// An operator of a domain that we do not know, or of the model's own functions, may draw random numbers.
bool IsPure(const Graph& graph, const Node& node) {
  return (node.domain.empty() || node.domain == "com.microsoft") && FindFunction(graph, node) == nullptr;
}

}  // namespace

int MergeDuplicates(Graph* graph, const SimplifyOptions&) {
  std::map<std::string, NodeId> first;
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!IsPure(*graph, node)) continue;
    const auto key = KeyOf(node);
    if (!key) continue;
    const auto [at, added] = first.emplace(*key, id);
    if (added) continue;
    const std::vector<ValueId> ours = node.outputs, theirs = graph->node(at->second).outputs;
    // Outputs of the graph keep their own operator: two names need two results.
    bool outputs = false;
    for (ValueId output : ours) outputs = outputs || (output != kNone && graph->value(output).is_output);
    if (outputs) continue;
    for (size_t i = 0; i < ours.size(); ++i) {
      if (ours[i] != kNone) graph->ReplaceUses(ours[i], theirs[i]);
    }
    graph->RemoveNode(id);
    ++count;
  }
  return count;
}

int MergeConstants(Graph* graph, const SimplifyOptions&) {
  // By size and first bytes; the others are compared, which ends at the first that differs.
  std::map<std::pair<size_t, std::string_view>, std::vector<ValueId>> alike;
  int count = 0;
  const ValueId end = static_cast<ValueId>(graph->value_slots());
  for (ValueId id = 0; id < end; ++id) {
    const Value& value = graph->value(id);
    if (value.id == kNone || !value.is_constant() || value.is_output || value.dtype == DType::kString ||
        !value.constant.is_tensor())
      continue;
    const Tensor& tensor = value.constant;
    // Zero points: ONNX Runtime's rewriting of int8 weights (session.x64quantprecision) makes a new constant of
    // each one by its name, and fails on one that two nodes share.
    if (tensor.size() == 1 && (tensor.dtype() == DType::kInt8 || tensor.dtype() == DType::kUint8)) continue;
    const size_t bytes = tensor.bytes();
    const std::string_view begin(bytes == 0 ? "" : reinterpret_cast<const char*>(tensor.raw()),
                                 std::min(bytes, kPrefix));
    std::vector<ValueId>& candidates = alike[{bytes, begin}];
    bool merged = false;
    for (ValueId other : candidates) {
      if (!graph->value(other).constant.SameBytes(tensor)) continue;
      graph->ReplaceUses(id, other);
      merged = true;
      break;
    }
    if (merged) {
      ++count;
    } else {
      candidates.push_back(id);
    }
  }
  return count;
}

}  // namespace xslim
