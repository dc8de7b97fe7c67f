// Before: op(constants) -> y        After: initializer y
// What would grow the model by more than 1 MB stays computed.
#include "base/log.h"
#include "ops/operator.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

constexpr size_t kMostGrowth = 1 << 20;

bool Foldable(const Graph& graph, const Node& node) {
  if (node.inputs.empty() && !node.Is("ConstantOfShape")) return false;
  if (node.op_type.starts_with("Random") || node.Is("Bernoulli") || node.Is("Multinomial")) return false;
  if (node.Is("QuantizeLinear") || node.Is("DequantizeLinear")) return false;  // a quantized weight stays one
  for (ValueId input : node.inputs) {
    if (input != kNone && graph.Constant(input) == nullptr) return false;
  }
  for (const auto& [name, attribute] : node.attributes) {
    if (attribute.kind == Attribute::Kind::kGraph || attribute.kind == Attribute::Kind::kOther) return false;
  }
  for (ValueId output : node.outputs) {
    if (output != kNone && graph.value(output).is_output) return false;
  }
  return true;
}

}  // namespace

int FoldConstants(Graph* graph, const SimplifyOptions& options) {
  ThreadPool pool(1);
  int count = 0;
  for (NodeId id : graph->Order()) {
    const Node& node = graph->node(id);
    if (!Foldable(*graph, node)) continue;
    const auto import = graph->opset_imports.find(node.domain);
    const int version = import == graph->opset_imports.end() ? 1 : static_cast<int>(import->second);
    const OperatorRow* row = FindOperator(node.domain, node.op_type, version);
    if (row == nullptr) continue;
    std::vector<const Tensor*> inputs;
    size_t read = 0;
    for (ValueId input : node.inputs) {
      inputs.push_back(input == kNone ? nullptr : graph->Constant(input));
      if (inputs.back()) read += inputs.back()->bytes();
    }
    std::shared_ptr<void> state;
    const std::vector<bool> constant(inputs.size(), true);
    EvalContext context(node, version, inputs, pool, nullptr, state, constant, nullptr);
    try {
      row->evaluate(context);
    } catch (const Error& error) {
      if (options.body) continue;  // a branch that may never run
      throw Error(error.what(), node.Title(), "while folding constants");
    }
    size_t written = 0;
    bool complete = true;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      complete = complete && i < context.outputs.size() && context.outputs[i].defined();
      if (complete) written += context.outputs[i].bytes();
    }
    if (!complete || written > read + kMostGrowth) continue;
    const std::vector<ValueId> outputs = node.outputs;
    graph->RemoveNode(id);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] != kNone) graph->SetConstant(outputs[i], context.outputs[i].Clone());
    }
    ++count;
  }
  return count;
}

}  // namespace xslim
