// A model in which an Add is fragile, with data: for tests of what follows on calibration.
#ifndef XSLIM_TESTS_UNIT_PIPELINE_FRAGILE_MODEL_H_
#define XSLIM_TESTS_UNIT_PIPELINE_FRAGILE_MODEL_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "calibrate/calibrate.h"
#include "noise.h"
#include "quant/choices.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "xslim/config.h"

namespace xslim {

class NoiseSource : public SampleSource {
 public:
  int64_t size() const override { return 8; }
  Sample at(int64_t index) const override {
    Sample sample = {Noise({4, 16}, static_cast<uint64_t>(index) + 1)};
    if (alike_) MakePairsAlike(&sample[0]);
    return sample;
  }
  std::string Describe() const override { return "noise"; }
  void MakeAlike() { alike_ = true; }  // neighbouring channels, nearly

 private:
  bool alike_ = false;
};

// y = ((x w1) + big) * small w2: one channel of the sum is a thousand times larger than the others, and as
// much smaller behind it. z = y * 0.01, joined with y: one scale for both would erase z.
class FragileModel : public testing::Test {
 protected:
  explicit FragileModel(bool joined = true) {
    graph_.opset_imports[""] = 13;
    std::vector<float> big(16, 0.5f), small(16, 1.0f);
    big[3] = 1000;
    small[3] = 0.001f;
    const ValueId x = graph_.AddValue("x", DType::kFloat);
    graph_.AddInput(x);
    const ValueId first = Op("MatMul", "first", {x, graph_.AddConstant("w1", Noise({16, 16}, 1))});
    const ValueId sum = Op("Add", "sum", {first, graph_.AddConstant("big", Tensor::Of<float>({16}, big))});
    const ValueId scaled =
        Op("Mul", "scaled", {sum, graph_.AddConstant("small", Tensor::Of<float>({16}, small))});
    ValueId y = Op("MatMul", "y", {scaled, graph_.AddConstant("w2", Noise({16, 16}, 2))});
    if (joined) {
      const ValueId z = Op("MatMul", "z", {scaled, graph_.AddConstant("w3", Noise({16, 16}, 3, 0.01f))});
      y = Op("Concat", "joined", {y, z}, {{"axis", Attribute::Int(1)}});
    }
    graph_.AddOutput(y);
    config_.quantization.finetune_level = 0;
    for (int64_t i = 0; i < source_.size(); ++i) indices_.push_back(i);
    facts_ = std::make_unique<ValueFacts>(graph_, source_.at(0), pool_);
    parts_ = FindOutputParts(graph_, *facts_, pool_);
  }

  ValueId Op(const char* type, const std::string& name, std::vector<ValueId> inputs,
             std::map<std::string, Attribute> attributes = {}) {
    const ValueId out = graph_.AddValue(name, DType::kFloat);
    graph_.AddNode(type, name, std::move(inputs), {out}, std::move(attributes));
    return out;
  }
  NodeId NodeOf(const char* name) const { return graph_.value(graph_.Find(name)).producer; }

  // Counts how often the data are gone through.
  Observations Observe(const QuantPlan& plan) {
    ++passes_;
    std::vector<ValueId> values;
    for (const auto& [id, quant] : plan.activations) values.push_back(id);
    return CollectStatistics(graph_, values, InputChannels(graph_), source_, indices_, {0.9999, {}}, pool_,
                             nullptr);
  }

  Graph graph_;
  ThreadPool pool_{2};
  NoiseSource source_;
  Config config_;
  std::vector<int64_t> indices_;
  std::unique_ptr<ValueFacts> facts_;
  std::vector<OutputParts> parts_;
  int passes_ = 0;
};

}  // namespace xslim

#endif  // XSLIM_TESTS_UNIT_PIPELINE_FRAGILE_MODEL_H_
