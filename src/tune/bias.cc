#include "tune/bias.h"

#include <utility>
#include <vector>

#include "quant/channel_means.h"
#include "quant/facts.h"

namespace xslim {

bool HasOwnConstant(const Graph& graph, const Node& node, size_t slot) {
  const ValueId id = node.input(slot);
  return id != kNone && graph.Constant(id) != nullptr && graph.Constant(id)->dtype() == DType::kFloat &&
         graph.SoleUser(id) != kNone;
}

namespace {

// Of the output of an operator that takes a bias.
int64_t OutputChannels(const Graph& graph, const Node& node) {
  const Tensor& weight = *graph.Constant(node.input(1));
  if (node.Is("ConvTranspose")) return weight.dim(1) * node.Int("group", 1);
  if (node.Is("Gemm")) return weight.dim(node.Int("transB", 0) ? 0 : 1);
  return weight.dim(0);
}

}  // namespace

bool MayHaveBias(const Graph& graph, const Node& node) {
  if (!TakesBias(node) || graph.Constant(node.input(1)) == nullptr) return false;
  if (node.IsScaledGemm()) return false;
  if (node.input(2) == kNone) return true;
  const Tensor* bias = graph.Constant(node.input(2));
  return bias != nullptr && bias->dtype() == DType::kFloat && bias->rank() == 1 &&
         bias->size() == OutputChannels(graph, node);
}

bool GiveBias(Graph* graph, NodeId id) {
  const Node& node = graph->node(id);
  if (!MayHaveBias(*graph, node)) return false;
  if (node.input(2) == kNone) {
    const int64_t channels = OutputChannels(*graph, node);
    graph->SetInput(
        id, 2,
        graph->AddConstant(
            node.name + "_bias",
            Tensor::Of<float>({channels}, std::vector<float>(static_cast<size_t>(channels), 0.0f))));
  } else if (!HasOwnConstant(*graph, node, 2)) {
    SetOwnConstant(graph, id, 2, graph->Constant(node.input(2))->Clone());
  }
  return true;
}

BiasSite BiasOf(Graph* graph, NodeId id) {
  if (GiveBias(graph, id)) return {id, 2};
  const auto [add, slot] = BiasBehind(*graph, graph->node(id));
  if (add == kNone) return {};
  const ValueId vector = graph->node(add).input(slot);
  if (!HasOwnConstant(*graph, graph->node(add), slot))
    SetOwnConstant(graph, add, slot, graph->Constant(vector)->Clone());
  return {add, slot};
}

const WeightQuant* ShiftBias(Graph* graph, QuantPlan* plan, const BiasSite& site,
                             const std::vector<double>& shift) {
  Tensor moved = graph->Constant(graph->node(site.node).input(site.slot))->Clone();
  float* const bias = moved.data<float>();
  for (size_t c = 0; c < shift.size(); ++c) bias[c] += static_cast<float>(shift[c]);
  SetOwnConstant(graph, site.node, site.slot, std::move(moved));
  if (IsComputing(graph->node(site.node))) return nullptr;  // quantized at the end, if at all
  for (WeightQuant& weight : plan->weights) {
    if (weight.node != site.node || static_cast<size_t>(weight.slot) != site.slot) continue;
    QuantizeOperand(*graph, &weight);
    return &weight;
  }
  return nullptr;
}

void SetOwnConstant(Graph* graph, NodeId id, size_t slot, Tensor constant) {
  const Node& node = graph->node(id);
  const ValueId old = node.input(slot);
  if (HasOwnConstant(*graph, node, slot))
    graph->SetConstant(old, std::move(constant));
  else
    graph->SetInput(id, slot, graph->AddConstant(graph->value(old).name + "_own", std::move(constant)));
}

}  // namespace xslim
