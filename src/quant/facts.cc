#include "quant/facts.h"

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

bool TakesBias(const Node& node) { return node.Is("Conv") || node.Is("ConvTranspose") || node.Is("Gemm"); }

DType OtherFloatOf(const Node& node, const ValueFacts& facts) {
  if (!IsComputing(node) || node.input(0) == kNone) return DType::kUndefined;
  const DType type = facts.of(node.input(0)).dtype;
  return IsFloating(type) && type != DType::kFloat ? type : DType::kUndefined;
}

int64_t MacsOf(const Node& node, const ValueFacts& facts) {
  if (node.IsRecurrent() && node.inputs.size() >= 3) {
    // Every step of every sequence multiplies with all of W and R.
    const Shape& x = facts.of(node.input(0)).shape;
    const int64_t weights = facts.elements(node.input(1)) + facts.elements(node.input(2));
    return x.empty() || x.back() <= 0 ? 0 : facts.elements(node.input(0)) / x.back() * weights;
  }
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

int64_t MacsOf(const Graph& graph, const ValueFacts& facts) {
  int64_t macs = 0;
  for (NodeId id : graph.Order()) macs += MacsOf(graph.node(id), facts);
  return macs;
}

}  // namespace xslim
