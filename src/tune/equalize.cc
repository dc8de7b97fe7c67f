#include "tune/equalize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/log.h"

namespace xslim {
namespace {

bool ScalesThrough(const Node& node) {
  for (const char* type : {"Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool",
                           "GlobalMaxPool", "Identity"}) {
    if (node.Is(type)) return true;
  }
  return false;
}

bool HasWeights(const Graph& graph, const Node& node) {
  if (!node.Is("Conv") && !node.Is("Gemm") && !node.Is("ConvTranspose")) return false;
  const Tensor* weight = node.input(1) == kNone ? nullptr : graph.Constant(node.input(1));
  if (weight == nullptr || weight->dtype() != DType::kFloat || weight->rank() < 2) return false;
  if (graph.value(node.input(1)).uses.size() != 1) return false;  // a shared weight has other readers
  if (node.Is("Gemm") &&
      (node.Int("transA", 0) || node.Float("alpha", 1) != 1.0f || node.Float("beta", 1) != 1.0f))
    return false;
  if (node.Is("ConvTranspose") && node.Int("group", 1) != 1) return false;
  if (node.input(2) == kNone) return true;
  const Tensor* bias = graph.Constant(node.input(2));
  return bias != nullptr && bias->dtype() == DType::kFloat && graph.value(node.input(2)).uses.size() == 1;
}

// Output (or input) channel of every element of a weight.
class ChannelMap {
 public:
  ChannelMap(const Node& node, const Tensor& weight, bool output) : group_(1) {
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
  int64_t channels() const { return count_ * group_; }
  int64_t operator()(int64_t at) const {
    const int64_t within = (at / inner_) % count_;
    return group_ == 1 ? within : (at / row_size_ / rows_per_group_) * count_ + within;
  }

 private:
  int64_t inner_ = 1, count_ = 1, group_, rows_per_group_ = 1, row_size_ = 1;
};

std::vector<float> Largest(const Graph& graph, const Node& node, bool output) {
  const Tensor& weight = *graph.Constant(node.input(1));
  const ChannelMap channel(node, weight, output);
  std::vector<float> largest(static_cast<size_t>(channel.channels()), 0.0f);
  const float* w = weight.data<float>();
  for (int64_t at = 0; at < weight.size(); ++at) {
    float& most = largest[static_cast<size_t>(channel(at))];
    most = std::max(most, std::fabs(w[at]));
  }
  return largest;
}

void ScaleWeights(Graph* graph, NodeId id, bool output, const std::vector<float>& factor) {
  const Node& node = graph->node(id);
  Tensor weight = graph->Constant(node.input(1))->Clone();
  const ChannelMap channel(node, weight, output);
  float* w = weight.data<float>();
  for (int64_t at = 0; at < weight.size(); ++at) w[at] *= factor[static_cast<size_t>(channel(at))];
  graph->SetConstant(node.input(1), std::move(weight));
  if (!output || node.input(2) == kNone) return;
  Tensor bias = graph->Constant(node.input(2))->Clone();
  for (int64_t c = 0; c < bias.size(); ++c) bias.data<float>()[c] *= factor[static_cast<size_t>(c)];
  graph->SetConstant(node.input(2), std::move(bias));
}

struct Pair {
  std::vector<NodeId> up, down;  // computing operators that share the channels
};

// All readers of `id`, through operators that scale, are computing operators with weights; false otherwise.
bool CollectDown(const Graph& graph, ValueId id, std::vector<NodeId>* down) {
  const Value& value = graph.value(id);
  if (value.is_output || value.uses.empty() || graph.CapturedBySubgraph(value.name)) return false;
  for (const Use& use : value.uses) {
    const Node& user = graph.node(use.node);
    if (use.slot != 0) return false;
    if (HasWeights(graph, user)) {
      down->push_back(user.id);
    } else if (ScalesThrough(user) && user.outputs.size() == 1) {
      if (!CollectDown(graph, user.outputs[0], down)) return false;
    } else {
      return false;
    }
  }
  return true;
}

std::vector<Pair> FindPairs(const Graph& graph, const std::map<NodeId, std::string>& untouched) {
  std::vector<Pair> pairs;
  for (NodeId id : graph.Order()) {
    if (!HasWeights(graph, graph.node(id))) continue;
    Pair pair{{id}, {}};
    if (!CollectDown(graph, graph.node(id).outputs[0], &pair.down)) continue;
    const bool touches =
        untouched.count(id) != 0 || std::any_of(pair.down.begin(), pair.down.end(),
                                                [&](NodeId down) { return untouched.count(down) != 0; });
    if (touches) continue;
    const size_t channels = Largest(graph, graph.node(id), true).size();
    const bool fits = std::all_of(pair.down.begin(), pair.down.end(), [&](NodeId down) {
      return Largest(graph, graph.node(down), false).size() == channels;
    });
    if (fits) pairs.push_back(std::move(pair));
  }
  return pairs;
}

}  // namespace

int EqualizeByWeights(Graph* graph, int iterations, const std::map<NodeId, std::string>& untouched) {
  const std::vector<Pair> pairs = FindPairs(*graph, untouched);
  for (int i = 0; i < iterations; ++i) {
    for (const Pair& pair : pairs) {
      std::vector<float> up = Largest(*graph, graph->node(pair.up[0]), true);
      const Node& node = graph->node(pair.up[0]);
      if (node.input(2) != kNone) {
        const float* bias = graph->Constant(node.input(2))->data<float>();
        for (size_t c = 0; c < up.size(); ++c) up[c] = std::max(up[c], 0.5f * std::fabs(bias[c]));
      }
      std::vector<float> down(up.size(), 0.0f);
      for (NodeId id : pair.down) {
        const std::vector<float> largest = Largest(*graph, graph->node(id), false);
        for (size_t c = 0; c < down.size(); ++c) down[c] = std::max(down[c], largest[c]);
      }
      std::vector<float> factor(up.size(), 1.0f), inverse(up.size(), 1.0f);
      for (size_t c = 0; c < up.size(); ++c) {
        if (up[c] + down[c] < 0.5f || up[c] == 0.0f) continue;
        factor[c] = std::clamp(std::sqrt(down[c] / up[c]), 0.1f, 10.0f);
        inverse[c] = 1.0f / factor[c];
      }
      ScaleWeights(graph, pair.up[0], true, factor);
      for (NodeId id : pair.down) ScaleWeights(graph, id, false, inverse);
    }
  }
  return static_cast<int>(pairs.size());
}

}  // namespace xslim
