#include "tune/equalize.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/vector_clones.h"
#include "quant/facts.h"
#include "quant/interest.h"
#include "tune/channel_groups.h"

namespace xslim {
namespace {

// What may be left of the predicted noise. Behind sums the prediction is rough: it knows nothing of what the
// layers between them do to the noise.
constexpr double kWorthwhile = 0.97, kWorthwhileWithSums = 0.7;

XSLIM_VECTOR_CLONES double LargestProduct(const float* x, const double* y, size_t n) {
  constexpr size_t kLanes = 8;
  double most[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) {
      const double product = x[i + l] * y[i + l];
      most[l] = most[l] < product ? product : most[l];
    }
  }
  for (; i < n; ++i) most[0] = std::max(most[0], x[i] * y[i]);
  return *std::max_element(most, most + kLanes);
}

// A layer behind a group.
struct Reader {
  std::vector<double> energy;  // by channel: sum of squared weights that read it
  // For each output channel: the largest weight of each input channel that it reads, from `first` on.
  struct Row {
    size_t first = 0;
    std::vector<float> largest;
  };
  std::vector<Row> rows;
};

Reader Describe(const Graph& graph, NodeId id, size_t channels) {
  const Node& node = graph.node(id);
  const Tensor& weight = *graph.Constant(node.input(1));
  const WeightChannels all(node, weight);
  // An output channel of a convolution reads the channels of its group, others read all.
  const size_t groups = node.Is("Conv") ? static_cast<size_t>(node.Int("group", 1)) : 1;
  const size_t outputs = static_cast<size_t>(all.outputs()), reads = channels / groups;
  Reader reader{std::vector<double>(channels, 0.0), {}};
  for (size_t o = 0; o < outputs; ++o)
    reader.rows.push_back({o / (outputs / groups) * reads, std::vector<float>(reads, 0.0f)});
  const float* w = weight.data<float>();
  all.ForEach([&](int64_t begin, int64_t end, int64_t input, int64_t output) {
    const auto c = static_cast<size_t>(input);
    Reader::Row& row = reader.rows[static_cast<size_t>(output)];
    float& most = row.largest[c - row.first];
    for (int64_t at = begin; at < end; ++at) {
      const float magnitude = std::fabs(w[at]);
      reader.energy[c] += static_cast<double>(magnitude) * magnitude;
      most = std::max(most, magnitude);
    }
  });
  return reader;
}

// Predicts what rounding in a group does to the layers behind it.
class NoiseModel {
 public:
  NoiseModel(const Graph& graph, const ChannelGroup& group, const StatisticsByValue& statistics)
      : channels_(group.channels) {
    std::map<ValueId, std::vector<double>> energy;  // of all that a rounding of the tensor reaches
    for (NodeId id : group.behind) {
      const ValueId input = graph.node(id).input(0);
      const ChannelStatistics* const seen = Seen(statistics, input);
      if (seen == nullptr) continue;
      Reader reader = Describe(graph, id, channels_);
      const double power = group.sums.empty() ? 1 : OutputPower(reader, *seen);
      if (!(power > 0) || !std::isfinite(power)) continue;
      std::vector<double>& sum = energy[input];
      sum.resize(channels_, 0.0);
      for (size_t c = 0; c < channels_; ++c) sum[c] += reader.energy[c] / power;
      readers_.push_back({std::move(reader), seen, power});
    }
    HandBack(graph, group, &energy);
    for (ValueId id : RoundedTensors(graph, group)) {
      const ChannelStatistics* const seen = Seen(statistics, id);
      const auto known = energy.find(id);
      if (seen != nullptr && known != energy.end()) tensors_.push_back({seen, known->second});
    }
    for (NodeId id : VectorAdds(graph, group)) AddShifted(graph, graph.node(id), statistics, energy);
    for (NodeId id : group.slopes) AddSloped(graph, graph.node(id), statistics, energy);
  }

  bool empty() const { return readers_.empty(); }

  // As the header says, in units of 1/12.
  double Of(const std::vector<double>& scale) const {
    double noise = 0;
    for (const auto& [seen, energy, shift] : tensors_) {
      double lo = 0, hi = 0, most = 0;
      for (size_t c = 0; c < channels_; ++c) {
        lo = std::min(lo, scale[c] * seen->lo[c]);
        hi = std::max(hi, scale[c] * seen->hi[c]);
        if (!shift.empty()) most = std::max(most, scale[c] * shift[c]);
      }
      if (!shift.empty()) lo = std::max(lo, -most);
      const double step = (hi - lo) / 255;
      for (size_t c = 0; c < channels_; ++c) noise += step * step * energy[c] / (scale[c] * scale[c]);
    }
    std::vector<double> inverse(channels_);
    for (size_t c = 0; c < channels_; ++c) inverse[c] = 1 / scale[c];
    for (const auto& [reader, seen, power] : readers_) {
      double squares = 0;
      size_t first = 0, reads = 0;  // of the channels that `squares` is the sum of
      for (const Reader::Row& row : reader.rows) {
        if (row.first != first || row.largest.size() != reads) {
          first = row.first;
          reads = row.largest.size();
          squares = 0;
          for (size_t c = first; c < first + reads; ++c)
            squares += scale[c] * scale[c] * seen->squares[c] / seen->count;
        }
        const double most = LargestProduct(row.largest.data(), inverse.data() + first, reads);
        noise += most / 127 * (most / 127) * squares / power;
      }
    }
    return noise;
  }

  // By channel, the largest share that it has of a tensor's widest range; 0: dead in all of them.
  std::vector<double> Ranges() const {
    std::vector<double> ranges(channels_, 0.0);
    for (const auto& [seen, energy, shift] : tensors_) {
      std::vector<double> own(channels_);
      for (size_t c = 0; c < channels_; ++c)
        own[c] =
            std::max(0.0, static_cast<double>(seen->hi[c])) - std::min(0.0, static_cast<double>(seen->lo[c]));
      const double widest = *std::max_element(own.begin(), own.end());
      if (!(widest > 0) || !std::isfinite(widest)) continue;
      for (size_t c = 0; c < channels_; ++c) ranges[c] = std::max(ranges[c], own[c] / widest);
    }
    return ranges;
  }

  // By channel, its largest weight as a share of the largest of that output channel.
  std::vector<double> Shares() const {
    std::vector<double> shares(channels_, 0.0);
    for (const auto& [reader, seen, power] : readers_) {
      for (const Reader::Row& row : reader.rows) {
        const double most =
            row.largest.empty() ? 0.0 : *std::max_element(row.largest.begin(), row.largest.end());
        if (most == 0) continue;
        for (size_t i = 0; i < row.largest.size(); ++i)
          shares[row.first + i] = std::max(shares[row.first + i], row.largest[i] / most);
      }
    }
    return shares;
  }

 private:
  // Null for a tensor that was never seen to hold numbers in these channels.
  const ChannelStatistics* Seen(const StatisticsByValue& statistics, ValueId id) const {
    const auto found = statistics.find(id);
    return found == statistics.end() || found->second.lo.size() != channels_ ? nullptr : &found->second;
  }

  // As if channels did not go together.
  double OutputPower(const Reader& reader, const ChannelStatistics& seen) const {
    double power = 0;
    for (size_t c = 0; c < channels_; ++c) power += reader.energy[c] * seen.squares[c];
    return power / seen.count;
  }

  // What is added to a sum reaches all that the sum reaches. Later sums come first, so that each is complete.
  void HandBack(const Graph& graph, const ChannelGroup& group,
                std::map<ValueId, std::vector<double>>* energy) const {
    for (auto sum = group.sums.rbegin(); sum != group.sums.rend(); ++sum) {
      const Node& node = graph.node(*sum);
      std::vector<double> reached(channels_, 0.0);
      CollectReached(graph, node.outputs[0], *energy, &reached);
      for (ValueId input : node.inputs) {
        std::vector<double>& to = (*energy)[input];
        to.resize(channels_, 0.0);
        for (size_t c = 0; c < channels_; ++c) to[c] += reached[c];
      }
    }
  }

  // What a vector is added to is rounded as well. A Relu behind sees nothing of it below the vector's largest
  // number.
  void AddShifted(const Graph& graph, const Node& add, const StatisticsByValue& statistics,
                  const std::map<ValueId, std::vector<double>>& energy) {
    const Tensor* const vector = ConstantOperand(graph, add);
    if (vector == nullptr) return;
    const bool second = graph.Constant(add.input(1)) == vector;
    const ChannelStatistics* const seen = Seen(statistics, add.input(second ? 0 : 1));
    std::vector<double> reached(channels_, 0.0), shift;
    CollectReached(graph, add.outputs[0], energy, &reached);
    if (seen == nullptr) return;
    if (VisibleRange(graph, add.outputs[0]).lo == 0)
      shift.assign(vector->data<float>(), vector->data<float>() + vector->size());
    tensors_.push_back({seen, std::move(reached), std::move(shift)});
  }

  // What a LeakyRelu or PRelu reads is rounded as well. Below zero it takes the roundings by its slope; half
  // of them are taken to lie there.
  void AddSloped(const Graph& graph, const Node& node, const StatisticsByValue& statistics,
                 const std::map<ValueId, std::vector<double>>& energy) {
    const ChannelStatistics* const seen = Seen(statistics, node.input(0));
    if (seen == nullptr) return;
    std::vector<double> reached(channels_, 0.0);
    CollectReached(graph, node.outputs[0], energy, &reached);
    const Tensor* const slopes = node.Is("PRelu") ? graph.Constant(node.input(1)) : nullptr;
    const bool known = slopes != nullptr && slopes->dtype() == DType::kFloat;
    for (size_t c = 0; c < channels_; ++c) {
      double slope = node.Is("LeakyRelu") ? static_cast<double>(node.Float("alpha", 0.01f)) : 1.0;
      if (known && slopes->size() == 1) slope = static_cast<double>(slopes->data<float>()[0]);
      if (known && slopes->size() == static_cast<int64_t>(channels_))
        slope = static_cast<double>(slopes->data<float>()[c]);
      reached[c] *= (1 + slope * slope) / 2;
    }
    tensors_.push_back({seen, std::move(reached)});
  }

  // Adds up what is known of the tensors that `from` is handed on to without a sum.
  void CollectReached(const Graph& graph, ValueId from, const std::map<ValueId, std::vector<double>>& energy,
                      std::vector<double>* reached) const {
    std::vector<ValueId> waiting = {from};
    while (!waiting.empty()) {
      const ValueId id = waiting.back();
      waiting.pop_back();
      if (const auto own = energy.find(id); own != energy.end()) {
        for (size_t c = 0; c < channels_; ++c) (*reached)[c] += own->second[c];
      }
      for (const Use& use : graph.value(id).uses) {
        const Node& user = graph.node(use.node);
        if (!IsSum(graph, user) && !IsComputing(user)) waiting.push_back(user.outputs[0]);
      }
    }
  }

  struct Weighted {
    Reader reader;
    const ChannelStatistics* seen;  // of what it reads
    double power;
  };
  struct Rounded {
    const ChannelStatistics* seen;
    std::vector<double> energy;
    std::vector<double> shift = {};  // by channel; what lies below the negative of the largest is not seen
  };
  const size_t channels_;
  std::vector<Weighted> readers_;
  std::vector<Rounded> tensors_;
};

// x^(quarters / 4) by square roots alone, which are the same on every machine.
double Power(double x, int quarters) {
  const double root = std::sqrt(x), quarter = std::sqrt(root);
  double power = 1;
  for (int i = 0; i < quarters / 4; ++i) power *= x;
  if (quarters % 4 >= 2) power *= root;
  if (quarters % 2 == 1) power *= quarter;
  return power;
}

// worthwhile: what must be left of the noise, at most.
std::vector<double> Factors(const NoiseModel& model, size_t channels, double worthwhile) {
  constexpr double kMost = 64;
  const std::vector<double> range = model.Ranges(), share = model.Shares();
  std::vector<double> best(channels, 1.0);
  double least = worthwhile * model.Of(best);
  for (int a = 0; a <= 4; ++a) {
    for (int d = 0; d <= 2; ++d) {
      if (a + d == 0) continue;
      std::vector<double> scale(channels, 1.0);
      for (size_t c = 0; c < channels; ++c) {
        if (range[c] <= 0 || share[c] <= 0) continue;  // a dead channel
        scale[c] = std::clamp(Power(1 / range[c], a) * Power(share[c], d), 1 / kMost, kMost);
      }
      const double noise = model.Of(scale);
      if (!(noise < least)) continue;
      least = noise;
      best = std::move(scale);
    }
  }
  return best;
}

const std::string& OutputName(const Graph& graph, const ChannelGroup& group) {
  return graph.value(graph.node(group.fronts[0]).outputs[0]).name;
}

}  // namespace

std::map<ValueId, bool> TensorsToEqualize(const Graph& graph,
                                          const std::map<NodeId, std::string>& untouched) {
  std::map<ValueId, bool> channels_first;
  for (const ChannelGroup& group : FindChannelGroups(graph, untouched)) {
    for (ValueId id : RoundedTensors(graph, group)) channels_first[id] = group.axis.first;
    for (NodeId id : VectorAdds(graph, group)) {
      const Node& add = graph.node(id);
      channels_first[add.input(graph.Constant(add.input(0)) == nullptr ? 0 : 1)] = group.axis.first;
    }
    for (NodeId id : group.slopes) channels_first[graph.node(id).input(0)] = group.axis.first;
  }
  return channels_first;
}

EqualizeResult Equalize(Graph* graph, const StatisticsByValue& statistics,
                        const std::map<NodeId, std::string>& untouched) {
  EqualizeResult result;
  for (const ChannelGroup& group : FindChannelGroups(*graph, untouched)) {
    std::vector<double>& factors = result.factors[OutputName(*graph, group)];
    const NoiseModel model(*graph, group, statistics);
    if (model.empty()) continue;
    ++result.groups;
    std::vector<double> found =
        Factors(model, group.channels, group.sums.empty() ? kWorthwhile : kWorthwhileWithSums);
    if (std::all_of(found.begin(), found.end(), [](double f) { return f == 1; })) continue;
    ++result.changed;
    LogDebug("equalized ", graph->node(group.fronts[0]).Title(),
             group.fronts.size() > 1 ? StrCat(" and ", group.fronts.size() - 1, " more") : std::string(),
             " with ", Counted(group.behind.size(), "layer"), " behind");
    RescaleGroup(graph, group, found);
    factors = std::move(found);
  }
  return result;
}

bool Rescale(Graph* graph, const ChannelFactors& factors, const std::map<NodeId, std::string>& untouched) {
  for (const ChannelGroup& group : FindChannelGroups(*graph, untouched)) {
    const auto known = factors.find(OutputName(*graph, group));
    if (known == factors.end()) return false;
    if (known->second.size() == group.channels) RescaleGroup(graph, group, known->second);
  }
  return true;
}

}  // namespace xslim
