#include "pipeline/data_placement.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "calibrate/uneven.h"
#include "ops/operator.h"
#include "quant/interest.h"
#include "tune/fragile.h"

namespace xslim {
namespace {

constexpr double kTrouble = 0.1;         // noise/signal from which on operators are looked for
constexpr double kWorthwhile = 2.0 / 3;  // what must at most be left of it
// Noise that operators which are float for no more than it may stay int8 for: as a part of what is
// unavoidable, and at least.
constexpr double kRestShare = 0.5, kLeastRest = 0.005;

}  // namespace

DataPlacement::DataPlacement(const Graph& graph, const ValueFacts& facts, const Config& config,
                             StatisticsMap* statistics, ObserveCall observe, ThreadPool& pool,
                             Choices* choices, QuantPlan* plan)
    : graph_(graph),
      facts_(facts),
      config_(config),
      statistics_(*statistics),
      observe_(std::move(observe)),
      pool_(pool),
      choices_(*choices),
      plan_(*plan) {}

// Tensors may carry a pair now that did not before: behind data movement, say, instead of before it.
void DataPlacement::Observe(const QuantPlan& plan) {
  QuantPlan missing;
  for (const auto& [id, quant] : plan.activations) {
    if (!statistics_.count(id)) missing.activations.emplace(id, quant);
  }
  if (missing.activations.empty()) return;
  missing.nodes = plan_.nodes;
  statistics_.merge(observe_(missing));
}

QuantPlan DataPlacement::Place(const Choices& choices) {
  QuantPlan plan = PlacePlan(graph_, facts_, config_.quantization, choices);
  for (NodeId id : plan_.nodes) {
    if (!plan.nodes.count(id) && RoleOf(graph_, graph_.node(id)) != QuantRole::kPassive)
      plan.left_float.emplace(id, "what lies before it stays float");
  }
  Observe(plan);
  return plan;
}

QuantPlan DataPlacement::Spare() {
  QuantPlan spare = SpareActivations(graph_, facts_, plan_, config_.quantization.visible_ranges);
  Observe(spare);
  ChooseRanges(&spare);
  return spare;
}

void DataPlacement::LeaveUneven() {
  choices_.float_by_data = FindUneven(graph_, plan_, statistics_, config_.quantization.protect_outputs);
  if (choices_.float_by_data.empty()) return;
  for (const auto& [id, why] : choices_.float_by_data)
    LogInfo(graph_.node(id).Title(), " stays float: ", why);
  choices_.quiet = true;
  plan_ = Place(choices_);
}

void DataPlacement::ChooseRanges() { ChooseRanges(&plan_); }

void DataPlacement::ChooseRanges(QuantPlan* plan) {
  xslim::ChooseRanges(graph_, statistics_, config_.calibration.calibration_type, pool_, plan);
}

void DataPlacement::LeaveFragile(const std::vector<OutputParts>& parts, const std::vector<Sample>& samples,
                                 const ProgressCall& progress) {
  const FragileFinder finder(graph_, facts_, config_.quantization, parts, samples, pool_);
  const double before = finder.Noise(plan_);
  if (!(before > kTrouble)) return;
  // What is found is placed and measured; first all that there could be.
  const auto with = [&](const Fragile& fragile, QuantPlan* plan, Choices* choices) {
    *choices = choices_;
    choices->quiet = true;
    choices->float_by_data.insert(fragile.nodes.begin(), fragile.nodes.end());
    choices->bare = fragile.bare;
    *plan = Place(*choices);
    ChooseRanges(plan);
    return finder.Noise(*plan);
  };
  QuantPlan plan;
  Choices choices;
  const double at_best = with(finder.AllOf(plan_), &plan, &choices);
  LogDebug("noise/signal ", before, " with all operators int8, ", at_best, " with all but products float");
  if (!(at_best <= kWorthwhile * before)) {
    LogInfo("the noise at an output is ", before, " of its signal, and ", at_best,
            " with no operator int8 but products of weights: none is left float for it");
    return;
  }
  const Fragile fragile = finder.Find(plan_, Spare(), std::max(kRestShare * at_best, kLeastRest), progress);
  if (fragile.nodes.empty()) return;
  const double after = with(fragile, &plan, &choices);
  if (!(after <= kWorthwhile * before)) return;
  const std::string why =
      StrCat("fragile: in int8 ",
             fragile.nodes.size() == 1
                 ? std::string("it takes")
                 : StrCat(fragile.nodes.size(), " operators without weights, of which it is one, take"),
             " an output's noise/signal from ", after, " to ", before);
  LogInfo(fragile.nodes.size(),
          " operators without weights stay float (protect_fragile): in int8 they take an output's "
          "noise/signal from ",
          after, " to ", before);
  for (const auto& [id, unsaid] : fragile.nodes) {
    LogDebug(graph_.node(id).Title(), " stays float");
    choices.float_by_data[id] = plan.left_float[id] = why;
  }
  plan_ = std::move(plan);
  choices_ = std::move(choices);
}

}  // namespace xslim
