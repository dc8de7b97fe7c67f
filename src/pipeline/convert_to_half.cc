#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "calibrate/calibrate.h"
#include "onnx/model_io.h"
#include "pipeline/half_transposes.h"
#include "pipeline/model_inputs.h"
#include "pipeline/modes.h"
#include "pipeline/naming_samples.h"
#include "pipeline/progress.h"
#include "pipeline/provider_lines.h"
#include "quant/element_types.h"
#include "quant/half.h"
#include "quant/inline.h"
#include "report/summary.h"
#include "simplify/macs.h"

namespace xslim {
namespace {

constexpr int kBFloat16Opset = 22;            // Conv, pooling and others take bfloat16
constexpr float kSafe = 0.9f * kLargestHalf;  // data not seen may be a little larger
constexpr int64_t kMostSamples = 64;
constexpr size_t kNamed = 5;         // tensors in one warning
constexpr double kMuchFloat = 0.25;  // of the weights

// Float values of the outermost graph that the calibration data drives to the end of float16's range.
std::set<ValueId> FindWide(const Graph& graph, const Config& config, const RunOptions& options,
                           ThreadPool& pool) {
  const std::unique_ptr<SampleSource> samples = OpenSamples(config, InputsOf(graph), 0);
  const int64_t count =
      std::min({samples->size(), kMostSamples, static_cast<int64_t>(config.calibration.calibration_step)});
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(i);
  std::vector<ValueId> floats;
  for (ValueId id = 0; id < static_cast<ValueId>(graph.value_slots()); ++id) {
    const Value& value = graph.value(id);
    if (value.id != kNone && value.dtype == DType::kFloat && !value.constant.defined() &&
        (value.producer != kNone || value.is_input))
      floats.push_back(id);
  }
  LogInfo("looking for values outside the range of float16 in ", count, " of ", samples->Describe());
  const StatisticsMap statistics = NamingSamples({graph, *samples, indices}, pool, [&] {
    return CollectStatistics(graph, floats, {}, *samples, indices, {config.quantization.max_percentile, {}},
                             pool, StageProgress(options)("measure"))
        .statistics;
  });
  std::set<ValueId> wide;
  for (const auto& [id, seen] : statistics) {
    const float most = std::max(std::fabs(seen.min()), std::fabs(seen.max()));
    if (most <= kSafe) continue;
    wide.insert(id);
    LogInfo(graph.value(id).name, " reaches ", most, ": its producer and readers stay float32");
  }
  return wide;
}

// What ONNX Runtime's CPU provider computes on bfloat16 (found by loading a model of each with its release
// 1.24); a single operator without a kernel keeps it from loading the model.
const std::set<std::string> kOrtCpuBFloat16 = {
    "Cast",           "CastLike", "Clip",     "Concat", "ConstantOfShape", "Flatten", "Gather",
    "GatherElements", "GatherND", "Identity", "IsInf",  "IsNaN",           "Reshape", "ScatterElements",
    "ScatterND",      "Shape",    "Sign",     "Slice",  "Split",           "Squeeze", "Transpose",
    "Unsqueeze"};

void WarnOfKernels(const std::set<std::string>& types) {
  std::vector<std::string> missing;
  std::set_difference(types.begin(), types.end(), kOrtCpuBFloat16.begin(), kOrtCpuBFloat16.end(),
                      std::back_inserter(missing));
  if (!missing.empty()) {
    LogWarning("ONNX Runtime's CPU provider has no bfloat16 kernels for ", StrJoin(missing),
               ": it will not load the model, which is for other providers and runtimes");
  }
}

void WarnOfVanished(const std::vector<Vanished>& vanished) {
  if (vanished.empty()) return;
  std::vector<std::string> names;
  for (const Vanished& each : vanished)
    names.push_back(StrCat(each.name, " (", each.elements, " of ", each.of, " elements)"));
  LogWarning("numbers of up to 2^-25 are 0 in float16: ", FirstOf(names, kNamed),
             "; use --bf16, or leave the operators that read them float32 by ignore_op_names");
}

// A model that hardly shrinks: says what keeps most of its weights.
void WarnOfFloatWeights(const HalfOutcome& outcome) {
  int64_t kept = 0;
  const std::pair<const std::string, int64_t>* most = nullptr;
  for (const auto& each : outcome.float_weights) {
    kept += each.second;
    if (most == nullptr || each.second > most->second) most = &each;
  }
  if (static_cast<double>(kept) <= kMuchFloat * static_cast<double>(outcome.weights)) return;
  LogWarning(kept, " of ", outcome.weights, " weights stay float32, most of them because: ", most->first);
}

// Operators that only the opset that the user asks for keeps float32.
void WarnOfOpset(const LeftList& left, int asked) {
  const auto waits = [](const LeftAsIs& each) { return each.why.find(kSinceOpset) != std::string::npos; };
  const auto first = std::find_if(left.begin(), left.end(), waits);
  if (first == left.end()) return;
  const auto count = std::count_if(left.begin(), left.end(), waits);
  LogWarning(count, count == 1 ? " operator stays" : " operators stay", " float32 because opset ", asked,
             " is asked for (", first->what, ": ", first->why, count == 1 ? ")" : ", ...)",
             "; raise --opset or leave it out");
}

}  // namespace

RunResult ConvertToHalf(Graph graph, const Config& config, const RunOptions& options,
                        const OutputPaths& paths, ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  HalfOptions half;
  half.type = settings.half_type == HalfType::kBFloat16 ? DType::kBFloat16 : DType::kFloat16;
  half.io = settings.half_io;
  const ModelCounts counts = CountModel(graph, CountMacs(graph));
  IgnoreList ignored(settings);
  FixDefaultsOfHabit(&graph);
  InlineForHalf(&graph, &ignored);
  PinOpset(&graph, config, paths.input);
  if (half.type == DType::kBFloat16 && !config.model.opset) {
    if (const auto obstacle = RaiseOpset(&graph, kBFloat16Opset))
      LogWarning("more operators could be bfloat16 from opset ", kBFloat16Opset, " on: ", *obstacle);
  }
  SimplifyModel(&graph, config, false, pool);
  InferElementTypes(&graph);
  if (half.type == DType::kFloat16 && HasData(config)) {
    half.wide = FindWide(graph, config, options, pool);
    half.measured = true;
  }
  if (half.type == DType::kFloat16) half.keep = TransposesToKeep;
  const Graph before = graph;
  const HalfOutcome outcome = ConvertToHalf(&graph, half, &ignored);
  ignored.WarnUnmatched(before);
  if (outcome.converted == 0)
    LogWarning(paths.input, ": no operator can be converted, the model keeps its types");
  if (outcome.converted > 0) WarnOfFloatWeights(outcome);
  if (config.model.opset) WarnOfOpset(outcome.left, *config.model.opset);
  for (const std::string& name : outcome.nan) LogWarning("constant ", name, " holds NaN");
  WarnOfVanished(outcome.vanished);
  if (half.type == DType::kBFloat16) WarnOfKernels(outcome.types);
  SaveModel(graph, paths.model, SaveOptionsFor(config));
  LogProvider(CheckProvider(graph));
  RunResult result{paths.model, "", {}};
  Summarize(counts, CountModel(graph, CountMacs(before)), paths.input, outcome.left, &result);
  return result;
}

}  // namespace xslim
