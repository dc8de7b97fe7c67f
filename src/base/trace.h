// A record of what a run spends its time on, for --profile. One record for the process, like the log: while
// it is on, runs that go on side by side are recorded together.
#ifndef XSLIM_BASE_TRACE_H_
#define XSLIM_BASE_TRACE_H_

#include <chrono>
#include <string>

namespace xslim {

using TraceClock = std::chrono::steady_clock;

bool TraceIsOn();
// From `begin` until now, on the calling thread. category: "stage", or "operator" (kind: its type, else "").
void TraceEvent(const std::string& name, const char* category, const std::string& kind,
                TraceClock::time_point begin);

// Records a scope as stages that follow each other.
class TraceStage {
 public:
  explicit TraceStage(const char* name) : name_(name), begin_(TraceClock::now()) {}
  ~TraceStage() { TraceEvent(name_, "stage", "", begin_); }
  TraceStage(const TraceStage&) = delete;
  TraceStage& operator=(const TraceStage&) = delete;
  void Next(const char* name) {
    TraceEvent(name_, "stage", "", begin_);
    name_ = name;
    begin_ = TraceClock::now();
  }

 private:
  const char* name_;
  TraceClock::time_point begin_;
};

// Starts the record; Save() writes it as Chrome's trace JSON (chrome://tracing, ui.perfetto.dev; times in
// microseconds) and logs a table by stage and by operator type. The record ends with the object. An empty
// path: no record.
class TraceSession {
 public:
  explicit TraceSession(std::string path);
  ~TraceSession();
  TraceSession(const TraceSession&) = delete;
  TraceSession& operator=(const TraceSession&) = delete;
  void Save() const;  // throws Error naming the file

 private:
  const std::string path_;
};

}  // namespace xslim

#endif  // XSLIM_BASE_TRACE_H_
