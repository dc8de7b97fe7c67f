// Where a run writes: XSlim's name resolution of -o, -i, working_dir and output_prefix.
#ifndef XSLIM_PIPELINE_OUTPUT_PATHS_H_
#define XSLIM_PIPELINE_OUTPUT_PATHS_H_

#include <string>
#include <vector>

#include "xslim/xslim.h"

namespace xslim {

struct OutputPaths {
  std::string input, model, report, verdict;
  std::vector<std::string> made;  // folders that were made for the outputs, the innermost first
};

// -o x/y.onnx: folder x, prefix y; -o naming anything else: a folder; -i without -o resets the prefix to the
// model's stem. Never the input itself: `<stem>.q.onnx` is written instead, unless -o names the input, which
// throws Error. Makes the folder.
OutputPaths ResolveOutputPaths(const Config& config, const RunOptions& options);

// Removes those folders that were made and are still empty, as after a failure.
void RemoveEmptyFolders(const OutputPaths& paths);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_OUTPUT_PATHS_H_
