// Files under temporary names, which a signal that ends the process must not leave behind
// (RemoveTemporaryFilesOnSignals in xslim/xslim.h).
#ifndef XSLIM_BASE_TEMPORARY_FILES_H_
#define XSLIM_BASE_TEMPORARY_FILES_H_

#include <atomic>
#include <string>

namespace xslim {

// A file, or a folder that is empty by then, that is removed should a signal end the process while the object
// lives. Where memory is short, it is not.
class TemporaryName {
 public:
  explicit TemporaryName(const std::string& path) noexcept;
  ~TemporaryName();
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;

  // Removes the files and folders of all that live; async-signal-safe. For a process that is about to end.
  static void RemoveAll();

 private:
  // In a list that only grows, so that a signal may walk it at any time; slots are used again.
  struct Slot {
    std::atomic<char*> path;  // whoever takes it out owns it
    Slot* next;
  };
  static std::atomic<Slot*> first_;
  Slot* slot_ = nullptr;
};

// While one lives, such signals wait: files change their names in steps that belong together.
class SignalsWait {
 public:
  SignalsWait();
  ~SignalsWait();
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;
};

}  // namespace xslim

#endif  // XSLIM_BASE_TEMPORARY_FILES_H_
