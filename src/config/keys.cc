#include "config/keys.h"

#include <algorithm>

#include "base/log.h"

namespace xslim {

namespace {

constexpr size_t kShortestBeginning = 3;  // of a name, that says which one is meant

std::string AdviceFor(const std::string& key, const std::vector<std::string>& known,
                      const std::vector<KeyPlace>& places) {
  for (const std::string& name : known) {  // input_name and input_names stand in different objects
    if (name == key + "s" || key == name + "s") return StrCat(" (did you mean ", name, "?)");
  }
  for (const KeyPlace& place : places) {
    if (std::find(place.names.begin(), place.names.end(), key) != place.names.end())
      return StrCat(" (it belongs in ", place.title, ")");
  }
  std::string meant = NearestName(key, known);
  const auto begun = std::find_if(known.begin(), known.end(),
                                  [&key](const std::string& name) { return name.starts_with(key); });
  if (meant.empty() && key.size() >= kShortestBeginning && begun != known.end()) meant = *begun;
  return meant.empty() ? "" : StrCat(" (did you mean ", meant, "?)");
}

}  // namespace

void WarnUnknownKeys(const Field& object, const std::vector<std::string>& known,
                     const std::vector<KeyPlace>& places) {
  for (const auto& item : object.value().items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    LogWarning(object.Member(item.key()).Where(), ": unknown key, ignored",
               AdviceFor(item.key(), known, places));
  }
}

}  // namespace xslim
