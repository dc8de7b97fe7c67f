// Before: Pad (constant, spatial axes only) -> Conv | AveragePool | MaxPool        After: the same with
// larger pads Zeros go into Conv and into an AveragePool that counts its padding. MaxPool pads with minus
// infinity, so it takes that, and zeros where nothing below zero comes in. A window must not lie in padding
// alone.
#include <algorithm>
#include <limits>

#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

struct Padding {
  std::vector<int64_t> pads;  // of all axes: begins, then ends; empty when it is not what a window can do
  float filler = 0.0f;
};

Padding PaddingOf(const Graph& graph, const ShapeFacts& facts, const Node& pad) {
  if (pad.String("mode", "constant") != "constant") return {};
  auto pads = IntsOf(graph, pad, 1, "pads");
  if (!pads) return {};
  Padding result;
  result.filler = pad.Float("value", 0.0f);
  if (pad.input(2) != kNone) {
    const auto filler = ScalarOf(graph, pad.input(2));
    if (!filler) return {};
    result.filler = *filler;
  }
  if (pad.input(3) != kNone) {  // pads are of these axes alone
    const auto axes = IntsOf(graph, pad, 3, "");
    const int64_t rank = facts.RankOf(pad.input(0));
    if (!axes || rank < 0 || pads->size() != 2 * axes->size()) return {};
    std::vector<int64_t> all(static_cast<size_t>(2 * rank), 0);
    for (size_t i = 0; i < axes->size(); ++i) {
      const int64_t axis = (*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i];
      if (axis < 0 || axis >= rank) return {};
      all[static_cast<size_t>(axis)] = (*pads)[i];
      all[static_cast<size_t>(axis + rank)] = (*pads)[i + axes->size()];
    }
    pads = std::move(all);
  }
  if (pads->size() < 6 || pads->size() % 2 != 0) return {};
  const size_t rank = pads->size() / 2;
  for (size_t i = 0; i < pads->size(); ++i) {
    if ((*pads)[i] < 0 || (i % rank < 2 && (*pads)[i] != 0)) return {};
  }
  result.pads = std::move(*pads);
  return result;
}

bool NeverNegative(const Graph& graph, ValueId id) {
  const Node* producer = graph.Producer(id);
  if (producer == nullptr) return false;
  if (producer->Is("Clip")) {
    if (producer->inputs.size() < 2) return producer->Float("min", -1.0f) >= 0.0f;
    return ScalarOf(graph, producer->input(1)).value_or(-1.0f) >= 0.0f;
  }
  return producer->Is("Relu") || producer->Is("Sigmoid") || producer->Is("HardSigmoid") ||
         producer->Is("Softmax");
}

// The pads of the reader with the padding added; empty when they do not fit.
std::vector<int64_t> Summed(const Node& reader, const Padding& padding) {
  const size_t rank = padding.pads.size() / 2, spatial = rank - 2;
  const std::string automatic = reader.String("auto_pad", "NOTSET");
  std::vector<int64_t> sum = reader.Ints("pads", std::vector<int64_t>(spatial * 2, 0));
  if ((automatic != "NOTSET" && automatic != "VALID") || sum.size() != spatial * 2) return {};
  for (size_t axis = 0; axis < spatial; ++axis) {
    sum[axis] += padding.pads[axis + 2];
    sum[axis + spatial] += padding.pads[rank + axis + 2];
  }
  return sum;
}

bool Fits(const Graph& graph, ValueId padded, const Use& use, const Padding& padding) {
  const Node& reader = graph.node(use.node);
  if (use.slot != 0) return false;
  const std::vector<int64_t> sum = Summed(reader, padding);
  if (sum.empty()) return false;
  if (reader.Is("Conv")) return padding.filler == 0.0f;
  if (!reader.Is("AveragePool") && !reader.Is("MaxPool")) return false;
  const std::vector<int64_t> kernel = reader.Ints("kernel_shape"), old = reader.Ints("pads");
  for (size_t i = 0; i < sum.size(); ++i) {
    if (kernel.size() * 2 != sum.size() || sum[i] >= kernel[i % kernel.size()]) return false;
  }
  if (reader.Int("ceil_mode", 0) != 0 || reader.Has("dilations") || reader.outputs.size() != 1) return false;
  if (reader.Is("AveragePool")) {
    const bool counts = reader.Int("count_include_pad", 0) != 0 ||
                        std::all_of(old.begin(), old.end(), [](int64_t pad) { return pad == 0; });
    return padding.filler == 0.0f && counts;
  }
  if (padding.filler <= std::numeric_limits<float>::lowest()) return true;
  return padding.filler == 0.0f && NeverNegative(graph, graph.node(graph.value(padded).producer).input(0));
}

}  // namespace

int FusePad(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->node(id).Is("Pad")) continue;
    const Padding padding = PaddingOf(*graph, facts, graph->node(id));
    const ValueId output = graph->node(id).outputs[0];
    const Value& value = graph->value(output);
    if (padding.pads.empty() || value.is_output || value.uses.empty() ||
        graph->CapturedBySubgraph(value.name))
      continue;
    const std::vector<Use> uses = value.uses;
    if (!std::all_of(uses.begin(), uses.end(),
                     [&](const Use& use) { return Fits(*graph, output, use, padding); })) {
      continue;
    }
    for (const Use& use : uses) {
      Node& reader = graph->node(use.node);
      reader.attributes["pads"] = Attribute::Ints(Summed(reader, padding));
      reader.attributes.erase("auto_pad");
      if (reader.Is("AveragePool")) reader.attributes["count_include_pad"] = Attribute::Int(1);
      graph->SetInput(use.node, 0, graph->node(id).input(0));
    }
    graph->RemoveNode(id);
    ++count;
  }
  return count;
}

}  // namespace xslim
