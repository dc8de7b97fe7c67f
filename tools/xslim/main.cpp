// The command line: modes, logging, progress, the summary and the exit status. The options stand in
// arguments.cpp, everything else is the library's.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "base/log.h"
#include "xslim/xslim.h"

namespace {

constexpr int kDone = 0, kFailed = 1, kWrongUsage = 2, kGateMissed = 3;

using xslim::Arguments;

std::string VersionText() { return "xslim " + xslim::Version() + "\n"; }

// One line on stderr that is written over and over: stage, samples done, time left.
class ProgressLine {
 public:
  using Clock = std::chrono::steady_clock;

  void Update(const std::string& stage, int64_t done, int64_t total) {
    const Clock::time_point now = Clock::now();
    if (stage != stage_ || done < done_) {
      stage_ = stage;
      begin_ = now;
      first_ = done;
      drawn_ = {};
    }
    done_ = done;
    if (done >= total) return Clear();
    if (now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    std::string text = stage + " " + std::to_string(done) + "/" + std::to_string(total);
    if (done > first_) {
      const double spent = std::chrono::duration<double>(now - begin_).count();
      const auto left = static_cast<int64_t>(spent / static_cast<double>(done - first_) *
                                             static_cast<double>(total - done));
      text += ", " + std::to_string(left / 60) + " min " + std::to_string(left % 60) + " s left";
    }
    // The cursor returns to the line's begin, so that a log line overwrites the progress.
    std::fprintf(stderr, "\r\033[K%s\r", text.c_str());
    std::fflush(stderr);
    shown_ = true;
  }

  void Clear() {
    if (shown_) std::fputs("\r\033[K", stderr);
    shown_ = false;
  }

 private:
  std::string stage_;
  Clock::time_point begin_{}, drawn_{};
  int64_t first_ = 0, done_ = 0;
  bool shown_ = false;
};

int Usage(const std::string& message) {
  std::fprintf(stderr, "xslim: error: %s\nTry 'xslim --help'.\n", xslim::Printable(message).c_str());
  return kWrongUsage;
}

// What a pipe or a full disk does not take is an error like that of any other file.
void Print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  throw xslim::Error("cannot write", "standard output", std::strerror(errno));
}

// The rows under one another: what to the left, figures to the right.
std::string Table(std::vector<xslim::SummaryRow> rows) {
  size_t what = 0, before = 0, after = 0;
  for (xslim::SummaryRow& row : rows) {
    row.what = xslim::Printable(row.what);
    what = std::max(what, row.what.size());
    before = std::max(before, row.before.size());
    after = std::max(after, row.after.size());
  }
  std::string text;
  for (const xslim::SummaryRow& row : rows) {
    text += "  " + row.what + std::string(what - row.what.size() + 2 + before - row.before.size(), ' ') +
            row.before + std::string(2 + after - row.after.size(), ' ') + row.after + "\n";
  }
  return text;
}

std::string SummaryText(const xslim::RunResult& result) {
  std::string text;
  const auto add = [&text](const std::string& line) { text += xslim::Printable(line) + "\n"; };
  add("model:  " + result.model_path);
  if (!result.report_path.empty()) add("report: " + result.report_path);
  if (!result.verdict_path.empty()) add("verdict: " + result.verdict_path);
  for (const xslim::OutputQuality& output : result.outputs) {
    char figures[100];
    std::snprintf(figures, sizeof(figures), "SNR %.6g (noise/signal, lower is better), cosine %.6f",
                  std::isnan(output.snr) ? std::abs(output.snr) : output.snr,
                  std::isnan(output.cosine) ? std::abs(output.cosine) : output.cosine);
    add("output " + output.name + ": " + (output.samples == 0 ? output.note : figures));
  }
  for (const std::string& line : result.baseline) add("baseline: " + line);
  if (!result.summary.empty()) {
    std::vector<xslim::SummaryRow> rows = {{"", "before", "after"}};
    rows.insert(rows.end(), result.summary.begin(), result.summary.end());
    text += Table(std::move(rows));
  }
  for (const std::string& line : result.left) add(line);
  for (const std::string& line : result.sensitivity) add(line);
  return text;
}

// --dynq, --fp16 and --bf16 with the options that belong to them.
void ApplyMode(const Arguments& arguments, xslim::Config* config) {
  xslim::QuantizationParameters& settings = config->quantization;
  if (arguments.dynq) settings.precision_level = xslim::kPrecisionDynamic;
  if (arguments.fp16 || arguments.bf16) settings.precision_level = xslim::kPrecisionFp16;
  if (arguments.fp16) settings.half_type = xslim::HalfType::kFloat16;
  if (arguments.bf16) settings.half_type = xslim::HalfType::kBFloat16;
  if (arguments.fp16_io) settings.half_io = true;
  if (arguments.dynq_contrib) settings.contrib_operators = true;
  if (arguments.dynq_full_range) settings.full_range_weights = true;
  if (arguments.weight_bits != 0) settings.weight_bits = arguments.weight_bits;
  if (arguments.weight_block != 0) settings.weight_block = arguments.weight_block;
  if (arguments.weight_zero_points) settings.weight_zero_points = true;
}

// The gates, and what else needs the result measured.
void ApplyMeasuring(const Arguments& arguments, xslim::QuantizationParameters* settings) {
  if (arguments.min_cosine) settings->min_cosine = arguments.min_cosine;
  if (arguments.max_snr) settings->max_snr = arguments.max_snr;
  if (arguments.fail_on_collapse) settings->fail_on_collapse = true;
  if (!arguments.baseline.empty()) settings->baseline = arguments.baseline;
  if (arguments.baseline_tolerance) settings->baseline_tolerance = *arguments.baseline_tolerance;
  if (arguments.sensitivity) settings->sensitivity = true;
  if (arguments.auto_precision) settings->auto_precision = arguments.auto_precision;
}

// What is wrong with the choice of a mode; "" when nothing is.
std::string WrongMode(const Arguments& arguments) {
  if (arguments.dynq + arguments.fp16 + arguments.bf16 > 1)
    return "--dynq, --fp16 and --bf16 exclude each other";
  const bool configured = !arguments.config_path.empty();
  if (arguments.fp16_io && !arguments.fp16 && !arguments.bf16 && !configured)
    return "--fp16-io needs --fp16 or --bf16";
  const bool dynamic_only = arguments.dynq_contrib || arguments.dynq_full_range ||
                            arguments.weight_bits != 0 || arguments.weight_block != 0 ||
                            arguments.weight_zero_points;
  if (dynamic_only && !arguments.dynq && !configured)
    return "--dynq-contrib, --dynq-full-range and the --weight options need --dynq";
  xslim::QuantizationParameters asked;
  ApplyMeasuring(arguments, &asked);
  const bool measured = !xslim::MeasuringKeys(asked).empty() || arguments.baseline_tolerance;
  const bool calibrated = configured && !arguments.dynq && !arguments.fp16 && !arguments.bf16;
  if (arguments.int8_io && !calibrated)
    return "--int8-io needs an int8 run with data: -c, without --dynq, --fp16 and --bf16";
  if (arguments.dry_run && !calibrated)
    return "--dry-run needs an int8 run with data: -c, without --dynq, --fp16 and --bf16";
  if (measured && !calibrated) {
    return "--min-cosine, --max-snr, --fail-on-collapse, --baseline, --sensitivity and --auto-precision need "
           "an int8 run with data: -c, without --dynq, --fp16 and --bf16";
  }
  return "";
}

// "x:1,3,224,224", or the sizes alone. A name may hold colons, a size may have blanks around it.
xslim::InputShape ReadShape(const std::string& text) {
  const auto fail = [&text](const std::string& got) {
    throw xslim::UsageError("expected sizes like 1,3,224,224 (-1: as the model has it), got '" + got + "'",
                            "--input-shapes " + text);
  };
  const size_t colon = text.rfind(':');
  xslim::InputShape shape;
  if (colon != std::string::npos) shape.name = text.substr(0, colon);
  const std::string list = text.substr(colon == std::string::npos ? 0 : colon + 1);
  if (list.find_first_not_of(' ') == std::string::npos && shape.name.empty()) fail(list);
  if (list.ends_with(',')) fail("");
  std::istringstream sizes(list);
  for (std::string size; std::getline(sizes, size, ',');) {
    size.erase(0, size.find_first_not_of(' '));
    size.erase(size.find_last_not_of(' ') + 1);
    const bool digits =
        !size.empty() && size.size() < 10 && size.find_first_not_of("0123456789") == std::string::npos;
    if (!digits && size != "-1") fail(size);
    shape.sizes.push_back(std::stoll(size));
  }
  return shape;
}

// A shape of the command line stands in for one of the config; one without a name is that of the only input.
void AddShapes(const std::vector<std::string>& texts, std::vector<xslim::InputShape>* shapes) {
  for (const std::string& text : texts) {
    const xslim::InputShape shape = ReadShape(text);
    std::erase_if(*shapes, [&](const xslim::InputShape& other) {
      return other.name == shape.name || other.name.empty() || shape.name.empty();
    });
    shapes->push_back(shape);
  }
}

xslim::Config MakeConfig(const Arguments& arguments) {
  xslim::Config config;
  if (arguments.config_path.empty()) {
    config.quantization.precision_level = xslim::kPrecisionSlimOnly;
  } else {
    config = xslim::ReadConfig(arguments.config_path);
  }
  ApplyMode(arguments, &config);
  if (arguments.opset != 0) config.model.opset = arguments.opset;
  AddShapes(arguments.input_shapes, &config.model.input_shapes);
  if (arguments.external_data) config.model.external_data = true;
  if (arguments.spacemit_functions) config.model.spacemit_functions = true;
  auto append = [](const std::vector<std::string>& from, std::vector<std::string>* to) {
    to->insert(to->end(), from.begin(), from.end());
  };
  ApplyMeasuring(arguments, &config.quantization);
  if (arguments.int8_io) config.quantization.int8_io = true;
  config.quantization.strict = config.quantization.strict || arguments.strict;
  append(arguments.ignore_op_types, &config.quantization.ignore_op_types);
  append(arguments.ignore_op_names, &config.quantization.ignore_op_names);
  append(arguments.skip_passes, &config.model.skip_passes);
  if (arguments.verify || arguments.no_verify) config.model.verify = arguments.verify;
  return config;
}

// "300M": a whole number and K, M or G, powers of 1000.
int64_t ReadSize(const std::string& text, const char* option) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string unit = text.substr(digits);
  const int64_t factor = unit.empty()                 ? 1
                         : unit == "K" || unit == "k" ? 1000
                         : unit == "M" || unit == "m" ? 1000 * 1000
                         : unit == "G" || unit == "g" ? 1000 * 1000 * 1000
                                                      : 0;
  if (digits == 0 || digits > 9 || factor == 0 || std::stoll(text.substr(0, digits)) == 0)
    throw xslim::UsageError("'" + text + "' is no size", option, "write e.g. 300M or 2G");
  return std::stoll(text.substr(0, digits)) * factor;
}

xslim::RunOptions MakeOptions(const Arguments& arguments) {
  xslim::RunOptions options;
  options.input_path = arguments.input_path;
  options.output_path = arguments.output_path;
  options.threads = arguments.threads;
  options.op_libraries = arguments.op_libraries;
  options.save_stats = arguments.save_stats;
  options.load_stats = arguments.load_stats;
  options.profile = arguments.profile;
  options.preview = arguments.preview;
  options.dry_run = arguments.dry_run;
  options.settings = arguments.settings;
  options.option_of_key = arguments.option_of_key;
  if (!arguments.max_memory.empty()) options.max_memory = ReadSize(arguments.max_memory, "--max-memory");
  return options;
}

// Opens the log and reads the config. Opening the log file empties it, so what it would overwrite is looked
// at first, in a silent reading: warnings are for the file, too. A pipe gives its text once, and they go to
// stderr alone.
xslim::Config OpenLog(const Arguments& arguments) {
  const xslim::LogLevel level = arguments.verbose ? xslim::LogLevel::kDebug
                                : arguments.quiet ? xslim::LogLevel::kWarning
                                                  : xslim::LogLevel::kInfo;
  std::error_code ignored;
  const bool pipe = std::filesystem::is_fifo(arguments.config_path, ignored);
  const std::string& file = arguments.log_file;
  std::optional<xslim::Config> config;
  if (!file.empty()) {
    xslim::SetupLogging(pipe ? level : xslim::LogLevel::kError, "");
    config = MakeConfig(arguments);
    xslim::SetupLogging(xslim::LogLevel::kError, "");
    xslim::CheckWrittenFiles(*config, MakeOptions(arguments), file);
  }
  xslim::SetupLogging(level, "");  // first without the file, so that its own failure can be said
  if (!file.empty()) xslim::SetupLogging(level, file);
  for (const std::string& text : arguments.warnings) xslim::LogLine(xslim::LogLevel::kWarning, text);
  return config && pipe ? *config : MakeConfig(arguments);
}

int Work(const Arguments& arguments, ProgressLine* progress) {
  const xslim::Config config = OpenLog(arguments);
  xslim::RunOptions options = MakeOptions(arguments);
  if (isatty(STDERR_FILENO) && !arguments.quiet) {
    options.progress = [progress](const std::string& stage, int64_t done, int64_t total) {
      progress->Update(stage, done, total);
    };
  }
  const xslim::RunResult result = xslim::Run(config, options);
  progress->Clear();
  if (!result.missed.empty()) {
    xslim::LogLine(xslim::LogLevel::kError,
                   "the model is written, but misses its gates: " + xslim::StrJoin(result.missed, "; "));
  }
  if (arguments.dry_run) {
    std::string text;
    for (const std::string& line : result.plan) text += xslim::Printable(line) + "\n";
    Print(text);
  } else if (!arguments.quiet) {
    Print(SummaryText(result));
  }
  return result.missed.empty() ? kDone : kGateMissed;
}

// The status that `work` returns; whatever it throws becomes one line of the log and a status.
template <typename Function>
int Guarded(ProgressLine* progress, const Function& work) {
  std::string message;
  int status = kFailed;
  try {
    return work();
  } catch (const xslim::UsageError& error) {
    message = error.what();
    status = kWrongUsage;
  } catch (const xslim::Error& error) {
    message = error.what();
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    message = std::string("unexpected failure: ") + error.what();
  }
  progress->Clear();
  xslim::LogLine(xslim::LogLevel::kError, message);
  return status;
}

// A program started with closed standard streams would get their numbers for its own files, and log into its
// output.
void KeepStandardStreamsOpen() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = open("/dev/null", O_RDWR);
  if (descriptor > STDERR_FILENO) close(descriptor);
}

}  // namespace

int main(int argc, char** argv) {
  KeepStandardStreamsOpen();
  xslim::RemoveTemporaryFilesOnSignals();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows past the limit is a write error like others
  Arguments arguments;
  try {
    arguments = xslim::ParseArguments(argc, argv);
  } catch (const xslim::UsageError& error) {
    return Usage(error.what());
  }
  ProgressLine progress;
  for (const auto& [wanted, text] : std::initializer_list<std::pair<bool, std::string (*)()>>{
           {arguments.help || argc == 1, xslim::HelpText},
           {arguments.version, VersionText},
           {arguments.help_config, xslim::DescribeConfig},
           {arguments.list_passes, xslim::DescribePasses}}) {
    if (!wanted) continue;
    xslim::SetupLogging(xslim::LogLevel::kInfo, "");
    const int status = Guarded(&progress, [text] {
      Print(text());
      return kDone;
    });
    return argc == 1 ? kWrongUsage : status;
  }
  if (arguments.verify && arguments.no_verify) return Usage("--verify and --no-verify exclude each other");
  if (arguments.config_path.empty() && (arguments.input_path.empty() || arguments.output_path.empty())) {
    return Usage("without -c both -i and -o are needed");
  }
  if (const std::string wrong = WrongMode(arguments); !wrong.empty()) return Usage(wrong);
  if (arguments.verbose && arguments.quiet) return Usage("-v and -q exclude each other");
  return Guarded(&progress, [&] { return Work(arguments, &progress); });
}
