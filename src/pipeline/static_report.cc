#include "pipeline/static_report.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "base/json_text.h"
#include "base/log.h"
#include "config/words.h"
#include "pipeline/idle_settings.h"
#include "pipeline/precision.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

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

std::string PreparedBy(const QuantizationParameters& settings) {
  if (!settings.centering && !settings.equalization) return "";
  const char* stages = !settings.centering      ? "equalization"
                       : !settings.equalization ? "centering"
                                                : "centering and equalization";
  return std::string(" after ") + stages;
}

}  // namespace

std::string Percent(int64_t part, int64_t whole) {
  const int64_t tenths = whole > 0 ? (part * 1000 + whole / 2) / whole : 0;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

std::vector<std::string> MeasuringKeys(const QuantizationParameters& settings) {
  std::vector<std::string> keys;
  for (const auto& [key, set] : {std::pair("min_cosine", settings.min_cosine.has_value()),
                                 {"max_snr", settings.max_snr.has_value()},
                                 {"fail_on_collapse", settings.fail_on_collapse},
                                 {"baseline", !settings.baseline.empty()},
                                 {"sensitivity", settings.sensitivity},
                                 {"auto_precision", settings.auto_precision.has_value()}}) {
    if (set) keys.push_back(key);
  }
  return keys;
}

bool IsMeasured(const QuantizationParameters& settings) {
  return settings.analysis_enable || PrecisionTarget(settings) || !MeasuringKeys(settings).empty();
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

std::vector<FloatOperator> FloatOperators(const Graph& graph, const QuantPlan& plan,
                                          const ValueFacts& facts) {
  std::vector<FloatOperator> list;
  for (const auto& [id, why] : plan.left_float)
    list.push_back({graph.node(id).Title(), why, MacsOf(graph.node(id), facts)});
  for (NodeId id : graph.Order()) {
    const Node& node = graph.node(id);
    if (!plan.left_float.count(id) && node.IsRecurrent())
      list.push_back(
          {node.Title(), "recurrent, which static int8 has no form for (--dynq has)", MacsOf(node, facts)});
  }
  return list;
}

StaticFigures FiguresOf(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                        const BranchFigures& branches) {
  StaticFigures figures{ShareOfInt8(graph, plan, facts) += branches.share,
                        FloatOperators(graph, plan, facts)};
  figures.left.insert(figures.left.end(), branches.left.begin(), branches.left.end());
  return figures;
}

VerdictHead StaticVerdictHead(const StaticFigures& figures, const ValueFacts& facts,
                              const std::string& model) {
  VerdictHead head{model, figures.share, {}};
  for (const UnknownOperator& unknown : facts.unknown())
    head.stays_float.push_back({unknown.name, Describe(unknown), 0});
  head.stays_float.insert(head.stays_float.end(), figures.left.begin(), figures.left.end());
  return head;
}

ReportHead StaticReportHead(const Graph& graph, const QuantPlan& plan, const ValueFacts& facts,
                            const StaticFigures& figures, const BranchFigures& branches, const Config& config,
                            const std::string& model, const std::string& data, size_t calibrated,
                            size_t measured) {
  const Int8Share& share = figures.share;
  std::string operators = StrCat(share.int8_compute, " of ", share.compute);
  if (branches.share.compute > 0)
    operators += StrCat(", in branches ", branches.share.int8_compute, " of ", branches.share.compute);
  ReportHead head;
  head.lines = {
      {"Model", model + " (opset " + std::to_string(graph.opset()) + ")"},
      {"Data", data + ", " + std::to_string(calibrated) + " used for calibration, " +
                   std::to_string(measured) + " for this report"},
      {"Settings",
       std::string("calibration_type ") + WordOf(CalibrationTypes(), config.calibration.calibration_type) +
           ", precision_level " + std::to_string(config.quantization.precision_level) + ", finetune_level " +
           std::to_string(config.quantization.finetune_level) + ", equalization " +
           (config.quantization.equalization ? "on" : "off") + FurtherSettings(config.quantization)},
      {"Multiply-adds in int8", Percent(share.int8_macs, share.macs) + " of " + std::to_string(share.macs)},
      {"Computing operators in int8", operators},
      {"Tensors with Q/DQ", StrCat(std::ssize(plan.activations) + branches.activations, " activations, ",
                                   std::ssize(plan.weights) + branches.constants, " constants")},
      {"xslim", Version()},
  };
  head.prepared = PreparedBy(config.quantization);
  for (const UnknownOperator& unknown : facts.unknown()) head.notes.push_back(Describe(unknown));
  std::vector<std::pair<std::string, std::vector<std::string>>> left;  // by reason
  const auto leave = [&](const std::string& title, const std::string& why) {
    auto found =
        std::find_if(left.begin(), left.end(), [&](const auto& entry) { return entry.first == why; });
    if (found == left.end()) found = left.insert(left.end(), {why, {}});
    found->second.push_back(title);
  };
  for (const FloatOperator& item : figures.left) leave(item.title, item.why);
  for (const auto& [why, operators] : left) {
    head.notes.push_back(StrJoin(operators) + (operators.size() == 1 ? " stays float: " : " stay float: ") +
                         why);
  }
  return head;
}

std::string CodedJson(const std::vector<CodedTensor>& tensors) {
  return JsonRows(tensors, [](const CodedTensor& tensor) {
    return StrCat("{\"tensor\": ", JsonQuoted(tensor.name),
                  ", \"input\": ", tensor.is_input ? "true" : "false",
                  ", \"scale\": ", JsonNumber(tensor.scale), ", \"zero_point\": ", tensor.zero_point, "}");
  });
}

std::string BranchesJson(const std::vector<QuantizedBranch>& branches) {
  return JsonRows(branches, [](const QuantizedBranch& branch) {
    const Int8Share& share = branch.figures.share;
    return StrCat("{\"branch\": ", JsonQuoted(branch.title), ", \"computing\": ", share.compute,
                  ", \"int8_computing\": ", share.int8_compute, "}");
  });
}

}  // namespace xslim
