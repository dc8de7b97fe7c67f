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
  if (quantization.precision_level >= kPrecisionDynamic) return;
  if (quantization.placement == Placement::kFused) Refuse(config, "placement", "placement fused");
}

}  // namespace xslim
