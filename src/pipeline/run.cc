// A run from paths to files: the page to read first. What each mode does is in its own file, see modes.h.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "base/trace.h"
#include "data/samples.h"
#include "kernels/kernels.h"
#include "onnx/model_io.h"
#include "ops/custom.h"
#include "pipeline/idle_settings.h"
#include "pipeline/modes.h"
#include "pipeline/output_paths.h"
#include "pipeline/written_files.h"

namespace xslim {
namespace {

// What is measured on samples needs a run that has some.
void RefuseMeasuring(const Config& config) {
  const QuantizationParameters& settings = config.quantization;
  const char* key = settings.min_cosine         ? "min_cosine"
                    : settings.max_snr          ? "max_snr"
                    : settings.fail_on_collapse ? "fail_on_collapse"
                    : settings.sensitivity      ? "sensitivity"
                    : settings.auto_precision   ? "auto_precision"
                                                : nullptr;
  if (key == nullptr) return;
  throw Error("needs a calibrated int8 run, no other is measured",
              std::string("quantization_parameters.") + key,
              "leave it out, or use precision_level 0, 1 or 2");
}

// Nodes and tensors say nothing of the file that they are in. What names a file, a setting or an option
// already is said as it is.
void NameModel(const Error& error, const Config& config, const RunOptions& options,
               const OutputPaths& paths) {
  const std::string text = error.what();
  if (text.find(paths.input + ":") != std::string::npos || dynamic_cast<const UsageError*>(&error)) return;
  std::vector<std::string> named = DataFiles(config);
  for (const std::string& place :
       {std::string("calibration_parameters"), std::string("quantization_parameters"),
        std::string("model_parameters"), std::string("environment "), std::string("-"), config.source,
        options.save_stats, options.load_stats, paths.report, paths.verdict,
        std::filesystem::path(paths.model).replace_extension("").string()})
    named.push_back(place);
  for (const std::string& place : named) {
    if (!place.empty() && text.starts_with(place)) return;
  }
  throw Error(text, paths.input);
}

RunResult RunMode(Graph graph, const Config& config, const RunOptions& options, const OutputPaths& paths,
                  ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  const int level = settings.precision_level;
  const bool calibrates =
      level != kPrecisionSlimOnly && level != kPrecisionDynamic && level != kPrecisionFp16;
  if (!calibrates) RefuseMeasuring(config);
  for (const std::string& sentence : IdleSettings(config, options)) LogWarning(sentence);
  switch (level) {
    case kPrecisionSlimOnly:
      return Slim(std::move(graph), config, paths, pool);
    case kPrecisionDynamic:
      return QuantizeDynamic(std::move(graph), config, paths, pool);
    case kPrecisionFp16:
      return ConvertToHalf(std::move(graph), config, options, paths, pool);
    default:
      return QuantizeStatic(std::move(graph), config, options, paths, pool);
  }
}

}  // namespace

RunResult Run(Config config, const RunOptions& options) {
  const char* isa_error = nullptr;
  if (kernels::Select(&isa_error) == nullptr) {
    throw Error(isa_error, StrCat("environment XSLIM_ISA=", std::getenv("XSLIM_ISA")));
  }
  CheckPassNames(config.model.skip_passes);
  if (!options.save_stats.empty() && !options.load_stats.empty())
    throw UsageError("--save-stats and --load-stats exclude each other");
  const OutputPaths paths = ResolveOutputPaths(config, options);
  const int threads = options.threads > 0
                          ? options.threads
                          : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  ThreadPool pool(threads);
  LogDebug("kernels: ", kernels::Active().name, ", threads: ", pool.size());
  const TraceSession trace(options.profile);
  try {
    RefuseOverwriting(config, options, paths, "");
    for (const std::string& library : options.op_libraries) {
      LoadOperatorLibrary(library);
      LogInfo("operators of ", library);
    }
    LogInfo("loading ", paths.input);
    RunResult result;
    try {
      result = RunMode(LoadModel(paths.input), config, options, paths, pool);
    } catch (const Error& error) {
      NameModel(error, config, options, paths);
      throw;
    }
    trace.Save();
    return result;
  } catch (...) {
    RemoveEmptyFolders(paths);
    throw;
  }
}

}  // namespace xslim
