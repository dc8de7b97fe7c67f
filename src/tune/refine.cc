#include "tune/refine.h"

#include <algorithm>

#include "base/log.h"
#include "ops/precise_math.h"
#include "quant/scale.h"
#include "tune/knobs.h"
#include "tune/output_error.h"

namespace xslim {
namespace {

constexpr double kWorthwhile = 0.01;  // relative gain that a change must bring on the samples tried
// What a knob stands for.
struct Meaning {
  ValueId activation = kNone;       // a range ...
  std::vector<ChosenRange> ranges;  // ... by setting
  NodeId node = kNone;              // or the bias of an operator: corrected, original
};

class Refiner {
 public:
  Refiner(Graph* graph, QuantPlan* plan, const ValueFacts& facts, const OutputError& error,
          const std::vector<Sample>& samples, ThreadPool& pool)
      : graph_(graph), plan_(plan), facts_(facts), error_(error), samples_(samples), pool_(pool) {}

  // One pass over all settings, in topological order.
  void Pass(const RangeProposals& proposals, const std::map<NodeId, Tensor>& biases, RefineResult* result,
            const std::function<void(int64_t, int64_t)>& progress) {
    const Graph exported = Exported();
    std::vector<Knob> knobs;
    std::vector<Meaning> meanings;
    for (ValueId id : graph_->FreeInputs()) AddRange(exported, id, proposals, &knobs, &meanings);
    for (NodeId id : graph_->Order()) {
      AddBias(exported, id, biases, &knobs, &meanings);
      for (ValueId output : graph_->node(id).outputs)
        AddRange(exported, output, proposals, &knobs, &meanings);
    }
    const std::vector<size_t> chosen =
        TurnKnobs(exported, knobs, error_, samples_, kWorthwhile, pool_, progress);
    for (size_t k = 0; k < knobs.size(); ++k) {
      if (chosen[k] == 0) continue;
      const Meaning& meaning = meanings[k];
      if (meaning.activation != kNone) {
        const ChosenRange& range = meaning.ranges[chosen[k]];
        LogDebug("range of ", graph_->value(meaning.activation).name, " by output error: ", range.lo, " .. ",
                 range.hi, " (", range.why, ")");
        SetRange(plan_, meaning.activation, range.lo, range.hi, range.why + ", by output error");
        ++result->ranges;
      } else {
        LogDebug(graph_->node(meaning.node).Title(), ": bias correction undone");
        graph_->SetConstant(graph_->node(meaning.node).input(2), knobs[k].settings[chosen[k]][0]);
        ++result->biases_undone;
      }
    }
  }

 private:
  Graph Exported() const {
    QuantPlan plan = *plan_;
    plan.quantize_bias = false;
    return ExportQdq(*graph_, plan, true);
  }

  void AddRange(const Graph& exported, ValueId id, const RangeProposals& proposals, std::vector<Knob>* knobs,
                std::vector<Meaning>* meanings) const {
    const auto quant = plan_->activations.find(id);
    const auto proposed = proposals.find(id);
    if (id == kNone || quant == plan_->activations.end() || proposed == proposals.end()) return;
    const ExportedPair pair = FindPair(exported, graph_->value(id).name);
    if (pair.quantize == kNone) return;
    Meaning meaning;
    meaning.activation = id;
    meaning.ranges = {{quant->second.lo, quant->second.hi, quant->second.why}};
    for (const ChosenRange& range : proposed->second) {
      if (MayTake(range, quant->second, facts_.elements(id))) meaning.ranges.push_back(range);
    }
    Knob knob;
    const Node& quantize = exported.node(pair.quantize);
    knob.constants = {quantize.input(1), quantize.input(2)};
    std::vector<ChosenRange> distinct;
    std::vector<std::pair<float, int32_t>> seen;
    for (const ChosenRange& range : meaning.ranges) {
      const ScaleZero chosen = AsymmetricInt8(std::min(range.lo, 0.0f), std::max(range.hi, 0.0f));
      const std::pair<float, int32_t> key{chosen.scale, chosen.zero_point};
      if (std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
      seen.push_back(key);
      distinct.push_back(range);
      knob.settings.push_back({Tensor::Scalar<float>(chosen.scale),
                               Tensor::Scalar<int8_t>(static_cast<int8_t>(chosen.zero_point))});
    }
    if (distinct.size() < 2) return;
    meaning.ranges = std::move(distinct);
    knobs->push_back(std::move(knob));
    meanings->push_back(std::move(meaning));
  }

  void AddBias(const Graph& exported, NodeId id, const std::map<NodeId, Tensor>& biases,
               std::vector<Knob>* knobs, std::vector<Meaning>* meanings) const {
    const auto original = biases.find(id);
    if (original == biases.end() || !exported.alive(id)) return;
    const ValueId bias = exported.node(id).input(2);
    knobs->push_back({{bias}, {{*exported.Constant(bias)}, {original->second}}});
    Meaning meaning;
    meaning.node = id;
    meanings->push_back(std::move(meaning));
  }

  Graph* graph_;
  QuantPlan* plan_;
  const ValueFacts& facts_;
  const OutputError& error_;
  const std::vector<Sample>& samples_;
  ThreadPool& pool_;
};

// Both ends of every range a little further in and out.
RangeProposals Moved(const QuantPlan& plan, float factor) {
  RangeProposals proposals;
  for (const auto& [id, quant] : plan.activations) {
    std::vector<ChosenRange>& ranges = proposals[id];
    for (float f : {factor, 1 / factor}) {
      if (quant.hi > 0) ranges.push_back({quant.lo, quant.hi * f, "moved"});
      if (quant.lo < 0) ranges.push_back({quant.lo * f, quant.hi, "moved"});
    }
  }
  return proposals;
}

}  // namespace

RefineResult Refine(Graph* graph, QuantPlan* plan, const ValueFacts& facts, const RangeProposals& proposals,
                    const std::map<NodeId, Tensor>& original_biases, const OutputError& error,
                    const std::vector<Sample>& samples, const RefineOptions& options, ThreadPool& pool,
                    const std::function<void(int64_t, int64_t)>& progress) {
  RefineResult result;
  Refiner refiner(graph, plan, facts, error, samples, pool);
  refiner.Pass(proposals, original_biases, &result, progress);
  for (int round = 0; round < options.window_rounds; ++round)
    refiner.Pass(Moved(*plan, round % 2 == 0 ? 0.8f : 0.9f), {}, &result, progress);
  return result;
}

}  // namespace xslim
