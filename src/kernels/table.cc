// Which table is used: cpuid or the kernel's hardware capabilities, and XSLIM_ISA.
#include <stdlib.h>
#include <string.h>

#include "kernels/tables.h"

#if defined(__riscv)
#include <sys/auxv.h>
#endif

// What XSLIM_ISA may be.
#define XSLIM_NAMES(between) "scalar" between "avx2" between "avx512" between "rvv"
#define XSLIM_COMMA ,

namespace xslim::kernels {

#if defined(XSLIM_KERNELS_RVV)
namespace {

// Version 1.0 of the vector extension, by the kernel's bit for it. Processors with the draft 0.7.1 set the
// bit, too: to those the type below is an unknown one, for which every version gives a length of 0. Not
// inlined: a test reads from the program which functions have vector instructions.
[[gnu::noinline]] bool HasVectors() {
  if ((getauxval(AT_HWCAP) & 1ul << ('v' - 'a')) == 0) return false;
  unsigned long bytes;
  asm volatile(".option push\n.option arch, +v\nvsetvli %0, zero, e8, m1, ta, ma\n.option pop"
               : "=r"(bytes)
               :
               : "vl", "vtype");
  return bytes >= 16;
}

}  // namespace
#endif

int Available(const Table* tables[kMostTables]) {
  int count = 0;
  tables[count++] = ScalarTable();
#if defined(XSLIM_KERNELS_X86)
  // The builtin asks the operating system too (XGETBV), so that the registers are saved.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("aes") &&
      __builtin_cpu_supports("pclmul")) {
    tables[count++] = Avx2Table();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      tables[count++] = Avx512Table();
    }
  }
#elif defined(XSLIM_KERNELS_RVV)
  if (HasVectors()) tables[count++] = RvvTable();
#endif
  return count;
}

const Table* Select(const char** error) {
  const Table* tables[kMostTables];
  const int count = Available(tables);
  const char* wanted = getenv("XSLIM_ISA");
  if (wanted == nullptr || *wanted == '\0') return tables[count - 1];
  for (int i = 0; i < count; ++i) {
    if (strcmp(tables[i]->name, wanted) == 0) return tables[i];
  }
  if (error != nullptr) {
    bool known = false;
    static const char* const names[] = {XSLIM_NAMES(XSLIM_COMMA)};
    for (const char* name : names) known = known || strcmp(name, wanted) == 0;
    *error = known ? "XSLIM_ISA names an instruction set that this processor or this build does not have"
                   : "XSLIM_ISA names an unknown instruction set (expected one of " XSLIM_NAMES(", ") ")";
  }
  return nullptr;
}

const Table& Active() {
  static const Table* const active = [] {
    const Table* selected = Select(nullptr);
    return selected != nullptr ? selected : ScalarTable();
  }();
  return *active;
}

}  // namespace xslim::kernels
