// Settings that a run does not look at.
#ifndef XSLIM_PIPELINE_IDLE_SETTINGS_H_
#define XSLIM_PIPELINE_IDLE_SETTINGS_H_

#include <string>
#include <vector>

#include "xslim/xslim.h"

namespace xslim {

// A stage of an int8 run that a key switches off.
struct Stage {
  const char* key;
  bool QuantizationParameters::*on;
  int first_level, last_level;  // the finetune_levels that have it
  bool AppliesAt(int level) const { return level >= first_level && level <= last_level; }
};
const std::vector<Stage>& Stages();

// One sentence for each reason why settings that are not the default have no effect, with their names: those
// of other levels, and those that another setting switches off. Settings of the data are the loaders'.
std::vector<std::string> IdleSettings(const Config& config, const RunOptions& options);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_IDLE_SETTINGS_H_
