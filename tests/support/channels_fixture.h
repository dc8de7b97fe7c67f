// A graph with one input, to be built of operators and weights, for the tests of what is done to channels.
#ifndef XSLIM_TESTS_SUPPORT_CHANNELS_FIXTURE_H_
#define XSLIM_TESTS_SUPPORT_CHANNELS_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/samples.h"
#include "graph/graph.h"
#include "noise.h"
#include "runtime/executor.h"

namespace xslim {

class ChannelsTest : public ::testing::Test {
 protected:
  ChannelsTest() : pool_(2) {
    graph_.opset_imports[""] = 17;
    x_ = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x_);
  }

  ValueId Op(const char* type, std::vector<ValueId> inputs,
             std::map<std::string, Attribute> attributes = {}) {
    const std::string name = type + std::to_string(++nodes_);
    const ValueId y = graph_.AddValue(name, DType::kFloat);
    graph_.AddNode(type, name + "_node", std::move(inputs), {y}, std::move(attributes));
    return y;
  }
  ValueId Weight(Tensor tensor) {
    return graph_.AddConstant("w" + std::to_string(++nodes_), std::move(tensor));
  }

  // An If both of whose bodies take the value from outside.
  ValueId ReadInBodies(ValueId value) {
    Attribute body;
    body.kind = Attribute::Kind::kGraph;
    body.graph = std::make_shared<Graph>();
    body.graph->opset_imports = graph_.opset_imports;
    const ValueId read = body.graph->AddValue(graph_.value(value).name, DType::kFloat),
                  out = body.graph->AddValue("body_out", DType::kFloat);
    body.graph->AddNode("Neg", "body_neg", {read}, {out});
    body.graph->AddOutput(out);
    const ValueId yes = graph_.AddConstant("yes", Tensor::Scalar(true));
    return Op("If", {yes}, {{"then_branch", body}, {"else_branch", body}});
  }

  static std::vector<Sample> Samples(const Shape& shape) {
    std::vector<Sample> samples;
    for (uint64_t s = 1; s < 4; ++s) samples.push_back({Noise(shape, s)});
    return samples;
  }

  // The graph's outputs are those of `before`, up to float rounding.
  void ExpectSameOutputs(const Graph& before, const Sample& sample) {
    const std::vector<Tensor> want = Executor(before, pool_).Run(sample);
    const std::vector<Tensor> got = Executor(graph_, pool_).Run(sample);
    for (size_t o = 0; o < want.size(); ++o) {
      float most = 0;
      for (int64_t i = 0; i < want[o].size(); ++i) most = std::max(most, std::fabs(want[o].data<float>()[i]));
      for (int64_t i = 0; i < want[o].size(); ++i)
        EXPECT_NEAR(got[o].data<float>()[i], want[o].data<float>()[i], 1e-5 * most);
    }
  }

  // Another graph has the same constants, to the byte.
  void ExpectSameConstants(const Graph& other) {
    for (ValueId id = 0; id < static_cast<ValueId>(graph_.value_slots()); ++id) {
      const Tensor* constant = graph_.Constant(id);
      if (constant == nullptr) continue;
      EXPECT_TRUE(other.Constant(id)->SameBytes(*constant)) << graph_.value(id).name;
    }
  }

  ThreadPool pool_;
  Graph graph_;
  ValueId x_ = kNone;
  std::map<NodeId, std::string> untouched_;
  int nodes_ = 0;
};

}  // namespace xslim

#endif  // XSLIM_TESTS_SUPPORT_CHANNELS_FIXTURE_H_
