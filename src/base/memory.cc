#include "base/memory.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "xslim/error.h"

namespace xslim {
namespace {

constexpr int64_t kMega = 1000 * 1000;

[[noreturn]] void Refuse(const std::string& stage, int64_t ceiling, int64_t needed) {
  const auto mega = [](int64_t bytes) { return std::to_string((bytes + kMega - 1) / kMega) + "M"; };
  throw Error("the memory ceiling of " + mega(ceiling) + " is too low: " + stage + " needs about " +
                  mega(needed) + " with one sample at a time",
              "--max-memory", "give at least " + mega(needed + needed / 10));
}

}  // namespace

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  if (!(file >> all >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE);
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

void MemoryCeiling::Check(const std::string& stage) const {
  const int64_t peak = PeakResidentBytes();
  if (bytes_ > 0 && peak > bytes_) Refuse(stage, bytes_, peak);
}

}  // namespace xslim
