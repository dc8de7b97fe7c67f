#include "simplify/uniform.h"

#include <algorithm>

namespace xslim {
namespace {

bool MovesOrRepeats(const Node& node) {
  const auto is_first = [&](ValueId input) { return input == node.inputs[0]; };
  if (node.Is("Concat")) return std::all_of(node.inputs.begin(), node.inputs.end(), is_first);
  for (const char* type : {"Expand", "Tile", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity",
                           "Transpose", "Slice", "Gather"}) {
    if (node.Is(type)) return true;
  }
  return false;
}

std::optional<Tensor> OneNumber(const Tensor& tensor) {
  static constexpr DType kTypes[] = {DType::kFloat, DType::kFloat16, DType::kBFloat16, DType::kDouble,
                                     DType::kInt32, DType::kInt64,   DType::kBool};
  if (!tensor.is_tensor() || tensor.size() == 0 ||
      std::find(std::begin(kTypes), std::end(kTypes), tensor.dtype()) == std::end(kTypes))
    return std::nullopt;
  const size_t size = SizeOf(tensor.dtype());
  const float* floats = tensor.dtype() == DType::kFloat ? tensor.data<float>() : nullptr;
  for (int64_t i = 1; i < tensor.size(); ++i) {
    if (floats != nullptr && floats[0] == floats[i]) continue;  // zeros of both signs
    if (!std::equal(tensor.raw(), tensor.raw() + size, tensor.raw() + static_cast<size_t>(i) * size))
      return std::nullopt;
  }
  Tensor number(tensor.dtype(), Shape());
  std::copy_n(tensor.raw(), size, number.raw());
  return number;
}

}  // namespace

std::optional<Tensor> UniformOf(const Graph& graph, ValueId id) {
  while (id != kNone) {
    if (const Tensor* constant = graph.Constant(id)) return OneNumber(*constant);
    const Node* node = graph.Producer(id);
    if (node == nullptr) return std::nullopt;
    if (node->Is("ConstantOfShape")) {
      const auto value = node->attributes.find("value");
      return value == node->attributes.end() ? Tensor::Scalar(0.0f) : OneNumber(value->second.tensor);
    }
    if (!MovesOrRepeats(*node)) return std::nullopt;
    id = node->input(0);
  }
  return std::nullopt;
}

}  // namespace xslim
