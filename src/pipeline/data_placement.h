// Placement once more, with what calibration has seen: operators whose int8 tensors would erase or ruin an
// output stay float.
#ifndef XSLIM_PIPELINE_DATA_PLACEMENT_H_
#define XSLIM_PIPELINE_DATA_PLACEMENT_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/memory.h"
#include "calibrate/calibrate.h"
#include "quant/choices.h"
#include "quant/output_parts.h"
#include "quant/plan.h"
#include "quant/shown_ends.h"
#include "tune/fragile.h"

namespace xslim {

// Statistics of a plan's activations.
using ObserveCall = std::function<StatisticsMap(const QuantPlan& plan)>;

class DataPlacement {
 public:
  // All must outlive this object. statistics: of the plan's activations at least; grows by those of tensors
  // that another placement gives a pair, which `observe` gives. choices: as the plan was placed.
  DataPlacement(const Graph& graph, const ValueFacts& facts, const Config& config, StatisticsMap* statistics,
                ObserveCall observe, ThreadPool& pool, Choices* choices, QuantPlan* plan,
                const MemoryCeiling& ceiling = MemoryCeiling());

  // Leaves float what FindUneven() finds, and says so.
  void LeaveUneven();

  // Gives each activation of the plan its range: outputs of Softmaxes that of SoftmaxEnds() and of poolings
  // that of PoolRanges() for good. What a last Sigmoid reads and makes, and a product of two at the end, gets
  // room above what the data have.
  void SetRanges() { SetRanges(&plan_); }

  // The tensors that may carry a pair when not all operators of the plan are int8 (SpareActivations), with
  // ranges.
  QuantPlan Spare();

  // What these few samples tell of what LeaveFragile() looks into. The plan has ranges.
  enum class Signs {
    kNone,
    kSome,    // the noise at the outputs comes near it
    kHidden,  // not there, but at the products that they are computed from: a Softmax that is sure of itself
              // shows none for one sample, and all the more for another
  };
  Signs LookForSigns(const std::vector<OutputParts>& parts, const std::vector<Sample>& samples) const;

  // Where an output is worse than a signal ten times its noise: leaves float what FragileFinder finds, if
  // that takes a third of the noise away, and says so. Products of weights only where it is not better even
  // with all operators without weights float, and if they take another third away. The plan has ranges before
  // and after it.
  void LeaveFragile(const std::vector<OutputParts>& parts, const std::vector<Sample>& samples,
                    const ProgressCall& progress);

  // Noise/signal of the worst output, where LeaveFragile() has looked for what ruins it; else 0.
  double noise_left() const { return noise_left_; }

  // What the report should say besides the reasons in the plan.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Trial {
    Choices choices;
    QuantPlan plan;
    NoiseRatios noise;
  };

  // beside: pairs that are in use together with those of `plan`.
  void SetRanges(QuantPlan* plan, const QuantPlan& beside = {});
  void WidenSoftmax(QuantPlan* plan, const QuantPlan& beside) const;
  void WidenPools(QuantPlan* plan) const;
  void WidenScores(QuantPlan* plan) const;
  void WidenUpTo(float hi, ValueId id, QuantPlan* plan) const;
  void FixRange(ValueId id, const ChosenRange& range, QuantPlan* plan) const;
  void LeaveBare(const Node& node);
  QuantPlan Place(const Choices& choices);
  Trial Try(const FragileFinder& finder, const Fragile& fragile);
  struct Outcome {
    NoiseRatios noise;  // with what is left float; empty: products are not worth it
    std::string said;   // for the log
    bool any = false;   // is left float
  };
  // Operators without weights. int8, best: noise of the plan, and the plan with all of them float.
  Outcome LeaveWeightless(FragileFinder* finder, NoiseRatios int8, const Trial& best, QuantPlan spare,
                          const ProgressCall& progress);
  // Products of weights, and operators without weights beside them.
  Outcome LeaveProducts(FragileFinder* finder, const NoiseRatios& int8, const Trial& best,
                        const QuantPlan& spare, const ProgressCall& progress);
  // Notes the reason, and returns what the log says. rise: of the noise, with them in int8.
  std::string NoteProducts(const std::set<NodeId>& nodes, const std::string& rise);
  void NoteLeftNoise(double noise);

  const Graph& graph_;
  const ValueFacts& facts_;
  const Config& config_;
  StatisticsMap& statistics_;
  const ObserveCall observe_;
  ThreadPool& pool_;
  Choices& choices_;
  QuantPlan& plan_;
  const MemoryCeiling ceiling_;
  const std::map<ValueId, ShownEnds> shown_;
  double noise_left_ = 0;
  std::vector<std::string> notes_;
  std::map<ValueId, ActivationQuant> chosen_;  // with ranges by the data, the same in every placement
};

}  // namespace xslim

#endif  // XSLIM_PIPELINE_DATA_PLACEMENT_H_
