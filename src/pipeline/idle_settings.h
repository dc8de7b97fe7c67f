// Settings that a run does not look at.
#ifndef XSLIM_PIPELINE_IDLE_SETTINGS_H_
#define XSLIM_PIPELINE_IDLE_SETTINGS_H_

#include <string>
#include <vector>

#include "xslim/xslim.h"

namespace xslim {

// One sentence for each reason why settings that are not the default have no effect, with their names: those
// of other levels, and those that another setting switches off. Settings of the data are the loaders'.
std::vector<std::string> IdleSettings(const Config& config, const RunOptions& options);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_IDLE_SETTINGS_H_
