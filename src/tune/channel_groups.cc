#include "tune/channel_groups.h"

#include <set>

#include "quant/facts.h"
#include "tune/bias.h"
#include "tune/channel_walk.h"

namespace xslim {
namespace {

// Commutes with a factor for each channel. Pools do where channels are axis 1, and mix what lies along the
// others.
bool ScalesThrough(const Node& node, bool channels_first) {
  for (const char* type : {"Relu", "LeakyRelu", "PRelu", "Identity"}) {
    if (node.Is(type)) return true;
  }
  for (const char* type : {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}) {
    if (node.Is(type)) return channels_first;
  }
  return false;
}

bool IsNormalizationType(const Node& node) {
  return node.Is("LayerNormalization") || node.Is("RMSNormalization");
}

// The vectors of the operator that scale with its output's channels: biases, the scale of a normalization,
// what an Add adds and a Mul multiplies by. Others may read them, too: who rescales one sees to that
// (ScaleVector).
std::vector<Slot> ScaledVectors(const Graph& graph, const Node& node) {
  std::vector<Slot> vectors;
  const auto add = [&](size_t slot) {
    const Tensor* constant = node.input(slot) == kNone ? nullptr : graph.Constant(node.input(slot));
    if (constant != nullptr && constant->dtype() == DType::kFloat && constant->rank() == 1)
      vectors.push_back({node.id, slot});
  };
  const bool either = node.Is("Add") || node.Is("Mul"), normalization = IsNormalizationType(node);
  if (either) add(0);
  if (either || normalization) add(1);
  if (normalization || TakesBias(node)) add(2);
  return vectors;
}

const Tensor& VectorAt(const Graph& graph, const Slot& at) {
  return *graph.Constant(graph.node(at.node).input(at.slot));
}

// A layer in front of or behind a group's tensors: it has constant float weights that nothing else reads.
bool HasWeights(const Graph& graph, const Node& node) {
  if (!IsComputing(node) || !HasOwnConstant(graph, node, 1)) return false;
  const Tensor& weight = *graph.Constant(node.input(1));
  if (node.Is("MatMul")) return weight.rank() == 2;
  if (weight.rank() < 2) return false;
  if (node.IsScaledGemm() || (node.Is("Gemm") && node.Int("transA", 0))) return false;
  if (node.Is("ConvTranspose") && node.Int("group", 1) != 1) return false;
  return node.input(2) == kNone || !ScaledVectors(graph, node).empty();
}

// LayerNormalization or RMSNormalization over the last axis, with constant vectors.
bool IsNormalization(const Graph& graph, const Node& node) {
  if (!IsNormalizationType(node) || node.Int("axis", -1) != -1) return false;
  if (node.outputs.size() > 1 && (node.outputs[1] != kNone || node.outputs.size() > 2)) return false;
  return ScaledVectors(graph, node).size() == (node.input(2) == kNone ? 1 : 2);
}

// A Mul by a vector along the last axis (the gain of a normalization written as arithmetic).
bool IsGain(const Graph& graph, const Node& node) {
  if (!node.Is("Mul")) return false;
  const std::vector<Slot> vectors = ScaledVectors(graph, node);
  return vectors.size() == 1 && VectorAt(graph, vectors[0]).size() > 1 &&
         graph.Constant(node.input(1 - vectors[0].slot)) == nullptr;
}

void ScaleVector(Graph* graph, const Slot& at, const std::vector<double>& factor) {
  Tensor scaled = VectorAt(*graph, at).Clone();
  float* vector = scaled.data<float>();
  for (int64_t c = 0; c < scaled.size(); ++c)
    vector[c] = static_cast<float>(vector[c] * factor[static_cast<size_t>(c)]);
  SetOwnConstant(graph, at.node, at.slot, std::move(scaled));
}

void ScaleWeights(Graph* graph, NodeId id, bool output, const std::vector<double>& factor) {
  const Node& node = graph->node(id);
  Tensor weight = graph->Constant(node.input(1))->Clone();
  float* w = weight.data<float>();
  WeightChannels(node, weight).ForEach([&](int64_t begin, int64_t end, int64_t from, int64_t to) {
    const double by = factor[static_cast<size_t>(output ? to : from)];
    for (int64_t at = begin; at < end; ++at) w[at] = static_cast<float>(w[at] * by);
  });
  graph->SetConstant(node.input(1), std::move(weight));
}

// Collects what hangs together with a front's output.
class Collector : private ChannelWalk {
 public:
  Collector(const Graph& graph, const std::map<NodeId, std::string>& untouched, std::set<ValueId>* seen)
      : ChannelWalk(graph, seen), untouched_(untouched) {}

  // False for a front whose tensors cannot be rescaled. Either way they are all `seen` then.
  bool Collect(NodeId front) {
    const Node& node = graph_.node(front);
    const bool layer = HasWeights(graph_, node);
    group_.axis = ChannelAxisOf(graph_, node);
    group_.channels = layer ? ChannelsOf(graph_, node, true)
                            : static_cast<size_t>(VectorAt(graph_, ScaledVectors(graph_, node)[0]).size());
    bool fits = WalkFrom(node.outputs[0]);
    for (const Slot& vector : group_.vectors)
      fits &= static_cast<size_t>(VectorAt(graph_, vector).size()) == group_.channels;
    return fits && !group_.behind.empty();
  }

  ChannelGroup Take() && { return std::move(group_); }

 private:
  bool PassesChannels(const Node& node) const {
    return node.outputs.size() == 1 && (ScalesThrough(node, group_.axis.first) ||
                                        (!group_.axis.first && KeepsLastAxis(graph_, node, group_.channels)));
  }

  bool SameAxis(const Node& layer) const { return ChannelAxisOf(graph_, layer) == group_.axis; }

  int AddedHere(const Node& node) const { return group_.axis.first ? -1 : AddedVector(graph_, node); }

  bool TakeProducer(const Node& node) override {
    if (HasWeights(graph_, node))
      return TakeFront(node) && SameAxis(node) && ChannelsOf(graph_, node, true) == group_.channels;
    if (IsNormalization(graph_, node) || IsGain(graph_, node)) return TakeFront(node) && !group_.axis.first;
    if (PassesChannels(node)) {
      if (node.Is("LeakyRelu") || node.Is("PRelu")) group_.slopes.push_back(node.id);
      Reach(node.input(0));
      return true;
    }
    if (const int slot = AddedHere(node); slot >= 0) {
      group_.vectors.push_back({node.id, static_cast<size_t>(slot)});
      Reach(node.input(static_cast<size_t>(1 - slot)));
      return untouched_.count(node.id) == 0;
    }
    if (!IsSum(graph_, node)) return false;
    group_.sums.push_back(node.id);
    Reach(node.input(0));
    Reach(node.input(1));
    return true;
  }

  bool TakeFront(const Node& node) {
    group_.fronts.push_back(node.id);
    for (const Slot& vector : ScaledVectors(graph_, node)) group_.vectors.push_back(vector);
    return untouched_.count(node.id) == 0;
  }

  bool TakeUser(const Node& node, size_t slot) override {
    if (IsSum(graph_, node) || AddedHere(node) >= 0) {
      Reach(node.outputs[0]);
      return true;
    }
    if (slot != 0) return false;
    if (HasWeights(graph_, node)) {
      group_.behind.push_back(node.id);
      return SameAxis(node) && ChannelsOf(graph_, node, false) == group_.channels &&
             untouched_.count(node.id) == 0;
    }
    if (!PassesChannels(node)) return false;
    Reach(node.outputs[0]);
    return true;
  }

  const std::map<NodeId, std::string>& untouched_;
  ChannelGroup group_;
};

}  // namespace

std::vector<ValueId> RoundedTensors(const Graph& graph, const ChannelGroup& group) {
  std::set<ValueId> tensors;
  for (NodeId id : group.behind) tensors.insert(graph.node(id).input(0));
  for (NodeId id : group.sums) tensors.insert({graph.node(id).input(0), graph.node(id).input(1)});
  return {tensors.begin(), tensors.end()};
}

std::vector<NodeId> VectorAdds(const Graph& graph, const ChannelGroup& group) {
  std::vector<NodeId> adds;
  for (const Slot& vector : group.vectors) {
    if (graph.node(vector.node).Is("Add")) adds.push_back(vector.node);
  }
  return adds;
}

std::vector<ChannelGroup> FindChannelGroups(const Graph& graph,
                                            const std::map<NodeId, std::string>& untouched) {
  std::vector<ChannelGroup> groups;
  std::set<ValueId> seen;
  const GraphOrder order(graph);
  for (NodeId id : order.nodes()) {
    const Node& node = graph.node(id);
    if (!IsNormalization(graph, node) && !IsGain(graph, node) && !HasWeights(graph, node)) continue;
    if (seen.count(node.outputs[0])) continue;
    Collector collector(graph, untouched, &seen);
    if (!collector.Collect(id)) continue;
    ChannelGroup& group = groups.emplace_back(std::move(collector).Take());
    for (std::vector<NodeId>* nodes : {&group.fronts, &group.behind, &group.sums, &group.slopes})
      order.Sort(nodes);
  }
  return groups;
}

void RescaleGroup(Graph* graph, const ChannelGroup& group, const std::vector<double>& factor) {
  std::vector<double> inverse;
  for (double f : factor) inverse.push_back(1 / f);
  for (NodeId id : group.fronts) {
    if (HasWeights(*graph, graph->node(id))) ScaleWeights(graph, id, true, factor);
  }
  for (const Slot& vector : group.vectors) ScaleVector(graph, vector, factor);
  for (NodeId id : group.behind) ScaleWeights(graph, id, false, inverse);
}

}  // namespace xslim
