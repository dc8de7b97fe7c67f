#include "tune/keep_means.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "kernels/kernels.h"
#include "runtime/tapped_samples.h"
#include "tune/bias.h"
#include "tune/weight_rows.h"

namespace xslim {
namespace {

// What the bias of each output channel has to take back.
std::vector<double> MeanErrors(const Node& node, const Tensor& weight, const WeightQuant& quant,
                               const WeightRows& rows, const std::vector<double>& mean,
                               const std::vector<double>& rounding, int64_t channels) {
  const int64_t axis = quant.params.axis, inner = axis < 0 ? 1 : InnerCount(weight.shape(), axis);
  const int64_t inputs = static_cast<int64_t>(mean.size()) / rows.groups;  // of one group
  // Conv: several taps of the depth read one input channel; ConvTranspose: several rows write one output.
  const int64_t taps = rows.depth / inputs, repeats = rows.groups * rows.rows / channels;
  const float* const weights = weight.data<float>();
  const int8_t* const codes = quant.codes.data<int8_t>();
  std::vector<double> errors(static_cast<size_t>(channels), 0.0);
  for (int64_t g = 0; g < rows.groups; ++g) {
    for (int64_t r = 0; r < rows.rows; ++r) {
      double& error = errors[static_cast<size_t>((g * rows.rows + r) / repeats)];
      // Scales are those of output channels: one for all of a row.
      const int64_t channel = axis < 0 ? 0 : rows.At(g, r, 0) / inner % weight.dim(axis);
      const double scale = quant.params.scale[static_cast<size_t>(channel)];
      for (int64_t i = 0; i < inputs; ++i) {
        const auto input = static_cast<size_t>(g * inputs + i);
        for (int64_t d = i * taps; d < (i + 1) * taps; ++d) {
          const int64_t at = rows.At(g, r, d);
          const double now = scale * codes[at];
          error += (now - weights[at]) * mean[input] + now * rounding[input];
        }
      }
    }
  }
  if (!node.Is("ConvTranspose")) return errors;
  // Each output pixel sums 1 / (product of strides) of the taps.
  double share = 1;
  for (int64_t stride : node.Ints("strides")) share /= static_cast<double>(stride);
  for (double& error : errors) error *= share;
  return errors;
}

// Means may come from a file.
bool Fits(const WeightRows& rows, int64_t channels) {
  return channels > 0 && channels % rows.groups == 0 && rows.depth % (channels / rows.groups) == 0;
}

// What rounding to codes adds to the mean of each channel (along `axis`) of one sample's tensor.
std::vector<double> MeanChanges(const Tensor& tensor, int64_t axis, const QuantParams& params) {
  const kernels::Table& table = kernels::Active();
  const int64_t channels = tensor.dim(axis), inner = InnerCount(tensor.shape(), axis);
  std::vector<double> changes(static_cast<size_t>(channels), 0.0);
  if (tensor.size() == 0) return changes;
  const int64_t outer = tensor.size() / (channels * inner);
  std::vector<float> rounded(static_cast<size_t>(inner));
  for (int64_t c = 0; c < channels; ++c) {
    double before = 0, after = 0;
    for (int64_t o = 0; o < outer; ++o) {
      const float* const x = tensor.data<float>() + (o * channels + c) * inner;
      table.fake_quantize(x, params.scale[0], params.zero_point[0], -128, 127, rounded.data(), inner);
      before += inner == 1 ? *x : table.sum(x, inner);
      after += inner == 1 ? rounded[0] : table.sum(rounded.data(), inner);
    }
    const double count = static_cast<double>(outer * inner);
    changes[static_cast<size_t>(c)] = after / count - before / count;
  }
  return changes;
}

}  // namespace

ChannelMeans RoundingMeans(const Graph& graph, const QuantPlan& plan, const std::vector<Sample>& samples,
                           const SampleLanes& lanes) {
  std::map<ValueId, std::set<int>> axes;
  std::vector<ValueId> taps;
  for (const auto& [id, axis] : InputChannels(graph)) {
    const auto quant = plan.activations.find(id);
    if (quant == plan.activations.end() || !quant->second.params.set()) continue;
    if (axes[id].empty()) taps.push_back(id);
    axes[id].insert(axis);
  }
  std::vector<ChannelMeans> by_sample(samples.size());
  const auto observe = [&](size_t sample, ValueId id, const Tensor& tensor) {
    if (tensor.dtype() != DType::kFloat) return;
    for (int axis : axes.at(id)) {
      const int64_t at = axis < 0 ? axis + tensor.rank() : axis;
      if (at < 0 || at >= tensor.rank()) continue;
      std::vector<double> changes = MeanChanges(tensor, at, plan.activations.at(id).params);
      if (AllFinite(changes)) by_sample[sample][{id, axis}] = std::move(changes);
    }
  };
  RunTapped("keeping means", graph, samples, taps, observe, nullptr, lanes);
  std::map<ChannelAxis, size_t> seen;
  for (const ChannelMeans& changes : by_sample) {
    for (const auto& [channel, added] : changes) ++seen[channel];
  }
  ChannelMeans means;
  for (const ChannelMeans& changes : by_sample) {
    for (const auto& [channel, added] : changes) {
      std::vector<double>& mean = means[channel];
      mean.resize(added.size());
      for (size_t c = 0; c < added.size(); ++c) mean[c] += added[c] / static_cast<double>(seen.at(channel));
    }
  }
  return means;
}

int KeepMeans(Graph* graph, QuantPlan* plan, const ChannelMeans& means, const ChannelMeans& rounding) {
  int moved = 0;
  for (const WeightQuant& quant : plan->weights) {
    const Node& node = graph->node(quant.node);
    const auto mean = means.find(InputChannels(*graph, node));
    if (quant.slot != 1 || mean == means.end()) continue;
    const auto rows = RowsOf(node, *graph->Constant(node.input(1)));
    if (!rows || !Fits(*rows, static_cast<int64_t>(mean->second.size()))) continue;
    const BiasSite site = BiasOf(graph, quant.node);
    if (site.node == kNone) continue;
    const auto found = rounding.find(mean->first);
    const bool known = found != rounding.end() && found->second.size() == mean->second.size();
    const std::vector<double> added = known ? found->second : std::vector<double>(mean->second.size(), 0.0);
    const int64_t outputs = graph->Constant(graph->node(site.node).input(site.slot))->size();
    std::vector<double> shift =
        MeanErrors(node, *graph->Constant(node.input(1)), quant, *rows, mean->second, added, outputs);
    if (!AllFinite(shift)) continue;
    for (double& number : shift) number = -number;
    ShiftBias(graph, plan, site, shift);
    ++moved;
  }
  return moved;
}

}  // namespace xslim
