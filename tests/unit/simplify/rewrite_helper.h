// Builds small graphs, runs passes on them, compares what the graphs compute before and after.
#ifndef TESTS_UNIT_SIMPLIFY_REWRITE_HELPER_H_
#define TESTS_UNIT_SIMPLIFY_REWRITE_HELPER_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "noise.h"
#include "runtime/executor.h"
#include "simplify/simplify.h"

namespace xslim::testing {

using Attributes = std::map<std::string, Attribute>;
using Counts = std::map<std::string, int>;

inline Tensor Positive(Shape shape, uint64_t seed) {
  Tensor tensor = Noise(std::move(shape), seed, 4);
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.data<float>()[i] = std::fabs(tensor.data<float>()[i]) + 0.5f;
  return tensor;
}

struct Model {
  explicit Model(int opset = 17) { graph.opset_imports[""] = opset; }

  // -1 in dims: a symbolic size.
  ValueId Input(const std::string& name, const Shape& dims, DType dtype = DType::kFloat) {
    const ValueId id = graph.AddValue(name, dtype);
    graph.value(id).has_shape = true;
    for (int64_t size : dims) graph.value(id).dims.push_back({size, size < 0 ? "N" : ""});
    graph.AddInput(id);
    return id;
  }
  ValueId Const(Tensor tensor) { return graph.AddConstant("k", std::move(tensor)); }
  ValueId F(float number) { return Const(Tensor::Scalar(number)); }
  ValueId Ints(const std::vector<int64_t>& numbers) {
    return Const(Tensor::Of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers));
  }
  ValueId Int(int64_t number) { return Const(Tensor::Scalar(number)); }
  ValueId Random(Shape shape) { return Const(Noise(std::move(shape), ++seed, 4)); }
  std::vector<ValueId> Ops(const std::string& type, std::vector<ValueId> inputs, int outputs,
                           Attributes attributes = {}) {
    std::vector<ValueId> made;
    for (int i = 0; i < outputs; ++i) made.push_back(graph.AddValue("t"));
    graph.AddNode(type, type, std::move(inputs), made, std::move(attributes));
    return made;
  }
  ValueId Op(const std::string& type, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return Ops(type, std::move(inputs), 1, std::move(attributes))[0];
  }
  void Output(ValueId id) { graph.AddOutput(id); }
  void Dim(ValueId x, int64_t axis, std::vector<ValueId>* parts) {  // one size as an exporter takes it
    parts->push_back(Op("Unsqueeze", {Op("Gather", {Op("Shape", {x}), Int(axis)}), Ints({0})}));
  }

  Graph graph;
  uint64_t seed = 100;
};

inline Counts CountsOf(const Graph& graph) {
  Counts counts;
  for (NodeId id : graph.Order()) ++counts[graph.node(id).op_type];
  return counts;
}

// Feeds random numbers; symbolic sizes are `symbolic`.
inline std::vector<Tensor> InputsFor(const Graph& graph, int64_t symbolic) {
  std::vector<Tensor> inputs;
  for (ValueId id : graph.FreeInputs()) {
    Shape shape;
    for (const Dim& dim : graph.value(id).dims) shape.push_back(dim.size < 0 ? symbolic : dim.size);
    inputs.push_back(Noise(shape, 7 + inputs.size(), 4));
    if (graph.value(id).dtype == DType::kBool) {
      Tensor truth(DType::kBool, shape);
      for (int64_t i = 0; i < truth.size(); ++i) truth.data<bool>()[i] = inputs.back().data<float>()[i] > 0;
      inputs.back() = truth;
    }
  }
  return inputs;
}

// Equal type, shape and numbers of all outputs; floats within tolerance * largest.
inline void ExpectSame(const Graph& before, const Graph& after, const std::vector<Tensor>& inputs,
                       double tolerance = 1e-5) {
  ThreadPool pool(1);
  Executor first(before, pool), second(after, pool);
  const std::vector<Tensor> want = first.Run(inputs), got = second.Run(inputs);
  ASSERT_EQ(want.size(), got.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(before.value(before.outputs()[i]).name, after.value(after.outputs()[i]).name);
    ASSERT_EQ(want[i].dtype(), got[i].dtype());
    ASSERT_EQ(want[i].shape(), got[i].shape());
    if (want[i].dtype() != DType::kFloat) {
      EXPECT_TRUE(want[i].SameBytes(got[i]));
      continue;
    }
    const float *a = got[i].data<float>(), *b = want[i].data<float>();
    double largest = 1, difference = 0;
    for (int64_t k = 0; k < want[i].size(); ++k) {
      if (a[k] == b[k] || (std::isnan(a[k]) && std::isnan(b[k]))) continue;
      difference = std::max(difference, std::fabs(static_cast<double>(a[k]) - b[k]));
      ASSERT_FALSE(std::isnan(a[k]) || std::isnan(b[k])) << "element " << k;
      if (std::isfinite(b[k])) largest = std::max(largest, std::fabs(static_cast<double>(b[k])));
    }
    EXPECT_LE(difference, tolerance * largest) << "output " << i;
  }
}

inline SimplifyOptions OnlyPasses(const Graph& graph, const std::vector<std::string>& passes) {
  SimplifyOptions options;
  options.highest_opset = graph.opset();
  for (const Pass& pass : Passes()) {
    if (std::find(passes.begin(), passes.end(), pass.name) == passes.end()) options.skip.insert(pass.name);
  }
  return options;
}

// Runs these passes alone, compares results for symbolic sizes 2 and 3, and the operators that are left.
inline Graph ExpectRewrite(const Model& model, const std::vector<std::string>& passes, const Counts& left,
                           SimplifyOptions options) {
  Graph graph = model.graph;
  Simplify(&graph, options);
  graph.Validate();
  EXPECT_EQ(CountsOf(graph), left) << passes[0];
  for (int64_t symbolic : {2, 3}) ExpectSame(model.graph, graph, InputsFor(model.graph, symbolic));
  return graph;
}
inline Graph ExpectRewrite(const Model& model, const std::vector<std::string>& passes, const Counts& left) {
  return ExpectRewrite(model, passes, left, OnlyPasses(model.graph, passes));
}
inline void ExpectUntouched(const Model& model, const std::string& pass) {
  ExpectRewrite(model, {pass}, CountsOf(model.graph));
}

inline Attribute I(int64_t value) { return Attribute::Int(value); }
inline Attribute Is(std::vector<int64_t> values) { return Attribute::Ints(std::move(values)); }

}  // namespace xslim::testing

#endif  // TESTS_UNIT_SIMPLIFY_REWRITE_HELPER_H_
