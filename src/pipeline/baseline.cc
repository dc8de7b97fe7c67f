#include "pipeline/baseline.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/json_text.h"
#include "base/log.h"
#include "report/markdown_text.h"

namespace xslim {
namespace {

constexpr char kGate[] = "baseline";

std::string Percent(double share) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.3g %%", 100 * share);
  return text;
}

Change Judge(double before, double now, double tolerance) {
  const auto over = [tolerance](double a, double b) {
    return std::isfinite(b) && !(a <= std::max(b, kNoiseFloor) * (1 + tolerance));
  };
  return over(now, before) ? Change::kWorse : over(before, now) ? Change::kBetter : Change::kSame;
}

template <typename Item, typename Name>
const Item* Find(const std::vector<Item>& items, Name Item::*name, const std::string& wanted) {
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const Item& i) { return i.*name == wanted; });
  return found == items.end() ? nullptr : &*found;
}

bool AnyCollapsed(const EarlierOutput& output) {
  return std::any_of(output.parts.begin(), output.parts.end(),
                     [](const auto& part) { return part.collapsed; });
}

std::string WordOf(const BaselineRow& row) {
  if (row.collapsed) return "collapsed";
  return row.change == Change::kWorse ? "worse" : row.change == Change::kBetter ? "better" : "same";
}

// "SNR 0.001 -> 0.002 (+100 %), cosine 0.9995 -> 0.999".
std::string Figures(const BaselineRow& row) {
  std::string text = StrCat("SNR ", row.snr_before, " -> ", row.snr);
  if (std::isfinite(row.snr) && row.snr_before >= kNoiseFloor)
    text += StrCat(" (", row.snr < row.snr_before ? "" : "+", Percent(row.snr / row.snr_before - 1), ")");
  return text + StrCat(", cosine ", row.cosine_before, " -> ", row.cosine);
}

class Comparer {
 public:
  Comparer(const EarlierVerdict& earlier, double tolerance) : earlier_(earlier), tolerance_(tolerance) {
    result_.gate = {kGate, tolerance, {}};
  }

  BaselineComparison Run(const std::vector<OutputMeasure>& outputs, const VerdictHead& head,
                         const Manifest& manifest) {
    for (const OutputMeasure& output : outputs) Compare(output);
    for (const EarlierOutput& before : earlier_.outputs) {
      if (Find(outputs, &OutputMeasure::name, before.name) == nullptr)
        Miss("output " + before.name + " is in the baseline and not in this model");
    }
    int64_t same = 0;
    for (const BaselineRow& row : result_.rows) {
      if (row.change == Change::kSame && !row.collapsed) ++same;
    }
    if (same > 0)
      Say(StrCat(Counted(same, "output or part has", "outputs and parts have"),
                 " the noise of the baseline, within ", Percent(tolerance_)));
    Shares(head);
    Inputs(manifest);
    return std::move(result_);
  }

 private:
  void Say(const std::string& line) { result_.lines.push_back(line); }
  void Miss(const std::string& line) {
    result_.gate.missed.push_back(StrCat(kGate, ": ", line));
    Say(line);
  }

  void Compare(const OutputMeasure& output) {
    const EarlierOutput* before = Find(earlier_.outputs, &EarlierOutput::name, output.name);
    const std::string name = "output " + output.name;
    if (before == nullptr) return Say(name + " is not in the baseline");
    if (output.samples == 0 && before->samples == 0) return;  // of integers, or never computed
    if (before->samples == 0) return Say(name + " was not measured in the baseline");
    if (output.samples == 0)
      return Miss(name + " was measured in the baseline, and is no more: " + output.note);
    const bool whole = output.parts.size() < 2;
    Add({output.name, "", before->snr, output.snr, before->cosine, output.cosine,
         Judge(before->snr, output.snr, tolerance_),
         whole && !Collapses(output).empty() && !AnyCollapsed(*before)});
    if (!whole) CompareParts(output, *before);
  }

  void CompareParts(const OutputMeasure& output, const EarlierOutput& before) {
    const std::string name = "output " + output.name + ", part ";
    for (const PartMeasure& part : output.parts) {
      const EarlierPart* then = Find(before.parts, &EarlierPart::tensor, part.tensor);
      const bool sound = then == nullptr ? !AnyCollapsed(before) : !then->collapsed;
      const bool collapsed = !part.collapse.empty() && sound;
      if (then == nullptr && collapsed) {
        Miss(name + part.tensor + " has collapsed; the baseline has no such part");
      } else if (then == nullptr) {
        Say(name + part.tensor + " is not in the baseline");
      } else {
        Add({output.name, part.tensor, then->snr, part.snr, then->cosine, part.cosine,
             Judge(then->snr, part.snr, tolerance_), collapsed});
      }
    }
    for (const EarlierPart& then : before.parts) {
      if (before.parts.size() > 1 && Find(output.parts, &PartMeasure::tensor, then.tensor) == nullptr)
        Say(name + then.tensor + " is in the baseline and not in this model");
    }
  }

  void Add(BaselineRow row) {
    if (row.collapsed) {
      Miss(row.Name() + " has collapsed, and had not in the baseline: " + Figures(row));
    } else if (row.change == Change::kWorse) {
      Miss(row.Name() + " is worse than in the baseline: " + Figures(row));
    } else if (row.change == Change::kBetter) {
      Say(row.Name() + " is better than in the baseline: " + Figures(row));
    }
    result_.rows.push_back(std::move(row));
  }

  void Shares(const VerdictHead& head) {
    const auto share = [](int64_t int8, int64_t all) {
      return Percent(static_cast<double>(int8) / static_cast<double>(std::max<int64_t>(all, 1)));
    };
    const std::string before = share(earlier_.int8_macs, earlier_.macs),
                      now = share(head.share.int8_macs, head.share.macs);
    if (before != now) Say(StrCat("multiply-adds in int8: ", before, " -> ", now));
    if (earlier_.stays_float != std::ssize(head.stays_float))
      Say(StrCat("operators that stay float: ", earlier_.stays_float, " -> ", head.stays_float.size()));
  }

  // Figures of other samples, or of another model, are another matter.
  void Inputs(const Manifest& manifest) {
    std::vector<std::string> others;
    for (const ManifestMember& member : manifest) {
      if (IsOutput(member)) continue;
      const auto before = earlier_.manifest.find(member.name);
      if (before != earlier_.manifest.end() && before->second != member.texts) others.push_back(member.name);
    }
    if (!others.empty()) Say("the baseline is of other inputs (manifest): " + StrJoin(others));
  }

  const EarlierVerdict& earlier_;
  const double tolerance_;
  BaselineComparison result_;
};

}  // namespace

std::string BaselineRow::Name() const { return "output " + output + (part.empty() ? "" : ", part " + part); }

BaselineComparison CompareWithBaseline(const EarlierVerdict& earlier, double tolerance,
                                       const std::vector<OutputMeasure>& outputs, const VerdictHead& head,
                                       const Manifest& manifest) {
  return Comparer(earlier, tolerance).Run(outputs, head, manifest);
}

bool OnlyOutputDiffers(const EarlierVerdict& earlier, const Manifest& manifest) {
  bool inputs = !earlier.manifest.empty(), outputs = true;
  for (const ManifestMember& member : manifest) {
    const auto before = earlier.manifest.find(member.name);
    const bool same = before != earlier.manifest.end() && before->second == member.texts;
    (IsOutput(member) ? outputs : inputs) &= same;
  }
  return inputs && !outputs;
}

std::string BaselineMarkdown(const BaselineComparison& comparison) {
  std::string text = StrCat("\n## Against the baseline\n\nWorse: over the earlier SNR by more than ",
                            Percent(comparison.gate.bound), ", where at least ", kNoiseFloor, " counts.\n");
  if (!comparison.rows.empty()) {
    text +=
        "\n| Output | Part | SNR before | SNR | Cosine before | Cosine | |\n|---|---|---|---|---|---|---|\n";
  }
  for (const BaselineRow& row : comparison.rows) {
    const std::string word = WordOf(row);
    const bool bad = row.collapsed || row.change == Change::kWorse;
    text += StrCat("| ", MarkdownText(row.output), " | ", MarkdownText(row.part), " | ", row.snr_before,
                   " | ", row.snr, " | ", row.cosine_before, " | ", row.cosine, " | ",
                   bad ? "<font color=\"red\">" + word + "</font>" : word, " |\n");
  }
  if (!comparison.lines.empty()) text += "\n";
  for (const std::string& line : comparison.lines) text += "- " + MarkdownText(line) + "\n";
  return text;
}

std::string BaselineJson(const BaselineComparison& comparison) {
  return JsonRows(comparison.rows, [](const BaselineRow& row) {
    return StrCat("{\"output\": ", JsonQuoted(row.output),
                  ", \"part\": ", row.part.empty() ? "null" : JsonQuoted(row.part),
                  ", \"snr_before\": ", JsonNumber(row.snr_before), ", \"snr\": ", JsonNumber(row.snr),
                  ", \"cosine_before\": ", JsonNumber(row.cosine_before),
                  ", \"cosine\": ", JsonNumber(row.cosine), ", \"change\": ", JsonQuoted(WordOf(row)), "}");
  });
}

}  // namespace xslim
