#include "quant/weight_sites.h"

#include <map>
#include <set>

#include "quant/choices.h"
#include "quant/interest.h"
#include "quant/mapped.h"
#include "quant/weight_codes.h"

namespace xslim {
namespace {

constexpr int64_t kFewestElements = 32, kFewestPerScale = 4;

// Slots that can hold a weight, with the axis of its scales; -1 where the shape does not fit.
std::vector<WeightSite> SlotsOf(const Scope& scope, const Node& node) {
  const auto rank = [&](size_t slot) {
    const Tensor* constant = ConstantIn(scope, node.input(slot));
    return constant == nullptr ? 0 : static_cast<int>(constant->rank());
  };
  const auto site = [&](size_t slot, int axis, WeightForm form) {
    return WeightSite{node.id, slot, rank(slot) >= 2 && axis < rank(slot) ? axis : -1, form};
  };
  if (node.domain == "com.microsoft" && node.op_type == "Attention")
    return {site(1, 1, WeightForm::kProduct)};
  if (node.Is("Conv")) return {site(1, 0, WeightForm::kFixed)};
  // Axis 1 of a grouped one counts channels within a group; each index of axis 0 belongs to one group.
  if (node.Is("ConvTranspose")) return {site(1, node.Int("group", 1) == 1 ? 1 : 0, WeightForm::kFixed)};
  if (node.Is("Gemm")) return {site(1, node.Int("transB", 0) ? 0 : 1, WeightForm::kProduct)};
  if (node.Is("MatMul"))
    return {site(0, rank(0) - 2, WeightForm::kFixed), site(1, rank(1) - 1, WeightForm::kProduct)};
  if (node.Is("Gather")) {
    const int64_t axis = node.Int("axis", 0);
    return {site(0, static_cast<int>(axis < 0 ? axis + rank(0) : axis), WeightForm::kTable)};
  }
  if (node.IsRecurrent()) return {site(1, 1, WeightForm::kFixed), site(2, 1, WeightForm::kFixed)};
  return {};
}

bool IsSquare(const Graph& graph, const Node& node, int slot) {
  if (node.Is("Mul")) return node.input(0) == node.input(1);
  if (node.Is("ReduceL2") || node.Is("ReduceSumSquare")) return slot == 0;
  if (!node.Is("Pow")) return false;
  const Tensor* exponent = graph.Constant(node.input(1));
  return exponent != nullptr && exponent->size() == 1 && exponent->ToFloat32().data<float>()[0] == 2;
}

// Whether only squares of the value are used, perhaps in another shape: the parts of a spectrum.
bool OnlySquared(const Graph& graph, ValueId id) {
  std::set<ValueId> seen = {id};
  for (std::vector<ValueId> open = {id}; !open.empty();) {
    const Value& value = graph.value(open.back());
    open.pop_back();
    if (value.is_output || value.uses.empty()) return false;
    for (const Use& use : value.uses) {
      const Node& user = graph.node(use.node);
      if (IsSquare(graph, user, use.slot)) continue;
      if (!MovesData(user)) return false;
      for (ValueId output : user.outputs) {
        if (output != kNone && seen.insert(output).second) open.push_back(output);
      }
    }
    if (graph.CapturedBySubgraph(value.name)) return false;
  }
  return true;
}

// Why a product would lose what is small beside the rest of it: one scale for all that it reads, made at run
// time, has no codes for that; nullptr where nothing tells the difference.
const char* LosesSmall(const Graph& graph, const Node& node, const WeightSite& site) {
  if (site.form != WeightForm::kProduct) return nullptr;
  if (!WaysToLogarithms(graph, node.outputs[0]).empty()) return kIntoLogarithm;
  return OnlySquared(graph, node.outputs[0])
             ? "only squares of it are used: a quiet band of a spectrum has no codes"
             : nullptr;
}

// Why a weight stays float; "" when it need not.
std::string Objection(const Tensor& weight, int axis) {
  if (weight.dtype() != DType::kFloat) return OtherFloat(weight.dtype());
  if (axis < 0) return "its constant is no matrix";
  if (weight.size() < kFewestElements) return "fewer than 32 weights";
  if (weight.size() / weight.dim(axis) < kFewestPerScale) return "fewer than 4 weights per scale";
  if (!AllFinite(weight)) return kNotFinite;
  if (NearlyWhole(weight)) return "its weights are whole numbers";
  return "";
}

}  // namespace

std::vector<WeightSite> FindWeightSites(const Scope& scope, IgnoreList* ignored, LeftList* left) {
  const Graph& graph = *scope.graph;
  const std::set<std::string> captured = CapturedNames(graph);
  std::vector<WeightSite> sites;
  std::map<ValueId, size_t> readers;  // of each weight: sites that want integers
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    for (const WeightSite& site : SlotsOf(scope, node)) {
      const Tensor* weight = ConstantIn(scope, node.input(site.slot));
      if (weight == nullptr || !IsFloating(weight->dtype()) || weight->size() <= 1) continue;
      const char* list = ignored->Reason(node);
      const char* reason = list == nullptr ? LosesSmall(graph, node, site) : list;
      const std::string why = reason != nullptr ? reason : Objection(*weight, site.axis);
      ForgetPages(*weight);
      if (!why.empty()) {
        left->push_back({node.Title(), why});
        continue;
      }
      sites.push_back(site);
      ++readers[node.input(site.slot)];
    }
  }
  // A float copy that stays for someone else saves nothing.
  std::vector<WeightSite> chosen;
  for (const WeightSite& site : sites) {
    const Node& node = graph.node(site.node);
    const Value& weight = graph.value(node.input(site.slot));
    const bool shared = IsDefined(weight) && (readers[weight.id] != weight.uses.size() || weight.is_output ||
                                              captured.count(weight.name) != 0);
    if (shared && site.form != WeightForm::kProduct) {
      left->push_back({node.Title(), "another reader of its weight stays float"});
    } else {
      chosen.push_back(site);
    }
  }
  return chosen;
}

}  // namespace xslim
