#include "tune/learning_graph.h"

#include <set>

#include "graph/subgraph.h"
#include "quant/facts.h"
#include "runtime/executor.h"
#include "tune/bias.h"

namespace xslim {
namespace {

// Constant codes become the floats that they stand for.
void Dequantize(Graph* graph, NodeId id, ThreadPool& pool) {
  const Subgraph part = Extract(*graph, {id});
  const Tensor floats = Executor(part.graph, pool).Run({}).at(0).Clone();
  const ValueId output = graph->node(id).outputs[0];
  graph->ReplaceUses(output, graph->AddConstant(graph->value(output).name + "_learned", floats));
}

// A pair becomes the clipping that it does.
void Unround(Graph* graph, NodeId id) {
  const Node quantize = *graph->Producer(graph->node(id).input(0));
  const ValueId output = graph->node(id).outputs[0];
  const auto [lo, hi] = Span({-1,
                              {graph->Constant(quantize.input(1))->data<float>()[0]},
                              {graph->Constant(quantize.input(2))->data<int8_t>()[0]}});
  const std::string name = graph->value(output).name;
  graph->RemoveNode(id);
  graph->AddNode("Clip", name + "_clipped",
                 {quantize.input(0), graph->AddConstant(name + "_lo", Tensor::Scalar(lo)),
                  graph->AddConstant(name + "_hi", Tensor::Scalar(hi))},
                 {output});
}

}  // namespace

Graph ClippedGraph(const Graph& graph, const QuantPlan& plan, ThreadPool& pool) {
  QuantPlan written = plan;
  written.quantize_bias = false;
  Graph clipped = ExportQdq(graph, written);
  for (NodeId id : clipped.Order()) {
    const Node& node = clipped.node(id);
    if (!node.Is("DequantizeLinear")) continue;
    if (clipped.Constant(node.input(0)) != nullptr) {
      Dequantize(&clipped, id, pool);
    } else if (clipped.Producer(node.input(0)) != nullptr) {
      Unround(&clipped, id);
    }
  }
  clipped.RemoveDead();
  return clipped;
}

LearningGraph::LearningGraph(const Graph& clipped, const QuantPlan& plan, const OutputError& error,
                             const Sample& sample, ThreadPool& pool)
    : graph(clipped), sample_inputs(clipped.FreeInputs()) {
  const ValueFacts facts(graph, sample, pool);
  for (ValueId id : sample_inputs) shapes[id] = facts.of(id).shape;
  std::map<ValueId, ValueId> seeds;
  for (size_t p = 0; p < error.points().size(); ++p) {
    const ValueId value = clipped.Find(error.points()[p]);
    if (!facts.is_float(value)) continue;
    const PointPlace place{p, value, graph.AddValue("xslim_wanted", DType::kFloat),
                           graph.AddValue("xslim_weight", DType::kFloat)};
    graph.AddInput(place.wanted);
    graph.AddInput(place.weight);
    const ValueId difference = graph.AddValue("xslim_difference", DType::kFloat),
                  seed = graph.AddValue("xslim_seed", DType::kFloat);
    graph.AddNode("Sub", "xslim_difference", {value, place.wanted}, {difference});
    graph.AddNode("Mul", "xslim_seed", {difference, place.weight}, {seed});
    seeds[value] = seed;
    shapes[value] = facts.of(value).shape;
    points.push_back(place);
  }

  std::set<ValueId> wanted;
  const std::vector<Layer> layers = FindLayers(clipped, plan);
  for (const Layer& layer : layers) wanted.insert(clipped.node(layer.node).outputs[0]);
  const Gradient gradient = AddGradient(&graph, facts, seeds, wanted, pool);
  stopped = gradient.stopped;
  for (const Layer& layer : layers) {
    const Node& node = graph.node(layer.node);
    const auto derivative = gradient.of.find(node.outputs[0]);
    if (derivative == gradient.of.end()) continue;
    if (TakesBias(node) && HasOwnConstant(graph, node, 2) && graph.Constant(node.input(2))->rank() == 1)
      biases.push_back({layer.node, node.input(2), derivative->second});
    if (node.Is("ConvTranspose")) continue;  // its rows are no plain patches of the output
    WeightPlace place{layer, node.input(1), node.input(0), derivative->second, {}};
    const auto turned = gradient.turned.find(place.constant);
    if (turned != gradient.turned.end()) place.turned = turned->second;
    weights.push_back(std::move(place));
  }
}

Sample LearningGraph::InputsFor(const Sample& sample, size_t index, const OutputError& error,
                                const std::vector<double>& point_weights) const {
  Sample inputs = sample;
  for (const PointPlace& place : points) {
    const Tensor& wanted = error.wanted(place.point, index);
    const double size = Power(wanted) + error.floor(place.point);
    inputs.push_back(wanted);
    inputs.push_back(
        Tensor::Scalar(size > 0 ? static_cast<float>(2 * point_weights[place.point] / size) : 0.0f));
  }
  return inputs;
}

}  // namespace xslim
