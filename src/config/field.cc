#include "config/field.h"

#include <cmath>

#include "base/log.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using nlohmann::json;

// "the string \"100\"": type and value for a message, cut where it would get long.
std::string Describe(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  if (value.is_string()) return "the string " + text;
  if (value.is_number()) return "the number " + text;
  if (value.is_array()) return "the list " + text;
  if (value.is_object()) return "the object " + text;
  return text;
}

}  // namespace

void RefuseDepth(int depth, const std::string& file) {
  constexpr int kDeepest = 100;
  if (depth > kDeepest)
    throw Error(StrCat("lists and objects stand over ", kDeepest, " deep in one another"), file);
}

void Field::Fail(const std::string& what, const std::string& hint) const { throw Error(what, Where(), hint); }

void Field::Expected(const std::string& what) const {
  Fail("expected " + what + ", got " + Describe(value_));
}

std::string Field::String() const {
  if (!value_.is_string()) Expected("a string");
  const std::string text = value_.get<std::string>();
  if (text.find('\0') != std::string::npos) Expected("a string without zero bytes");
  return text;
}

std::string Field::Path() const {
  std::string path = String();
  // Only a shell takes it for the home folder; here a folder of that name would be made.
  if (path == "~" || path.starts_with("~/"))
    Fail("~ in " + path + " is not the home folder here", "write the path out");
  return path;
}

bool Field::Bool() const {
  if (!value_.is_boolean()) Expected("true or false");
  return value_.get<bool>();
}

int Field::Int(int low, int high) const {
  if (value_.is_number_float()) {  // 100.0 and 1e2 are integers, too
    const double number = value_.get<double>();
    if (std::floor(number) != number || std::abs(number) > 1e15) Expected("an integer");
    const json whole = number < 0 ? json(static_cast<int64_t>(number)) : json(static_cast<uint64_t>(number));
    return Field(whole, file_, path_).Int(low, high);
  }
  if (!value_.is_number_integer()) Expected("an integer");
  const bool fits = value_.is_number_unsigned()
                        ? value_.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int>::max())
                        : value_.get<int64_t>() >= std::numeric_limits<int>::min();
  if (!fits || value_.get<int>() < low || value_.get<int>() > high) {
    if (fits && high == std::numeric_limits<int>::max())
      Expected("an integer of at least " + std::to_string(low));
    Expected("an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return value_.get<int>();
}

double Field::Number(double low, double high) const {
  if (!value_.is_number()) Expected("a number");
  const double number = value_.get<double>();
  if (!(number >= low && number <= high)) Expected(StrCat("a number from ", low, " to ", high));
  return number;
}

std::vector<Field> Field::List(const std::string& what) const {
  if (!value_.is_array()) Expected(what);
  std::vector<Field> elements;
  for (size_t i = 0; i < value_.size(); ++i) elements.push_back(Element(i));
  return elements;
}

std::vector<std::string> Field::Strings() const {
  std::vector<std::string> strings;
  for (const Field& element : List("a list of strings")) strings.push_back(element.String());
  return strings;
}

std::vector<float> Field::Floats() const {
  std::vector<float> floats;
  for (const Field& element : List("numbers in a list, like [127.5]")) {
    if (!element.value().is_number()) Expected("numbers in a list, like [127.5]");
    floats.push_back(element.value().get<float>());
    if (!std::isfinite(floats.back())) element.Expected("a number that fits float32");
  }
  return floats;
}

std::vector<int64_t> Field::Dims() const {
  std::vector<int64_t> dims;
  for (const Field& element : List("a list of integers")) dims.push_back(element.Int(-1));
  return dims;
}

}  // namespace xslim
