// Builds graphs of a few operators for tests of placement.
#ifndef XSLIM_TESTS_SUPPORT_SMALL_GRAPH_H_
#define XSLIM_TESTS_SUPPORT_SMALL_GRAPH_H_

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "quant/plan.h"

namespace xslim {

// Operators are named by what they make: a tensor "c1" comes from the operator "c1".
struct SmallGraph {
  SmallGraph() {
    graph.opset_imports[""] = 20;
    Input("x", {1, 4, 6, 6});
  }

  void Input(const char* name, Shape shape) {
    const ValueId id = graph.AddValue(name, DType::kFloat);
    graph.AddInput(id);
    Tensor data(DType::kFloat, std::move(shape));
    for (int64_t i = 0; i < data.size(); ++i) data.data<float>()[i] = random.Unit() - 0.5f;
    sample.push_back(data);
  }

  std::string Constant(Shape shape) {
    Tensor data(DType::kFloat, std::move(shape));
    for (int64_t i = 0; i < data.size(); ++i) data.data<float>()[i] = random.Unit() - 0.3f;
    return graph.value(graph.AddConstant("k", std::move(data))).name;
  }

  void Op(const char* type, const std::string& name, const std::vector<std::string>& inputs,
          std::map<std::string, Attribute> attributes = {}) {
    std::vector<ValueId> ids;
    for (const std::string& input : inputs) ids.push_back(graph.Find(input));
    graph.AddNode(type, name, ids, {graph.AddValue(name, DType::kFloat)}, std::move(attributes));
  }

  void Conv(const std::string& name, const std::string& input) {
    Op("Conv", name, {input, Constant({4, 4, 1, 1}), Constant({4})},
       {{"kernel_shape", Attribute::Ints({1, 1})}});
  }

  void Output(const std::string& name) { graph.AddOutput(graph.Find(name)); }
  NodeId Node(const std::string& name) const { return graph.value(graph.Find(name)).producer; }

  QuantPlan Plan(const QuantizationParameters& options = {}, const Choices& choices = {}) const {
    ThreadPool pool(1);
    const ValueFacts facts(graph, sample, pool);
    QuantPlan plan = PlacePlan(graph, facts, options, choices);
    for (auto& [id, quant] : plan.activations) SetRange(&plan, id, -2.0f, 2.0f, "");
    return plan;
  }

  // Names of the tensors with a pair; of the quantized operators.
  std::set<std::string> Pairs(const QuantPlan& plan) const {
    std::set<std::string> names;
    for (const auto& [id, quant] : plan.activations) names.insert(graph.value(id).name);
    return names;
  }
  std::set<std::string> Quantized(const QuantPlan& plan) const {
    std::set<std::string> names;
    for (NodeId id : plan.nodes) names.insert(graph.node(id).name);
    return names;
  }

  Graph graph;
  std::vector<Tensor> sample;
  Random random{3};
};

}  // namespace xslim

#endif  // XSLIM_TESTS_SUPPORT_SMALL_GRAPH_H_
