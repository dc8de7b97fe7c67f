#include "config/not_built.h"

#include <string>

#include "base/log.h"
#include "xslim/error.h"

namespace xslim {
namespace {

[[noreturn]] void Refuse(const Config& config, const std::string& key, const std::string& setting) {
  const std::string path = "quantization_parameters." + key;
  throw Error(setting + " is not built into this version",
              config.source.empty() ? path : config.source + ": " + path);
}

}  // namespace

void RefuseWhatIsNotBuilt(const Config& config) {
  const QuantizationParameters& quantization = config.quantization;
  switch (quantization.precision_level) {
    case 0:
    case kPrecisionAuto:
      break;
    case kPrecisionDynamic:
    case kPrecisionFp16:
    case kPrecisionSlimOnly:
      return;
    default:
      Refuse(config, "precision_level", StrCat("precision_level ", quantization.precision_level));
  }
  if (!quantization.custom_setting.empty()) Refuse(config, "custom_setting", "custom_setting");
  if (!quantization.truncate_var_names.empty()) Refuse(config, "truncate_var_names", "truncate_var_names");
  if (quantization.placement == Placement::kFused) Refuse(config, "placement", "placement fused");
}

}  // namespace xslim
