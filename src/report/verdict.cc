#include "report/verdict.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "base/json_text.h"
#include "base/log.h"
#include "xslim/xslim.h"

namespace xslim {
namespace {

// "output y", "output y, part scores".
std::string Name(const OutputMeasure& output, const PartMeasure* part) {
  return "output " + output.name + (part == nullptr ? "" : ", part " + part->tensor);
}

// With as many digits as it takes to stand on the right side of the bound.
std::string Figure(double value, double bound) {
  char text[40];
  char* end = text;
  for (int digits = 6; digits <= 17; ++digits) {
    end = std::to_chars(text, text + sizeof(text), value, std::chars_format::general, digits).ptr;
    double shown = 0;
    std::from_chars(text, end, shown);
    if ((shown < bound) == (value < bound) && (shown > bound) == (value > bound)) break;
  }
  return std::string(text, end);
}

// judge(snr, cosine): what is wrong with these figures, "" when nothing is.
GateResult Gate(const char* key, double bound, const std::vector<OutputMeasure>& outputs,
                const std::function<std::string(double, double)>& judge) {
  GateResult result{key, bound, {}};
  for (const OutputMeasure& output : outputs) {
    if (output.samples == 0) {
      if (output.is_float)
        result.missed.push_back(Name(output, nullptr) + ": " +
                                (output.note.empty() ? "not measured" : output.note));
      continue;
    }
    // NaN and infinity are over no bound: they say that nothing was measured.
    if (!std::isfinite(output.snr) || !std::isfinite(output.cosine)) {
      result.missed.push_back(Name(output, nullptr) + ": NaN or infinity on a sample of the report");
      continue;
    }
    const std::string wrong = judge(output.snr, output.cosine);
    if (!wrong.empty()) result.missed.push_back(Name(output, nullptr) + ": " + wrong);
    if (output.parts.size() < 2) continue;
    for (const PartMeasure& part : output.parts) {
      const std::string wrong_part = judge(part.snr, part.cosine);
      if (!wrong_part.empty()) result.missed.push_back(Name(output, &part) + ": " + wrong_part);
    }
  }
  return result;
}

std::string Bool(bool value) { return value ? "true" : "false"; }

std::string TextOrNull(const std::string& text) { return text.empty() ? "null" : JsonQuoted(text); }

// "[\n    a,\n    b\n  ]" of items that are JSON already.
std::string List(const std::vector<std::string>& items) {
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) text += (i ? ",\n    " : "\n    ") + items[i];
  return text + (items.empty() ? "]" : "\n  ]");
}

std::string OutputJson(const OutputMeasure& output) {
  std::string text =
      "{\"name\": " + JsonQuoted(output.name) + ", \"samples\": " + std::to_string(output.samples);
  if (output.samples > 0) {
    text += ", \"snr\": " + JsonNumber(output.snr) + ", \"snr_worst\": " + JsonNumber(output.snr_worst) +
            ", \"cosine\": " + JsonNumber(output.cosine) +
            ", \"cosine_worst\": " + JsonNumber(output.cosine_worst);
  }
  text += ", \"note\": " + TextOrNull(output.note) + ", \"parts\": [";
  for (size_t p = 0; p < output.parts.size(); ++p) {
    const PartMeasure& part = output.parts[p];
    text += (p ? ",\n     " : "\n     ");
    text += "{\"tensor\": " + JsonQuoted(part.tensor) + ", \"snr\": " + JsonNumber(part.snr) +
            ", \"cosine\": " + JsonNumber(part.cosine) + ", \"saturated\": " + JsonNumber(part.saturated) +
            ", \"collapse\": " + TextOrNull(part.collapse) + "}";
  }
  return text + "]}";
}

}  // namespace

std::vector<GateResult> JudgeGates(const std::vector<OutputMeasure>& outputs,
                                   const QuantizationParameters& settings) {
  std::vector<GateResult> results;
  if (settings.min_cosine) {
    const double bound = *settings.min_cosine;
    results.push_back(Gate("min_cosine", bound, outputs, [bound](double, double cosine) {
      return cosine >= bound ? std::string()
                             : "cosine " + Figure(cosine, bound) + " is under " + JsonNumber(bound);
    }));
  }
  if (settings.max_snr) {
    const double bound = *settings.max_snr;
    results.push_back(Gate("max_snr", bound, outputs, [bound](double snr, double) {
      return snr <= bound ? std::string()
                          : "SNR " + Figure(snr, bound) + " (noise/signal) is over " + JsonNumber(bound);
    }));
  }
  if (settings.fail_on_collapse) {
    GateResult result = Gate("fail_on_collapse", NAN, outputs, [](double, double) { return std::string(); });
    for (const OutputMeasure& output : outputs) {
      for (const std::string& line : Collapses(output)) result.missed.push_back(line);
    }
    results.push_back(std::move(result));
  }
  return results;
}

std::string VerdictJson(const VerdictHead& head, const Measures& measures,
                        const std::vector<GateResult>& gates,
                        const std::vector<std::pair<std::string, std::string>>& sections) {
  const bool pass =
      std::all_of(gates.begin(), gates.end(), [](const GateResult& gate) { return gate.missed.empty(); });
  const bool collapsed = std::any_of(measures.outputs.begin(), measures.outputs.end(),
                                     [](const OutputMeasure& output) { return !Collapses(output).empty(); });
  std::vector<std::string> outputs, judged, floats;
  for (const OutputMeasure& output : measures.outputs) outputs.push_back(OutputJson(output));
  for (const GateResult& gate : gates) {
    judged.push_back("{\"gate\": " + JsonQuoted(gate.gate) + ", \"bound\": " + JsonNumber(gate.bound) +
                     ", \"pass\": " + Bool(gate.missed.empty()) + ", \"missed\": [" +
                     StrJoin(gate.missed, ", ", JsonQuoted) + "]}");
  }
  for (const FloatOperator& item : head.stays_float) {
    floats.push_back("{\"operator\": " + JsonQuoted(item.title) + ", \"macs\": " + std::to_string(item.macs) +
                     ", \"why\": " + JsonQuoted(item.why) + "}");
  }
  const Int8Share& share = head.share;
  std::string text =
      "{\n  \"format\": 1,\n  \"xslim\": " + JsonQuoted(Version()) +
      ",\n  \"model\": " + JsonQuoted(head.model) + ",\n  \"pass\": " + Bool(pass) +
      ",\n  \"collapsed\": " + Bool(collapsed) + ",\n  \"samples\": " + std::to_string(measures.samples) +
      ",\n  \"macs\": " + std::to_string(share.macs) +
      ",\n  \"int8_macs\": " + std::to_string(share.int8_macs) + ",\n  \"gates\": " + List(judged) +
      ",\n  \"outputs\": " + List(outputs) + ",\n  \"stays_float\": " + List(floats);
  for (const auto& [name, json] : sections) text += ",\n  " + JsonQuoted(name) + ": " + json;
  return text + "\n}\n";
}

}  // namespace xslim
