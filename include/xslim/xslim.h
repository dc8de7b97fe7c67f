// The public API: one call that does what the command line does.
#ifndef XSLIM_XSLIM_H_
#define XSLIM_XSLIM_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "xslim/config.h"
#include "xslim/error.h"

namespace xslim {

std::string Version();

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Progress of a stage that walks over samples; done == total ends it.
using ProgressFn = std::function<void(const std::string& stage, int64_t done, int64_t total)>;

struct RunOptions {
  std::string input_path, output_path;  // -i, -o; "" = from the config
  int threads = 0;                      // 0 = all cores
  ProgressFn progress;                  // may be empty
  // Shared libraries with further operators (include/xslim/custom_op.h). They stay loaded until the process
  // ends, and so serve later runs, too.
  std::vector<std::string> op_libraries;
  // Calibration statistics are written to save_stats, or read from load_stats instead of running the float
  // model; "" = neither.
  std::string save_stats, load_stats;
  std::string profile;  // where the time of the run goes, as Chrome trace JSON; "" = not recorded
  // Bytes that the process may hold; 0 = no ceiling. The result does not depend on it.
  int64_t max_memory = 0;
  // A PNG file of what the model is fed first, where that looks like pictures; "" = none.
  std::string preview;
  // Levels 0 to 2: RunResult::plan is all that comes out, and no files but preview, profile and the log.
  bool dry_run = false;
  // The options that were given, by the key of the config that each sets: what warns of a key names the option
  // instead.
  std::map<std::string, std::string> option_of_key{};
  // What changes the config's settings, as the verdict is to name it: "--opset 17".
  std::vector<std::string> settings{};
};

// f: the float model's output, q: the written model's, both flattened.
struct OutputQuality {
  std::string name;
  double snr;        // sum (q - f)^2 / (sum f^2 + 1e-7), mean over samples; lower is better
  double cosine;     // sum fq / sqrt(sum f^2 sum q^2), mean over samples
  int64_t samples;   // that were compared; 0: snr and cosine say nothing
  std::string note;  // why samples were not compared, or what else was measured; mostly ""
};

// One line of the comparison of the model as read with the model as written, e.g. an operator's count.
struct SummaryRow {
  std::string what, before, after;
};

struct RunResult {
  std::string model_path, report_path;  // report_path "" when none was asked for
  std::vector<OutputQuality> outputs;   // empty when no analysis was made
  std::vector<SummaryRow> summary{};
  std::vector<std::string> left{};         // what stays float, with the reason
  std::string verdict_path{};              // what was measured as JSON; "" when nothing was
  std::vector<std::string> sensitivity{};  // a table and a curve, line by line, where they were asked for
  // Gates of the config that the model misses; the files are written anyway.
  std::vector<std::string> missed{};
  std::vector<std::string> plan{};      // of a dry run: what is int8, and why not, line by line
  std::vector<std::string> baseline{};  // what differs from the config's baseline, line by line
};

// Reads a JSON config. Throws Error with the path of the bad field. Warnings go to the log.
Config ReadConfig(const std::string& path);

// Every key of a config with its type and meaning, as text for a terminal.
std::string DescribeConfig();

// The passes of the simplifier, one line each: name, when it runs, what it does.
std::string DescribePasses();

// The keys that are set of those that need the result measured: the gates and what searches by figures. Runs
// without calibration refuse them.
std::vector<std::string> MeasuringKeys(const QuantizationParameters& settings);

// Quantizes as the config says and writes model and report, whole or not at all. Throws Error, and what the
// standard library throws where memory ends (std::bad_alloc). Runs may go on side by side in one process,
// each with files of its own; the log, the record of `profile` and the operators of libraries are the
// process's, and SetupLogging() must not be called meanwhile.
RunResult Run(Config config, const RunOptions& options);

// For programs: from now on SIGINT, SIGTERM, SIGHUP and SIGPIPE, where they would end the process, first
// remove the temporary files of its runs, and wait while output files take their places. A signal that the
// program handles or ignores already is left alone.
void RemoveTemporaryFilesOnSignals();

// Throws Error when an output cannot be written where it belongs, or save_stats, profile, preview or log_file
// ("" = none) would take the place of a file that the run reads or writes. Run() looks at all but the log
// file itself; that is to be checked before SetupLogging(), which empties it.
void CheckWrittenFiles(const Config& config, const RunOptions& options, const std::string& log_file);

// Where log lines go; the default is nowhere. `file` also receives every line when not "", until one cannot
// be written, which is said on stderr. Throws Error when it cannot be opened.
void SetupLogging(LogLevel stderr_level, const std::string& file);
// Writes one line through the log, e.g. the error that main is about to exit with; as Printable() has it.
void LogLine(LogLevel level, const std::string& text);
// The text as one line that does no harm to a terminal, whatever names a model has: control characters and
// bytes that are no UTF-8 as \n, \t, \r or \x1b.
std::string Printable(const std::string& text);

}  // namespace xslim

#endif  // XSLIM_XSLIM_H_
