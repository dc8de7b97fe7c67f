#include "base/log.h"
#include "pipeline/modes.h"

namespace xslim {

void ReportUnknown(const std::vector<UnknownOperator>& unknown, bool strict) {
  for (const UnknownOperator& each : unknown) {
    if (strict) {
      throw Error(Describe(each), "", "strict is set; an operator library (--op-library) can add operators");
    }
    LogWarning(Describe(each));
  }
}

}  // namespace xslim
