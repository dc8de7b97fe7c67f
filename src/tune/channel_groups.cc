#include "tune/channel_groups.h"

#include <algorithm>
#include <set>

#include "quant/facts.h"
#include "tune/bias.h"

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
  if (node.Is("Gemm") &&
      (node.Int("transA", 0) || node.Float("alpha", 1) != 1.0f || node.Float("beta", 1) != 1.0f))
    return false;
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

bool ChannelsFirst(const Node& node) { return node.Is("Conv") || node.Is("ConvTranspose"); }

// A vector that others read, too (exporters merge equal ones: all the zero biases, say), becomes the
// operator's own.
void ScaleVector(Graph* graph, const Slot& at, const std::vector<double>& factor) {
  const Node& node = graph->node(at.node);
  const ValueId vector = node.input(at.slot);
  Tensor scaled = graph->Constant(vector)->Clone();
  for (int64_t c = 0; c < scaled.size(); ++c)
    scaled.data<float>()[c] = static_cast<float>(scaled.data<float>()[c] * factor[static_cast<size_t>(c)]);
  if (HasOwnConstant(*graph, node, at.slot))
    graph->SetConstant(vector, std::move(scaled));
  else
    graph->SetInput(at.node, at.slot,
                    graph->AddConstant(graph->value(vector).name + "_own", std::move(scaled)));
}

void ScaleWeights(Graph* graph, NodeId id, bool output, const std::vector<double>& factor) {
  const Node& node = graph->node(id);
  Tensor weight = graph->Constant(node.input(1))->Clone();
  const ChannelMap channel(node, weight, output);
  float* w = weight.data<float>();
  for (int64_t at = 0; at < weight.size(); ++at)
    w[at] = static_cast<float>(w[at] * factor[static_cast<size_t>(channel(at))]);
  graph->SetConstant(node.input(1), std::move(weight));
}

// A Reshape that leaves the last axis as it is.
bool KeepsChannels(const Graph& graph, const Node& node, const ChannelGroup& group) {
  const Tensor* shape = node.Is("Reshape") && !group.channels_first ? graph.Constant(node.input(1)) : nullptr;
  return shape != nullptr && shape->size() > 0 &&
         shape->ToInts().back() == static_cast<int64_t>(group.channels);
}

size_t ChannelsOf(const Graph& graph, const Node& node, bool output) {
  const Tensor& weight = *graph.Constant(node.input(1));
  return static_cast<size_t>(ChannelMap(node, weight, output).channels());
}

// Collects what hangs together with a front's output.
class Collector {
 public:
  Collector(const Graph& graph, const std::map<NodeId, std::string>& untouched, std::set<ValueId>* seen)
      : graph_(graph), untouched_(untouched), seen_(seen) {}

  // False for a front whose tensors cannot be rescaled. Either way they are all `seen` then.
  bool Collect(NodeId front) {
    const Node& node = graph_.node(front);
    const bool layer = HasWeights(graph_, node);
    group_.channels_first = ChannelsFirst(node);
    group_.channels = layer ? ChannelsOf(graph_, node, true)
                            : static_cast<size_t>(VectorAt(graph_, ScaledVectors(graph_, node)[0]).size());
    if (group_.channels_first) rank_ = graph_.Constant(node.input(1))->rank();
    Reach(node.outputs[0]);
    while (!waiting_.empty()) {
      const ValueId id = waiting_.back();
      waiting_.pop_back();
      LookBack(id);
      LookAhead(id);
    }
    for (const Slot& vector : group_.vectors)
      fits_ &= static_cast<size_t>(VectorAt(graph_, vector).size()) == group_.channels;
    return fits_ && !group_.behind.empty();
  }

  ChannelGroup Take() && { return std::move(group_); }

 private:
  void Reach(ValueId id) {
    if (seen_->insert(id).second) waiting_.push_back(id);
  }

  bool PassesChannels(const Node& node) const {
    return node.outputs.size() == 1 &&
           (ScalesThrough(node, group_.channels_first) || KeepsChannels(graph_, node, group_));
  }

  bool SameAxis(const Node& layer) const {
    return ChannelsFirst(layer) == group_.channels_first &&
           (!group_.channels_first || graph_.Constant(layer.input(1))->rank() == rank_);
  }

  // The slot of a vector along the last axis that an Add adds; -1 when there is none.
  int AddedVector(const Node& node) const {
    if (!node.Is("Add") || group_.channels_first) return -1;
    const std::vector<Slot> vectors = ScaledVectors(graph_, node);
    return vectors.size() == 1 ? static_cast<int>(vectors[0].slot) : -1;
  }

  void LookBack(ValueId id) {
    const Node* producer = graph_.Producer(id);
    if (producer == nullptr) {
      fits_ = false;
    } else if (HasWeights(graph_, *producer)) {
      fits_ &= SameAxis(*producer) && ChannelsOf(graph_, *producer, true) == group_.channels;
      TakeFront(*producer);
    } else if (IsNormalization(graph_, *producer) || IsGain(graph_, *producer)) {
      fits_ &= !group_.channels_first;
      TakeFront(*producer);
    } else if (PassesChannels(*producer)) {
      Reach(producer->input(0));
    } else if (const int slot = AddedVector(*producer); slot >= 0) {
      fits_ &= untouched_.count(producer->id) == 0;
      group_.vectors.push_back({producer->id, static_cast<size_t>(slot)});
      Reach(producer->input(static_cast<size_t>(1 - slot)));
    } else if (IsSum(graph_, *producer)) {
      group_.sums.push_back(producer->id);
      Reach(producer->input(0));
      Reach(producer->input(1));
    } else {
      fits_ = false;
    }
  }

  void TakeFront(const Node& node) {
    fits_ &= untouched_.count(node.id) == 0;
    group_.fronts.push_back(node.id);
    for (const Slot& vector : ScaledVectors(graph_, node)) group_.vectors.push_back(vector);
  }

  void LookAhead(ValueId id) {
    const Value& value = graph_.value(id);
    fits_ &= !value.is_output && !value.uses.empty() && !graph_.CapturedBySubgraph(value.name);
    for (const Use& use : value.uses) {
      const Node& user = graph_.node(use.node);
      if (IsSum(graph_, user) || AddedVector(user) >= 0) {
        Reach(user.outputs[0]);
      } else if (use.slot != 0) {
        fits_ = false;
      } else if (HasWeights(graph_, user)) {
        fits_ &= SameAxis(user) && ChannelsOf(graph_, user, false) == group_.channels &&
                 untouched_.count(user.id) == 0;
        group_.behind.push_back(user.id);
      } else if (PassesChannels(user)) {
        Reach(user.outputs[0]);
      } else {
        fits_ = false;
      }
    }
  }

  const Graph& graph_;
  const std::map<NodeId, std::string>& untouched_;
  std::set<ValueId>* const seen_;
  ChannelGroup group_;
  int64_t rank_ = 0;  // of the convolutions' weights: those of other ranks have their channels elsewhere
  std::vector<ValueId> waiting_;
  bool fits_ = true;
};

}  // namespace

ChannelMap::ChannelMap(const Node& node, const Tensor& weight, bool output) : group_(1) {
  int64_t spatial = 1;
  for (int64_t i = 2; i < weight.rank(); ++i) spatial *= weight.dim(i);
  const int64_t rows = weight.dim(0), columns = weight.dim(1);
  const bool row_is_output = node.Is("Conv") || (node.Is("Gemm") && node.Int("transB", 0));
  if (output == row_is_output) {
    inner_ = columns * spatial;
    count_ = rows;
  } else {
    inner_ = spatial;
    count_ = columns;
    if (node.Is("Conv")) {
      group_ = node.Int("group", 1);
      rows_per_group_ = rows / group_;
      row_size_ = columns * spatial;
    }
  }
}

bool IsSum(const Graph& graph, const Node& node) {
  return node.Is("Add") && graph.Constant(node.input(0)) == nullptr &&
         graph.Constant(node.input(1)) == nullptr;
}

std::vector<ChannelGroup> FindChannelGroups(const Graph& graph,
                                            const std::map<NodeId, std::string>& untouched) {
  std::vector<ChannelGroup> groups;
  std::set<ValueId> seen;
  const std::vector<NodeId> order = graph.Order();
  std::map<NodeId, size_t> place;
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = i;
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    if (!IsNormalization(graph, node) && !IsGain(graph, node) && !HasWeights(graph, node)) continue;
    if (seen.count(node.outputs[0])) continue;
    Collector collector(graph, untouched, &seen);
    if (!collector.Collect(id)) continue;
    groups.push_back(std::move(collector).Take());
    for (std::vector<NodeId>* nodes : {&groups.back().fronts, &groups.back().behind, &groups.back().sums})
      std::sort(nodes->begin(), nodes->end(), [&](NodeId a, NodeId b) { return place.at(a) < place.at(b); });
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
