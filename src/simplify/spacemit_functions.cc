// Calls of functions in the domain spacemit_functions, whose bodies the model holds: a runtime that knows
// them runs each as one operator, every other one runs the bodies. Names, inputs and attributes are XSlim's.
//
// Before: x [n, h w, c] -> Reshape [n, h/s, s, w/s, s, c] -> Transpose 0 1 3 2 4 5 -> Reshape
// After:  WindowPartition(x)
//
// Before: x -> Reshape [n, h/s, w/s, s, s, c] -> Transpose 0 1 3 2 4 5 -> Reshape
// After:  WindowReverse(x)
//
// Before: x [n, 4 bins + classes, anchors] -> means of the distances, boxes from them, Sigmoid of the classes
// After:  YoloDecode(x)
#include <algorithm>
#include <set>

#include "graph/function.h"
#include "simplify/match.h"
#include "simplify/shape_facts.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

constexpr const char* kDomain = "spacemit_functions";

// Writes a function's body; every method returns the name of its result.
class Body {
 public:
  Body(const Graph& model, const char* name, std::vector<std::string> attributes) {
    function_->domain = kDomain;
    function_->name = name;
    function_->attributes = std::move(attributes);
    function_->body.opset_imports[""] = model.opset();
    function_->body.ir_version = model.ir_version;
  }
  ValueId Input(const char* name) {
    const ValueId id = function_->body.AddValue(name);
    function_->body.AddInput(id);
    return id;
  }
  ValueId Ints(const std::vector<int64_t>& numbers) {
    return Constant(Tensor::Of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers));
  }
  ValueId Constant(Tensor tensor) {
    return Op("Constant", {}, {{"value", Attribute::OfTensor(std::move(tensor))}});
  }
  ValueId Op(const char* type, std::vector<ValueId> inputs,
             std::map<std::string, Attribute> attributes = {}) {
    Graph& body = function_->body;
    const ValueId output = body.AddValue(std::string(type) + "_output");
    body.AddNode(type, body.UniqueNodeName(type), std::move(inputs), {output}, std::move(attributes));
    return output;
  }
  // Part [from, to) along axis 1.
  ValueId Cut(ValueId x, ValueId from, ValueId to) { return Op("Slice", {x, from, to, Ints({1})}); }
  std::shared_ptr<const Function> Finish(ValueId output) {
    function_->body.Rename(output, "output");
    function_->body.AddOutput(output);
    return function_;
  }

 private:
  std::shared_ptr<Function> function_ = std::make_shared<Function>();
};

std::shared_ptr<const Function> WindowFunction(const Graph& model, const char* name) {
  Body body(model, name, {"window_size", "perm"});
  const ValueId x = body.Input("x"), before = body.Input("shape_before_transpose"),
                after = body.Input("shape_after_transpose");
  Attribute perm = Attribute::Ints({});
  perm.reference = "perm";
  const ValueId turned = body.Op("Transpose", {body.Op("Reshape", {x, before})}, {{"perm", perm}});
  return body.Finish(body.Op("Reshape", {turned, after}));
}

std::shared_ptr<const Function> DecodeFunction(const Graph& model) {
  Body body(model, "YoloDecode", {"num_class", "reg_max"});
  const ValueId input = body.Input("input"), weight = body.Input("flat_weight"),
                to_low = body.Input("sub_const"), to_high = body.Input("add_const"),
                strides = body.Input("mul_const");
  const std::map<std::string, Attribute> axis0 = {{"axis", Attribute::Int(0)}},
                                         axis1 = {{"axis", Attribute::Int(1)}};
  const ValueId bins = body.Op("Shape", {weight}), box_channels = body.Op("Mul", {bins, body.Ints({4})});
  const ValueId logits = body.Cut(input, body.Ints({0}), box_channels),
                classes = body.Cut(input, box_channels, body.Ints({INT64_MAX}));
  const ValueId by_side = body.Op("Concat", {body.Ints({0, 4}), bins, body.Ints({-1})}, axis0);
  const ValueId turned = body.Op("Transpose", {body.Op("Reshape", {logits, by_side})},
                                 {{"perm", Attribute::Ints({0, 2, 1, 3})}});
  const ValueId kernel =
      body.Op("Reshape", {weight, body.Op("Concat", {body.Ints({1}), bins, body.Ints({1, 1})}, axis0)});
  const ValueId mean = body.Op("Conv", {body.Op("Softmax", {turned}, axis1), kernel});
  const ValueId distances = body.Op("Reshape", {mean, body.Ints({0, 4, -1})});
  const ValueId low = body.Op("Sub", {to_low, body.Cut(distances, body.Ints({0}), body.Ints({2}))});
  const ValueId high = body.Op("Add", {to_high, body.Cut(distances, body.Ints({2}), body.Ints({4}))});
  const ValueId center = body.Op("Div", {body.Op("Add", {low, high}), body.Constant(Tensor::Scalar(2.0f))});
  const ValueId boxes = body.Op("Concat", {center, body.Op("Sub", {high, low})}, axis1);
  const ValueId scores = body.Op("Sigmoid", {classes});
  return body.Finish(body.Op("Concat", {body.Op("Mul", {boxes, strides}), scores}, axis1));
}

// Makes the call; a model that has another function of the name keeps it and its operators.
bool Call(Graph* graph, const std::shared_ptr<const Function>& function, NodeId last,
          std::vector<ValueId> inputs, std::map<std::string, Attribute> attributes) {
  for (const auto& other : graph->functions) {
    if (other->domain == function->domain && other->name == function->name && other != function &&
        (!other->source.empty() || other->body.inputs().size() != function->body.inputs().size()))
      return false;
  }
  const NodeId made = ReplaceWith(graph, last, function->name, std::move(inputs), std::move(attributes));
  graph->node(made).domain = kDomain;
  if (FindFunction(*graph, graph->node(made)) == nullptr) graph->functions.push_back(function);
  graph->opset_imports.emplace(kDomain, 1);
  return true;
}

const std::vector<int64_t> kWindowPerm = {0, 1, 3, 2, 4, 5};

// The size of the window that a Reshape before kWindowPerm makes; 0 when it makes none.
int64_t WindowOf(const ShapeFacts& facts, const Node& reshape, const char** name) {
  const TensorFacts &from = facts.of(reshape.input(0)), &to = facts.of(reshape.outputs[0]);
  if (!from.dims || !to.dims || to.dims->size() != 6) return 0;
  const Sizes &x = *from.dims, &d = *to.dims;
  if (x.empty() || x.back() != d[5] || !d[4].is_number()) return 0;
  // The window is the third size, or the fourth; where both fit, windows are made of an image with its batch
  // in front.
  const bool third = d[2] == d[4], fourth = d[3] == d[4];
  if (third && (!fourth || (x.size() >= 3 && x[0] == d[0]))) {
    *name = "WindowPartition";
    return d[4].factor;
  }
  if (fourth) {
    *name = "WindowReverse";
    return d[4].factor;
  }
  return 0;
}

// What a Concat that ends a YOLO is made from.
struct Decode {
  ValueId input = kNone, to_low = kNone, to_high = kNone, strides = kNone, weight = kNone;
  int64_t classes = 0, bins = 0;
  std::set<NodeId> inside;
};

class DecodeMatcher {
 public:
  DecodeMatcher(const Graph& graph, const ShapeFacts& facts) : graph_(graph), facts_(facts) {}

  std::optional<Decode> From(const Node& last) {
    found_ = Decode();
    found_.inside.insert(last.id);
    if (last.inputs.size() != 2 || !OnAxis1(last)) return std::nullopt;
    const Node* sigmoid = Enter(last.inputs[1], "Sigmoid");
    const Node* scaled = Enter(last.inputs[0], "Mul");
    if (sigmoid == nullptr || scaled == nullptr) return std::nullopt;
    ValueId distances = kNone;
    for (size_t side = 0; side < 2 && distances == kNone; ++side) {
      found_.strides = scaled->inputs[1 - side];
      distances = Boxes(scaled->inputs[side]);
    }
    if (distances == kNone || !Distances(distances, sigmoid->input(0)) || !Closed(last.id))
      return std::nullopt;
    return found_;
  }

 private:
  const Node* Enter(ValueId id, const char* type) {
    const Node* node = ProducerOfType(graph_, id, type);
    if (node != nullptr) found_.inside.insert(node->id);
    return node;
  }

  bool OnAxis1(const Node& node) const {
    return node.Int("axis", 0) == 1 || (node.Int("axis", 0) == -2 && facts_.RankOf(node.outputs[0]) == 3);
  }

  // boxes = Concat((low + high) / 2, high - low); returns the tensor of the four distances.
  ValueId Boxes(ValueId id) {
    const Node* boxes = Enter(id, "Concat");
    if (boxes == nullptr || boxes->inputs.size() != 2 || !OnAxis1(*boxes)) return kNone;
    const Node* size = Enter(boxes->inputs[1], "Sub");
    const ValueId sum = Half(boxes->inputs[0]);
    const Node* add = sum == kNone ? nullptr : Enter(sum, "Add");
    if (size == nullptr || add == nullptr) return kNone;
    const ValueId high = size->inputs[0], low = size->inputs[1];
    if (OtherInput(*add, high) != low) return kNone;
    const Node *less = Enter(low, "Sub"), *more = Enter(high, "Add");
    if (less == nullptr || more == nullptr) return kNone;
    found_.to_low = less->inputs[0];
    const ValueId from = Quarter(less->inputs[1], 0);
    for (size_t side = 0; side < 2; ++side) {
      found_.to_high = more->inputs[1 - side];
      if (from != kNone && Quarter(more->inputs[side], 2) == from) return from;
    }
    return kNone;
  }

  ValueId Half(ValueId id) {
    if (const Node* div = Enter(id, "Div"))
      return ScalarIs(graph_, div->inputs[1], 2) ? div->inputs[0] : kNone;
    const Node* mul = Enter(id, "Mul");
    for (size_t side = 0; mul != nullptr && side < 2; ++side) {
      if (ScalarIs(graph_, mul->inputs[side], 0.5f)) return mul->inputs[1 - side];
    }
    return kNone;
  }

  // Of a tensor [n, 4, anchors] the two rows from `begin` on; returns that tensor.
  ValueId Quarter(ValueId id, int64_t begin) {
    const Node* producer = id == kNone ? nullptr : graph_.Producer(id);
    if (producer == nullptr || facts_.DimOf(id, 1) != 2 || facts_.DimOf(producer->input(0), 1) != 4)
      return kNone;
    if (producer->Is("Split")) {
      if (!OnAxis1(*producer) || producer->outputs.size() != 2 || producer->outputs[begin == 0 ? 0 : 1] != id)
        return kNone;
    } else if (producer->Is("Slice")) {
      const std::vector<int64_t> one{1};
      if (IntsOf(graph_, *producer, 1, "starts") != std::vector<int64_t>{begin} ||
          IntsOf(graph_, *producer, 3, "axes") != one ||
          (producer->input(4) != kNone && IntsOf(graph_, *producer, 4, "") != one))
        return kNone;
    } else {
      return kNone;
    }
    found_.inside.insert(producer->id);
    return producer->input(0);
  }

  // distances = Reshape(Conv(Softmax(Transpose(Reshape(x's first channels))))); `classes` are the others.
  bool Distances(ValueId id, ValueId classes) {
    const Node* flat = Enter(id, "Reshape");
    const Node* conv = flat == nullptr ? nullptr : Enter(flat->input(0), "Conv");
    const Node* softmax = conv == nullptr ? nullptr : Enter(conv->input(0), "Softmax");
    const Node* turned = softmax == nullptr ? nullptr : Enter(softmax->input(0), "Transpose");
    const Node* sides = turned == nullptr ? nullptr : Enter(turned->input(0), "Reshape");
    const Node* split = sides == nullptr ? nullptr : Enter(sides->input(0), "Split");
    const Tensor* weight = conv == nullptr ? nullptr : graph_.Constant(conv->input(1));
    if (split == nullptr || weight == nullptr || conv->input(2) != kNone ||
        weight->dtype() != DType::kFloat || weight->rank() != 4 || weight->dim(0) != 1 ||
        weight->dim(2) != 1 || weight->dim(3) != 1)
      return false;
    for (int64_t pad : conv->Ints("pads")) {
      if (pad != 0) return false;
    }
    for (int64_t stride : conv->Ints("strides")) {
      if (stride != 1) return false;
    }
    found_.weight = conv->input(1);
    found_.bins = weight->dim(1);
    if (softmax->Int("axis", -1) != 1 || turned->Ints("perm") != std::vector<int64_t>{0, 2, 1, 3})
      return false;
    const ValueId by_side = sides->outputs[0];
    if (facts_.RankOf(by_side) != 4 || facts_.DimOf(by_side, 1) != 4 ||
        facts_.DimOf(by_side, 2) != found_.bins)
      return false;
    if (!OnAxis1(*split) || split->outputs.size() != 2 || split->outputs[0] != sides->input(0) ||
        split->outputs[1] != classes || facts_.RankOf(split->input(0)) != 3)
      return false;
    found_.input = split->input(0);
    found_.classes = facts_.DimOf(classes, 1);
    return facts_.DimOf(sides->input(0), 1) == 4 * found_.bins && found_.classes > 0 &&
           facts_.DTypeOf(found_.input) == DType::kFloat && facts_.RankOf(id) == 3 &&
           facts_.DimOf(id, 1) == 4;
  }

  bool Closed(NodeId last) const {
    return std::all_of(found_.inside.begin(), found_.inside.end(), [&](NodeId id) {
      const std::vector<ValueId>& outputs = graph_.node(id).outputs;
      return id == last || std::all_of(outputs.begin(), outputs.end(), [this](ValueId output) {
               const Value& value = graph_.value(output);
               return !value.is_output && !graph_.CapturedBySubgraph(value.name) &&
                      std::all_of(value.uses.begin(), value.uses.end(),
                                  [this](const Use& use) { return found_.inside.count(use.node) != 0; });
             });
    });
  }

  const Graph& graph_;
  const ShapeFacts& facts_;
  Decode found_;
};

}  // namespace

int FuseWindows(Graph* graph, const SimplifyOptions& options) {
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !graph->node(id).Is("Reshape")) continue;
    const Node& first = graph->node(id);
    const Node* turned = SoleUserOfType(*graph, first.outputs[0], "Transpose");
    if (turned == nullptr || turned->Ints("perm") != kWindowPerm) continue;
    const Node* second = SoleUserOfType(*graph, turned->outputs[0], "Reshape");
    if (second == nullptr || second->input(0) != turned->outputs[0] || first.Int("allowzero", 0) != 0 ||
        second->Int("allowzero", 0) != 0 || graph->Constant(first.input(1)) == nullptr ||
        graph->Constant(second->input(1)) == nullptr)
      continue;
    const char* name = "";
    const int64_t window = WindowOf(facts, first, &name);
    if (window < 1) continue;
    count += Call(graph, WindowFunction(*graph, name), second->id,
                  {first.input(0), first.input(1), second->input(1)},
                  {{"window_size", Attribute::Int(window)}, {"perm", Attribute::Ints(kWindowPerm)}});
  }
  return count;
}

int FuseYoloDecode(Graph* graph, const SimplifyOptions& options) {
  if (graph->opset() < 13) return 0;  // its body is written with the inputs and axes of 13
  const ShapeFacts facts(*graph, options.body);
  int count = 0;
  for (NodeId id : graph->Order()) {
    if (!graph->alive(id) || !graph->node(id).Is("Concat")) continue;
    const std::optional<Decode> found = DecodeMatcher(*graph, facts).From(graph->node(id));
    if (!found) continue;
    const Tensor weight = *graph->Constant(found->weight);
    const ValueId flat =
        graph->AddConstant(graph->value(found->weight).name + "_flat", weight.Reshaped({found->bins}));
    count += Call(graph, DecodeFunction(*graph), id,
                  {found->input, flat, found->to_low, found->to_high, found->strides},
                  {{"num_class", Attribute::Int(found->classes)}, {"reg_max", Attribute::Int(found->bins)}});
  }
  return count;
}

bool HoldsSpacemitFunctions(const Graph& graph) {
  return std::any_of(graph.functions.begin(), graph.functions.end(),
                     [](const auto& function) { return function->domain == kDomain; });
}

}  // namespace xslim
