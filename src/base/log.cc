#include "base/log.h"

#include <fcntl.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json_text.h"

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

// The log in a file. Once a line cannot be written (a full disk), that is said on the console, and the file
// gets no more.
class FileSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Throws Error naming the file. A named pipe that nobody reads is not waited for, and no folder is made.
  FileSink(const std::string& file, spdlog::sink_ptr console) : file_(file), console_(std::move(console)) {
    descriptor_ = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    if (descriptor_ >= 0) {
      fcntl(descriptor_, F_SETFL, fcntl(descriptor_, F_GETFL) & ~O_NONBLOCK);
      return;
    }
    const int reason = errno;
    throw Error("cannot write the log file", file,
                reason == ENXIO ? "nobody reads this named pipe" : WhyNotCreated(file, reason));
  }
  ~FileSink() override {
    if (close(descriptor_) != 0 && !failed_) Fail();
  }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (failed_) return;
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    for (size_t done = 0; done < line.size();) {
      const ssize_t put = write(descriptor_, line.data() + done, line.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return Fail();
      done += static_cast<size_t>(put);
    }
  }
  void flush_() override {}

 private:
  void Fail() {
    const std::string reason = std::strerror(errno);
    failed_ = true;
    const std::string text =
        Printable(file_) + ": cannot write the log file, which ends here (" + reason + ")";
    console_->log(spdlog::details::log_msg("xslim", spdlog::level::warn, text));
  }

  const std::string file_;
  const spdlog::sink_ptr console_;
  int descriptor_ = -1;
  bool failed_ = false;
};

}  // namespace

std::string Version() { return XSLIM_VERSION; }

void SetupLogging(LogLevel stderr_level, const std::string& file) {
  std::vector<spdlog::sink_ptr> sinks;
  auto console = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  console->set_level(ToSpd(stderr_level));
  console->set_pattern("xslim: %^%l%$: %v");
  sinks.push_back(console);
  if (!file.empty()) {
    auto sink = std::make_shared<FileSink>(file, console);
    sink->set_pattern("%Y-%m-%d %H:%M:%S %l: %v");
    sinks.push_back(sink);
  }
  auto logger = std::make_shared<spdlog::logger>("xslim", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::info);
  Logger() = logger;
}

void LogLine(LogLevel level, const std::string& text) {
  if (Logger()) Logger()->log(ToSpd(level), "{}", Printable(text));
}

std::string Printable(const std::string& text) {
  std::string printable;
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text, at), bytes = std::max<size_t>(length, 1);
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const char c = text[at];
    if (c == '\n' || c == '\t' || c == '\r') {
      printable += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\r";
    } else if (length == 0 || byte(0) < ' ' || byte(0) == 0x7f || (byte(0) == 0xC2 && byte(1) < 0xA0)) {
      for (size_t i = 0; i < bytes; ++i) {
        char escape[8];
        std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<unsigned>(byte(i)));
        printable += escape;
      }
    } else {
      printable.append(text, at, bytes);
    }
    at += bytes;
  }
  return printable;
}

}  // namespace xslim
