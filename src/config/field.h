// One JSON value and the place where it stands, with checked readers whose errors name file and JSON path.
#ifndef XSLIM_CONFIG_FIELD_H_
#define XSLIM_CONFIG_FIELD_H_

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"

namespace xslim {

// For a parser's callback: throws Error naming the file where lists and objects lie deeper in one another
// than any that we read do. What writes JSON out again needs stack for each of them.
void RefuseDepth(int depth, const std::string& file);

class Field {
 public:
  Field(const nlohmann::json& value, std::string file, std::string path)
      : value_(value), file_(std::move(file)), path_(std::move(path)) {}

  const nlohmann::json& value() const { return value_; }
  std::string Where() const { return path_.empty() ? file_ : file_ + ": " + path_; }
  // The key alone, for messages that name it: "calibration_type".
  std::string Name() const { return path_.substr(path_.find_last_of('.') + 1); }

  // The readers throw Error when the value is of another type or out of [low, high].
  std::string String() const;
  std::string Path() const;  // of a file or folder
  bool Bool() const;
  int Int(int low = std::numeric_limits<int>::min(), int high = std::numeric_limits<int>::max()) const;
  double Number(double low, double high) const;
  std::vector<std::string> Strings() const;
  std::vector<float> Floats() const;
  std::vector<int64_t> Dims() const;  // -1 where a size is not known

  // What the word stands for. `xslim`: a word that is none is refused as XSlim does, "<name> <value> not
  // implemented yet."
  template <typename E>
  E Word(const std::vector<std::pair<const char*, E>>& words, bool xslim = false) const {
    for (const auto& [word, value] : words) {
      if (value_ == word) return value;
    }
    const std::string known = "one of " + StrJoin(words, ", ", [](const auto& each) { return each.first; });
    if (xslim && value_.is_string()) Fail(Name() + " " + String() + " not implemented yet.", known);
    Expected(known);
  }

  Field Member(const std::string& key) const {
    return Field(value_.at(key), file_, path_.empty() ? key : path_ + "." + key);
  }
  Field Element(size_t index) const {
    return Field(value_.at(index), file_, path_ + "[" + std::to_string(index) + "]");
  }
  // The elements of a list. Throws Error("expected <what>...") when this is none.
  std::vector<Field> List(const std::string& what) const;

  [[noreturn]] void Fail(const std::string& what, const std::string& hint = "") const;
  [[noreturn]] void Expected(const std::string& what) const;

 private:
  const nlohmann::json& value_;
  std::string file_, path_;
};

}  // namespace xslim

#endif  // XSLIM_CONFIG_FIELD_H_
