#include "config/keys.h"

#include <algorithm>

#include "base/log.h"

namespace xslim {

void WarnUnknownKeys(const Field& object, const std::vector<std::string>& known) {
  for (const auto& item : object.value().items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    const std::string nearest = NearestName(item.key(), known);
    LogWarning(object.Member(item.key()).Where(), ": unknown key, ignored",
               nearest.empty() ? "" : " (did you mean " + nearest + "?)");
  }
}

}  // namespace xslim
