// Kernels written for the RISC-V vector extension 1.0. Each function replaces the entries of a table that the
// shared bodies filled; what an entry means is said in kernels.h, and its bits are those of the scalar table.
// Any vector length from 128 bits on: none of them assumes one, `vl` of the instructions is the only bound.
#ifndef XSLIM_KERNELS_RVV_RVV_H_
#define XSLIM_KERNELS_RVV_RVV_H_

#include "kernels/kernels.h"

namespace xslim::kernels::rvv {

void FillGemm(Table* table);         // mr, nr, gemm, pack_a, pack_b
void FillDepthwise(Table* table);    // depthwise; keeps the entry for shapes it has no kernel for
void FillElementwise(Table* table);  // unary, binary, ..., scale_shift
void FillReductions(Table* table);   // sum, ..., layer_norm, min_max
void FillQuantize(Table* table);     // quantize_*, dequantize_*, fake_quantize

}  // namespace xslim::kernels::rvv

#endif  // XSLIM_KERNELS_RVV_RVV_H_
