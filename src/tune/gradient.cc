#include "tune/gradient.h"

#include <algorithm>
#include <limits>

#include "base/random.h"
#include "graph/subgraph.h"
#include "tune/gradient_builder.h"

namespace xslim {
namespace {

constexpr uint64_t kSignSeed = 20260606;

}  // namespace

Tensor RandomSigns(const Shape& shape, double size, uint64_t seed) {
  Tensor signs(DType::kFloat, shape);
  Random random(seed);
  uint64_t bits = 0;
  for (int64_t i = 0; i < signs.size(); ++i) {
    if (i % 64 == 0) bits = random.Next();
    signs.data<float>()[i] = static_cast<float>((bits >> (i % 64)) & 1 ? size : -size);
  }
  return signs;
}

ValueId GradientBuilder::Emit(const std::string& type, std::vector<ValueId> inputs,
                              std::map<std::string, Attribute> attributes, const std::string& domain) {
  const ValueId out = graph_->AddValue("xslim_gradient", DType::kFloat);
  graph_->AddNode(type, "xslim_gradient_" + type, std::move(inputs), {out}, std::move(attributes), domain);
  return out;
}

ValueId GradientBuilder::Constant(Tensor tensor) {
  return graph_->AddConstant("xslim_gradient_constant", std::move(tensor));
}

ValueId GradientBuilder::Scalar(float value) { return Constant(Tensor::Scalar(value)); }

ValueId GradientBuilder::Ints(std::vector<int64_t> values) {
  return Constant(Tensor::Of<int64_t>({static_cast<int64_t>(values.size())}, values));
}

ValueId GradientBuilder::Zeros(const Shape& shape) {
  Tensor zeros(DType::kFloat, shape);
  std::fill_n(zeros.data<float>(), zeros.size(), 0.0f);
  return Constant(std::move(zeros));
}

ValueId GradientBuilder::SumTo(ValueId x, const Shape& from, const Shape& to) {
  if (from == to) return x;
  const size_t extra = from.size() - to.size();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < from.size(); ++i) {
    if (i < extra || to[i - extra] != from[i]) axes.push_back(static_cast<int64_t>(i));
  }
  const ValueId sum = axes.empty() ? x : SumOver(x, std::move(axes));
  return extra ? Reshaped(sum, to) : sum;
}

void GradientBuilder::Give(ValueId input, ValueId derivative) {
  if (Needs(input)) given_[input].push_back(derivative);
}

// Itself or in a body.
bool GradientBuilder::ReadsNeeded(const Node& node) const {
  const std::vector<ValueId> reads = ReadsOf(*graph_, node);
  return std::any_of(reads.begin(), reads.end(), [&](ValueId id) { return Needs(id); });
}

void GradientBuilder::FindNeeded(const std::set<ValueId>& wanted) {
  for (ValueId id : wanted) {
    if (facts_.is_float(id)) needed_.insert(id);
  }
  for (NodeId id : graph_->Order()) {
    const Node& node = graph_->node(id);
    if (!ReadsNeeded(node)) continue;
    for (ValueId output : node.outputs) {
      if (output != kNone && static_cast<size_t>(output) < known_ && facts_.is_float(output))
        needed_.insert(output);
    }
  }
}

// The sum of what the readers gave.
ValueId GradientBuilder::Arrived(ValueId value) {
  const auto known = arrived_.find(value);
  if (known != arrived_.end()) return known->second;
  const auto found = given_.find(value);
  if (found == given_.end()) return kNone;
  ValueId sum = found->second[0];
  for (size_t i = 1; i < found->second.size(); ++i) sum = Emit("Add", {sum, found->second[i]});
  arrived_[value] = sum;
  return sum;
}

// An error of the outputs y that is the share r of each element costs r^2 sum (g y)^2. The same share of an
// input x shall cost as much: its derivatives are random signs of the size sqrt(sum (g y)^2 / sum x^2). Those
// by an input of zeros (the first state of an LSTM) are zero: any share of it is nothing.
void GradientBuilder::Estimate(const Node& node, const std::vector<ValueId>& g) {
  const auto sum_of_squares = [this](ValueId x) {
    const ValueId sum = graph_->AddValue("xslim_gradient", DType::kFloat);
    graph_->AddNode("ReduceSum", "xslim_gradient_ReduceSum", {Emit("Mul", {x, x})}, {sum},
                    {{"keepdims", Attribute::Int(0)}});
    return sum;
  };
  ValueId cost = kNone;
  for (size_t i = 0; i < g.size(); ++i) {
    if (g[i] == kNone) continue;
    const ValueId of_output = sum_of_squares(Emit("Mul", {g[i], node.outputs[i]}));
    cost = cost == kNone ? of_output : Emit("Add", {cost, of_output});
  }
  const std::vector<ValueId> reads = ReadsOf(*graph_, node);
  for (ValueId input : std::set<ValueId>(reads.begin(), reads.end())) {
    if (!Needs(input)) continue;
    const ValueId power = sum_of_squares(input),
                  silent = Emit("Less", {power, Scalar(std::numeric_limits<float>::min())}),
                  ratio = Emit("Where", {silent, Scalar(0), Emit("Div", {cost, power})});
    Give(input,
         Emit("Mul", {Constant(RandomSigns(ShapeOf(input), 1, kSignSeed + static_cast<uint64_t>(input))),
                      Emit("Sqrt", {ratio})}));
  }
}

Gradient GradientBuilder::Run(const std::map<ValueId, ValueId>& seeds, const std::set<ValueId>& wanted) {
  FindNeeded(wanted);
  for (const auto& [value, weight] : seeds) Give(value, weight);
  Gradient result;
  std::vector<NodeId> order = graph_->Order();
  std::reverse(order.begin(), order.end());
  for (NodeId id : order) {
    const Node node = graph_->node(id);  // a copy: the graph grows
    if (!ReadsNeeded(node)) continue;
    std::vector<ValueId> g;
    bool any = false, partial = false;
    for (ValueId output : node.outputs) {
      g.push_back(output == kNone ? kNone : Arrived(output));
      any |= g.back() != kNone;
      partial |= partial_.count(output) != 0;
    }
    if (any && !HandOn({*this, node, g})) {
      result.stopped.push_back(id);
      if (without_rule_ == WithoutRule::kEstimate)
        Estimate(node, g);
      else
        partial = true;
    }
    if (!partial) continue;
    for (ValueId read : ReadsOf(*graph_, node)) partial_.insert(read);
  }
  for (ValueId id : wanted) {
    if (partial_.count(id)) continue;
    if (const ValueId derivative = Arrived(id); derivative != kNone) result.of[id] = derivative;
  }
  result.turned = std::move(turned_);
  return result;
}

bool HandOn(const GradientSite& site) {
  if (!site.node.domain.empty()) return false;
  // Rules look at the first output, but that of Split.
  const bool more = std::any_of(site.g.begin() + 1, site.g.end(), [](ValueId g) { return g != kNone; });
  if (more && !site.node.Is("Split")) return false;
  return HandOnProduct(site) || HandOnElementwise(site) || HandOnMoved(site);
}

Gradient AddGradient(Graph* graph, const ValueFacts& facts, const std::map<ValueId, ValueId>& seeds,
                     const std::set<ValueId>& wanted, ThreadPool& pool, WithoutRule without_rule) {
  return GradientBuilder(graph, facts, pool, without_rule).Run(seeds, wanted);
}

}  // namespace xslim
