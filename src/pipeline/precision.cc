#include "pipeline/precision.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/log.h"

namespace xslim {
namespace {

constexpr int kRounds = 12;         // of searching and measuring on the report's samples
constexpr double kMargin = 0.9;     // of the target, where those samples turn out worse
constexpr double kTightest = 0.25;  // of the bound, that one round may go down
constexpr double kCurve[] = {1, 0.98, 0.95, 0.9, 0.8, 0.65, 0.5, 0.3};  // shares of int8 multiply-adds
constexpr size_t kCurveSteps = 8;  // an eighth of the operators makes a point, too

// Notes in the plan why the operators that it lacks are float.
void NoteReasons(const PartialPlans& plans, const OutputNoise& noise, const PrecisionSearch& search,
                 QuantPlan* plan) {
  for (NodeId id : plans.whole().nodes) {
    if (!plan->nodes.count(id))
      plan->left_float[id] = "auto_precision: only operators that are float now lead to it";
  }
  for (const PrecisionStep& step : search.steps()) {
    for (size_t unit : step.units) {
      if (!search.float_units().count(unit)) continue;
      for (NodeId id : plans.units()[unit].nodes)
        plan->left_float[id] = StrCat(
            "auto_precision: ", step.units.size() == 1 ? "it" : StrCat("one of ", step.units.size(), " that"),
            " took the SNR of ", noise.rows()[step.row].Name(), " from ", step.before, " to ", step.after);
    }
  }
}

struct Chosen {
  AutoPrecision result;
  Graph graph;  // float, with the biases that belong to the plan
  QuantPlan plan;
  Measures measures;
};

// Leaves operators float until the target is met, first on `samples`, then on those of the report.
Chosen ChoosePrecision(const PartialPlans& plans, const OutputNoise& noise,
                       const std::vector<Sample>& samples, double target, const MeasurePlan& measure,
                       const std::string& prefix, ThreadPool& pool, const ProgressCall& progress) {
  Chosen chosen;
  AutoPrecision& result = chosen.result;
  result.target = target;
  PrecisionSearch search(plans, noise, samples, pool, progress);
  double bound = target, worst = 0;
  std::string name;
  for (int round = 0; round < kRounds && !result.met; ++round) {
    const bool reached = search.Reach(bound, true);
    chosen.plan = plans.Without(search.float_units());
    chosen.graph = plans.WithBiases(chosen.plan);
    chosen.measures = measure(chosen.graph, chosen.plan);
    worst = WorstOf(chosen.measures, target, &name);
    result.met = worst <= 1;
    if (!reached || std::isinf(worst)) break;  // what is no number, no bound makes one
    bound *= std::max(kMargin / worst, kTightest);
  }
  result.steps = search.steps();
  NoteReasons(plans, noise, search, &chosen.plan);
  const int64_t int8 = search.int8_macs();
  LogInfo(prefix, "auto_precision: ", search.float_units().size(), " of ",
          Counted(plans.units().size(), "operator"), " left float, ",
          100.0 * static_cast<double>(int8) / static_cast<double>(std::max<int64_t>(plans.macs(), 1)),
          " % of the multiply-adds stay int8");
  for (const PrecisionStep& step : result.steps) {
    std::vector<std::string> titles;
    for (size_t unit : step.units) {
      if (search.float_units().count(unit))
        titles.push_back(plans.graph().node(plans.units()[unit].node).Title());
    }
    if (!titles.empty())
      LogDebug(prefix, "auto_precision: float for the SNR of ", noise.rows()[step.row].Name(), " (",
               step.before, " -> ", step.after, "): ", StrJoin(titles));
  }
  if (!result.met)
    LogWarning(prefix, "auto_precision: the target ", target, " is out of reach: ", name, " has the SNR ",
               worst * target,
               " on the report's samples (a higher finetune_level, more calibration data or a higher target "
               "may help; at least a tenth of the multiply-adds stays int8)");
  return chosen;
}

// Points of the curve of accuracy over the share of int8.
std::vector<CurvePoint> PrecisionCurve(const PartialPlans& plans, const OutputNoise& noise,
                                       const std::vector<Sample>& samples, ThreadPool& pool,
                                       const ProgressCall& progress) {
  PrecisionSearch search(plans, noise, samples, pool, progress);
  const size_t step = std::max<size_t>(plans.units().size() / kCurveSteps, 1);
  std::vector<CurvePoint> curve;
  for (const double share : kCurve) {
    while (curve.empty() ||
           static_cast<double>(curve.back().int8_macs) > share * static_cast<double>(plans.macs())) {
      CurvePoint point = search.Point(share, step);
      if (!curve.empty() && point.float_operators == curve.back().float_operators) return curve;
      curve.push_back(std::move(point));
    }
  }
  return curve;
}

}  // namespace

double WorstOf(const Measures& measures, double target, std::string* name) {
  double worst = 0;
  const auto see = [&](double snr, const std::string& what) {
    const double multiple = std::isnan(snr) ? std::numeric_limits<double>::infinity() : snr / target;
    if (multiple <= worst) return;
    worst = multiple;
    *name = what;
  };
  for (const OutputMeasure& output : measures.outputs) {
    if (output.samples == 0) continue;
    see(output.snr, "output " + output.name);
    if (output.parts.size() < 2) continue;
    for (const PartMeasure& part : output.parts)
      see(part.snr, "output " + output.name + ", part " + part.tensor);
  }
  return worst;
}

std::optional<double> PrecisionTarget(const QuantizationParameters& settings) {
  if (settings.auto_precision) return settings.auto_precision;
  if (settings.precision_level == kPrecisionAuto) return kAutoPrecisionTarget;
  return std::nullopt;
}

void SettlePrecision(const ValueFacts& facts, const std::vector<OutputParts>& parts, bool any_int8,
                     QuantizationParameters* settings) {
  if (!settings->sensitivity && !PrecisionTarget(*settings)) return;
  std::string lacking, hint;
  if (!facts.unknown().empty()) {
    lacking = "need a model that can be computed: " + Describe(facts.unknown().front());
    hint = "use precision_level 0 without them, or --op-library";
  } else if (!any_int8) {
    lacking = "need int8 operators, and there are none";
  } else if (std::none_of(parts.begin(), parts.end(),
                          [](const OutputParts& of) { return of.IsMeasured(); })) {
    lacking = "need an output of type float32 (or integers that a Cast makes of such)";
  }
  if (lacking.empty()) return;
  if (settings->sensitivity || settings->auto_precision)
    throw Error("sensitivity and auto_precision " + lacking, "quantization_parameters", hint);
  LogWarning("precision_level 0 is used: the measurements of level 1 ", lacking);
  settings->precision_level = 0;
}

PrecisionRun RunPrecision(const QuantizationParameters& settings, const TunedRun& tuned, QuantPlan spare,
                          const MeasurePlan& measure, ThreadPool& pool,
                          const std::function<ProgressCall(const char*)>& progress, Graph* graph,
                          QuantPlan* plan) {
  PrecisionRun run;
  const Graph whole_graph = *graph;
  const QuantPlan whole = *plan;
  const std::map<NodeId, Tensor> biases = MovedBiases(tuned.untuned, whole_graph);
  const PartialPlans plans(whole_graph, biases, whole, tuned.facts, settings, std::move(spare));
  const std::vector<Sample> samples =
      SensitivitySamples(plans, tuned.parts, tuned.source, tuned.calibration, pool);
  const Graph reference = plans.WithBiases({});
  const OutputNoise noise(reference, tuned.parts, samples, pool);
  if (settings.sensitivity) {
    LogInfo("measuring the sensitivity of ", Counted(plans.units().size(), "operator"), " on ",
            Counted(samples.size(), "sample"));
    SensitivityResult sensitivity = MeasureSensitivity(plans, noise, samples, pool, progress("sensitivity"));
    sensitivity.curve = PrecisionCurve(plans, noise, samples, pool, progress("sensitivity of tensors"));
    run.lines = SensitivityLines(whole_graph, sensitivity);
    run.markdown = SensitivityMarkdown(whole_graph, sensitivity);
    run.sections.push_back({"sensitivity", SensitivityJson(whole_graph, sensitivity)});
  }
  if (const std::optional<double> target = PrecisionTarget(settings)) {
    LogInfo(tuned.prefix, "auto_precision: operators stay float until every output has an SNR of at most ",
            *target);
    Chosen chosen = ChoosePrecision(plans, noise, samples, *target, measure, tuned.prefix, pool,
                                    progress("auto precision"));
    run.sections.push_back({"auto_precision", AutoPrecisionJson(plans, noise, chosen.result)});
    run.measures = std::move(chosen.measures);
    *graph = std::move(chosen.graph);
    *plan = std::move(chosen.plan);
  }
  return run;
}

}  // namespace xslim
