#include "base/trace.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json_text.h"
#include "base/log.h"

namespace xslim {
namespace {

constexpr size_t kMostEvents = 2000000;   // about 200 MB; later ones are counted, not kept
constexpr size_t kWriteAtOnce = 1 << 16;  // bytes

struct Event {
  std::string name, kind;
  const char* category;
  int64_t begin, length;  // nanoseconds
  int thread;
};

struct Record {
  std::mutex mutex;
  std::vector<Event> events;
  int64_t dropped = 0;
  TraceClock::time_point start;
};

std::atomic<bool> is_on{false};

Record& TheRecord() {
  static Record record;
  return record;
}

int ThreadNumber() {
  static std::atomic<int> next{0};
  thread_local const int number = next++;
  return number;
}

// Nanoseconds as microseconds; no floating point, so that no locale can change the point.
std::string Micros(int64_t nanos) {
  char text[40];
  std::snprintf(text, sizeof(text), "%lld.%03lld", static_cast<long long>(nanos / 1000),
                static_cast<long long>(nanos % 1000));
  return text;
}

void LogTable(const std::vector<Event>& events) {
  struct Sum {
    int64_t count = 0, length = 0;
  };
  std::map<std::string, Sum> stages, types;
  int64_t all = 0;
  for (const Event& event : events) {
    const bool stage = event.kind.empty();
    Sum& sum = stage ? stages[event.name] : types[event.kind];
    ++sum.count;
    sum.length += event.length;
    if (!stage) all += event.length;
  }
  const auto log = [&](const char* title, const std::map<std::string, Sum>& sums, bool shares) {
    std::vector<std::pair<std::string, Sum>> rows(sums.begin(), sums.end());
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return a.second.length > b.second.length; });
    size_t width = 24;
    for (const auto& [name, sum] : rows) width = std::max(width, std::min<size_t>(name.size(), 60));
    for (const auto& [name, sum] : rows) {
      char line[160];
      std::snprintf(line, sizeof(line), "%s %-*.60s %8lld times %10.3f ms", title, static_cast<int>(width),
                    name.c_str(), static_cast<long long>(sum.count), static_cast<double>(sum.length) * 1e-6);
      char share[32] = "";
      if (shares && all > 0) {
        std::snprintf(share, sizeof(share), " %5.1f %%",
                      100.0 * static_cast<double>(sum.length) / static_cast<double>(all));
      }
      LogInfo(line, share);
    }
  };
  log("stage", stages, false);
  log("operator", types, true);
}

}  // namespace

bool TraceIsOn() { return is_on.load(std::memory_order_relaxed); }

void TraceEvent(const std::string& name, const char* category, const std::string& kind,
                TraceClock::time_point begin) {
  if (!TraceIsOn()) return;
  const auto nanos = [](TraceClock::duration d) {
    return static_cast<int64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(d).count());
  };
  const TraceClock::time_point now = TraceClock::now();
  const int thread = ThreadNumber();
  Record& record = TheRecord();
  std::lock_guard<std::mutex> lock(record.mutex);
  if (record.events.size() >= kMostEvents) {
    ++record.dropped;
    return;
  }
  // What another run began before the record is in it from the record's start on.
  const TraceClock::time_point from = std::max(begin, record.start);
  record.events.push_back(
      {name, kind, category, nanos(from - record.start), nanos(std::max(now, from) - from), thread});
}

TraceSession::TraceSession(std::string path) : path_(std::move(path)) {
  if (path_.empty()) return;
  Record& record = TheRecord();
  std::lock_guard<std::mutex> lock(record.mutex);
  record.events.clear();
  record.dropped = 0;
  record.start = TraceClock::now();
  is_on = true;
}

TraceSession::~TraceSession() {
  if (path_.empty()) return;
  is_on = false;
  Record& record = TheRecord();
  std::lock_guard<std::mutex> lock(record.mutex);
  record.events = {};
}

void TraceSession::Save() const {
  if (path_.empty()) return;
  std::vector<Event> events;
  {
    Record& record = TheRecord();
    std::lock_guard<std::mutex> lock(record.mutex);
    events = record.events;
    if (record.dropped > 0)
      LogWarning("the profile is full: ", record.dropped, " events are left out of ", path_);
  }
  OutputFile file(path_);
  std::string text = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[";
  const char* separator = "\n";
  for (const Event& event : events) {
    text += separator;
    text += "{\"name\":" + JsonQuoted(event.name) + ",\"cat\":\"" + event.category +
            "\",\"ph\":\"X\",\"ts\":" + Micros(event.begin) + ",\"dur\":" + Micros(event.length) +
            ",\"pid\":1,\"tid\":" + std::to_string(event.thread) +
            (event.kind.empty() ? "" : ",\"args\":{\"type\":" + JsonQuoted(event.kind) + "}") + "}";
    separator = ",\n";
    if (text.size() < kWriteAtOnce) continue;
    file.Write(text);
    text.clear();
  }
  file.Write(text + "\n]}\n");
  file.Commit();
  LogTable(events);
  LogInfo("wrote ", path_);
}

}  // namespace xslim
