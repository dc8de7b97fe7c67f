// Where a run writes: XSlim's name resolution of -o, -i, working_dir and output_prefix.
#ifndef XSLIM_PIPELINE_OUTPUT_PATHS_H_
#define XSLIM_PIPELINE_OUTPUT_PATHS_H_

#include <string>
#include <vector>

#include "xslim/xslim.h"

namespace xslim {

struct OutputPaths {
  std::string input, folder, model, report, verdict;  // folder: of the last three
  std::vector<std::string> made;  // folders that were made for the outputs, the innermost first
};

// Whether the path ends like that of a model.
bool IsModelFile(const std::string& path);

// -o x/y.onnx: folder x, prefix y; -o naming anything else: a folder; -i without -o resets the prefix to the
// model's stem. Never the input itself: `<stem>.q.onnx` is written instead, unless -o names the input, which
// throws Error. Changes no file.
OutputPaths ResolveOutputPaths(const Config& config, const RunOptions& options);

// Makes the folder of the outputs where it is not there, and notes in `made` what it makes, also when it
// throws. Throws Error where the folder cannot be made or written to.
void MakeFolder(OutputPaths* paths);

// Removes those folders that were made and are still empty, as after a failure.
void RemoveEmptyFolders(const OutputPaths& paths);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_OUTPUT_PATHS_H_
