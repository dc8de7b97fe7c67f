// Before: Gemm with transA, or with alpha or beta and constants that take them
// After:  [Transpose ->] Gemm without them, the only one that SpacemiT's runtime computes
#include <cmath>

#include "simplify/simplify.h"

namespace xslim {
namespace {

// The constant times `factor`; an empty tensor where it is none or a product is not finite.
Tensor Scaled(const Graph& graph, ValueId id, float factor) {
  const Tensor* constant = graph.Constant(id);
  if (constant == nullptr || constant->dtype() != DType::kFloat) return Tensor();
  Tensor scaled = constant->Clone();
  for (int64_t i = 0; i < scaled.size(); ++i) {
    float& value = scaled.data<float>()[i];
    value *= factor;
    if (!std::isfinite(value)) return Tensor();
  }
  return scaled;
}

}  // namespace

int PlainGemm(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!node.Is("Gemm")) continue;
    const bool turned = node.Int("transA", 0) != 0;
    const float alpha = node.Float("alpha", 1.0f), beta = node.Float("beta", 1.0f);
    if (!turned && alpha == 1.0f && beta == 1.0f) continue;
    const ValueId x = node.input(0), weights = node.input(1), bias = node.input(2);
    const bool scaled_bias = bias != kNone && beta != 1.0f;
    Tensor new_weights = alpha == 1.0f ? Tensor() : Scaled(*graph, weights, alpha);
    Tensor new_bias = scaled_bias ? Scaled(*graph, bias, beta) : Tensor();
    if ((alpha != 1.0f && new_weights.size() == 0) || (scaled_bias && new_bias.size() == 0)) continue;
    if (alpha != 1.0f)
      graph->SetInput(id, 1, graph->AddConstant(graph->value(weights).name, std::move(new_weights)));
    if (scaled_bias) graph->SetInput(id, 2, graph->AddConstant(graph->value(bias).name, std::move(new_bias)));
    if (turned) {
      const std::string name = graph->node(id).name + "_turned";
      const ValueId rows = graph->AddValue(name, graph->value(x).dtype);
      graph->AddNode("Transpose", name, {x}, {rows}, {{"perm", Attribute::Ints({1, 0})}});
      graph->SetInput(id, 0, rows);
    }
    for (const char* attribute : {"alpha", "beta", "transA"}) graph->node(id).attributes.erase(attribute);
    ++count;
  }
  return count;
}

}  // namespace xslim
