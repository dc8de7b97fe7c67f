#include "quant/inline.h"

#include <map>
#include <vector>

#include "graph/function.h"
#include "ops/operator.h"

namespace xslim {
namespace {

// The SpacemiT runtime has kernels for these functions (YOLO's decoding, Swin's windows) and knows them by
// name.
constexpr const char* kTargetFunctions = "spacemit_functions";

struct Contents {
  bool computes = false, quantizable = false;
};

class Inspector {
 public:
  explicit Inspector(const Graph& model) : model_(model) {}

  Contents Of(const Node& node) {
    const Function* function = FindFunction(model_, node);
    if (function == nullptr) return OfOperator(node);
    if (function->domain == kTargetFunctions) return {};
    const auto [at, fresh] = known_.try_emplace(function);
    if (!fresh) return at->second;
    Contents all;
    for (NodeId id : function->body.Order()) {
      const Contents inner = Of(function->body.node(id));
      all.computes |= inner.computes;
      all.quantizable |= inner.quantizable;
    }
    return known_[function] = all;
  }

 private:
  Contents OfOperator(const Node& node) const {
    if (!node.domain.empty()) return {};
    const OperatorRow* row = FindOperator(node.domain, node.op_type, model_.opset());
    const QuantRole role = row ? row->role : QuantRole::kNone;
    return {role == QuantRole::kCompute, role != QuantRole::kNone};
  }

  const Graph& model_;
  std::map<const Function*, Contents> known_;
};

// One level of calls; returns how many were replaced.
int InlineLevel(Graph* graph) {
  Inspector inspector(*graph);
  std::vector<bool> downstream(graph->value_slots(), false);
  std::vector<NodeId> calls;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    const Contents contents = inspector.Of(node);
    bool reached = contents.computes;
    for (ValueId input : node.inputs) reached |= input != kNone && downstream[static_cast<size_t>(input)];
    if (!reached) continue;
    for (ValueId output : node.outputs) {
      if (output != kNone) downstream[static_cast<size_t>(output)] = true;
    }
    if (contents.quantizable && FindFunction(*graph, node) != nullptr) calls.push_back(id);
  }
  for (NodeId id : calls) {
    const Function& function = *FindFunction(*graph, graph->node(id));
    const std::string prefix = graph->node(id).name + "/";
    InlineCall(graph, graph, id, function, prefix);
  }
  return static_cast<int>(calls.size());
}

}  // namespace

int InlineForInt8(Graph* graph) {
  if (graph->functions.empty()) return 0;
  int count = 0;
  while (const int level = InlineLevel(graph)) count += level;
  return count;
}

void InlineForHalf(Graph* graph, IgnoreList* ignored) {
  InlineCalls(graph, [ignored](const Function& function, const Node& call) {
    return function.domain != kTargetFunctions && ignored->Reason(call) == nullptr;
  });
  DropUnusedFunctions(graph);
}

}  // namespace xslim
