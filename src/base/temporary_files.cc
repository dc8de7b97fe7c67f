#include "base/temporary_files.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <new>

#include "xslim/xslim.h"

namespace xslim {
namespace {

std::atomic<int> waits = 0;    // SignalsWait objects
std::atomic<int> waiting = 0;  // the signal that came meanwhile
static_assert(std::atomic<char*>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void EndBy(int number) {
  TemporaryName::RemoveAll();
  signal(number, SIG_DFL);
  raise(number);
}

// Says first that a signal came, then looks whether it has to wait; SignalsWait does it the other way round,
// so one of the two always sees the other.
void OnSignal(int number) {
  waiting = number;
  if (waits == 0) EndBy(number);
}

}  // namespace

std::atomic<TemporaryName::Slot*> TemporaryName::first_ = nullptr;

TemporaryName::TemporaryName(const std::string& path) noexcept {
  char* const copy = strdup(path.c_str());
  if (copy == nullptr) return;
  for (Slot* slot = first_; slot != nullptr; slot = slot->next) {
    char* none = nullptr;
    if (!slot->path.compare_exchange_strong(none, copy)) continue;
    slot_ = slot;
    return;
  }
  slot_ = new (std::nothrow) Slot{copy, first_};
  if (slot_ == nullptr) {
    std::free(copy);
    return;
  }
  while (!first_.compare_exchange_weak(slot_->next, slot_)) {
  }
}

TemporaryName::~TemporaryName() {
  if (slot_ != nullptr) std::free(slot_->path.exchange(nullptr));
}

void TemporaryName::RemoveAll() {
  for (Slot* slot = first_; slot != nullptr; slot = slot->next) {
    char* const path = slot->path.exchange(nullptr);
    if (path != nullptr && unlink(path) != 0 && errno == EISDIR) slot->path = path;
  }
  for (bool removed = true; removed;) {  // folders hold folders
    removed = false;
    for (Slot* slot = first_; slot != nullptr; slot = slot->next) {
      char* const path = slot->path.exchange(nullptr);
      if (path == nullptr) continue;
      if (rmdir(path) == 0)
        removed = true;
      else
        slot->path = path;
    }
  }
}

SignalsWait::SignalsWait() { ++waits; }

SignalsWait::~SignalsWait() {
  if (--waits > 0) return;
  if (const int number = waiting) EndBy(number);
}

void RemoveTemporaryFilesOnSignals() {
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = OnSignal;
    action.sa_flags = SA_RESTART | SA_NODEFER;  // raised within, it ends the process at once
    sigaction(number, &action, nullptr);
  }
}

}  // namespace xslim
