#include "base/log.h"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

namespace xslim {
namespace {

std::shared_ptr<spdlog::logger>& Logger() {
  static std::shared_ptr<spdlog::logger> logger;
  return logger;
}

spdlog::level::level_enum ToSpd(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Opening a named pipe waits for who reads it, which may be forever. The pipe that this returns, open for
// writing, keeps its reader until the log has opened it, too; -1 for other files.
int RefuseToWait(const std::string& file) {
  std::error_code ignored;
  const char* reason = nullptr;
  int pipe = -1;
  if (std::filesystem::is_directory(file, ignored)) reason = "it is a folder";
  if (std::filesystem::is_fifo(file, ignored)) {
    pipe = open(file.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (pipe < 0) reason = errno == ENXIO ? "nobody reads this named pipe" : std::strerror(errno);
  }
  if (reason != nullptr) throw Error("cannot write the log file", file, reason);
  return pipe;
}

}  // namespace

std::string Version() { return XSLIM_VERSION; }

void SetupLogging(LogLevel stderr_level, const std::string& file) {
  std::vector<spdlog::sink_ptr> sinks;
  auto console = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  console->set_level(ToSpd(stderr_level));
  console->set_pattern("xslim: %^%l%$: %v");
  sinks.push_back(console);
  if (!file.empty()) {
    // spdlog would make the folder, and nothing else that is written does.
    const std::filesystem::path folder = std::filesystem::path(file).parent_path();
    std::error_code ignored;
    if (!folder.empty() && !std::filesystem::is_directory(folder, ignored))
      throw Error("cannot write the log file", file, "there is no folder " + folder.string());
    const int pipe = RefuseToWait(file);
    try {
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file, true);
      sink->set_pattern("%Y-%m-%d %H:%M:%S %l: %v");
      sinks.push_back(sink);
    } catch (const spdlog::spdlog_ex& error) {
      if (pipe >= 0) close(pipe);
      throw Error("cannot write the log file", file, error.what());
    }
    if (pipe >= 0) close(pipe);
  }
  auto logger = std::make_shared<spdlog::logger>("xslim", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::info);
  Logger() = logger;
}

void LogLine(LogLevel level, const std::string& text) {
  if (Logger()) Logger()->log(ToSpd(level), "{}", text);
}

}  // namespace xslim
