#include "target/provider.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "graph/dims_text.h"
#include "graph/function.h"
#include "quant/element_types.h"
#include "simplify/opset/signature.h"
#include "simplify/simplify.h"
#include "target/provider_table.h"

namespace xslim {
namespace {

constexpr int kFirstInt8Opset = 13;  // of pairs with scales per channel
constexpr int kFirstOpset = 7;       // that can be written

bool IsPair(const Node& node) { return node.Is("QuantizeLinear") || node.Is("DequantizeLinear"); }

// The version that the operator has in an opset; nullopt where it does not exist.
std::optional<int> VersionIn(const Node& node, int opset) {
  if (!node.domain.empty()) return 1;
  const opset::Signature* const signature = opset::FindSignature(node.op_type, opset);
  if (signature == nullptr) return std::nullopt;
  return signature->since;
}

DType TypeOf(const Graph& graph, ValueId id) {
  const Tensor* const constant = graph.Constant(id);
  return constant != nullptr ? constant->dtype() : graph.value(id).dtype;
}

std::string TypeMisfit(const Graph& graph, const Node& node, const ProviderRow& row) {
  const ValueId id = node.input(row.typed_input);
  if (row.types == ProviderTypes::kAny || id == kNone) return "";
  const DType type = TypeOf(graph, id);
  if (type == DType::kUndefined || type == DType::kFloat || type == DType::kFloat16) return "";
  const bool int8_too = row.types == ProviderTypes::kFloatsAndInt8;
  if (int8_too && type == DType::kInt8) return "";
  return StrCat(NameOf(type), ", only float32", int8_too ? ", float16 and int8" : " and float16",
                " are taken");
}

// Of a pair: the codes' type, which the zero point of QuantizeLinear or the input of DequantizeLinear has.
std::string CodesMisfit(const Graph& graph, const Node& node) {
  if (!IsPair(node)) return "";
  const DType type = TypeOf(graph, node.Is("QuantizeLinear") ? node.outputs[0] : node.input(0));
  if (type == DType::kUndefined || type == DType::kInt8 || type == DType::kUint8) return "";
  if (type == DType::kInt32 && node.Is("DequantizeLinear")) return "";
  return StrCat("codes of ", NameOf(type));
}

std::string WhyNot(const Graph& graph, const Node& node) {
  const ProviderRow* const row = FindProviderRow(node);
  if (row == nullptr) return "not among its operators";
  const std::optional<int> version = VersionIn(node, graph.opset());
  if (version && *version > row->newest)
    return StrCat("version ", *version, " of the operator, ", row->newest, " is the newest that it knows");
  for (const std::string& why : {TypeMisfit(graph, node, *row), CodesMisfit(graph, node)}) {
    if (!why.empty()) return why;
  }
  return row->condition != nullptr ? row->condition(graph, node) : "";
}

// How many operators are newer in an opset than the provider knows, or not there at all: written for that
// opset, those would become several others.
int64_t Misfits(const Graph& graph, const std::vector<NodeId>& order, int opset) {
  return std::count_if(order.begin(), order.end(), [&](NodeId id) {
    const Node& node = graph.node(id);
    const ProviderRow* const row = FindProviderRow(node);
    if (row == nullptr) return false;
    const std::optional<int> version = VersionIn(node, opset);
    return !version || *version > row->newest;
  });
}

int BetterOpset(const Graph& graph, const std::vector<NodeId>& order) {
  const bool pairs =
      std::any_of(order.begin(), order.end(), [&](NodeId id) { return IsPair(graph.node(id)); });
  int64_t fewest = Misfits(graph, order, graph.opset());
  int better = 0;
  for (int opset = graph.opset() - 1; fewest > 0 && opset >= (pairs ? kFirstInt8Opset : kFirstOpset);
       --opset) {
    const int64_t there = Misfits(graph, order, opset);
    if (there >= fewest) continue;
    fewest = there;
    better = opset;
  }
  return better;
}

std::vector<std::string> OpenInputs(const Graph& graph) {
  std::vector<std::string> open;
  for (ValueId id : graph.FreeInputs()) {
    const Value& input = graph.value(id);
    if (std::any_of(input.dims.begin(), input.dims.end(), [](const Dim& dim) { return dim.size < 0; }))
      open.push_back(input.name + ":" + DimsText(input.dims));
  }
  return open;
}

}  // namespace

ProviderCheck CheckProvider(const Graph& model) {
  Graph graph = model;
  InlineCalls(&graph, [](const Function&, const Node& call) { return FindProviderRow(call) == nullptr; });
  ConstantsToInitializers(&graph, {});
  InferElementTypes(&graph);
  ProviderCheck check;
  const std::vector<NodeId> order = graph.Order();
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    if (node.Is("Constant")) continue;  // of strings
    ++check.operators;
    std::string why = WhyNot(graph, node);
    if (!why.empty()) check.on_cpu.push_back({node.Title(), node.op_type, std::move(why)});
  }
  check.better_opset = BetterOpset(graph, order);
  const bool computes_shapes = std::any_of(order.begin(), order.end(), [&](NodeId id) {
    return graph.node(id).Is("Shape") || graph.node(id).Is("Size");
  });
  if (computes_shapes) check.open_inputs = OpenInputs(graph);
  return check;
}

std::vector<std::string> Reasons(const ProviderCheck& check) {
  std::map<std::string, std::map<std::string, int64_t>> reasons;  // operator types by reason
  std::map<std::string, int64_t> counts;
  for (const CpuOperator& each : check.on_cpu) {
    ++reasons[each.why][each.op_type];
    ++counts[each.why];
  }
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> lines;
  for (const auto& [why, count] : sorted) {
    const auto text = [](const auto& each) { return StrCat(each.second, " ", each.first); };
    lines.push_back(why + ": " + StrJoin(reasons[why], ", ", text));
  }
  return lines;
}

std::vector<std::string> Advice(const ProviderCheck& check) {
  std::vector<std::string> lines;
  if (check.better_opset != 0)
    lines.push_back(StrCat("to leave fewer to the CPU: --opset ", check.better_opset,
                           ", with fewer operators that are too new"));
  for (const std::string& input : check.open_inputs)
    lines.push_back("to leave fewer to the CPU: --input-shapes " + input +
                    " with a number for each name or ?, so that the arithmetic on them goes");
  return lines;
}

}  // namespace xslim
