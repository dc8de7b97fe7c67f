#include "simplify/opset/convert.h"

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "base/log.h"
#include "graph/function.h"
#include "simplify/opset/rules.h"
#include "simplify/opset/signature.h"
#include "simplify/simplify.h"

namespace xslim {
namespace opset {
namespace {

const std::vector<Rule>& Rules() {
  static const std::vector<Rule> rules = [] {
    std::vector<Rule> all;
    for (auto family :
         {InputRules, MeaningRules, ResizeRules, QuantizeRules, ActivationRules, NormRules, AttentionRules}) {
      for (const Rule& rule : family()) all.push_back(rule);
    }
    return all;
  }();
  return rules;
}

// Whether the operator may be another one in the second opset. One that neither has, like the deprecated
// GroupNormalization of 18, may have a rule all the same.
bool Differs(const std::string& op_type, int from, int to) {
  if (FindSignature(op_type, from) != FindSignature(op_type, to)) return true;
  return std::any_of(Rules().begin(), Rules().end(), [&](const Rule& rule) {
    return rule.version > std::min(from, to) && rule.version <= std::max(from, to) &&
           op_type == rule.op_type && (to > from ? rule.raise : rule.lower) != nullptr;
  });
}

// Bodies are shared between copies of a graph; the conversion works on its own.
void OwnBodies(Graph* graph) {
  for (size_t i = 0; i < graph->node_slots(); ++i) {
    if (!graph->alive(static_cast<NodeId>(i))) continue;
    for (auto& [name, attribute] : graph->node(static_cast<NodeId>(i)).attributes) {
      if (!attribute.graph) continue;
      attribute.graph = std::make_shared<Graph>(*attribute.graph);
      OwnBodies(attribute.graph.get());
    }
  }
}

template <typename Visit>
void ForEachBody(Graph* graph, NodeId id, const Visit& visit) {
  for (auto& [name, attribute] : graph->node(id).attributes) {
    if (attribute.graph) visit(attribute.graph.get());
  }
}

// Conversion of a graph and its bodies by one opset.
class Step {
 public:
  Step(int from, int to, std::set<std::string>* stuck, std::vector<OpsetObstacle>* obstacles)
      : from_(from), to_(to), boundary_(std::max(from, to)), stuck_(*stuck), obstacles_(*obstacles) {}

  // shapes: of the graph's values before the first step, or null.
  void Convert(Graph* graph, const GraphFacts* outer, const std::string& path, const ShapeFacts* shapes) {
    std::vector<NodeId> changing, with_bodies;
    for (NodeId id = 0; id < static_cast<NodeId>(graph->node_slots()); ++id) {
      if (!graph->alive(id)) continue;
      bool bodies = false;
      ForEachBody(graph, id, [&](Graph*) { bodies = true; });
      if (bodies) with_bodies.push_back(id);
      const Node& node = graph->node(id);
      if (node.domain.empty() && Differs(node.op_type, from_, to_)) changing.push_back(id);
    }
    if (changing.empty() && with_bodies.empty()) return;
    GraphFacts facts(*graph, from_, outer, shapes);
    for (NodeId id : with_bodies) {
      const std::string inner = path + graph->node(id).name + "/";
      ForEachBody(graph, id, [&](Graph* body) { Convert(body, &facts, inner, nullptr); });
    }
    for (NodeId id : changing) ConvertNode(graph, id, &facts, path);
  }

 private:
  void ConvertNode(Graph* graph, NodeId id, GraphFacts* facts, const std::string& path) {
    const std::string title = path + graph->node(id).Title();
    if (stuck_.count(title)) return;
    const std::string op_type = graph->node(id).op_type;
    const Signature* old = FindSignature(op_type, from_);
    // What is wrong before the step is not the step's to judge.
    const bool judged = old && !MisfitOf(graph->node(id), *old, *facts);
    const NodeId first_new = static_cast<NodeId>(graph->node_slots());
    Site site(graph, id, facts, to_);
    Obstacle obstacle;
    for (const Rule& rule : Rules()) {
      if (rule.version != boundary_ || op_type != rule.op_type) continue;
      const auto run = to_ > from_ ? rule.raise : rule.lower;
      if (run && !obstacle) obstacle = run(site);
    }
    if (!obstacle) {
      Trim(&site, old);
      facts->Infer(id, to_);
      obstacle = Judge(*graph, id, *facts, judged);
      for (NodeId next = first_new; next < static_cast<NodeId>(graph->node_slots()); ++next) {
        if (!obstacle) obstacle = Judge(*graph, next, *facts, true);
      }
    }
    if (!obstacle) return;
    stuck_.insert(title);
    obstacles_.push_back({title, *obstacle, from_});
  }

  static Obstacle MisfitOf(const Node& node, const Signature& signature, const GraphFacts& facts) {
    return Misfit(node, signature, [&](ValueId value) { return facts.type(value); });
  }

  Obstacle Judge(const Graph& graph, NodeId id, const GraphFacts& facts, bool details) const {
    const Node& node = graph.node(id);
    const Signature* signature = FindSignature(node.op_type, to_);
    if (signature == nullptr) return "opset " + std::to_string(to_) + " has no " + node.op_type;
    if (!details) return std::nullopt;
    Obstacle misfit = MisfitOf(node, *signature, facts);
    if (misfit) *misfit += ": not in opset " + std::to_string(to_);
    return misfit;
  }

  // Attributes that the new version does not have and that say what it does anyway; outputs nobody reads.
  void Trim(Site* site, const Signature* old) const {
    Node& node = site->node();
    const Signature* wanted = FindSignature(node.op_type, to_);
    if (wanted == nullptr) return;
    for (auto at = node.attributes.begin(); at != node.attributes.end();) {
      const AttributeSignature* known = old ? old->Find(at->first) : nullptr;
      const bool gone = wanted->Find(at->first) == nullptr && known && IsDefault(at->second, *known);
      at = gone ? node.attributes.erase(at) : std::next(at);
    }
    while (!node.inputs.empty() && node.inputs.back() == kNone) node.inputs.pop_back();
    while (node.outputs.size() > 1 && wanted->Output(node.outputs.size() - 1) == nullptr &&
           !site->used(node.outputs.size() - 1)) {
      site->DropLastOutput();
    }
  }

  const int from_, to_, boundary_;
  std::set<std::string>& stuck_;
  std::vector<OpsetObstacle>& obstacles_;
};

void SetVersion(Graph* graph, int version) {
  graph->opset_imports[""] = version;
  for (NodeId id = 0; id < static_cast<NodeId>(graph->node_slots()); ++id) {
    if (graph->alive(id)) ForEachBody(graph, id, [&](Graph* body) { SetVersion(body, version); });
  }
}

// None for a graph with an attribute of the wrong kind: the run of the model will say so.
std::optional<ShapeFacts> ShapesOf(const Graph& graph) {
  try {
    Graph initialized = graph;  // of Constant nodes the facts know nothing; values keep their ids
    ConstantsToInitializers(&initialized, {});
    return ShapeFacts(initialized, false);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// Whether an operator of the graph or of a body in it is another one in the second opset. Functions that it
// calls are asked for themselves.
bool Changed(const Graph& graph, int from, int to) {
  for (NodeId id = 0; id < static_cast<NodeId>(graph.node_slots()); ++id) {
    if (!graph.alive(id)) continue;
    const Node& node = graph.node(id);
    if (node.domain.empty() && Differs(node.op_type, from, to)) return true;
    for (const auto& [name, attribute] : node.attributes) {
      if (attribute.graph && Changed(*attribute.graph, from, to)) return true;
    }
  }
  return false;
}

}  // namespace

Obstacle Refuse(const char* why) { return std::string(why); }

std::optional<std::vector<float>> FloatsOf(const std::optional<Tensor>& tensor) {
  if (!tensor || tensor->dtype() != DType::kFloat) return std::nullopt;
  return std::vector<float>(tensor->data<float>(), tensor->data<float>() + tensor->size());
}

bool Site::used(size_t output) const {
  const Node& node = graph_.node(id_);
  if (output >= node.outputs.size() || node.outputs[output] == kNone) return false;
  const Value& value = graph_.value(node.outputs[output]);
  return !value.uses.empty() || value.is_output || graph_.CapturedBySubgraph(value.name);
}

void Site::DropInput(size_t slot) {
  if (slot < node().inputs.size()) graph_.SetInput(id_, slot, kNone);
  while (!node().inputs.empty() && node().inputs.back() == kNone) node().inputs.pop_back();
}

void Site::DropLastOutput() {
  graph_.SetOutput(id_, node().outputs.size() - 1, kNone);
  node().outputs.pop_back();
}

ValueId Site::Constant(const std::string& suffix, Tensor tensor) {
  const ValueId id = graph_.AddConstant(node().name + "_" + suffix, std::move(tensor));
  facts_.AddConstant(id);
  return id;
}

ValueId Site::List(const std::string& suffix, const std::vector<int64_t>& values) {
  return Constant(suffix, Tensor::Of<int64_t>({static_cast<int64_t>(values.size())}, values));
}

std::optional<ValueId> Site::Scalar(DType type, double value) {
  const float rounded = static_cast<float>(value);
  switch (type) {
    case DType::kFloat:
      return Constant("c", Tensor::Scalar<float>(rounded));
    case DType::kDouble:
      return Constant("c", Tensor::Scalar<double>(value));
    case DType::kFloat16:
      return Constant("c", Tensor::Scalar<Half>(ToHalf(rounded)));
    case DType::kBFloat16:
      return Constant("c", Tensor::Scalar<BFloat16>(ToBFloat16(rounded)));
    default:
      return std::nullopt;
  }
}

ValueId Site::Add(const std::string& op_type, const std::vector<ValueId>& inputs, Attributes attributes) {
  const std::string name = node().name + "_" + op_type;
  const ValueId out = graph_.AddValue(name + "_out");
  facts_.Infer(graph_.AddNode(op_type, name, inputs, {out}, std::move(attributes)), to_);
  return out;
}

void Site::Become(const std::string& op_type, const std::vector<ValueId>& inputs, Attributes attributes) {
  while (node().outputs.size() > 1) DropLastOutput();
  for (size_t slot = 0; slot < std::max(inputs.size(), node().inputs.size()); ++slot)
    graph_.SetInput(id_, slot, slot < inputs.size() ? inputs[slot] : kNone);
  node().inputs.resize(inputs.size());
  node().op_type = op_type;
  graph_.SetAttributes(id_, std::move(attributes));
}

ValueId Site::Insert(const std::string& op_type, const std::vector<ValueId>& more_inputs,
                     Attributes attributes) {
  const ValueId out = node().outputs[0];
  const std::string name = node().name + "_" + op_type;
  const ValueId between = graph_.AddValue(name + "_in");
  graph_.SetOutput(id_, 0, between);
  facts_.Infer(id_, to_);
  std::vector<ValueId> inputs{between};
  inputs.insert(inputs.end(), more_inputs.begin(), more_inputs.end());
  facts_.Infer(graph_.AddNode(op_type, name, inputs, {out}, std::move(attributes)), to_);
  return between;
}

void Site::Redirect(size_t output, ValueId value) {
  const ValueId out = node().outputs[output];
  graph_.SetOutput(id_, output, kNone);
  facts_.Infer(graph_.AddNode("Identity", node().name + "_Identity", {value}, {out}), to_);
}

}  // namespace opset

namespace {

std::vector<OpsetObstacle> ConvertAsItIs(Graph* graph, int version) {
  const int from = graph->opset();
  std::vector<OpsetObstacle> obstacles;
  Graph work = *graph;
  InlineCalls(&work, [&](const Function& function, const Node&) {
    return opset::Changed(function.body, from, version);
  });
  DropUnusedFunctions(&work);
  opset::OwnBodies(&work);
  const std::optional<ShapeFacts> shapes = opset::ShapesOf(work);
  std::set<std::string> stuck;
  for (int at = from; at != version;) {
    const int next = version > from ? at + 1 : at - 1;
    opset::Step(at, next, &stuck, &obstacles).Convert(&work, nullptr, "", shapes ? &*shapes : nullptr);
    at = next;
  }
  if (!obstacles.empty()) return obstacles;
  opset::SetVersion(&work, version);
  // IR 3 had every initializer as an input, 8 brought functions, 10 overloaded ones.
  int64_t lowest = 4;
  for (const auto& function : work.functions)
    lowest = std::max<int64_t>(lowest, function->overload.empty() ? 8 : 10);
  const int64_t fitting = std::max(lowest, IrVersionOf(version));
  work.ir_version = version > from ? std::max(work.ir_version, fitting) : std::min(work.ir_version, fitting);
  work.RemoveDead();
  *graph = std::move(work);
  LogInfo("opset converted from ", from, " to ", version);
  return obstacles;
}

// Replaces what is computed from constants and from known sizes; returns whether there was any.
bool Fold(Graph* graph) {
  static const std::set<std::string> folding = {"constants-to-initializers", "fold-constants", "fold-shapes",
                                                "inline-if", "remove-identities"};
  SimplifyOptions options;
  options.highest_opset = graph->opset();
  for (const Pass& pass : Passes()) {
    if (!folding.count(pass.name)) options.skip.insert(pass.name);
  }
  return Simplify(graph, options) > 0;
}

}  // namespace

std::vector<OpsetObstacle> ConvertOpset(Graph* graph, int version) {
  if (graph->opset() == version) return {};
  std::vector<OpsetObstacle> obstacles = ConvertAsItIs(graph, version);
  if (obstacles.empty()) return obstacles;
  Graph folded = *graph;
  if (!Fold(&folded)) return obstacles;
  obstacles = ConvertAsItIs(&folded, version);
  if (obstacles.empty()) *graph = std::move(folded);
  return obstacles;
}

std::string Describe(const std::vector<OpsetObstacle>& obstacles, bool lowering) {
  constexpr size_t kNamed = 5;
  std::vector<std::string> texts;
  int reached = obstacles.front().version;
  for (size_t i = 0; i < obstacles.size(); ++i) {
    const OpsetObstacle& each = obstacles[i];
    reached = lowering ? std::max(reached, each.version) : std::min(reached, each.version);
    if (i < kNamed) texts.push_back(each.node + " (" + each.why + ")");
  }
  if (obstacles.size() > kNamed) texts.push_back(StrCat("and ", obstacles.size() - kNamed, " more"));
  texts.push_back(
      StrCat("the ", lowering ? "lowest" : "highest", " opset that this model can have is ", reached));
  return StrJoin(texts, "; ");
}

std::optional<std::string> RaiseOpset(Graph* graph, int version) {
  if (graph->opset() >= version) return std::nullopt;
  const std::vector<OpsetObstacle> obstacles = ConvertOpset(graph, version);
  return obstacles.empty() ? std::nullopt : std::optional<std::string>(Describe(obstacles, false));
}

}  // namespace xslim
