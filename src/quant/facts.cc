#include "quant/facts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/executor.h"

namespace xslim {

ValueFacts::ValueFacts(const Graph& graph, const std::vector<Tensor>& inputs, ThreadPool& pool)
    : facts_(graph.value_slots()) {
  std::vector<ValueId> all;
  for (size_t i = 0; i < graph.value_slots(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (value.constant.defined()) {
      facts_[i] = {value.constant.dtype(), value.constant.shape()};
    } else if (value.id != kNone) {
      all.push_back(value.id);
    }
  }
  Executor executor(graph, pool, {.fuse = false});
  executor.SetTaps(all, [this](ValueId id, const Tensor& tensor) {
    facts_[static_cast<size_t>(id)] = {tensor.dtype(), tensor.shape()};
  });
  executor.Run(inputs);
  unknown_ = executor.Unknown();
}

bool IsComputing(const Node& node) {
  return node.Is("Conv") || node.Is("ConvTranspose") || node.Is("Gemm") || node.Is("MatMul");
}

ValueFacts::ValueFacts(const Graph& graph) : facts_(graph.value_slots()) {
  for (size_t i = 0; i < graph.value_slots(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (value.id == kNone) continue;
    if (value.constant.defined()) {
      facts_[i] = {value.constant.dtype(), value.constant.shape()};
      continue;
    }
    Shape shape;
    for (const Dim& dim : value.dims) shape.push_back(dim.size);
    const bool known = value.has_shape && value.dtype != DType::kUndefined &&
                       std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size >= 0; });
    if (known) facts_[i] = {value.dtype, std::move(shape)};
  }
}

int64_t DeclaredMacs(const Graph& graph) {
  const ValueFacts facts(graph);
  int64_t sum = 0;
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    // Integer products are not counted, so a model that holds some has no known number.
    if (node.op_type.find("MatMulInteger") != std::string::npos ||
        node.op_type.find("DynamicQuantizeMatMul") != std::string::npos)
      return -1;
    if (!IsComputing(node)) continue;
    for (ValueId value : {node.input(0), node.input(1), node.outputs[0]}) {
      if (value == kNone || facts.of(value).dtype == DType::kUndefined) return -1;
    }
    sum += MacsOf(node, facts);
  }
  return sum;
}

int64_t MacsOf(const Node& node, const ValueFacts& facts) {
  if (!IsComputing(node)) return 0;
  const ValueId a = node.input(0), b = node.input(1), y = node.outputs[0];
  if (a == kNone || b == kNone || facts.of(y).dtype == DType::kUndefined) return 0;
  const Shape& weight = facts.of(b).shape;
  if (node.Is("Conv") && !weight.empty() && weight[0] > 0)
    return facts.elements(y) * (facts.elements(b) / weight[0]);
  if (node.Is("ConvTranspose") && !weight.empty() && weight[0] > 0)
    return facts.elements(a) * (facts.elements(b) / weight[0]);
  if (node.Is("Gemm")) {
    const Shape& shape = facts.of(a).shape;
    return shape.size() == 2 ? facts.elements(y) * shape[node.Int("transA", 0) ? 0 : 1] : 0;
  }
  const Shape& shape = facts.of(a).shape;
  return shape.empty() ? 0 : facts.elements(y) * shape.back();
}

}  // namespace xslim
