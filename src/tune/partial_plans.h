// Plans in which some operators of a finished plan are float again, with the ranges, codes and biases that
// tuning has found for the others.
#ifndef XSLIM_TUNE_PARTIAL_PLANS_H_
#define XSLIM_TUNE_PARTIAL_PLANS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "quant/facts.h"
#include "quant/plan.h"

namespace xslim {

// Operators that are int8 or float together: one of the plan with the Relu or Clip folded into it.
struct Unit {
  NodeId node = kNone;        // the first of them
  std::vector<NodeId> nodes;  // all
  int64_t macs = 0;
};

// The tensors that may carry a pair when not all operators of `plan` are int8, and do not in `plan`: a plan
// of activations alone, without ranges.
// visible_ranges (of QuantizationParameters), choices: as the plan was placed.
QuantPlan SpareActivations(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                           bool visible_ranges = true, const Choices& choices = {});

// By operator, the bias before tuning where it is another one after it (zeros where there was none).
std::map<NodeId, Tensor> MovedBiases(const Graph& before, const Graph& after);

class PartialPlans {
 public:
  // graph: with tuned biases; original_biases: what they were, by operator; plan: of it, finished; spare: as
  // SpareActivations() gives it, with ranges. All but the last must outlive this object.
  PartialPlans(const Graph& graph, const std::map<NodeId, Tensor>& original_biases, const QuantPlan& plan,
               const ValueFacts& facts, const QuantizationParameters& options, QuantPlan spare);

  const Graph& graph() const { return graph_; }
  const QuantPlan& whole() const { return plan_; }
  // All but data movement, in topological order.
  const std::vector<Unit>& units() const { return units_; }
  int64_t macs() const { return macs_; }  // of the whole graph
  // By activation of the whole plan: the units that keep its pair alive. It is gone when all are float.
  const std::map<ValueId, std::vector<size_t>>& holders() const { return holders_; }

  // The plan with these units float. Operators that only they led to become float, too.
  // bare: results that get no pair, besides those of the whole plan.
  QuantPlan Without(const std::set<size_t>& float_units, std::set<ValueId> bare = {}) const;
  // The plan with nothing int8 but one unit, but the constants of one unit, but one pair.
  QuantPlan Alone(size_t unit) const;
  QuantPlan ConstantsAlone(size_t unit) const;
  QuantPlan PairAlone(ValueId activation) const;

  // The float graph in which operators that are not of `plan` have their original biases.
  Graph WithBiases(const QuantPlan& plan) const;
  // The same with the plan written into it.
  Graph Written(const QuantPlan& plan) const { return ExportQdq(WithBiases(plan), plan); }

 private:
  void FindUnits();
  void FindHolders();
  void AddReaders(ValueId value, std::vector<size_t>* units) const;
  void DropLeftAlone(std::set<NodeId>* nodes) const;
  void Fill(QuantPlan* plan) const;

  const Graph& graph_;
  const std::map<NodeId, Tensor>& original_biases_;
  const QuantPlan& plan_;
  const ValueFacts& facts_;
  const QuantizationParameters& options_;
  const QuantPlan spare_;
  int64_t macs_ = 0;
  std::vector<Unit> units_;
  std::map<NodeId, size_t> unit_of_;
  std::map<ValueId, std::vector<size_t>> holders_;
};

}  // namespace xslim

#endif  // XSLIM_TUNE_PARTIAL_PLANS_H_
