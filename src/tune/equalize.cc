#include "tune/equalize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "base/log.h"
#include "kernels/kernels.h"
#include "quant/facts.h"
#include "runtime/tapped_samples.h"
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

// An operator's input.
struct Slot {
  NodeId node = kNone;
  size_t slot = 0;
};

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
  if (normalization || AddsBias(node)) add(2);
  return vectors;
}

const Tensor& VectorAt(const Graph& graph, const Slot& at) {
  return *graph.Constant(graph.node(at.node).input(at.slot));
}

// A layer in front of or behind a pair's tensor: it has constant float weights that nothing else reads.
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

struct Pair {
  NodeId front = kNone;
  std::vector<NodeId> behind;
  std::vector<Slot> vectors;  // that scale with the front's channels: its bias ...
  size_t channels = 0;
  bool channels_first = false;
  bool weights = true;  // the front has weights besides the vectors
};

// A Reshape that leaves the last axis as it is.
bool KeepsChannels(const Graph& graph, const Node& node, const Pair& pair) {
  const Tensor* shape = node.Is("Reshape") && !pair.channels_first ? graph.Constant(node.input(1)) : nullptr;
  return shape != nullptr && shape->size() > 0 &&
         shape->ToInts().back() == static_cast<int64_t>(pair.channels);
}

// All readers of `id`, through operators that scale, are layers with weights; false otherwise.
bool CollectBehind(const Graph& graph, ValueId id, Pair* pair) {
  const Value& value = graph.value(id);
  if (value.is_output || value.uses.empty() || graph.CapturedBySubgraph(value.name)) return false;
  for (const Use& use : value.uses) {
    const Node& user = graph.node(use.node);
    if (use.slot != 0 || user.outputs.size() != 1) return false;
    if (HasWeights(graph, user)) {
      if (ChannelsFirst(user) != pair->channels_first) return false;
      pair->behind.push_back(user.id);
    } else if (ScalesThrough(user, pair->channels_first) || KeepsChannels(graph, user, *pair)) {
      if (!CollectBehind(graph, user.outputs[0], pair)) return false;
    } else {
      return false;
    }
  }
  return true;
}

size_t ChannelsOf(const Graph& graph, const Node& node, bool output) {
  const Tensor& weight = *graph.Constant(node.input(1));
  return static_cast<size_t>(ChannelMap(node, weight, output).channels());
}

// MatMul + Add of a vector: the Add belongs to the front. Returns the value behind it.
ValueId BehindBias(const Graph& graph, const Node& front, Pair* pair) {
  const ValueId product = front.outputs[0];
  const NodeId user = front.Is("MatMul") ? graph.SoleUser(product) : kNone;
  if (user == kNone || !graph.node(user).Is("Add")) return product;
  const Node& add = graph.node(user);
  const std::vector<Slot> vectors = ScaledVectors(graph, add);
  if (vectors.size() != 1 || static_cast<size_t>(VectorAt(graph, vectors[0]).size()) != pair->channels)
    return product;
  pair->vectors.push_back(vectors[0]);
  return add.outputs[0];
}

std::vector<Pair> FindPairs(const Graph& graph, const std::map<NodeId, std::string>& untouched) {
  std::vector<Pair> pairs;
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    const bool only_vectors = IsNormalization(graph, node) || IsGain(graph, node);
    if (!only_vectors && !HasWeights(graph, node)) continue;
    Pair pair;
    pair.front = id;
    pair.weights = !only_vectors;
    pair.vectors = ScaledVectors(graph, node);
    pair.channels = only_vectors ? static_cast<size_t>(VectorAt(graph, pair.vectors[0]).size())
                                 : ChannelsOf(graph, node, true);
    pair.channels_first = ChannelsFirst(node);
    if (!CollectBehind(graph, BehindBias(graph, node, &pair), &pair)) continue;
    bool fits = untouched.count(id) == 0;
    fits &= std::all_of(pair.behind.begin(), pair.behind.end(), [&](NodeId behind) {
      return untouched.count(behind) == 0 && ChannelsOf(graph, graph.node(behind), false) == pair.channels;
    });
    for (const Slot& vector : pair.vectors)
      fits &= static_cast<size_t>(VectorAt(graph, vector).size()) == pair.channels;
    if (fits) pairs.push_back(std::move(pair));
  }
  return pairs;
}

// What is known of a tensor's channels.
struct ChannelStatistics {
  std::vector<float> lo, hi;
  std::vector<double> squares;  // sum of squares
  double count = 0;             // elements of a channel
};

ChannelStatistics Observe(const Tensor& tensor, bool channels_first) {
  ChannelStatistics seen;
  const int64_t axis = channels_first ? 1 : tensor.rank() - 1;
  if (tensor.rank() < 2 || tensor.size() == 0) return seen;
  const size_t channels = static_cast<size_t>(tensor.dim(axis));
  const int64_t inner = InnerCount(tensor.shape(), axis);
  seen.lo.resize(channels, 0.0f);
  seen.hi.resize(channels, 0.0f);
  seen.squares.resize(channels, 0.0);
  const float* x = tensor.data<float>();
  const int64_t outer = tensor.size() / (tensor.dim(axis) * inner);
  for (int64_t o = 0; o < outer; ++o) {
    for (size_t c = 0; c < channels; ++c, x += inner) {
      kernels::MinMax range;
      kernels::Active().min_max(x, inner, &range);
      seen.lo[c] = std::min(seen.lo[c], range.min);
      seen.hi[c] = std::max(seen.hi[c], range.max);
      seen.squares[c] += kernels::Active().sum_of_squares(x, 0.0f, inner);
    }
  }
  seen.count = static_cast<double>(outer * inner);
  return seen;
}

void Add(const ChannelStatistics& one, ChannelStatistics* all) {
  if (one.count == 0) return;
  all->lo.resize(one.lo.size(), 0.0f);
  all->hi.resize(one.hi.size(), 0.0f);
  all->squares.resize(one.squares.size(), 0.0);
  for (size_t c = 0; c < one.lo.size(); ++c) {
    all->lo[c] = std::min(all->lo[c], one.lo[c]);
    all->hi[c] = std::max(all->hi[c], one.hi[c]);
    all->squares[c] += one.squares[c];
  }
  all->count += one.count;
}

// The weights behind a pair's tensor, seen from its channels.
struct Behind {
  std::vector<double> energy;  // sum of squared weights that read the channel
  // For each output channel: the largest weight of each input channel that it reads, from `first` on.
  struct Row {
    size_t first = 0;
    std::vector<float> largest;
  };
  std::vector<Row> rows;
};

Behind Describe(const Graph& graph, const Pair& pair) {
  Behind all;
  all.energy.resize(pair.channels, 0.0);
  for (NodeId id : pair.behind) {
    const Node& node = graph.node(id);
    const Tensor& weight = *graph.Constant(node.input(1));
    const ChannelMap input(node, weight, false), output(node, weight, true);
    // An output channel of a convolution reads the channels of its group, others read all.
    const size_t groups = node.Is("Conv") ? static_cast<size_t>(node.Int("group", 1)) : 1;
    const size_t outputs = static_cast<size_t>(output.channels()), reads = pair.channels / groups;
    const size_t before = all.rows.size();
    for (size_t o = 0; o < outputs; ++o)
      all.rows.push_back({o / (outputs / groups) * reads, std::vector<float>(reads, 0.0f)});
    const float* w = weight.data<float>();
    for (int64_t at = 0; at < weight.size(); ++at) {
      const size_t c = static_cast<size_t>(input(at));
      const float magnitude = std::fabs(w[at]);
      all.energy[c] += static_cast<double>(magnitude) * magnitude;
      Behind::Row& row = all.rows[before + static_cast<size_t>(output(at))];
      float& most = row.largest[c - row.first];
      most = std::max(most, magnitude);
    }
  }
  return all;
}

// The noise behind the pair, as the header says, in units of 1/12.
double PredictedNoise(const ChannelStatistics& seen, const Behind& behind, const std::vector<double>& scale) {
  double lo = 0, hi = 0, noise = 0;
  for (size_t c = 0; c < scale.size(); ++c) {
    lo = std::min(lo, scale[c] * seen.lo[c]);
    hi = std::max(hi, scale[c] * seen.hi[c]);
  }
  const double step = (hi - lo) / 255;
  for (size_t c = 0; c < scale.size(); ++c) noise += step * step * behind.energy[c] / (scale[c] * scale[c]);
  for (const Behind::Row& row : behind.rows) {
    double most = 0, power = 0;
    for (size_t i = 0; i < row.largest.size(); ++i) {
      const size_t c = row.first + i;
      most = std::max(most, row.largest[i] / scale[c]);
      power += scale[c] * scale[c] * seen.squares[c] / seen.count;
    }
    noise += most / 127 * (most / 127) * power;
  }
  return noise;
}

// x^(quarters / 4) by square roots alone, which are the same on every machine.
double Power(double x, int quarters) {
  const double root = std::sqrt(x), quarter = std::sqrt(root);
  double power = 1;
  for (int i = 0; i < quarters / 4; ++i) power *= x;
  if (quarters % 4 >= 2) power *= root;
  if (quarters % 2 == 1) power *= quarter;
  return power;
}

std::vector<double> Factors(const ChannelStatistics& seen, const Behind& behind) {
  constexpr double kMost = 64;
  const size_t channels = behind.energy.size();
  std::vector<double> share(channels, 0.0), range(channels), best(channels, 1.0);
  for (const Behind::Row& row : behind.rows) {
    const double most = row.largest.empty() ? 0.0 : *std::max_element(row.largest.begin(), row.largest.end());
    if (most == 0) continue;
    for (size_t i = 0; i < row.largest.size(); ++i)
      share[row.first + i] = std::max(share[row.first + i], row.largest[i] / most);
  }
  for (size_t c = 0; c < channels; ++c) range[c] = static_cast<double>(seen.hi[c]) - seen.lo[c];
  const double widest = *std::max_element(range.begin(), range.end());
  if (!(widest > 0) || !std::isfinite(widest)) return best;
  double least = 0.97 * PredictedNoise(seen, behind, best);
  for (int a = 0; a <= 4; ++a) {
    for (int d = 0; d <= 2; ++d) {
      if (a + d == 0) continue;
      std::vector<double> scale(channels, 1.0);
      for (size_t c = 0; c < channels; ++c) {
        if (range[c] <= 0 || share[c] <= 0) continue;  // a dead channel
        scale[c] = std::clamp(Power(widest / range[c], a) * Power(share[c], d), 1 / kMost, kMost);
      }
      const double noise = PredictedNoise(seen, behind, scale);
      if (!(noise < least)) continue;
      least = noise;
      best = std::move(scale);
    }
  }
  return best;
}

const std::string& OutputName(const Graph& graph, const Pair& pair) {
  return graph.value(graph.node(pair.front).outputs[0]).name;
}

void RescalePair(Graph* graph, const Pair& pair, const std::vector<double>& factor) {
  std::vector<double> inverse;
  for (double f : factor) inverse.push_back(1 / f);
  if (pair.weights) ScaleWeights(graph, pair.front, true, factor);
  for (const Slot& vector : pair.vectors) ScaleVector(graph, vector, factor);
  for (NodeId id : pair.behind) ScaleWeights(graph, id, false, inverse);
}

}  // namespace

EqualizeResult Equalize(Graph* graph, const std::vector<Sample>& samples,
                        const std::map<NodeId, std::string>& untouched, const SampleLanes& lanes) {
  const std::vector<Pair> pairs = FindPairs(*graph, untouched);
  EqualizeResult result;
  if (pairs.empty()) return result;
  std::map<ValueId, ChannelStatistics> statistics;
  std::map<ValueId, bool> channels_first;
  std::vector<ValueId> taps;
  for (const Pair& pair : pairs) {
    for (NodeId id : pair.behind) channels_first[graph->node(id).input(0)] = pair.channels_first;
  }
  for (const auto& [id, first] : channels_first) taps.push_back(id);
  std::vector<std::map<ValueId, ChannelStatistics>> by_sample(samples.size());
  const auto observe = [&](size_t sample, ValueId id, const Tensor& tensor) {
    if (tensor.dtype() == DType::kFloat)
      by_sample[sample].emplace(id, Observe(tensor, channels_first.at(id)));
  };
  RunTapped("equalization", *graph, samples, taps, observe, nullptr, lanes);
  for (const auto& seen : by_sample) {
    for (const auto& [id, one] : seen) Add(one, &statistics[id]);
  }

  for (const Pair& pair : pairs) {
    std::vector<double>& factors = result.factors[OutputName(*graph, pair)];
    // Several layers behind may see the tensor at different places, around a pool: the widest ranges count.
    ChannelStatistics seen;
    for (NodeId id : pair.behind) {
      const ChannelStatistics& one = statistics[graph->node(id).input(0)];
      if (one.lo.size() != pair.channels) continue;
      if (seen.lo.empty()) {
        seen = one;
        continue;
      }
      for (size_t c = 0; c < pair.channels; ++c) {
        seen.lo[c] = std::min(seen.lo[c], one.lo[c]);
        seen.hi[c] = std::max(seen.hi[c], one.hi[c]);
      }
    }
    if (seen.lo.empty() || seen.count == 0) continue;
    ++result.pairs;
    std::vector<double> found = Factors(seen, Describe(*graph, pair));
    if (std::all_of(found.begin(), found.end(), [](double f) { return f == 1; })) continue;
    ++result.changed;
    LogDebug("equalized ", graph->node(pair.front).Title(), " with ", pair.behind.size(),
             " layers behind it");
    RescalePair(graph, pair, found);
    factors = std::move(found);
  }
  return result;
}

bool Rescale(Graph* graph, const ChannelFactors& factors, const std::map<NodeId, std::string>& untouched) {
  for (const Pair& pair : FindPairs(*graph, untouched)) {
    const auto known = factors.find(OutputName(*graph, pair));
    if (known == factors.end()) return false;
    if (known->second.size() == pair.channels) RescalePair(graph, pair, known->second);
  }
  return true;
}

}  // namespace xslim
