#include "tune/center.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "base/log.h"
#include "quant/facts.h"
#include "tune/bias.h"
#include "tune/channel_walk.h"
#include "tune/channels.h"

namespace xslim {
namespace {

// What may be left of the squares of the ranges. What smaller gains do to roundings elsewhere is as large as
// they are.
constexpr double kWorthwhile = 0.5;

// What gives back what was taken from its input.
struct Taker {
  NodeId node;  // a layer, or an Add of a vector
  Slot bias;    // the vector that it goes to
};

struct CenterGroup {
  std::vector<Slot> fronts;     // the vectors that are taken from; in the graph's order, as all of this
  std::vector<NodeId> between;  // what hands tensors on, and sums
  std::vector<Taker> takers;
  std::set<ValueId> tensors, rounded;  // all, and those that layers and sums read
  size_t channels = 0;
  ChannelAxis axis;
};

using CenterByValue = std::map<ValueId, std::vector<double>>;

// Hands a constant per channel on. Pools do where channels are axis 1, unless zeros of a padding count.
bool HandsOn(const Graph& graph, const Node& node, const CenterGroup& group) {
  if (node.outputs.size() != 1) return false;
  if (node.Is("Identity")) return true;
  if (!group.axis.first) return KeepsLastAxis(graph, node, group.channels);
  return node.Is("MaxPool") || node.Is("GlobalMaxPool") || node.Is("GlobalAveragePool") ||
         (node.Is("AveragePool") && node.Int("count_include_pad", 0) == 0);
}

// Every output sees as many inputs as weights, and no zeros.
bool ReadsWithoutPadding(const Graph& graph, const Node& node) {
  const std::vector<int64_t> pads = node.Ints("pads", {});
  if (std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; })) return false;
  const std::string automatic = node.String("auto_pad", "NOTSET");
  if (automatic == "NOTSET" || automatic == "VALID") return true;
  const Shape& shape = graph.Constant(node.input(1))->shape();
  return std::all_of(shape.begin() + 2, shape.end(), [](int64_t size) { return size == 1; });
}

bool HasFloatWeights(const Graph& graph, const Node& node) {
  const Tensor* weight =
      !IsComputing(node) || node.input(1) == kNone ? nullptr : graph.Constant(node.input(1));
  return weight != nullptr && weight->dtype() == DType::kFloat && weight->rank() >= 2;
}

// The vector that the operator adds to its output, with the number of its channels.
std::optional<std::pair<Slot, size_t>> FrontOf(const Graph& graph, const Node& node) {
  if (const int slot = AddedVector(graph, node); slot >= 0) {
    const auto at = static_cast<size_t>(slot);
    return std::pair(Slot{node.id, at}, static_cast<size_t>(graph.Constant(node.input(at))->size()));
  }
  if (node.Is("LayerNormalization") && node.Int("axis", -1) == -1 && node.outputs.size() == 1) {
    const Tensor* bias = node.input(2) == kNone ? nullptr : graph.Constant(node.input(2));
    if (bias == nullptr || bias->dtype() != DType::kFloat || bias->rank() != 1) return std::nullopt;
    return std::pair(Slot{node.id, 2}, static_cast<size_t>(bias->size()));
  }
  if (!HasFloatWeights(graph, node) || !MayHaveBias(graph, node)) return std::nullopt;
  if (node.Is("ConvTranspose") && node.Int("group", 1) != 1) return std::nullopt;
  return std::pair(Slot{node.id, 2}, ChannelsOf(graph, node, true));
}

// The layer that reads the tensor at slot 0 and can make up for what was taken from it.
std::optional<Taker> LayerBehind(const Graph& graph, const Node& node, const CenterGroup& group) {
  if (!HasFloatWeights(graph, node) || !(ChannelAxisOf(graph, node) == group.axis) ||
      ChannelsOf(graph, node, false) != group.channels)
    return std::nullopt;
  if (node.Is("MatMul")) {
    const NodeId sole = graph.SoleUser(node.outputs[0]);
    const int slot = sole == kNone ? -1 : AddedVector(graph, graph.node(sole));
    if (slot < 0 || graph.Constant(node.input(1))->rank() != 2) return std::nullopt;
    const Slot bias{sole, static_cast<size_t>(slot)};
    const Tensor& vector = *graph.Constant(graph.node(sole).input(bias.slot));
    if (static_cast<size_t>(vector.size()) != ChannelsOf(graph, node, true)) return std::nullopt;
    return Taker{node.id, bias};
  }
  if (!MayHaveBias(graph, node) || node.Is("ConvTranspose") || node.Int("transA", 0)) return std::nullopt;
  if (node.Is("Conv") && !ReadsWithoutPadding(graph, node)) return std::nullopt;
  return Taker{node.id, {node.id, 2}};
}

// Collects what hangs together with a front's output.
class Collector : private ChannelWalk {
 public:
  Collector(const Graph& graph, const std::map<NodeId, std::string>& untouched, std::set<ValueId>* seen)
      : ChannelWalk(graph, seen), untouched_(untouched) {}

  bool Collect(const Node& front, size_t channels) {
    group_.channels = channels;
    group_.axis = ChannelAxisOf(graph_, front);
    return WalkFrom(front.outputs[0]) && !group_.takers.empty();
  }
  CenterGroup Take() && { return std::move(group_); }

 private:
  bool TakeProducer(const Node& node) override {
    group_.tensors.insert(node.outputs[0]);
    if (const auto front = FrontOf(graph_, node)) {
      group_.fronts.push_back(front->first);
      return front->second == group_.channels && ChannelAxisOf(graph_, node) == group_.axis &&
             untouched_.count(node.id) == 0;
    }
    if (HandsOn(graph_, node, group_)) {
      Reach(node.input(0));
    } else if (IsSum(graph_, node)) {
      Reach(node.input(0));
      Reach(node.input(1));
    } else {
      return false;
    }
    group_.between.push_back(node.id);
    return true;
  }

  bool TakeUser(const Node& node, size_t slot) override {
    if (IsSum(graph_, node)) {
      group_.rounded.insert(node.input(slot));
      Reach(node.outputs[0]);
      return true;
    }
    if (const int vector = AddedVector(graph_, node); vector >= 0) {
      group_.takers.push_back({node.id, {node.id, static_cast<size_t>(vector)}});
      return !group_.axis.first && untouched_.count(node.id) == 0 &&
             static_cast<size_t>(graph_.Constant(node.input(static_cast<size_t>(vector)))->size()) ==
                 group_.channels;
    }
    if (slot != 0) return false;
    if (const auto layer = LayerBehind(graph_, node, group_)) {
      group_.rounded.insert(node.input(0));
      group_.takers.push_back(*layer);
      return untouched_.count(node.id) == 0 && untouched_.count(layer->bias.node) == 0;
    }
    if (!HandsOn(graph_, node, group_)) return false;
    Reach(node.outputs[0]);
    return true;
  }

  const std::map<NodeId, std::string>& untouched_;
  CenterGroup group_;
};

std::vector<CenterGroup> FindGroups(const Graph& graph, const std::map<NodeId, std::string>& untouched) {
  std::vector<CenterGroup> groups;
  std::set<ValueId> seen;
  const GraphOrder order(graph);
  for (NodeId id : order.nodes()) {
    const Node& node = graph.node(id);
    const auto front = FrontOf(graph, node);
    if (!front || front->second < 2 || seen.count(node.outputs[0])) continue;
    Collector collector(graph, untouched, &seen);
    if (!collector.Collect(node, front->second)) continue;
    CenterGroup group = std::move(collector).Take();
    order.Sort(&group.fronts, &Slot::node);
    order.Sort(&group.between);
    order.Sort(&group.takers, &Taker::node);
    groups.push_back(std::move(group));
  }
  return groups;
}

ValueId OutputOf(const Graph& graph, const Slot& front) { return graph.node(front.node).outputs[0]; }

// What is then gone from every tensor of the group.
CenterByValue HandOn(const Graph& graph, const CenterGroup& group, CenterByValue of_fronts) {
  for (NodeId id : group.between) {
    const Node& node = graph.node(id);
    std::vector<double> center = of_fronts.at(node.input(0));
    if (IsSum(graph, node)) {
      const std::vector<double>& other = of_fronts.at(node.input(1));
      for (size_t c = 0; c < center.size(); ++c) center[c] += other[c];
    }
    of_fronts[node.outputs[0]] = std::move(center);
  }
  return of_fronts;
}

// share: 0 for the middles of the ranges, 1 for the means.
CenterByValue CentersOf(const Graph& graph, const CenterGroup& group, const StatisticsByValue& statistics,
                        double share) {
  CenterByValue centers;
  for (const Slot& front : group.fronts) {
    const ChannelStatistics& seen = statistics.at(OutputOf(graph, front));
    std::vector<double>& center = centers[OutputOf(graph, front)];
    for (size_t c = 0; c < group.channels; ++c) {
      const double middle = (static_cast<double>(seen.lo[c]) + seen.hi[c]) / 2;
      center.push_back(middle + share * (seen.Mean(c) - middle));
    }
  }
  return HandOn(graph, group, std::move(centers));
}

// The sum of the squares of what one scale has to reach, zero included, for each tensor that is rounded.
double SquaredRanges(const CenterGroup& group, const StatisticsByValue& statistics,
                     const CenterByValue& centers) {
  double sum = 0;
  for (ValueId id : group.rounded) {
    const ChannelStatistics& seen = statistics.at(id);
    const auto found = centers.find(id);
    double lo = 0, hi = 0;
    for (size_t c = 0; c < group.channels; ++c) {
      const double center = found == centers.end() ? 0.0 : found->second[c];
      lo = std::min(lo, seen.lo[c] - center);
      hi = std::max(hi, seen.hi[c] - center);
    }
    sum += (hi - lo) * (hi - lo);
  }
  return sum;
}

// What the layer makes of `center`, by output channel.
std::vector<double> Through(const Graph& graph, const Node& layer, const std::vector<double>& center) {
  if (layer.Is("Add")) return center;
  const Tensor& weight = *graph.Constant(layer.input(1));
  const WeightChannels channels(layer, weight);
  std::vector<double> sums(static_cast<size_t>(channels.outputs()), 0.0);
  const float* w = weight.data<float>();
  channels.ForEach([&](int64_t begin, int64_t end, int64_t input, int64_t output) {
    for (int64_t at = begin; at < end; ++at)
      sums[static_cast<size_t>(output)] += w[at] * center[static_cast<size_t>(input)];
  });
  return sums;
}

void AddToVector(Graph* graph, const Slot& at, const std::vector<double>& numbers, double sign) {
  GiveBias(graph, at.node);
  Tensor moved = graph->Constant(graph->node(at.node).input(at.slot))->Clone();
  float* vector = moved.data<float>();
  for (size_t c = 0; c < numbers.size(); ++c) vector[c] = static_cast<float>(vector[c] + sign * numbers[c]);
  SetOwnConstant(graph, at.node, at.slot, std::move(moved));
}

void Apply(Graph* graph, const CenterGroup& group, const CenterByValue& centers) {
  for (const Slot& front : group.fronts) AddToVector(graph, front, centers.at(OutputOf(*graph, front)), -1);
  for (const Taker& taker : group.takers) {
    const Node& node = graph->node(taker.node);
    const size_t slot = node.Is("Add") ? 1 - taker.bias.slot : 0;
    AddToVector(graph, taker.bias, Through(*graph, node, centers.at(node.input(slot))), 1);
  }
}

// Whether all of the group's tensors were seen, with numbers in all channels.
bool IsKnown(const CenterGroup& group, const StatisticsByValue& statistics) {
  return std::all_of(group.tensors.begin(), group.tensors.end(), [&](ValueId id) {
    const auto found = statistics.find(id);
    return found != statistics.end() && found->second.lo.size() == group.channels && found->second.IsFinite();
  });
}

}  // namespace

std::map<ValueId, bool> TensorsToCenter(const Graph& graph, const std::map<NodeId, std::string>& untouched) {
  std::map<ValueId, bool> channels_first;
  for (const CenterGroup& group : FindGroups(graph, untouched)) {
    for (ValueId id : group.tensors) channels_first[id] = group.axis.first;
  }
  return channels_first;
}

CenterResult Center(Graph* graph, StatisticsByValue* statistics,
                    const std::map<NodeId, std::string>& untouched) {
  CenterResult result;
  for (const CenterGroup& group : FindGroups(*graph, untouched)) {
    for (const Slot& front : group.fronts) result.centers[graph->value(OutputOf(*graph, front)).name];
    if (!IsKnown(group, *statistics)) continue;
    ++result.groups;
    const double before = SquaredRanges(group, *statistics, {});
    double least = kWorthwhile * before;
    CenterByValue best;
    for (const double share : {0.0, 0.5, 1.0}) {
      CenterByValue centers = CentersOf(*graph, group, *statistics, share);
      const double squares = SquaredRanges(group, *statistics, centers);
      if (!(squares < least)) continue;
      least = squares;
      best = std::move(centers);
    }
    if (best.empty()) continue;
    ++result.changed;
    LogDebug("centered ", graph->node(group.fronts[0].node).Title(),
             group.fronts.size() > 1 ? StrCat(" and ", group.fronts.size() - 1, " more") : std::string(),
             ": squares of ranges times ", least / before);
    Apply(graph, group, best);
    for (ValueId id : group.tensors) statistics->at(id).Subtract(best.at(id));
    for (const Slot& front : group.fronts) {
      const ValueId id = OutputOf(*graph, front);
      result.centers[graph->value(id).name] = std::move(best.at(id));
    }
  }
  return result;
}

bool Recenter(Graph* graph, const ChannelCenters& centers, const std::map<NodeId, std::string>& untouched) {
  for (const CenterGroup& group : FindGroups(*graph, untouched)) {
    CenterByValue known;
    for (const Slot& front : group.fronts) {
      const ValueId id = OutputOf(*graph, front);
      const auto found = centers.find(graph->value(id).name);
      if (found == centers.end()) return false;
      if (found->second.size() == group.channels) known[id] = found->second;
    }
    if (known.size() == group.fronts.size()) Apply(graph, group, HandOn(*graph, group, std::move(known)));
  }
  return true;
}

}  // namespace xslim
