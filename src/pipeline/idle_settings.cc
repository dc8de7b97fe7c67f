#include "pipeline/idle_settings.h"

#include <algorithm>
#include <limits>

#include "base/environment.h"
#include "base/log.h"
#include "data/samples.h"

namespace xslim {
namespace {

enum Mode : unsigned { kInt8 = 1, kDynamic = 2, kHalf = 4, kSlim = 8 };

Mode ModeOf(int precision_level) {
  switch (precision_level) {
    case kPrecisionDynamic:
      return kDynamic;
    case kPrecisionFp16:
      return kHalf;
    case kPrecisionSlimOnly:
      return kSlim;
    default:
      return kInt8;
  }
}

using Quantization = QuantizationParameters;

// A key of quantization_parameters, the modes that look at it, and whether it is set.
struct Row {
  const char* key;
  unsigned modes;
  bool (*set)(const Quantization& q, const Quantization& defaults);
};

const Row kRows[] = {
    {"finetune_level", kInt8,
     [](const auto& q, const auto& d) { return q.finetune_level != d.finetune_level; }},
    {"max_percentile", kInt8,
     [](const auto& q, const auto& d) { return q.max_percentile != d.max_percentile; }},
    {"custom_setting", kInt8, [](const auto& q, const auto&) { return !q.custom_setting.empty(); }},
    {"truncate_var_names", kInt8, [](const auto& q, const auto&) { return !q.truncate_var_names.empty(); }},
    {"ignore_op_types", kInt8 | kDynamic | kHalf,
     [](const auto& q, const auto&) { return !q.ignore_op_types.empty(); }},
    {"ignore_op_names", kInt8 | kDynamic | kHalf,
     [](const auto& q, const auto&) { return !q.ignore_op_names.empty(); }},
    {"placement", kInt8, [](const auto& q, const auto& d) { return q.placement != d.placement; }},
    {"protect_outputs", kInt8,
     [](const auto& q, const auto& d) { return q.protect_outputs != d.protect_outputs; }},
    {"matrix_weights", kInt8,
     [](const auto& q, const auto& d) { return q.matrix_weights != d.matrix_weights; }},
    {"bias", kInt8,
     [](const auto& q, const auto& d) {
       return q.bias != d.bias &&
              EnvironmentText("XQUANT_BIAS_TO_FP32").empty();  // which sets it for all runs
     }},
    {"centering", kInt8, [](const auto& q, const auto&) { return !q.centering; }},
    {"equalization", kInt8, [](const auto& q, const auto& d) { return q.equalization != d.equalization; }},
    {"visible_ranges", kInt8, [](const auto& q, const auto&) { return !q.visible_ranges; }},
    {"one_grid", kInt8, [](const auto& q, const auto&) { return !q.one_grid; }},
    {"protect_fragile", kInt8, [](const auto& q, const auto&) { return !q.protect_fragile; }},
    {"keep_means", kInt8, [](const auto& q, const auto&) { return !q.keep_means; }},
    {"range_costs", kInt8, [](const auto& q, const auto&) { return !q.range_costs; }},
    {"weight_rounding", kInt8, [](const auto& q, const auto&) { return !q.weight_rounding; }},
    {"bias_correction", kInt8, [](const auto& q, const auto&) { return !q.bias_correction; }},
    {"learning", kInt8, [](const auto& q, const auto&) { return !q.learning; }},
    {"baseline_tolerance", kInt8,
     [](const auto& q, const auto& d) { return q.baseline_tolerance != d.baseline_tolerance; }},
    {"int8_io", kInt8, [](const auto& q, const auto& d) { return q.int8_io != d.int8_io; }},
    {"strict", kInt8 | kSlim, [](const auto& q, const auto& d) { return q.strict != d.strict; }},
    {"weight_bits", kDynamic, [](const auto& q, const auto& d) { return q.weight_bits != d.weight_bits; }},
    {"weight_block", kDynamic, [](const auto& q, const auto& d) { return q.weight_block != d.weight_block; }},
    {"weight_zero_points", kDynamic,
     [](const auto& q, const auto& d) { return q.weight_zero_points != d.weight_zero_points; }},
    {"full_range_weights", kDynamic,
     [](const auto& q, const auto& d) { return q.full_range_weights != d.full_range_weights; }},
    {"contrib_operators", kDynamic,
     [](const auto& q, const auto& d) { return q.contrib_operators != d.contrib_operators; }},
    {"half_type", kHalf, [](const auto& q, const auto& d) { return q.half_type != d.half_type; }},
    {"half_io", kHalf, [](const auto& q, const auto& d) { return q.half_io != d.half_io; }},
};

class Finder {
 public:
  Finder(const Config& config, const RunOptions& options)
      : config_(config), options_(options), mode_(ModeOf(config.quantization.precision_level)) {}

  std::vector<std::string> Run() {
    OfOtherLevels();
    OfOptions();
    if (mode_ == kInt8) {
      OfTuning();
      OfCalibration();
    }
    const Quantization& settings = config_.quantization;
    const Quantization defaults;
    if (mode_ == kInt8 && settings.baseline.empty())
      Say({{"baseline_tolerance", settings.baseline_tolerance != defaults.baseline_tolerance}},
          "without baseline");
    if (mode_ == kDynamic && settings.weight_bits == defaults.weight_bits) {
      Say({{"weight_block", settings.weight_block != defaults.weight_block},
           {"weight_zero_points", settings.weight_zero_points}},
          "without weight_bits 4");
    }
    return std::move(sentences_);
  }

 private:
  struct Name {
    std::string key;
    bool set;
  };

  // What the config file sets in one sentence, what the command line sets in another.
  void Say(const std::vector<Name>& names, const std::string& where) {
    std::vector<std::string> keys, options;
    for (const Name& name : names) {
      if (!name.set) continue;
      const auto option = options_.option_of_key.find(name.key);
      if (option != options_.option_of_key.end())
        options.push_back(option->second);
      else
        (name.key[0] == '-' ? options : keys).push_back(name.key);
    }
    Add(config_.source.empty() ? "" : config_.source + ": ", keys, where);
    Add("", options, where);
  }

  void Add(const std::string& file, const std::vector<std::string>& names, const std::string& where) {
    if (names.empty()) return;
    sentences_.push_back(
        StrCat(file, StrJoin(names), names.size() == 1 ? " has" : " have", " no effect ", where));
  }

  void OfOtherLevels() {
    const Quantization& settings = config_.quantization;
    const Quantization defaults;
    std::vector<Name> names;
    for (const Row& row : kRows)
      names.push_back({row.key, !(row.modes & mode_) && row.set(settings, defaults)});
    const CalibrationType type = config_.calibration.calibration_type;
    names.push_back({"calibration_type", mode_ != kInt8 && type != CalibrationType::kDefault});
    const bool reads = mode_ == kInt8 || (mode_ == kHalf && settings.half_type == HalfType::kFloat16);
    names.push_back({"data_list_path", !reads && HasData(config_)});
    std::string where = StrCat("at precision_level ", settings.precision_level);
    if (mode_ == kSlim) {
      where = config_.source.empty()
                  ? "without -c, --dynq, --fp16 or --bf16: the model is simplified and stays float"
                  : where + ", which simplifies the model and leaves it float";
    }
    if (mode_ == kHalf && !reads) where += " with half_type bfloat16";
    Say(names, where);
  }

  void OfOptions() {
    Say({{"--save-stats", mode_ != kInt8 && !options_.save_stats.empty()},
         {"--load-stats", mode_ != kInt8 && !options_.load_stats.empty()},
         {"--max-memory", mode_ != kInt8 && options_.max_memory > 0},
         {"--preview", mode_ != kInt8 && !options_.preview.empty()}},
        "without calibration");
    std::vector<Name> measuring = {{"--save-stats", options_.dry_run && !options_.save_stats.empty()}};
    for (const std::string& key : MeasuringKeys(config_.quantization))
      measuring.push_back({key, options_.dry_run});
    Say(measuring, "with --dry-run, which measures nothing");
    Say({{"--skip-pass", config_.model.skip_onnxsim && !config_.model.skip_passes.empty()},
         {"spacemit_functions", config_.model.skip_onnxsim && config_.model.spacemit_functions},
         {"--verify", config_.model.skip_onnxsim && config_.model.verify.value_or(false)}},
        "with skip_onnxsim");
  }

  void OfTuning() {
    const Quantization& q = config_.quantization;
    std::vector<Name> names;
    for (const Stage& stage : Stages())
      names.push_back({stage.key, !stage.AppliesAt(q.finetune_level) && !(q.*stage.on)});
    Say(names, StrCat("at finetune_level ", q.finetune_level));
  }

  void OfCalibration() {
    const Quantization& settings = config_.quantization;
    const CalibrationType type = config_.calibration.calibration_type;
    bool whole = UsesPercentile(type);  // whether any tensor of the model may take the global percentile
    for (size_t i = 0; i < settings.custom_setting.size(); ++i) {
      const CustomSetting& entry = settings.custom_setting[i];
      const std::string name = StrCat("custom_setting[", i, "]");
      const bool stays_float = entry.precision_level == kPrecisionDynamic;
      Say({{name, !entry.precision_level && !entry.max_percentile && !entry.calibration_type}},
          "without precision_level, max_percentile or calibration_type");
      Say({{name + ".max_percentile", stays_float && entry.max_percentile.has_value()},
           {name + ".calibration_type", stays_float && entry.calibration_type.has_value()}},
          "beside its precision_level 3");
      if (stays_float) continue;
      const bool own = UsesPercentile(entry.calibration_type.value_or(type));
      Say({{name + ".max_percentile", !own && entry.max_percentile.has_value()}}, kNoPercentile);
      whole = whole || (own && !entry.max_percentile);
    }
    Say({{"max_percentile", !whole && settings.max_percentile != Quantization().max_percentile}},
        kNoPercentile);
  }

  // From finetune_level 1 on every type's range is proposed (ProposeRanges).
  bool UsesPercentile(CalibrationType type) const {
    return config_.quantization.finetune_level > 0 ||
           (type != CalibrationType::kMinMax && type != CalibrationType::kKl);
  }

  static constexpr char kNoPercentile[] = "with calibration_type minmax or kl at finetune_level 0";

  const Config& config_;
  const RunOptions& options_;
  const Mode mode_;
  std::vector<std::string> sentences_;
};

}  // namespace

const std::vector<Stage>& Stages() {
  constexpr int kAny = std::numeric_limits<int>::max();
  static const std::vector<Stage> stages = {{"centering", &Quantization::centering, 0, kAny},
                                            {"visible_ranges", &Quantization::visible_ranges, 0, kAny},
                                            {"one_grid", &Quantization::one_grid, 0, kAny},
                                            {"protect_fragile", &Quantization::protect_fragile, 0, kAny},
                                            {"keep_means", &Quantization::keep_means, 0, kAny},
                                            {"range_costs", &Quantization::range_costs, 0, kAny},
                                            {"weight_rounding", &Quantization::weight_rounding, 1, kAny},
                                            {"bias_correction", &Quantization::bias_correction, 1, kAny},
                                            {"learning", &Quantization::learning, 3, kAny}};
  return stages;
}

std::vector<std::string> IdleSettings(const Config& config, const RunOptions& options) {
  return Finder(config, options).Run();
}

}  // namespace xslim
