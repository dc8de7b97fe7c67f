// The settings XSlim knows and this version does not carry out.
#ifndef XSLIM_CONFIG_NOT_BUILT_H_
#define XSLIM_CONFIG_NOT_BUILT_H_

#include "xslim/config.h"

namespace xslim {

// Throws Error naming the first such setting.
void RefuseWhatIsNotBuilt(const Config& config);

}  // namespace xslim

#endif  // XSLIM_CONFIG_NOT_BUILT_H_
