// A run from paths to files: the page to read first. What each mode does is in its own file, see modes.h.
#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/log.h"
#include "base/trace.h"
#include "kernels/kernels.h"
#include "onnx/model_io.h"
#include "ops/custom.h"
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

RunResult RunMode(Graph graph, const Config& config, const RunOptions& options, const OutputPaths& paths,
                  ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  const int level = settings.precision_level;
  const bool calibrates =
      level != kPrecisionSlimOnly && level != kPrecisionDynamic && level != kPrecisionFp16;
  if (!calibrates && (!options.save_stats.empty() || !options.load_stats.empty() || options.max_memory > 0))
    LogWarning("--save-stats, --load-stats and --max-memory have no effect without calibration");
  if (!calibrates) RefuseMeasuring(config);
  if (!calibrates && (!settings.custom_setting.empty() || !settings.truncate_var_names.empty() ||
                      settings.placement != Placement::kXslim))
    LogWarning("custom_setting, truncate_var_names and placement have no effect at precision_level ", level);
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
    Graph graph = LoadModel(paths.input);
    const RunResult result = RunMode(std::move(graph), config, options, paths, pool);
    trace.Save();
    return result;
  } catch (...) {
    RemoveEmptyFolders(paths);
    throw;
  }
}

}  // namespace xslim
