// The verdict of an earlier run (docs/report.md), as far as a later one is compared with it.
#ifndef XSLIM_CONFIG_READ_VERDICT_H_
#define XSLIM_CONFIG_READ_VERDICT_H_

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace xslim {

struct EarlierPart {
  std::string tensor;
  double snr = NAN, cosine = NAN;
  bool collapsed = false;
};

struct EarlierOutput {
  std::string name;
  int64_t samples = 0;  // 0: not measured
  double snr = NAN, cosine = NAN;
  std::vector<EarlierPart> parts;
};

struct EarlierVerdict {
  int64_t macs = 0, int8_macs = 0;
  int64_t stays_float = 0;  // operators
  std::vector<EarlierOutput> outputs;
  // Members of its manifest, a text as a list of one and null as an empty one; empty in verdicts that have
  // none.
  std::map<std::string, std::vector<std::string>> manifest;
};

// Throws Error naming the file, and the place in it, for what is no verdict.
EarlierVerdict ReadVerdict(const std::string& path);

}  // namespace xslim

#endif  // XSLIM_CONFIG_READ_VERDICT_H_
