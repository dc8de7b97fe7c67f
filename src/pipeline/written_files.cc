#include "pipeline/written_files.h"

#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "data/samples.h"
#include "onnx/model_io.h"
#include "pipeline/modes.h"
#include "pipeline/static_report.h"

namespace xslim {
namespace {
namespace fs = std::filesystem;

struct Named {
  std::string what, path;
};

fs::path Canonical(const std::string& path) {
  std::error_code ignored;
  const fs::path absolute = fs::absolute(path, ignored);
  const fs::path canonical = fs::weakly_canonical(absolute, ignored);
  return canonical.empty() ? absolute.lexically_normal() : canonical;
}

std::vector<Named> FilesRead(const Config& config, const RunOptions& options, const OutputPaths& paths) {
  std::vector<Named> files = {{"the model", paths.input},
                              {"the config", config.source},
                              {"the statistics of --load-stats", options.load_stats},
                              {"the baseline", config.quantization.baseline}};
  for (const std::string& library : options.op_libraries) files.push_back({"an operator library", library});
  for (const std::string& file : DataFiles(config)) files.push_back({"calibration data", file});
  return files;
}

[[noreturn]] void Refuse(const Named& written, const std::string& what) {
  throw Error(written.what + " would overwrite " + what, written.path,
              "give " + written.what + " another name");
}

// A run whose gate is missed writes its verdict all the same; the next one would be held against that.
void KeepBaseline(const Config& config, const OutputPaths& paths) {
  const std::string& baseline = config.quantization.baseline;
  std::error_code ignored;
  if (!baseline.empty() && fs::equivalent(baseline, paths.verdict, ignored))
    throw Error("this run's verdict would take the place of its baseline", baseline,
                "keep the baseline under another name");
}

void CheckPreview(const std::string& path) {
  if (!path.empty() && !path.ends_with(".png") && !path.ends_with(".PNG"))
    throw UsageError("is not the name of a .png file", "--preview " + path, "write e.g. --preview first.png");
}

// Of what is read and written: known now rather than after the calibration.
void CheckPlaces(const Config& config, const RunOptions& options, const OutputPaths& paths) {
  const QuantizationParameters& settings = config.quantization;
  const bool calibrates = Calibrates(settings);
  if (!options.dry_run) {
    CheckOutputPlace(paths.model);
    if (config.model.external_data) CheckOutputPlace(ExternalDataPath(paths.model));
    if (calibrates && settings.analysis_enable) CheckOutputPlace(paths.report);
    if (calibrates && IsMeasured(settings)) CheckOutputPlace(paths.verdict);
  }
  std::error_code ignored;
  if (calibrates && !options.load_stats.empty() && !fs::exists(options.load_stats, ignored)) {
    throw Error("cannot open the file of statistics", "--load-stats: " + options.load_stats,
                "no such file; --save-stats writes one");
  }
  for (const Named& written :
       {Named{"--save-stats", calibrates && !options.dry_run ? options.save_stats : ""},
        Named{"--profile", options.profile}, Named{"--preview", calibrates ? options.preview : ""}}) {
    if (written.path.empty()) continue;
    try {
      CheckOutputPlace(written.path);
    } catch (const Error& error) {
      throw Error(error.what(), written.what);
    }
  }
}

void RefuseOverwriting(const Config& config, const RunOptions& options, const OutputPaths& paths,
                       const std::string& log_file) {
  std::vector<Named> outputs = {{"the output model", paths.model},
                                {"the output model's data", ExternalDataPath(paths.model)},
                                {"the report", paths.report},
                                {"the verdict", paths.verdict}};
  std::vector<Named> inputs;
  for (const Named& written : {Named{"--save-stats", options.save_stats}, Named{"--profile", options.profile},
                               Named{"--preview", options.preview}, Named{"--log-file", log_file}}) {
    std::error_code ignored;
    const bool exists = fs::exists(written.path, ignored);
    // Devices like /dev/null hold nothing; what is wrong with a folder is said when it is opened.
    if (written.path.empty() || (exists && !fs::is_regular_file(written.path, ignored))) continue;
    if (exists && inputs.empty()) inputs = FilesRead(config, options, paths);
    for (const Named& input : inputs) {
      if (exists && fs::equivalent(written.path, input.path, ignored)) Refuse(written, input.what);
    }
    if (IsModelFile(written.path))
      throw Error(written.what + " has the name of a model", written.path,
                  "give " + written.what + " another name");
    const fs::path canonical = Canonical(written.path);
    for (const Named& output : outputs) {
      if (Canonical(output.path) == canonical) Refuse(written, output.what);
    }
    outputs.push_back(written);
    // Only the model itself tells where its external data lie.
    const fs::path input(paths.input);
    if (!exists || (!IsBelow(canonical, Canonical(input).parent_path()) &&
                    !IsBelow(canonical, Canonical(fs::absolute(input, ignored).parent_path()))))
      continue;
    for (const std::string& file : LoadModel(paths.input).data_files) {
      if (fs::equivalent(written.path, file, ignored)) Refuse(written, "the model's external data");
    }
  }
}

}  // namespace

void CheckOutputs(const Config& config, const RunOptions& options, const OutputPaths& paths,
                  const std::string& log_file) {
  CheckPreview(options.preview);
  KeepBaseline(config, paths);
  RefuseOverwriting(config, options, paths, log_file);
  CheckPlaces(config, options, paths);
}

void CheckWrittenFiles(const Config& config, const RunOptions& options, const std::string& log_file) {
  OutputPaths paths = ResolveOutputPaths(config, options);
  try {
    if (!options.dry_run) MakeFolder(&paths);
    CheckOutputs(config, options, paths, log_file);
  } catch (...) {
    RemoveEmptyFolders(paths);
    throw;
  }
  RemoveEmptyFolders(paths);
}

}  // namespace xslim
