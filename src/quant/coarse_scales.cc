#include "quant/coarse_scales.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "quant/scale.h"
#include "quant/weight_codes.h"

namespace xslim {
namespace {

constexpr float kFewest = 32 * kMinScale;  // the width of a range of five bits
constexpr float kSmall = 0x1p-11f;

bool IsCoarse(const Tensor& weight, const QuantParams& params) {
  if (params.axis < 0) {
    const float* x = weight.data<float>();
    float lo = 0, hi = 0;
    for (int64_t i = 0; i < weight.size(); ++i) {
      lo = std::min(lo, x[i]);
      hi = std::max(hi, x[i]);
    }
    return params.scale[0] <= kMinScale && hi - lo > 0 && hi - lo < kFewest;
  }
  const std::vector<float> channels = LargestAlongAxis(weight, params.axis);
  const float largest = channels.empty() ? 0 : *std::max_element(channels.begin(), channels.end());
  return std::any_of(channels.begin(), channels.end(), [&](float channel) {
    return channel > 0 && 2 * channel < kFewest && channel > kSmall * largest;
  });
}

// An epsilon that a sum's codes cannot show anyway.
bool IsLostInSum(const Graph& graph, const QuantPlan& plan, const WeightQuant& weight,
                 const Tensor& constant) {
  const Node& node = graph.node(weight.node);
  if (!node.Is("Add") && !node.Is("Sub")) return false;
  const auto sum = plan.activations.find(node.outputs[0]);
  if (sum == plan.activations.end() || !sum->second.params.set()) return false;
  const float* x = constant.data<float>();
  return std::all_of(x, x + constant.size(),
                     [&](float element) { return 2 * std::fabs(element) < sum->second.params.scale[0]; });
}

}  // namespace

std::vector<std::string> CoarseTensors(const Graph& graph, const QuantPlan& plan) {
  std::vector<std::string> names;
  for (const auto& [id, pair] : plan.activations) {
    if (pair.params.set() && pair.hi > pair.lo && pair.hi - pair.lo < kFewest)
      names.push_back(graph.value(id).name);
  }
  std::set<ValueId> seen;
  for (const WeightQuant& weight : plan.weights) {
    const ValueId id = graph.node(weight.node).input(static_cast<size_t>(weight.slot));
    const Tensor* constant = graph.Constant(id);
    if (constant == nullptr || !weight.params.set() || IsLostInSum(graph, plan, weight, *constant) ||
        !seen.insert(id).second)
      continue;
    if (IsCoarse(*constant, weight.params)) names.push_back(graph.value(id).name);
  }
  return names;
}

}  // namespace xslim
