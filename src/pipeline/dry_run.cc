#include "pipeline/dry_run.h"

#include <algorithm>
#include <map>

#include "base/log.h"
#include "pipeline/static_report.h"
#include "quant/interest.h"

namespace xslim {
namespace {

constexpr char kInt8[] = "int8   ", kFloat[] = "float  ";

// Why placement did not even look at an operator.
std::string WhyOutside(const Graph& graph, const Node& node, const ValueFacts& facts) {
  for (const std::vector<ValueId>* values : {&node.inputs, &node.outputs}) {
    if (values->empty() || values->front() == kNone) continue;
    const DType type = facts.of(values->front()).dtype;
    if (type == DType::kUndefined) return "it cannot be computed, or depends on what cannot";
    if (type != DType::kFloat) return StrCat("it computes on ", NameOf(type), ", not float32");
  }
  const auto has_body = [](const auto& attribute) { return attribute.second.graph != nullptr; };
  if (std::any_of(node.attributes.begin(), node.attributes.end(), has_body))
    return "its bodies are looked at when the model is calibrated";
  return RoleOf(graph, node) == QuantRole::kNone ? "no int8 form of it is known"
                                                 : "no int8 operator lies before it";
}

// "" where there are none.
std::string PairsBehind(const Graph& graph, const QuantPlan& plan, const std::vector<ValueId>& values) {
  std::vector<std::string> names;
  for (const ValueId id : values) {
    if (id != kNone && plan.activations.count(id)) names.push_back(graph.value(id).name);
  }
  return names.empty() ? "" : "Q/DQ behind " + StrJoin(names);
}

std::string Int8Line(const Graph& graph, const QuantPlan& plan, const Node& node) {
  const std::string pairs = PairsBehind(graph, plan, node.outputs);
  if (!pairs.empty()) return pairs;
  return RoleOf(graph, node) == QuantRole::kPassive ? "moves codes, one scale before and behind"
                                                    : "rounds once with what reads it";
}

}  // namespace

std::vector<std::string> DescribePlan(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts) {
  std::map<std::string, std::string> reasons;  // by title
  for (const FloatOperator& item : FloatOperators(graph, plan, facts)) reasons[item.title] = item.why;
  std::vector<std::string> lines;
  for (const ValueId id : graph.FreeInputs()) {
    if (plan.activations.count(id))
      lines.push_back(StrCat(kInt8, "input ", graph.value(id).name, ": ", PairsBehind(graph, plan, {id})));
  }
  const std::vector<NodeId> order = graph.Order();
  for (const NodeId id : order) {
    const Node& node = graph.node(id);
    if (plan.nodes.count(id)) {
      lines.push_back(kInt8 + node.Title() + ": " + Int8Line(graph, plan, node));
      continue;
    }
    const auto reason = reasons.find(node.Title());
    const std::string pairs = PairsBehind(graph, plan, node.outputs);
    lines.push_back(StrCat(kFloat, node.Title(), ": ",
                           reason == reasons.end() ? WhyOutside(graph, node, facts) : reason->second,
                           pairs.empty() ? "" : "; ", pairs));
  }
  const Int8Share share = ShareOfInt8(graph, plan, facts);
  lines.push_back(StrCat(plan.nodes.size(), " of ", Counted(order.size(), "operator"), " in int8, ",
                         Percent(share.int8_macs, share.macs), " of ", share.macs, " multiply-adds; ",
                         plan.activations.size(), " activations and ", plan.weights.size(),
                         " constants with Q/DQ"));
  lines.push_back(
      "before calibration: what the data tell (fragile operators, outputs of different sizes that are "
      "joined, auto_precision, branches of If) is not in it");
  return lines;
}

}  // namespace xslim
