#include "base/memory.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

namespace xslim {
namespace {

constexpr int64_t kMega = 1000 * 1000;
constexpr int64_t kReserve = 50;  // the peaks of equal runs differ by about 1 %

// The number behind `name` in lines of "name number"; -1 where there is none.
int64_t NumberOf(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string word, line;
  while (file >> word) {
    int64_t number = -1;
    if (word == name && file >> number) return number;
    std::getline(file, line);
  }
  return -1;
}

int64_t FirstNumber(const std::string& path) {
  std::ifstream file(path);
  int64_t number = -1;
  return file >> number ? number : -1;
}

// "/a/b": the process's group in the one hierarchy of version 2; "" where there is none.
std::string ControlGroup() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("0::/", 0) == 0) return line.substr(3);
  }
  return "";
}

[[noreturn]] void Refuse(const std::string& stage, int64_t ceiling, int64_t needed) {
  const auto mega = [](int64_t bytes) { return std::to_string((bytes + kMega - 1) / kMega) + "M"; };
  throw CeilingTooLow("the memory ceiling of " + mega(ceiling) + " is too low: " + stage + " needs about " +
                          mega(needed) + " with one sample at a time",
                      "--max-memory", "give at least " + mega(needed + needed / kReserve));
}

}  // namespace

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  if (!(file >> all >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
}

bool HasMemoryFor(size_t bytes) {
  constexpr size_t kAlways = size_t{256} << 20;
  if (bytes < kAlways) return true;
  const int64_t free = NumberOf("/proc/meminfo", "MemAvailable:");
  const int64_t swap = std::max<int64_t>(NumberOf("/proc/meminfo", "SwapFree:"), 0);
  if (free >= 0 && bytes > static_cast<size_t>(free + swap) * 1024) return false;
  // The process's group and those around it; "max" in the file where one has no limit.
  std::filesystem::path group = ControlGroup();
  for (; !group.empty(); group = group.has_relative_path() ? group.parent_path() : std::filesystem::path()) {
    const std::string folder = "/sys/fs/cgroup" + group.string() + "/";
    const int64_t limit = FirstNumber(folder + "memory.max"), held = FirstNumber(folder + "memory.current");
    if (limit < 0 || held < 0) continue;
    const int64_t cached = std::max<int64_t>(NumberOf(folder + "memory.stat", "inactive_file"), 0);
    if (bytes > static_cast<size_t>(std::max<int64_t>(limit - held + cached, 0))) return false;
  }
  return true;
}

void ReleaseFreedMemory() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

int64_t PeakResidentBytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t MemoryCeiling::Lanes(int64_t wanted, int64_t bytes_each, const std::string& stage) const {
  if (bytes_ == 0) return wanted;
  const int64_t held = ResidentBytes(), each = std::max<int64_t>(bytes_each, 1);
  if (held + each > bytes_) Refuse(stage, bytes_, held + each);
  return std::min(wanted, (bytes_ - held) / each);
}

int64_t MemoryCeiling::Room() const {
  if (bytes_ == 0) return std::numeric_limits<int64_t>::max();
  return std::max<int64_t>(bytes_ - ResidentBytes(), 0);
}

void MemoryCeiling::Check(const std::string& stage) const {
  const int64_t peak = PeakResidentBytes();
  if (bytes_ > 0 && peak > bytes_) Refuse(stage, bytes_, peak);
}

}  // namespace xslim
