// How much memory the process holds, and a ceiling for it.
#ifndef XSLIM_BASE_MEMORY_H_
#define XSLIM_BASE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "xslim/error.h"

namespace xslim {

int64_t ResidentBytes();      // of this process now; 0 where the system does not tell
int64_t PeakResidentBytes();  // the most it ever held; 0 where the system does not tell

// Whether the system has that many bytes to give, its swap space and the limit of the process's control group
// (version 2) included; true for less than 256 MB, and where it does not tell. Linux lends what it does not
// have and kills the process once it is touched.
bool HasMemoryFor(size_t bytes);

// Gives the system back what the heap keeps of freed blocks between those that live on; nothing where the C
// library cannot. For the ends of stages.
void ReleaseFreedMemory();

// What a run holds, or needs for the next sample, is more than its ceiling.
class CeilingTooLow : public Error {
 public:
  using Error::Error;
};

// How many samples may be in flight so that the process stays under a ceiling. Results of a run never depend
// on it.
class MemoryCeiling {
 public:
  explicit MemoryCeiling(int64_t bytes = 0) : bytes_(bytes) {}  // 0: none

  // As many of `wanted` lanes as fit beside what is held now, when one takes `bytes_each`; all without a
  // ceiling. Throws CeilingTooLow naming `stage` and the ceiling that would do when not even one fits.
  int64_t Lanes(int64_t wanted, int64_t bytes_each, const std::string& stage) const;
  // Bytes under the ceiling that nothing holds now; as good as endless without a ceiling.
  int64_t Room() const;
  // Throws CeilingTooLow when the process has held more than the ceiling.
  void Check(const std::string& stage) const;

 private:
  int64_t bytes_;
};

}  // namespace xslim

#endif  // XSLIM_BASE_MEMORY_H_
