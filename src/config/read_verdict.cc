#include "config/read_verdict.h"

#include "base/file.h"
#include "base/log.h"
#include "config/field.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;  // that report/verdict.cc writes
constexpr char kHint[] = "give the <prefix>_verdict.json of an earlier run";

Field Need(const Field& object, const char* key) {
  if (!object.value().is_object()) object.Expected("an object {...}");
  if (!object.value().contains(key))
    object.Fail(StrCat("this is no verdict of xslim: it has no ", key), kHint);
  return object.Member(key);
}

// NaN where the verdict has null.
double Figure(const Field& object, const char* key) {
  const Field field = Need(object, key);
  if (field.value().is_null()) return NAN;
  if (!field.value().is_number()) field.Expected("a number or null");
  return field.value().get<double>();
}

int64_t Count(const Field& object, const char* key) {
  const Field field = Need(object, key);
  if (!field.value().is_number_unsigned() || field.value().get<uint64_t>() > uint64_t{1} << 62)
    field.Expected("a number of things");
  return field.value().get<int64_t>();
}

EarlierOutput ReadOutput(const Field& field) {
  EarlierOutput output;
  output.name = Need(field, "name").String();
  output.samples = Count(field, "samples");
  if (output.samples > 0) {
    output.snr = Figure(field, "snr");
    output.cosine = Figure(field, "cosine");
  }
  for (const Field& part : Need(field, "parts").List("a list of parts")) {
    output.parts.push_back({Need(part, "tensor").String(), Figure(part, "snr"), Figure(part, "cosine"),
                            !Need(part, "collapse").value().is_null()});
  }
  return output;
}

void ReadManifest(const Field& field, EarlierVerdict* verdict) {
  if (!field.value().is_object()) field.Expected("an object {...}");
  for (const auto& [name, value] : field.value().items()) {
    std::vector<std::string>& texts = verdict->manifest[name];
    const Field member = field.Member(name);
    if (value.is_array()) texts = member.Strings();
    if (!value.is_array() && !value.is_null()) texts = {member.String()};
  }
}

}  // namespace

EarlierVerdict ReadVerdict(const std::string& path) {
  const std::string text = ReadFile(path);
  try {
    const json root = json::parse(text, [&path](int depth, json::parse_event_t, json&) {
      RefuseDepth(depth, path);
      return true;
    });
    const Field top(root, path, "");
    if (const Field format = Need(top, "format"); format.value() != kFormat)
      format.Fail(StrCat("a verdict of format ", format.value().dump(), " is not known"),
                  StrCat("this version of xslim reads format ", kFormat, ": make the verdict anew"));
    EarlierVerdict verdict;
    verdict.macs = Count(top, "macs");
    verdict.int8_macs = Count(top, "int8_macs");
    verdict.stays_float = std::ssize(Need(top, "stays_float").List("a list of operators"));
    for (const Field& output : Need(top, "outputs").List("a list of outputs"))
      verdict.outputs.push_back(ReadOutput(output));
    if (root.contains("manifest")) ReadManifest(top.Member("manifest"), &verdict);
    return verdict;
  } catch (const json::exception&) {
    throw Error("this is no verdict of xslim: it is not valid JSON", path, kHint);
  }
}

}  // namespace xslim
