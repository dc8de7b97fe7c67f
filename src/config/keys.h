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

// An object of a config, as messages and help call it, and the keys that it may hold.
struct KeyPlace {
  std::string title;
  std::vector<std::string> names;
};

template <typename T>
std::vector<std::string> NamesOf(const Keys<T>& keys) {
  std::vector<std::string> names;
  for (const Key<T>& key : keys) names.push_back(key.name);
  return names;
}

// Logs a warning for each member of `object` that `known` does not list. It names the known one that an s
// tells from it, else the first of `places` that has the key, else the nearest known one or the first that
// begins with it.
void WarnUnknownKeys(const Field& object, const std::vector<std::string>& known,
                     const std::vector<KeyPlace>& places);

// Reads `object` into `out` in the table's order; null members count as absent. `places`: all objects of a
// config. Throws Error.
template <typename T>
void ReadObject(const Field& object, const Keys<T>& keys, const std::vector<KeyPlace>& places, T* out) {
  if (!object.value().is_object()) object.Expected("an object {...}");
  WarnUnknownKeys(object, NamesOf(keys), places);
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
