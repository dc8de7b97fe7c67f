// Before: Pad (zeros, spatial axes only) -> Conv        After: Conv with larger pads
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// The pads as an attribute or a constant input; empty when they are not known or do not fit a convolution.
std::vector<int64_t> ZeroPads(const Graph& graph, const Node& pad) {
  if (pad.String("mode", "constant") != "constant" || pad.input(3) != kNone) return {};
  std::vector<int64_t> pads = pad.Ints("pads");
  float filler = pad.Float("value", 0.0f);
  if (pad.input(1) != kNone) {
    const Tensor* tensor = graph.Constant(pad.input(1));
    if (tensor == nullptr) return {};
    pads = tensor->ToInts();
  }
  if (pad.input(2) != kNone) filler = ScalarOf(graph, pad.input(2)).value_or(1.0f);
  if (filler != 0.0f || pads.size() < 6 || pads.size() % 2 != 0) return {};
  const size_t rank = pads.size() / 2;
  for (size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] < 0 || (i % rank < 2 && pads[i] != 0)) return {};
  }
  return pads;
}

bool Fits(const Graph& graph, const Use& use, size_t rank) {
  const Node& conv = graph.node(use.node);
  if (!conv.Is("Conv") || use.slot != 0) return false;
  const std::string automatic = conv.String("auto_pad", "NOTSET");
  const std::vector<int64_t> old = conv.Ints("pads", std::vector<int64_t>((rank - 2) * 2, 0));
  return (automatic == "NOTSET" || automatic == "VALID") && old.size() == (rank - 2) * 2;
}

}  // namespace

int FusePad(Graph* graph, const SimplifyOptions&) {
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->node(id).Is("Pad")) continue;
    const std::vector<int64_t> pads = ZeroPads(*graph, graph->node(id));
    const ValueId output = graph->node(id).outputs[0];
    const Value& value = graph->value(output);
    const size_t rank = pads.size() / 2;
    if (pads.empty() || value.is_output || value.uses.empty() || graph->CapturedBySubgraph(value.name))
      continue;
    bool fits = true;
    for (const Use& use : value.uses) fits = fits && Fits(*graph, use, rank);
    if (!fits) continue;
    const std::vector<Use> uses = value.uses;
    for (const Use& use : uses) {
      Node& conv = graph->node(use.node);
      std::vector<int64_t> sum = conv.Ints("pads", std::vector<int64_t>((rank - 2) * 2, 0));
      for (size_t axis = 0; axis + 2 < rank; ++axis) {
        sum[axis] += pads[axis + 2];
        sum[axis + rank - 2] += pads[rank + axis + 2];
      }
      conv.attributes.erase("auto_pad");
      conv.attributes["pads"] = Attribute::Ints(sum);
      graph->SetInput(use.node, 0, graph->node(id).input(0));
    }
    graph->RemoveNode(id);
    ++count;
  }
  return count;
}

}  // namespace xslim
