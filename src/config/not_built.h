// The settings XSlim knows and this version does not carry out.
#ifndef XSLIM_CONFIG_NOT_BUILT_H_
#define XSLIM_CONFIG_NOT_BUILT_H_

#include "xslim/config.h"

namespace xslim {

// Throws Error naming the first such setting. finetune_level, which only costs accuracy, goes to the log
// instead: as a warning when the config sets it (`finetune_given`), as information when it is the default.
void RefuseWhatIsNotBuilt(const Config& config, bool finetune_given);

}  // namespace xslim

#endif  // XSLIM_CONFIG_NOT_BUILT_H_
