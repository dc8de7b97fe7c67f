// What every mode says of the written model and SpacemiT's provider: log, report, verdict.
#ifndef XSLIM_PIPELINE_PROVIDER_LINES_H_
#define XSLIM_PIPELINE_PROVIDER_LINES_H_

#include <string>
#include <vector>

#include "target/provider.h"

namespace xslim {

// How many operators it takes; then why it leaves others to the CPU, and what to do about it.
std::vector<std::string> ProviderLines(const ProviderCheck& check);

// Says them, with -v each operator, too.
void LogProvider(const ProviderCheck& check);

// The verdict's member `provider`.
std::string ProviderJson(const ProviderCheck& check);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_PROVIDER_LINES_H_
