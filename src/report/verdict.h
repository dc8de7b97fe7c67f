// The verdict on a written model: gates that it meets or misses, and the same as JSON (docs/report.md) for
// programs.
#ifndef XSLIM_REPORT_VERDICT_H_
#define XSLIM_REPORT_VERDICT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "report/measure.h"
#include "xslim/config.h"

namespace xslim {

struct GateResult {
  std::string gate;                 // the config's key
  double bound;                     // NaN where it has none
  std::vector<std::string> missed;  // what misses it, one line each; empty: it passes
};

// The gates that `settings` sets. SNR and cosine are those of each output and, where it has several parts, of
// each part; a float output that could not be measured misses every gate, and so does NaN.
std::vector<GateResult> JudgeGates(const std::vector<OutputMeasure>& outputs,
                                   const QuantizationParameters& settings);

struct FloatOperator {
  std::string title, why;
  int64_t macs = 0;
};

// Multiply-adds of one forward, and computing operators.
struct Int8Share {
  Int8Share& operator+=(const Int8Share& other) {
    macs += other.macs;
    int8_macs += other.int8_macs;
    compute += other.compute;
    int8_compute += other.int8_compute;
    return *this;
  }

  int64_t macs = 0, int8_macs = 0, compute = 0, int8_compute = 0;
};

struct VerdictHead {
  std::string model;  // file name
  Int8Share share;
  std::vector<FloatOperator> stays_float;
};

// sections: further members of the JSON object, by name, as JSON text. Holds no time, thread count or
// instruction set.
std::string VerdictJson(const VerdictHead& head, const Measures& measures,
                        const std::vector<GateResult>& gates,
                        const std::vector<std::pair<std::string, std::string>>& sections);

}  // namespace xslim

#endif  // XSLIM_REPORT_VERDICT_H_
