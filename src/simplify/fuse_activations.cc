// Before: elementwise operators on x and numbers that together are one function of x
// After:  y = HardSigmoid(x) | HardSwish(x) (opset 14) | Mish(x) (18) | Gelu(x) (20) | Swish(x) (24)
// Exporters write these functions in many orders and with factors in many places. So a group of operators is
// recognised by its values: it is run on samples and compared with the operator's own result there.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/log.h"
#include "ops/operator.h"
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"
#include "xslim/error.h"

namespace xslim {
namespace {

constexpr size_t kMostNodes = 16;
// Of |wanted|, at least of 1. The tanh form of Gelu differs from the exact one by up to 5e-4.
constexpr double kTolerance = 1e-5;

struct Function {
  const char* op_type;
  int opset;
  bool before_int8;  // also where the graph is to be quantized
  std::map<std::string, Attribute> attributes;
};

const std::vector<Function>& Functions() {
  static const std::vector<Function> functions = {
      {"HardSwish", 14, true, {}},
      {"Gelu", 20, true, {}},
      {"Gelu", 20, true, {{"approximate", Attribute::String("tanh")}}},
      {"HardSigmoid", 6, false, {{"alpha", Attribute::Float(1.0f / 6)}, {"beta", Attribute::Float(0.5f)}}},
      {"Mish", 18, false, {}},
      {"Swish", 24, false, {}},
  };
  return functions;
}

bool IsElementwise(const Node& node) {
  static const std::set<std::string> types = {"Add",  "Sub", "Mul", "Div",        "Pow",      "Neg",
                                              "Exp",  "Log", "Erf", "Tanh",       "Sigmoid",  "Clip",
                                              "Relu", "Min", "Max", "Reciprocal", "Softplus", "HardSigmoid"};
  return node.domain.empty() && types.count(node.op_type) != 0 && node.outputs.size() == 1;
}

// The operators between `root` and the output of `end`; empty unless everything else they read is numbers.
class Cone {
 public:
  Cone(const Graph& graph, ValueId root, NodeId end) : graph_(graph), root_(root) {
    if (!Visit(end) || !Closed(end) || !uses_root_) nodes_.clear();
  }
  // In an order in which they can run.
  const std::vector<NodeId>& nodes() const { return nodes_; }

 private:
  bool Visit(NodeId id) {
    if (!seen_.insert(id).second) return true;
    const Node& node = graph_.node(id);
    if (!IsElementwise(node) || seen_.size() > kMostNodes) return false;
    for (ValueId input : node.inputs) {
      if (input == kNone) continue;
      if (input == root_) {
        uses_root_ = true;
        continue;
      }
      if (const Tensor* constant = graph_.Constant(input)) {
        if (constant->size() != 1 || constant->dtype() != DType::kFloat) return false;
        continue;
      }
      const Node* producer = graph_.Producer(input);
      if (producer == nullptr || !Visit(producer->id)) return false;
    }
    nodes_.push_back(id);
    return true;
  }

  bool Closed(NodeId end) const {
    return std::all_of(nodes_.begin(), nodes_.end(), [&](NodeId id) {
      if (id == end) return true;
      const Value& value = graph_.value(graph_.node(id).outputs[0]);
      return !value.is_output && !graph_.CapturedBySubgraph(value.name) &&
             std::all_of(value.uses.begin(), value.uses.end(),
                         [this](const Use& use) { return seen_.count(use.node) != 0; });
    });
  }

  const Graph& graph_;
  ValueId root_;
  bool uses_root_ = false;
  std::set<NodeId> seen_;
  std::vector<NodeId> nodes_;
};

// Values that the output of `end` is made from by elementwise operators, nearest first.
std::vector<ValueId> RootsOf(const Graph& graph, NodeId end) {
  std::vector<ValueId> roots;
  std::vector<NodeId> work{end};
  for (size_t i = 0; i < work.size() && work.size() <= kMostNodes; ++i) {
    for (ValueId input : graph.node(work[i]).inputs) {
      if (input == kNone || graph.Constant(input) || std::count(roots.begin(), roots.end(), input)) continue;
      roots.push_back(input);
      const Node* producer = graph.Producer(input);
      if (producer && IsElementwise(*producer)) work.push_back(producer->id);
    }
  }
  return roots;
}

Tensor Samples() {
  std::vector<float> samples;
  for (int i = -240; i <= 240; ++i) samples.push_back(static_cast<float>(i) * 0.05f);
  for (float large : {13.0f, 15.0f, 18.0f, 25.0f, 40.0f, 80.0f, 200.0f, 1e3f, 1e6f, 1e12f, 1e30f}) {
    samples.push_back(large);
    samples.push_back(-large);
  }
  return Tensor::Of<float>({static_cast<int64_t>(samples.size())}, samples);
}

// Output 0 of an operator of the default domain; undefined when it is not known or fails.
Tensor Evaluate(const Node& node, int opset, const std::vector<const Tensor*>& inputs) {
  const OperatorRow* row = FindOperator("", node.op_type, opset);
  if (row == nullptr) return {};
  ThreadPool pool(1);
  std::shared_ptr<void> state;
  const std::vector<bool> constant(inputs.size(), false);
  EvalContext context(node, opset, inputs, pool, nullptr, state, constant, nullptr);
  try {
    row->evaluate(context);
  } catch (const Error&) {
    return {};
  }
  return context.outputs[0];
}

Tensor Run(const Graph& graph, const Cone& cone, ValueId root, const Tensor& samples) {
  std::map<ValueId, Tensor> values{{root, samples}};
  Tensor last;
  for (NodeId id : cone.nodes()) {
    const Node& node = graph.node(id);
    std::vector<const Tensor*> inputs;
    for (ValueId input : node.inputs) {
      inputs.push_back(input == kNone          ? nullptr
                       : graph.Constant(input) ? graph.Constant(input)
                                               : &values.at(input));
    }
    last = Evaluate(node, graph.opset(), inputs);
    if (!last.defined()) return {};
    values[node.outputs[0]] = last;
  }
  return last;
}

bool Same(const Tensor& got, const Tensor& wanted) {
  if (!got.defined() || !wanted.defined() || got.dtype() != wanted.dtype() || got.size() != wanted.size())
    return false;
  for (int64_t i = 0; i < got.size(); ++i) {
    const double a = got.data<float>()[i], b = wanted.data<float>()[i];
    if (!(std::fabs(a - b) <= kTolerance * std::max(1.0, std::fabs(b)))) return false;
  }
  return true;
}

// Numbers of rank 1 and more must not give the result more axes than x has.
bool KeepsRank(const Graph& graph, const ShapeFacts& facts, const Cone& cone, ValueId root) {
  for (NodeId id : cone.nodes()) {
    for (ValueId input : graph.node(id).inputs) {
      const Tensor* constant = input == kNone ? nullptr : graph.Constant(input);
      if (constant && constant->rank() > std::max<int64_t>(facts.RankOf(root), 0)) return false;
    }
  }
  return true;
}

class Recogniser {
 public:
  Recogniser() : samples_(Samples()) {
    for (const Function& function : Functions()) {
      Node node;
      node.id = 0;
      node.op_type = function.op_type;
      node.inputs = {0};
      node.outputs = {1};
      node.attributes = function.attributes;
      wanted_.push_back(Evaluate(node, function.opset, {&samples_}));
    }
  }

  // The function that the cone is; null when none.
  const Function* Find(const Graph& graph, const Cone& cone, ValueId root) const {
    const Tensor got = Run(graph, cone, root, samples_);
    for (size_t i = 0; i < wanted_.size(); ++i) {
      if (Same(got, wanted_[i])) return &Functions()[i];
    }
    return nullptr;
  }

 private:
  Tensor samples_;
  std::vector<Tensor> wanted_;
};

// Where the graph is to be quantized a HardSigmoid that the file holds stays one: Q/DQ is placed around it.
bool BeforeInt8(const Graph& graph, const Function& function, const Cone& cone) {
  return function.before_int8 && std::none_of(cone.nodes().begin(), cone.nodes().end(),
                                              [&](NodeId id) { return graph.node(id).Is("HardSigmoid"); });
}

// Fuses the operators that end in `end`, when they are a function of the table.
bool FuseAt(Graph* graph, const ShapeFacts& facts, const Recogniser& recogniser,
            const SimplifyOptions& options, NodeId end) {
  for (ValueId root : RootsOf(*graph, end)) {
    if (facts.DTypeOf(root) != DType::kFloat && facts.DTypeOf(root) != DType::kUndefined) continue;
    const Cone cone(*graph, root, end);
    if (cone.nodes().size() < 2 || !KeepsRank(*graph, facts, cone, root)) continue;
    const Function* function = recogniser.Find(*graph, cone, root);
    if (function == nullptr || (options.legalize && !BeforeInt8(*graph, *function, cone))) continue;
    if (!ReachOpset(graph, options, function->opset, function->op_type)) continue;
    ReplaceWith(graph, end, function->op_type, {root}, function->attributes);
    graph->RemoveDead();
    return true;
  }
  return false;
}

}  // namespace

int FuseActivations(Graph* graph, const SimplifyOptions& options) {
  static const Recogniser recogniser;
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  std::vector<NodeId> order = graph->Order();
  std::reverse(order.begin(), order.end());  // the largest groups first
  for (NodeId id : order) {
    if (graph->alive(id) && IsElementwise(graph->node(id)))
      count += FuseAt(graph, facts, recogniser, options, id);
  }
  return count;
}

}  // namespace xslim
