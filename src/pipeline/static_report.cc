#include "pipeline/static_report.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "pipeline/idle_settings.h"
#include "pipeline/precision.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

std::string Percent(int64_t part, int64_t whole) {
  const int64_t tenths = whole > 0 ? (part * 1000 + whole / 2) / whole : 0;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

const char* NameOf(CalibrationType type) {
  switch (type) {
    case CalibrationType::kDefault:
      return "default";
    case CalibrationType::kKl:
      return "kl";
    case CalibrationType::kMinMax:
      return "minmax";
    case CalibrationType::kPercentile:
      return "percentile";
    case CalibrationType::kMse:
      return "mse";
  }
  return "";
}

std::string Listed(const char* what, const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? std::string(what) + " " : ", ") + names[i];
  return text;
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", value);
  return text;
}

// What of the settings that change the model is not the default.
std::string FurtherSettings(const QuantizationParameters& settings) {
  const QuantizationParameters defaults;
  std::string text;
  if (settings.max_percentile != defaults.max_percentile)
    text += ", max_percentile " + Number(settings.max_percentile);
  if (settings.placement == Placement::kFused) text += ", placement fused";
  if (settings.matrix_weights == MatrixWeights::kPowerOfTwoPerTensor)
    text += ", matrix_weights power_of_two_per_tensor";
  if (settings.bias == BiasType::kInt32) text += ", bias int32";
  if (settings.protect_outputs != defaults.protect_outputs) {
    text += std::string(", protect_outputs ") +
            (settings.protect_outputs == ProtectOutputs::kAlways ? "always" : "never");
  }
  for (const Stage& stage : Stages()) {
    if (stage.AppliesAt(settings.finetune_level) && !(settings.*stage.on))
      text += std::string(", ") + stage.key + " off";
  }
  if (const std::optional<double> target = PrecisionTarget(settings))
    text += ", auto_precision " + Number(*target);
  text += Listed(", ignore_op_types", settings.ignore_op_types);
  text += Listed(", ignore_op_names", settings.ignore_op_names);
  if (!settings.custom_setting.empty())
    text += ", entries of custom_setting: " + std::to_string(settings.custom_setting.size());
  return text + Listed(", truncated at", settings.truncate_var_names);
}

}  // namespace

bool IsMeasured(const QuantizationParameters& settings) {
  return settings.analysis_enable || settings.sensitivity || PrecisionTarget(settings) ||
         settings.min_cosine || settings.max_snr || settings.fail_on_collapse;
}

Int8Share ShareOfInt8(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts) {
  Int8Share share;
  for (NodeId id : graph.Order()) {
    const int64_t work = MacsOf(graph.node(id), facts);
    if (work == 0) continue;
    share.macs += work;
    ++share.compute;
    if (!plan.nodes.count(id)) continue;
    share.int8_macs += work;
    ++share.int8_compute;
  }
  return share;
}

VerdictHead StaticVerdictHead(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                              const std::string& model) {
  VerdictHead head{model, ShareOfInt8(graph, plan, facts), {}};
  for (const UnknownOperator& unknown : facts.unknown())
    head.stays_float.push_back({unknown.name, Describe(unknown), 0});
  for (const auto& [id, why] : plan.left_float)
    head.stays_float.push_back({graph.node(id).Title(), why, MacsOf(graph.node(id), facts)});
  return head;
}

ReportHead StaticReportHead(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                            const Config& config, const std::string& model, const std::string& data,
                            size_t calibrated, size_t measured) {
  const Int8Share share = ShareOfInt8(graph, plan, facts);
  ReportHead head;
  head.lines = {
      {"Model", model + " (opset " + std::to_string(graph.opset()) + ")"},
      {"Data", data + ", " + std::to_string(calibrated) + " used for calibration, " +
                   std::to_string(measured) + " for this report"},
      {"Settings", std::string("calibration_type ") + NameOf(config.calibration.calibration_type) +
                       ", precision_level " + std::to_string(config.quantization.precision_level) +
                       ", finetune_level " + std::to_string(config.quantization.finetune_level) +
                       ", equalization " + (config.quantization.equalization ? "on" : "off") +
                       FurtherSettings(config.quantization)},
      {"Multiply-adds in int8", Percent(share.int8_macs, share.macs) + " of " + std::to_string(share.macs)},
      {"Computing operators in int8",
       std::to_string(share.int8_compute) + " of " + std::to_string(share.compute)},
      {"Tensors with Q/DQ", std::to_string(plan.activations.size()) + " activations, " +
                                std::to_string(plan.weights.size()) + " constants"},
      {"xslim", Version()},
  };
  for (const UnknownOperator& unknown : facts.unknown()) head.notes.push_back(Describe(unknown));
  std::vector<std::pair<std::string, std::vector<std::string>>> left;  // by reason
  for (const auto& [id, why] : plan.left_float) {
    auto found =
        std::find_if(left.begin(), left.end(), [&](const auto& entry) { return entry.first == why; });
    if (found == left.end()) found = left.insert(left.end(), {why, {}});
    found->second.push_back(graph.node(id).Title());
  }
  for (const auto& [why, operators] : left) {
    std::string line;
    for (const std::string& title : operators) line += (line.empty() ? "" : ", ") + title;
    head.notes.push_back(line + (operators.size() == 1 ? " stays float: " : " stay float: ") + why);
  }
  return head;
}

}  // namespace xslim
