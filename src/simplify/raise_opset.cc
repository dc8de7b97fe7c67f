// Conversion of the default domain to a newer opset, between 7 and 24. One row of a table per change of an
// operator.
#include "base/log.h"
#include "graph/function.h"
#include "simplify/match.h"
#include "simplify/simplify.h"

namespace xslim {
namespace {

// An integer attribute list that became an input.
void AttributeToInput(Graph* graph, NodeId id, const char* attribute, size_t slot) {
  if (!graph->node(id).Has(attribute)) return;
  const std::vector<int64_t> values = graph->node(id).Ints(attribute);
  const std::string name = graph->node(id).name + "_" + attribute;
  graph->node(id).attributes.erase(attribute);
  graph->SetInput(
      id, slot, graph->AddConstant(name, Tensor::Of<int64_t>({static_cast<int64_t>(values.size())}, values)));
}

void FloatAttributeToInput(Graph* graph, NodeId id, const char* attribute, size_t slot) {
  if (!graph->node(id).Has(attribute)) return;
  const float value = graph->node(id).Float(attribute, 0);
  const std::string name = graph->node(id).name + "_" + attribute;
  graph->node(id).attributes.erase(attribute);
  graph->SetInput(id, slot, graph->AddConstant(name, Tensor::Scalar<float>(value)));
}

using Obstacle = std::optional<std::string>;
const auto kNothing = [](Graph*, NodeId) {};
const auto kPossible = [](const Graph&, const Node&) -> Obstacle { return std::nullopt; };

// Softmax before 13 flattens at `axis` (default 1); from 13 on it works on one axis (default -1).
Obstacle SoftmaxFits(const Graph& graph, const Node& node) {
  const Value& input = graph.value(node.input(0));
  const int64_t axis = node.Int("axis", 1);
  if (axis == -1) return std::nullopt;
  if (input.has_shape && (axis == static_cast<int64_t>(input.dims.size()) - 1)) return std::nullopt;
  if (!input.has_shape && axis == 1)
    return std::nullopt;  // the usual [batch, classes]; checked by the first run
  return node.Title() + " flattens its input at axis " + std::to_string(axis);
}

void SoftmaxTo13(Graph* graph, NodeId id) { graph->node(id).attributes["axis"] = Attribute::Int(-1); }

void ClipTo11(Graph* graph, NodeId id) {
  FloatAttributeToInput(graph, id, "min", 1);
  FloatAttributeToInput(graph, id, "max", 2);
}

void PadTo11(Graph* graph, NodeId id) {
  AttributeToInput(graph, id, "pads", 1);
  FloatAttributeToInput(graph, id, "value", 2);
}

void SliceTo10(Graph* graph, NodeId id) {
  AttributeToInput(graph, id, "starts", 1);
  AttributeToInput(graph, id, "ends", 2);
  AttributeToInput(graph, id, "axes", 3);
}

void AxesTo2nd(Graph* graph, NodeId id) { AttributeToInput(graph, id, "axes", 1); }
void SplitTo13(Graph* graph, NodeId id) { AttributeToInput(graph, id, "split", 1); }

void SplitTo18(Graph* graph, NodeId id) {
  Node& node = graph->node(id);
  if (node.input(1) == kNone)
    node.attributes["num_outputs"] = Attribute::Int(static_cast<int64_t>(node.outputs.size()));
}

void TopKTo10(Graph* graph, NodeId id) {
  const int64_t k = graph->node(id).Int("k", 1);
  graph->node(id).attributes.erase("k");
  graph->SetInput(id, 1, graph->AddConstant(graph->node(id).name + "_k", Tensor::Of<int64_t>({1}, {k})));
}

void DropoutTo12(Graph* graph, NodeId id) { FloatAttributeToInput(graph, id, "ratio", 1); }

// Resize 10 takes (X, scales) and maps coordinates asymmetrically; 11 takes (X, roi, scales).
void ResizeTo11(Graph* graph, NodeId id) {
  const ValueId scales = graph->node(id).input(1);
  graph->SetInput(id, 1, kNone);
  graph->SetInput(id, 2, scales);
  graph->node(id).attributes["coordinate_transformation_mode"] = Attribute::String("asymmetric");
  graph->node(id).attributes["nearest_mode"] = Attribute::String("floor");
}

void UpsampleTo10(Graph* graph, NodeId id) {
  if (graph->node(id).Has("scales")) {
    const std::vector<float> scales = graph->node(id).Floats("scales");
    graph->node(id).attributes.erase("scales");
    graph->SetInput(id, 1,
                    graph->AddConstant(graph->node(id).name + "_scales",
                                       Tensor::Of<float>({static_cast<int64_t>(scales.size())}, scales)));
  }
  graph->node(id).op_type = "Resize";
}

// BatchNormalization 14 has one output in inference; before it the training outputs may be listed.
Obstacle OneOutput(const Graph&, const Node& node) {
  if (node.outputs.size() <= 1) return std::nullopt;
  return node.Title() + " has training outputs";
}

void GridSampleTo20(Graph* graph, NodeId id) {
  const std::string mode = graph->node(id).String("mode", "bilinear");
  if (mode == "bilinear") graph->node(id).attributes["mode"] = Attribute::String("linear");
  if (mode == "bicubic") graph->node(id).attributes["mode"] = Attribute::String("cubic");
}

Obstacle GroupNormChanged(const Graph&, const Node& node) {
  return node.Title() + " changed the shape of scale and bias in opset 21";
}

struct Step {
  int version;  // the opset that brought the change
  const char* op_type;
  Obstacle (*fits)(const Graph&, const Node&);
  void (*convert)(Graph*, NodeId);
};

const std::vector<Step>& Steps() {
  static const std::vector<Step> steps = [] {
    std::vector<Step> table = {
        {10, "Slice", kPossible, SliceTo10},
        {10, "TopK", kPossible, TopKTo10},
        {10, "Upsample", kPossible, UpsampleTo10},
        {11, "Clip", kPossible, ClipTo11},
        {11, "Pad", kPossible, PadTo11},
        {11, "Resize", kPossible, ResizeTo11},
        {12, "Dropout", kPossible, DropoutTo12},
        {13, "Squeeze", kPossible, AxesTo2nd},
        {13, "Unsqueeze", kPossible, AxesTo2nd},
        {13, "ReduceSum", kPossible, AxesTo2nd},
        {13, "Split", kPossible, SplitTo13},
        {13, "Softmax", SoftmaxFits, SoftmaxTo13},
        {13, "LogSoftmax", SoftmaxFits, SoftmaxTo13},
        {13, "Hardmax", SoftmaxFits, SoftmaxTo13},
        {14, "BatchNormalization", OneOutput, kNothing},
        {18, "Split", kPossible, SplitTo18},
        {20, "GridSample", kPossible, GridSampleTo20},
        {21, "GroupNormalization", GroupNormChanged, kNothing},
    };
    for (const char* type : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                             "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}) {
      table.push_back({18, type, kPossible, AxesTo2nd});
    }
    return table;
  }();
  return steps;
}

// Subgraphs follow the model's opset too.
template <typename Visit>
void ForEachGraph(Graph* graph, const Visit& visit) {
  visit(graph);
  for (size_t i = 0; i < graph->node_slots(); ++i) {
    if (!graph->alive(static_cast<NodeId>(i))) continue;
    for (auto& [name, attribute] : graph->node(static_cast<NodeId>(i)).attributes) {
      if (attribute.graph) ForEachGraph(attribute.graph.get(), visit);
    }
  }
}

template <typename Visit>
void ForEachStep(Graph* graph, int from, int to, const Visit& visit) {
  for (int version = from + 1; version <= to; ++version) {
    for (const Step& step : Steps()) {
      if (step.version != version) continue;
      for (size_t i = 0; i < graph->node_slots(); ++i) {
        const NodeId id = static_cast<NodeId>(i);
        if (graph->alive(id) && graph->node(id).Is(step.op_type)) visit(step, id);
      }
    }
  }
}

// Whether the raise would have to change an operator of the function; functions that it calls are asked for
// themselves.
bool MustChange(const Function& function, int from, int to) {
  Graph body = function.body;
  bool found = false;
  ForEachGraph(&body,
               [&](Graph* each) { ForEachStep(each, from, to, [&](const Step&, NodeId) { found = true; }); });
  return found;
}

}  // namespace

std::optional<std::string> RaiseOpset(Graph* graph, int version) {
  const int from = graph->opset();
  if (from >= version) return std::nullopt;
  // A function follows the model's opset as long as its operators mean the same in both; the others are
  // replaced by what they do.
  Graph before;
  if (!graph->functions.empty()) {
    before = *graph;
    InlineCalls(graph, [&](const Function& function) { return MustChange(function, from, version); });
  }
  Obstacle obstacle;
  ForEachGraph(graph, [&](Graph* each) {
    ForEachStep(each, from, version, [&](const Step& step, NodeId id) {
      if (!obstacle) obstacle = step.fits(*each, each->node(id));
    });
  });
  if (obstacle) {
    if (!graph->functions.empty()) *graph = std::move(before);
    return obstacle;
  }
  ForEachGraph(graph, [&](Graph* each) {
    ForEachStep(each, from, version, [&](const Step& step, NodeId id) { step.convert(each, id); });
    if (each->opset_imports.count("")) each->opset_imports[""] = version;
  });
  graph->opset_imports[""] = version;
  LogInfo("opset raised from ", from, " to ", version);
  return std::nullopt;
}

}  // namespace xslim
