// The Markdown report beside the model (docs/report.md explains its columns).
#ifndef XSLIM_REPORT_MARKDOWN_H_
#define XSLIM_REPORT_MARKDOWN_H_

#include <string>
#include <utility>
#include <vector>

#include "report/measure.h"

namespace xslim {

struct ReportHead {
  std::vector<std::pair<std::string, std::string>> lines;  // label, text; in order
  std::vector<std::string> notes;                          // what stayed float and why, warnings
  std::vector<std::string> tuning;                         // what its stages did and took back
  std::vector<std::string> provider;                       // what SpacemiT's provider leaves to the CPU
  std::string sections;                                    // further ones behind the outputs, as Markdown
  std::string prepared;  // what the float graph has gone through: " after equalization", or nothing
};

// The whole file's text. `graph`: the float graph that was quantized. Holds no time, thread count or
// instruction set, so that equal runs give equal bytes.
std::string MarkdownReport(const Graph& graph, const ReportHead& head, const Measures& measures);

}  // namespace xslim

#endif  // XSLIM_REPORT_MARKDOWN_H_
