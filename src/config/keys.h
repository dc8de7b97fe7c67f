// Tables of the keys an object may hold: they drive reading, the warning for unknown keys, and the help text.
#ifndef XSLIM_CONFIG_KEYS_H_
#define XSLIM_CONFIG_KEYS_H_

#include <string>
#include <vector>

#include "base/nearest_name.h"
#include "config/field.h"

namespace xslim {

template <typename T>
struct Key {
  const char* name;
  const char* type;
  const char* help;
  void (*set)(T* out, const Field& field);
};

template <typename T>
using Keys = std::vector<Key<T>>;

// Logs a warning for each member of `object` that `known` does not list.
void WarnUnknownKeys(const Field& object, const std::vector<std::string>& known);

// Reads `object` into `out` in the table's order; null members count as absent. Throws Error.
template <typename T>
void ReadObject(const Field& object, const Keys<T>& keys, T* out) {
  if (!object.value().is_object()) object.Expected("an object {...}");
  std::vector<std::string> known;
  for (const Key<T>& key : keys) known.push_back(key.name);
  WarnUnknownKeys(object, known);
  for (const Key<T>& key : keys) {
    const auto member = object.value().find(key.name);
    if (member != object.value().end() && !member->is_null()) key.set(out, object.Member(key.name));
  }
}

template <typename T>
std::string DescribeKeys(const std::string& title, const Keys<T>& keys) {
  std::string text = title + "\n";
  for (const Key<T>& key : keys) {
    std::string left = std::string("  ") + key.name + " (" + key.type + ")";
    left.resize(left.size() < 42 ? 42 : left.size() + 2, ' ');
    text += left + key.help + "\n";
  }
  return text;
}

}  // namespace xslim

#endif  // XSLIM_CONFIG_KEYS_H_
