// The written model against what an earlier run's verdict says of its own: a gate.
#ifndef XSLIM_PIPELINE_BASELINE_H_
#define XSLIM_PIPELINE_BASELINE_H_

#include <string>
#include <vector>

#include "config/read_verdict.h"
#include "pipeline/manifest.h"
#include "report/verdict.h"

namespace xslim {

// Noise below this share of the signal (60 dB) is not told from none: what lies under it counts as it.
inline constexpr double kNoiseFloor = 1e-6;

enum class Change { kSame, kBetter, kWorse };

// Of an output, or a part of one.
struct BaselineRow {
  std::string output, part;  // part "": the whole output
  double snr_before, snr, cosine_before, cosine;
  Change change;
  bool collapsed;  // and had not
  std::string Name() const;
};

struct BaselineComparison {
  std::vector<BaselineRow> rows;
  std::vector<std::string> lines;  // what got better or worse, or cannot be compared; for people
  GateResult gate;
};

// Worse: the SNR is over the earlier one by more than `tolerance` of it; better: the reverse. NaN and
// infinity are worse than any number. The gate is missed by what is worse or has newly collapsed, and by
// outputs that were measured and are no more. Parts that only one side has are said and miss nothing.
BaselineComparison CompareWithBaseline(const EarlierVerdict& earlier, double tolerance,
                                       const std::vector<OutputMeasure>& outputs, const VerdictHead& head,
                                       const Manifest& manifest);

// Whether the manifest has the baseline's inputs and another output.
bool OnlyOutputDiffers(const EarlierVerdict& earlier, const Manifest& manifest);

// A section of the report, and the verdict's member.
std::string BaselineMarkdown(const BaselineComparison& comparison);
std::string BaselineJson(const BaselineComparison& comparison);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_BASELINE_H_
