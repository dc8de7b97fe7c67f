// Before: MatMul of two matrices -> Add a constant bias        After: Gemm
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// The bias adds to every row (or is one number) and does not widen [rows, columns].
bool FitsGemm(const Tensor& bias, int64_t rows, int64_t columns) {
  if (bias.rank() > 2) return false;
  if (bias.rank() >= 1 && bias.dim(-1) != 1 && bias.dim(-1) != columns) return false;
  return bias.rank() < 2 || bias.dim(0) == 1 || bias.dim(0) == rows;
}

}  // namespace

int FuseGemm(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& product = graph->node(id);
    if (!product.Is("MatMul") || facts.DTypeOf(product.input(0)) != DType::kFloat) continue;
    if (facts.RankOf(product.input(0)) != 2 || facts.RankOf(product.input(1)) != 2) continue;
    const ValueId middle = product.outputs[0];
    const Node* add = SoleUserOfType(*graph, middle, "Add");
    if (add == nullptr || OtherInput(*add, middle) == kNone) continue;
    const ValueId bias = OtherInput(*add, middle);
    const Tensor* constant = graph->Constant(bias);
    if (constant == nullptr || !FitsGemm(*constant, facts.DimOf(middle, 0), facts.DimOf(middle, 1))) continue;
    const std::vector<ValueId> inputs{product.input(0), product.input(1), bias};
    const NodeId last = add->id;
    graph->RemoveNode(id);
    ReplaceWith(graph, last, "Gemm", inputs, {});
    ++count;
  }
  return count;
}

}  // namespace xslim
