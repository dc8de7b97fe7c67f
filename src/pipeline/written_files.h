// The files that a run writes beside its outputs: statistics, profile, log.
#ifndef XSLIM_PIPELINE_WRITTEN_FILES_H_
#define XSLIM_PIPELINE_WRITTEN_FILES_H_

#include <string>

#include "pipeline/output_paths.h"
#include "xslim/xslim.h"

namespace xslim {

// Before the work. Throws Error when the model, its report or verdict, save_stats, profile or preview cannot
// be written where it belongs, when the baseline would be overwritten, and when save_stats, profile, preview
// or log_file is a file that the run reads (model, its external data, config, lists, data files, preprocess
// scripts, operator libraries, load_stats), has the name of a model, or is another file that the run writes.
// log_file: "" = none.
void CheckOutputs(const Config& config, const RunOptions& options, const OutputPaths& paths,
                  const std::string& log_file);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_WRITTEN_FILES_H_
