// A run from paths to files: the page to read first. What each mode does is in its own file, see modes.h.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "base/environment.h"
#include "base/log.h"
#include "base/temporary_files.h"
#include "base/trace.h"
#include "data/samples.h"
#include "kernels/kernels.h"
#include "onnx/model_io.h"
#include "ops/custom.h"
#include "ops/operator.h"
#include "pipeline/idle_settings.h"
#include "pipeline/modes.h"
#include "pipeline/output_paths.h"
#include "pipeline/written_files.h"
#include "runtime/executor.h"
#include "simplify/check_model.h"
#include "simplify/input_shapes.h"

namespace xslim {
namespace {

// What is measured on samples needs a run that has some.
void RefuseMeasuring(const Config& config, const RunOptions& options) {
  const std::vector<std::string> keys = MeasuringKeys(config.quantization);
  if (keys.empty()) return;
  const auto option = options.option_of_key.find(keys.front());
  throw Error(
      "needs a calibrated int8 run, no other is measured",
      option != options.option_of_key.end() ? option->second : "quantization_parameters." + keys.front(),
      "leave it out, or use precision_level 0, 1 or 2");
}

// The same error in a file, with what, where and hint of its own.
template <typename Kind>
Kind In(const std::string& file, const Kind& error) {
  std::string what = error.what();
  if (!error.where().empty()) what.erase(0, error.where().size() + 2);            // "where: "
  if (!error.hint().empty()) what.resize(what.size() - error.hint().size() - 3);  // " (hint)"
  return Kind(what, error.where().empty() ? file : file + ": " + error.where(), error.hint());
}

// Nodes and tensors say nothing of the file that they are in, nor do settings. What names a file or an option
// already is said as it is.
void NameFile(const Error& error, const Config& config, const RunOptions& options, const OutputPaths& paths) {
  const std::string text = error.what();
  if (text.find(paths.input + ":") != std::string::npos || dynamic_cast<const UsageError*>(&error)) return;
  std::string file = paths.input;
  for (const char* section : {"calibration_parameters", "quantization_parameters", "model_parameters"}) {
    if (text.starts_with(section)) file = config.source;
  }
  std::vector<std::string> named = DataFiles(config);
  for (const std::string& place :
       {std::string("environment "), std::string("-"), std::string("baseline: "), config.source,
        options.save_stats, options.load_stats, options.preview, config.quantization.baseline, paths.report,
        paths.verdict, std::filesystem::path(paths.model).replace_extension("").string()})
    named.push_back(place);
  for (const std::string& place : named) {
    if (!place.empty() && text.starts_with(place)) return;
  }
  if (file.empty()) return;
  if (const auto* memory = dynamic_cast<const OutOfMemory*>(&error)) throw In(file, *memory);
  if (const auto* steps = dynamic_cast<const TooManySteps*>(&error)) throw In(file, *steps);
  if (const auto* unsupported = dynamic_cast<const Unsupported*>(&error)) throw In(file, *unsupported);
  throw In(file, error);
}

// XSlim adds the ending all the same.
void WarnOfPrefix(const Config& config, const OutputPaths& paths) {
  const std::string& prefix = config.model.output_prefix;
  if (!IsModelFile(prefix) || std::filesystem::path(paths.model).stem() != prefix) return;
  LogWarning(config.source, ": model_parameters.output_prefix: ", prefix,
             " gets .onnx added, as by XSlim: the model is ", paths.model, "; leave .onnx out of it");
}

// What an earlier run left beside the output and this one has not written anew is not deleted, since another
// model may need it by now; it only looks as if it belonged to the model that was just written.
class EarlierData {
 public:
  explicit EarlierData(const OutputPaths& paths) : model_(paths.model), file_(ExternalDataPath(paths.model)) {
    std::error_code none;
    const auto time = std::filesystem::last_write_time(file_, none);
    if (!none) time_ = time;
  }

  // After the run: warns when the file is the same as before and no part of the model that was read.
  void Warn(const std::vector<std::string>& data_of_input) const {
    std::error_code none;
    const auto time = std::filesystem::last_write_time(file_, none);
    if (none || !time_ || time != *time_) return;
    for (const std::string& file : data_of_input) {
      if (std::filesystem::equivalent(file, file_, none)) return;
    }
    LogWarning(file_, " is of an earlier run and no part of the ", model_,
               " written now; delete it unless another model reads it");
  }

 private:
  const std::string model_, file_;
  std::optional<std::filesystem::file_time_type> time_;
};

void WarnOfStaleReports(const RunResult& result, const OutputPaths& paths) {
  std::error_code ignored;
  for (const auto& [file, written] :
       {std::pair(paths.report, result.report_path), std::pair(paths.verdict, result.verdict_path)}) {
    if (written.empty() && std::filesystem::exists(file, ignored))
      LogWarning(file, " is of an earlier run and says nothing of the ", paths.model, " written now");
  }
}

RunResult DispatchMode(Graph graph, const Config& config, const RunOptions& options, const OutputPaths& paths,
                       ThreadPool& pool) {
  const QuantizationParameters& settings = config.quantization;
  for (const std::string& sentence : IdleSettings(config, options)) LogWarning(sentence);
  switch (settings.precision_level) {
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

// A model that was good before its sizes were fixed is so still; the sizes are not.
[[noreturn]] void FailSizes(const InvalidModel& error, const std::vector<InputShape>& shapes) {
  const std::string text = StrJoin(shapes, " ", [](const InputShape& shape) {
    return shape.name + (shape.name.empty() ? "" : ":") + StrJoin(shape.sizes, ",");
  });
  throw Error(StrCat("the model cannot run with ", text, ": ", error.faults()), "input_shapes",
              "give sizes that it is made for");
}

RunResult RunMode(Graph graph, const Config& config, const RunOptions& options, const OutputPaths& paths,
                  ThreadPool& pool) {
  const std::vector<InputShape>& shapes = config.model.input_shapes;
  if (!Calibrates(config.quantization)) RefuseMeasuring(config, options);
  if (options.dry_run && !Calibrates(config.quantization))
    throw UsageError(
        "needs precision_level 0, 1 or 2: the other levels say what they left when they are done",
        "--dry-run");
  RefuseFaults(graph);
  try {
    FixInputShapes(&graph, shapes);
    if (!shapes.empty()) RefuseFatalFaults(graph);
    CorrectShapes(&graph, !shapes.empty());
    return DispatchMode(std::move(graph), config, options, paths, pool);
  } catch (const InvalidModel& error) {
    if (shapes.empty()) throw;
    FailSizes(error, shapes);
  }
}

}  // namespace

bool Calibrates(const QuantizationParameters& settings) {
  const int level = settings.precision_level;
  return level != kPrecisionSlimOnly && level != kPrecisionDynamic && level != kPrecisionFp16;
}

RunResult Run(Config config, const RunOptions& options) {
  const char* isa_error = nullptr;
  if (kernels::Select(&isa_error) == nullptr) {
    FailEnvironment("XSLIM_ISA", isa_error);
  }
  MostLoopSteps();  // refuses what is no number, also where the model has no loop
  CheckPassNames(config.model.skip_passes);
  if (!options.save_stats.empty() && !options.load_stats.empty())
    throw UsageError("--save-stats and --load-stats exclude each other");
  OutputPaths paths = ResolveOutputPaths(config, options);
  WarnOfPrefix(config, paths);
  std::deque<TemporaryName> made;
  try {
    {
      const SignalsWait wait;
      if (!options.dry_run) MakeFolder(&paths);
      for (const std::string& folder : paths.made) made.emplace_back(folder);
    }
    const int threads = options.threads > 0
                            ? options.threads
                            : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    ThreadPool pool(threads);
    LogDebug("kernels: ", kernels::Active().name, ", threads: ", pool.size());
    const TraceSession trace(options.profile);
    CheckOutputs(config, options, paths, "");
    for (const std::string& library : options.op_libraries) {
      LoadOperatorLibrary(library);
      LogInfo("operators of ", library);
    }
    LogInfo("loading ", paths.input);
    const EarlierData earlier(paths);
    std::vector<std::string> data_of_input;
    RunResult result;
    try {
      Graph graph = LoadModel(paths.input);
      data_of_input = graph.data_files;
      result = RunMode(std::move(graph), config, options, paths, pool);
    } catch (const Error& error) {
      NameFile(error, config, options, paths);
      throw;
    }
    if (!options.dry_run) {
      WarnOfStaleReports(result, paths);
      earlier.Warn(data_of_input);
    }
    trace.Save();
    return result;
  } catch (...) {
    RemoveEmptyFolders(paths);
    throw;
  }
}

}  // namespace xslim
