// What precision.h has to say, for people and programs.
#include <algorithm>
#include <cstdio>

#include "base/json_text.h"
#include "base/log.h"
#include "pipeline/precision.h"
#include "report/markdown_text.h"

namespace xslim {
namespace {

constexpr size_t kListed = 20;  // operators on a terminal

std::string Short(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.4g", value);
  return text;
}

std::string Percent(int64_t part, int64_t whole) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f %%",
                whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
  return text;
}

// The row in which the operator's own noise has the largest share.
size_t WorstRow(const SensitivityResult& result, const OperatorSensitivity& item) {
  size_t worst = 0;
  for (size_t r = 1; r < result.rows.size(); ++r) {
    if (item.alone_int8[r] * result.all_int8[worst] > item.alone_int8[worst] * result.all_int8[r]) worst = r;
  }
  return worst;
}

std::string NumbersJson(const NoiseRatios& numbers) { return "[" + StrJoin(numbers, ", ", JsonNumber) + "]"; }

}  // namespace

std::vector<std::string> SensitivityLines(const Graph& graph, const SensitivityResult& result) {
  std::vector<std::string> lines = {StrCat("sensitivity on ", Counted(result.samples, "sample"),
                                           ": operator, share of the multiply-adds, SNR alone int8, "
                                           "SNR of all others int8, worst output")};
  for (size_t i = 0; i < std::min(result.operators.size(), kListed); ++i) {
    const OperatorSensitivity& item = result.operators[i];
    const size_t row = WorstRow(result, item);
    lines.push_back("  " + graph.node(item.node).Title() + "  " + Percent(item.macs, result.macs) + "  " +
                    Short(item.alone_int8[row]) + "  " + Short(item.alone_float[row]) + "  " +
                    result.rows[row].Name());
  }
  if (result.operators.size() > kListed)
    lines.push_back(StrCat("  ... and ", result.operators.size() - kListed, " more, see report and verdict"));
  lines.push_back("accuracy by share of int8: multiply-adds in int8, operators left float, worst SNR");
  for (const CurvePoint& point : result.curve) {
    const size_t row =
        static_cast<size_t>(std::max_element(point.noise.begin(), point.noise.end()) - point.noise.begin());
    lines.push_back("  " + Percent(point.int8_macs, result.macs) + "  " +
                    std::to_string(point.float_operators) + "  " + Short(point.noise[row]) + "  " +
                    result.rows[row].Name());
  }
  return lines;
}

std::string SensitivityMarkdown(const Graph& graph, const SensitivityResult& result) {
  std::string head, line;
  for (const NoiseRow& row : result.rows) {
    head += " " + MarkdownText(row.Name()) + " |";
    line += "---|";
  }
  std::string text = "\n## Sensitivity\n\nSNR on " + Counted(result.samples, "calibration sample") +
                     ", by output: of the model with this operator alone int8, and with this "
                     "operator alone float. Operators that cost most stand first.\n\n| Op | Multiply-adds |" +
                     head + head + "\n|---|---|" + line + line + "\n";
  const auto cells = [](const NoiseRatios& noise) {
    std::string all;
    for (double ratio : noise) all += " " + Short(ratio) + " |";
    return all;
  };
  for (const OperatorSensitivity& item : result.operators)
    text += "| " + MarkdownText(graph.node(item.node).Title()) + " | " + Percent(item.macs, result.macs) +
            " |" + cells(item.alone_int8) + cells(item.alone_float) + "\n";
  text +=
      "\nAccuracy by share of int8, when operators are left float in the order of what they gain for their "
      "multiply-adds:\n\n| Multiply-adds in int8 | Operators left float |" +
      head + "\n|---|---|" + line + "\n";
  for (const CurvePoint& point : result.curve)
    text += "| " + Percent(point.int8_macs, result.macs) + " | " + std::to_string(point.float_operators) +
            " |" + cells(point.noise) + "\n";
  return text;
}

std::string SensitivityJson(const Graph& graph, const SensitivityResult& result) {
  std::string text = "{\"samples\": " + std::to_string(result.samples) + ", \"rows\": [";
  for (size_t r = 0; r < result.rows.size(); ++r) {
    const NoiseRow& row = result.rows[r];
    text += std::string(r ? ", " : "") + "{\"output\": " + JsonQuoted(row.output) +
            ", \"part\": " + (row.part.empty() ? "null" : JsonQuoted(row.part)) + "}";
  }
  const auto operator_row = [&graph](const OperatorSensitivity& item) {
    return "{\"operator\": " + JsonQuoted(graph.node(item.node).Title()) +
           ", \"macs\": " + std::to_string(item.macs) + ", \"alone_int8\": " + NumbersJson(item.alone_int8) +
           ", \"alone_float\": " + NumbersJson(item.alone_float) + "}";
  };
  const auto point_row = [](const CurvePoint& point) {
    return "{\"int8_macs\": " + std::to_string(point.int8_macs) +
           ", \"float_operators\": " + std::to_string(point.float_operators) +
           ", \"snr\": " + NumbersJson(point.noise) + "}";
  };
  return text + "],\n    \"all_int8\": " + NumbersJson(result.all_int8) +
         ",\n    \"operators\": " + JsonRows(result.operators, operator_row) +
         ",\n    \"curve\": " + JsonRows(result.curve, point_row) + "}";
}

std::string AutoPrecisionJson(const PartialPlans& plans, const OutputNoise& noise,
                              const AutoPrecision& result) {
  const auto step_row = [&](const PrecisionStep& step) {
    std::string text = "{\"row\": " + JsonQuoted(noise.rows()[step.row].Name()) +
                       ", \"before\": " + JsonNumber(step.before) + ", \"after\": " + JsonNumber(step.after) +
                       ", \"operators\": [";
    for (size_t u = 0; u < step.units.size(); ++u)
      text += (u ? ", " : "") + JsonQuoted(plans.graph().node(plans.units()[step.units[u]].node).Title());
    return text + "]}";
  };
  return "{\"target\": " + JsonNumber(result.target) + ", \"met\": " + (result.met ? "true" : "false") +
         ", \"steps\": " + JsonRows(result.steps, step_row) + "}";
}

}  // namespace xslim
