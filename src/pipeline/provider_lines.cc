#include "pipeline/provider_lines.h"

#include "base/json_text.h"
#include "base/log.h"

namespace xslim {
namespace {

std::string Head(const ProviderCheck& check) {
  return StrCat("SpacemiT's provider takes ", check.operators - std::ssize(check.on_cpu), " of ",
                check.operators, " operators", check.on_cpu.empty() ? "" : ", the CPU computes the others");
}

}  // namespace

std::vector<std::string> ProviderLines(const ProviderCheck& check) {
  std::vector<std::string> lines = {Head(check)};
  for (const std::string& reason : Reasons(check)) lines.push_back("on the CPU: " + reason);
  for (const std::string& advice : Advice(check)) lines.push_back(advice);
  return lines;
}

void LogProvider(const ProviderCheck& check) {
  for (const std::string& line : ProviderLines(check)) LogInfo(line);
  for (const CpuOperator& each : check.on_cpu) LogDebug("on the CPU: ", each.title, ": ", each.why);
}

std::string ProviderJson(const ProviderCheck& check) {
  const auto row = [](const CpuOperator& each) {
    return StrCat("{\"operator\": ", JsonQuoted(each.title), ", \"why\": ", JsonQuoted(each.why), "}");
  };
  return StrCat("{\"operators\": ", check.operators,
                ", \"better_opset\": ", check.better_opset == 0 ? "null" : std::to_string(check.better_opset),
                ", \"on_cpu\": ", JsonRows(check.on_cpu, row), "}");
}

}  // namespace xslim
