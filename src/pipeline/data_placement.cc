#include "pipeline/data_placement.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "calibrate/pool_ranges.h"
#include "calibrate/softmax_ranges.h"
#include "calibrate/uneven.h"
#include "ops/operator.h"
#include "pipeline/precision.h"
#include "quant/interest.h"
#include "quant/one_grid.h"

namespace xslim {
namespace {

// What a Sigmoid makes kLikelyScore of. A detector's calibration data may hold nothing that it is that sure
// of, other data do.
constexpr float kLikely = 2.94f;
constexpr size_t kMostProducts = 16;
constexpr double kNear = 5;  // times less noise, on a few samples, may be too much on more of them

// The results of the products that outputs are computed from with more than data movement in between, nearest
// first.
std::vector<ValueId> ProductsBehind(const Graph& graph, const ValueFacts& facts) {
  std::vector<std::pair<ValueId, bool>> open;  // whether it is what an output shows, in other places
  std::set<ValueId> seen;
  for (ValueId output : graph.outputs()) open.emplace_back(output, true);
  std::vector<ValueId> products;
  for (size_t i = 0; i < open.size() && products.size() < kMostProducts; ++i) {
    const auto [id, shown] = open[i];
    const Node* producer = id == kNone || !seen.insert(id).second ? nullptr : graph.Producer(id);
    if (producer == nullptr) continue;
    if (IsComputing(*producer)) {
      if (!shown && facts.is_float(id)) products.push_back(id);
      continue;
    }
    for (ValueId input : producer->inputs) open.emplace_back(input, shown && MovesData(*producer));
  }
  return products;
}

}  // namespace

DataPlacement::DataPlacement(const Graph& graph, const ValueFacts& facts, const Config& config,
                             StatisticsMap* statistics, ObserveCall observe, ThreadPool& pool,
                             Choices* choices, QuantPlan* plan, const MemoryCeiling& ceiling)
    : graph_(graph),
      facts_(facts),
      config_(config),
      statistics_(*statistics),
      observe_(std::move(observe)),
      pool_(pool),
      choices_(*choices),
      plan_(*plan),
      ceiling_(ceiling),
      shown_(FindShownEnds(graph, facts)) {}

// Tensors may carry a pair now that did not before (behind data movement, say, instead of before it): the
// data are gone through once more for them.
void DataPlacement::SetRanges(QuantPlan* plan, const QuantPlan& beside) {
  QuantPlan missing;
  for (auto& [id, quant] : plan->activations) {
    if (const auto found = chosen_.find(id); found != chosen_.end())
      quant = found->second;
    else if (!statistics_.count(id))
      missing.activations.emplace(id, quant);
  }
  if (!missing.activations.empty()) {
    missing.nodes = plan_.nodes;
    statistics_.merge(observe_(missing));
  }
  WidenSoftmax(plan, beside);
  ChooseRanges(graph_, statistics_, config_.calibration.calibration_type, pool_, plan);
  for (const auto& [id, quant] : plan->activations) {
    if (!quant.fixed) chosen_.emplace(id, quant);
  }
  WidenPools(plan);
  if (config_.quantization.visible_ranges) WidenScores(plan);
  PutOnOneGrid(graph_, plan);
}

// Not kept in chosen_: where a placement leaves the Softmax's input float, its output has the data's range.
void DataPlacement::WidenSoftmax(QuantPlan* plan, const QuantPlan& beside) const {
  QuantPlan pairs;
  pairs.activations = plan->activations;
  pairs.activations.insert(beside.activations.begin(), beside.activations.end());
  for (const auto& [id, end] : SoftmaxEnds(graph_, facts_, pairs, statistics_)) {
    if (plan->activations.count(id))
      FixRange(id, {0, end, "room for larger probabilities: ONNX Runtime's int8 Softmax does not saturate"},
               plan);
  }
}

// Not kept in chosen_, either: what is wide enough hangs on where the pooling's input has its pair.
void DataPlacement::WidenPools(QuantPlan* plan) const {
  for (const auto& [id, range] : PoolRanges(graph_, facts_, *plan)) FixRange(id, range, plan);
}

// Not kept in chosen_: it may be narrowed again at its lower end.
void DataPlacement::WidenScores(QuantPlan* plan) const {
  const auto is_score = [&](ValueId id) {
    const Node* const producer = graph_.Producer(BeforeMoves(graph_, id));
    if (producer == nullptr || !producer->Is("Sigmoid")) return false;
    const auto logit = shown_.find(producer->input(0));
    return logit != shown_.end() && logit->second.score;
  };
  for (const auto& [id, ends] : shown_) {
    if (!ends.hi) continue;
    if (ends.score) WidenUpTo(kLikely, id, plan);
    const Node* const producer = graph_.Producer(id);
    if (producer == nullptr || !MakesScores(graph_, *producer)) continue;
    const bool product = producer->Is("Mul");
    if (!(product ? is_score(producer->input(0)) && is_score(producer->input(1)) : is_score(id))) continue;
    // Much smaller ones are FindUneven()'s: steps made for 0.95 would be too coarse for them.
    const auto seen = statistics_.find(id);
    if (seen != statistics_.end() && seen->second.max() >= kMostSmallScore) WidenUpTo(kLikelyScore, id, plan);
  }
}

void DataPlacement::WidenUpTo(float hi, ValueId id, QuantPlan* plan) const {
  const auto found = plan->activations.find(id);
  if (found == plan->activations.end() || found->second.fixed || !(found->second.hi < hi)) return;
  const float lo = found->second.lo;
  SetRange(plan, id, lo, hi, "room for better scores than the data have");
}

void DataPlacement::FixRange(ValueId id, const ChosenRange& range, QuantPlan* plan) const {
  SetRange(plan, id, range.lo, range.hi, range.why);
  plan->activations.at(id).fixed = true;
  LogDebug("range of ", graph_.value(id).name, ": ", range.lo, " .. ", range.hi, " (", range.why, ")");
}

QuantPlan DataPlacement::Place(const Choices& choices) {
  QuantPlan plan = PlacePlan(graph_, facts_, config_.quantization, choices);
  for (NodeId id : choices_.placed) {
    if (!plan.nodes.count(id) && RoleOf(graph_, graph_.node(id)) != QuantRole::kPassive)
      plan.left_float.emplace(id, "what lies before it stays float");
  }
  SetRanges(&plan);
  return plan;
}

QuantPlan DataPlacement::Spare() {
  QuantPlan spare = SpareActivations(graph_, facts_, plan_, config_.quantization.visible_ranges, choices_);
  SetRanges(&spare, plan_);
  return spare;
}

// What a MatMul or Gemm gives to the float node alone goes on as float32.
void DataPlacement::LeaveBare(const Node& node) {
  for (ValueId input : node.inputs) {
    const Node* producer = input == kNone ? nullptr : graph_.Producer(input);
    if (producer != nullptr && plan_.nodes.count(producer->id) && graph_.SoleUser(input) == node.id &&
        (producer->Is("MatMul") || producer->Is("Gemm")))
      choices_.bare.insert(input);
  }
}

void DataPlacement::LeaveUneven() {
  choices_.float_by_data = FindUneven(graph_, plan_, statistics_, config_.quantization.protect_outputs);
  if (choices_.float_by_data.empty()) return;
  for (const auto& [id, why] : choices_.float_by_data) {
    LogInfo(graph_.node(id).Title(), " stays float: ", why);
    if (why == kIntoLogarithm || why == kIntoDivisor) LeaveBare(graph_.node(id));
  }
  choices_.quiet = true;
  plan_ = Place(choices_);
}

DataPlacement::Trial DataPlacement::Try(const FragileFinder& finder, const Fragile& fragile) {
  Trial trial;
  trial.choices = choices_;
  trial.choices.quiet = true;
  for (NodeId id : fragile.nodes) trial.choices.float_by_data.emplace(id, "fragile");
  trial.choices.bare.insert(fragile.bare.begin(), fragile.bare.end());
  trial.plan = Place(trial.choices);
  trial.noise = finder.Ratios(trial.plan);
  return trial;
}

DataPlacement::Signs DataPlacement::LookForSigns(const std::vector<OutputParts>& parts,
                                                 const std::vector<Sample>& samples) const {
  const auto noise = [&](const Graph& graph, const ValueFacts& facts, const std::vector<OutputParts>& of) {
    return FragileFinder(graph, facts, config_.quantization, of, samples, pool_, ceiling_).Noise(plan_);
  };
  if (noise(graph_, facts_, parts) > kFragileNoise / kNear) return Signs::kSome;
  // One without a pair may not be in the exported graph: a Relu behind it, say, is part of it there.
  std::vector<ValueId> products = ProductsBehind(graph_, facts_);
  std::erase_if(products, [&](ValueId id) { return !plan_.activations.count(id); });
  if (products.empty() || samples.empty()) return Signs::kNone;
  Graph inner = graph_;
  for (ValueId product : products) {
    const ValueId shown = inner.AddValue("xslim_product", DType::kFloat);
    inner.AddNode("Identity", "xslim_product", {product}, {shown});
    inner.AddOutput(shown);
  }
  const ValueFacts facts(inner, samples.front(), pool_);
  const double hidden = noise(inner, facts, FindOutputParts(inner, facts, pool_));
  LogDebug("noise/signal ", hidden, " at the products that outputs are computed from");
  return hidden > kFragileNoise / 2 ? Signs::kHidden : Signs::kNone;
}

void DataPlacement::LeaveFragile(const std::vector<OutputParts>& parts, const std::vector<Sample>& samples,
                                 const ProgressCall& progress) {
  FragileFinder finder(graph_, facts_, config_.quantization, parts, samples, pool_, ceiling_);
  NoiseRatios int8 = finder.Ratios(plan_);
  const double before = finder.Worst(int8);
  LogDebug("noise/signal ", before, " with all operators int8",
           before > kFragileNoise ? "" : ": no fragile ones are looked for");
  if (!(before > kFragileNoise)) return;
  QuantPlan spare = Spare();  // first: one pass over the data sees all that the placements below ask for
  const Trial best = Try(finder, finder.AllOf(plan_));
  Outcome left;
  // auto_precision measures which products it leaves float.
  if (finder.Worst(best.noise) > kFragileNoise && !PrecisionTarget(config_.quantization))
    left = LeaveProducts(&finder, int8, best, spare, progress);
  if (left.noise.empty()) {
    if (!left.said.empty()) LogInfo(left.said);
    finder.JudgeByAll();
    left = LeaveWeightless(&finder, std::move(int8), best, std::move(spare), progress);
  }
  LogInfo(left.said);
  finder.JudgeByAll();
  noise_left_ = finder.Worst(left.noise);
  NoteLeftNoise(noise_left_);
}

DataPlacement::Outcome DataPlacement::LeaveWeightless(FragileFinder* finder, NoiseRatios int8,
                                                      const Trial& best, QuantPlan spare,
                                                      const ProgressCall& progress) {
  double before = finder->Worst(int8), at_best = finder->Worst(best.noise);
  if (!Gains(before, at_best) && finder->LeaveOutHopeless(int8, best.noise)) {
    before = finder->Worst(int8);
    at_best = finder->Worst(best.noise);
  }
  if (!Gains(before, at_best)) {
    return {std::move(int8),
            StrCat("the noise at an output is ", before, " of its signal, and ", at_best,
                   " with no operator int8 but products of weights: none is left float for it")};
  }
  const Fragile fragile = finder->Find(plan_, std::move(spare), progress);
  Trial found = Try(*finder, fragile);
  const double left = finder->Worst(found.noise);
  if (!Gains(before, left)) {
    return {std::move(int8), StrCat("the noise at an output is ", before, " of its signal, and ", left,
                                    " with ", Counted(fragile.nodes.size(), "operator"),
                                    " without weights float: none is left float for it")};
  }
  const std::string why =
      StrCat("fragile: in int8 ",
             fragile.nodes.size() == 1
                 ? std::string("it takes")
                 : StrCat(fragile.nodes.size(), " operators without weights, of which it is one, take"),
             " an output's noise/signal from ", left, " to ", before);
  for (NodeId id : fragile.nodes) {
    LogDebug(graph_.node(id).Title(), " stays float");
    found.choices.float_by_data[id] = found.plan.left_float[id] = why;
  }
  plan_ = std::move(found.plan);
  choices_ = std::move(found.choices);
  return {std::move(found.noise),
          StrCat(Counted(fragile.nodes.size(), "operator"), " without weights ",
                 fragile.nodes.size() == 1 ? "stays float (protect_fragile): in int8 it takes"
                                           : "stay float (protect_fragile): in int8 they take",
                 " an output's noise/signal from ", left, " to ", before),
          true};
}

DataPlacement::Outcome DataPlacement::LeaveProducts(FragileFinder* finder, const NoiseRatios& int8,
                                                    const Trial& best, const QuantPlan& spare,
                                                    const ProgressCall& progress) {
  Fragile all = finder->SmallProducts(plan_);
  if (all.nodes.empty()) return {};
  all.Add(finder->AllOf(plan_));
  const NoiseRatios at_best = Try(*finder, all).noise;
  LogDebug("noise/signal ", finder->Worst(best.noise), " with no operator int8 but products of weights, ",
           finder->Worst(at_best), " with those of few multiply-adds float, too");
  const auto without = [&] { return std::min(finder->Worst(int8), finder->Worst(best.noise)); };
  const auto gains = [&](const NoiseRatios& noise) { return Gains(without(), finder->Worst(noise)); };
  if (!gains(at_best) && !(finder->LeaveOutHopeless(best.noise, at_best) && gains(at_best))) return {};
  const Fragile products = finder->FindProducts(plan_, spare, progress);
  if (products.nodes.empty()) return {};
  const Choices choices = choices_;
  const QuantPlan plan = plan_;
  Trial trial = Try(*finder, products);
  Outcome left{std::move(trial.noise), "", false};
  plan_ = std::move(trial.plan);
  choices_ = std::move(trial.choices);
  if (finder->Worst(left.noise) > kFragileNoise) {
    const Trial weightless = Try(*finder, finder->AllOf(plan_));
    left = LeaveWeightless(finder, std::move(left.noise), weightless, Spare(), progress);
  }
  const double with = finder->Worst(left.noise);
  if (!gains(left.noise)) {
    choices_ = choices;
    plan_ = plan;
    return {{},
            StrCat("the noise at an output is ", without(), " of its signal, and ", with,
                   " with few products of weights float: none is left float for it")};
  }
  const std::string said =
      NoteProducts(products.nodes, StrCat(" an output's noise/signal from ", with, " to ", without()));
  return {std::move(left.noise), left.any ? StrCat(left.said, "; ", said) : said, true};
}

std::string DataPlacement::NoteProducts(const std::set<NodeId>& nodes, const std::string& rise) {
  int64_t macs = 0;
  std::vector<std::string> titles;
  for (NodeId id : nodes) {
    const Node& node = graph_.node(id);
    if (!IsComputing(node)) continue;
    titles.push_back(node.Title());
    macs += MacsOf(node, facts_);
  }
  const std::string why =
      StrCat("fragile: in int8 ",
             titles.size() == 1 ? "it takes"
                                : StrCat(titles.size(), " products of weights, of which it is one, take"),
             rise);
  for (NodeId id : nodes) {
    choices_.float_by_data[id] = plan_.left_float[id] =
        IsComputing(graph_.node(id)) ? why : "one with a product of weights that stays float";
  }
  const double share = static_cast<double>(macs) / static_cast<double>(MacsOf(graph_, facts_));
  return StrCat("products of weights with ", std::round(1000 * share) / 10,
                " % of the multiply-adds stay float (protect_fragile), which in int8 take", rise, ": ",
                StrJoin(titles));
}

// What is left to be done where few multiply-adds in float do not help.
void DataPlacement::NoteLeftNoise(double noise) {
  const QuantizationParameters& settings = config_.quantization;
  if (!(noise > kFragileNoise) || PrecisionTarget(settings)) return;
  notes_.push_back(
      StrCat("the noise at an output is ", noise, " of its signal",
             settings.finetune_level > 0 ? " before tuning" : "",
             ": what makes it has too many multiply-adds for protect_fragile to leave float, which "
             "precision_level 1 or auto_precision does"));
  LogInfo(notes_.back());
}

}  // namespace xslim
