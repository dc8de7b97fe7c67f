// The table of each instruction set; only call one that the processor has.
#ifndef XSLIM_KERNELS_TABLES_H_
#define XSLIM_KERNELS_TABLES_H_

#include "kernels/kernels.h"

namespace xslim::kernels {
const Table* ScalarTable();
const Table* Avx2Table();
const Table* Avx512Table();
const Table* RvvTable();
}  // namespace xslim::kernels

#endif  // XSLIM_KERNELS_TABLES_H_
