// What a model was made from, and what was made, as checksums: equal inputs give equal bytes, and this tells
// whether they did. Names of files, times and the machine are not in it.
#ifndef XSLIM_PIPELINE_MANIFEST_H_
#define XSLIM_PIPELINE_MANIFEST_H_

#include <string>
#include <vector>

#include "base/file.h"
#include "base/threads.h"
#include "pipeline/output_paths.h"
#include "pipeline/sample_choice.h"
#include "xslim/xslim.h"

namespace xslim {

struct ManifestMember {
  std::string name;
  bool list;  // a list in JSON; else one text, or none: null
  std::vector<std::string> texts;
};

using Manifest = std::vector<ManifestMember>;

// Whether it is one of what AddOutputs adds.
bool IsOutput(const ManifestMember& member);

// Checksums (SHA-256) of all that the written model depends on: the model read and its external data
// (data_files), the config, the samples of `choice`, preprocess scripts, operator libraries, a file of
// statistics; and the settings of the command line. Files are read side by side.
Manifest ManifestOfInputs(const Config& config, const RunOptions& options, const OutputPaths& paths,
                          const std::vector<std::string>& data_files, const SampleSource& samples,
                          const SampleChoice& choice, ThreadPool& pool);

// Adds the model written to `paths.model`, and its external data. files: hashed.
void AddOutputs(const OutputFiles& files, const OutputPaths& paths, Manifest* manifest);

std::string ManifestJson(const Manifest& manifest);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_MANIFEST_H_
