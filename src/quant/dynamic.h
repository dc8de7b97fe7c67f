// Quantization without data: matrix products with constant weights as DynamicQuantizeLinear + MatMulInteger,
// the other constant weights as integers behind a DequantizeLinear.
#ifndef XSLIM_QUANT_DYNAMIC_H_
#define XSLIM_QUANT_DYNAMIC_H_

#include <cstdint>

#include "base/threads.h"
#include "graph/graph.h"
#include "quant/ignore_list.h"
#include "quant/left_list.h"

namespace xslim {

struct DynamicOptions {
  int weight_bits = 8;              // 8, or 4: MatMul and Gemm keep float activations and get blocked weights
  bool full_range = false;          // see EncodeColumns()
  int64_t weight_block = 32;        // elements of the inner dimension that share a 4-bit scale
  bool weight_zero_points = false;  // 4 bits: uint4 with zero points instead of int4
  bool contrib = false;  // may use com.microsoft DynamicQuantizeMatMul, DynamicQuantizeLSTM, QAttention
};

// The opset that the rewriting of this graph needs: 21 for blocked weights, 13 for weights behind a
// DequantizeLinear, else 11; 0 when nothing can be rewritten.
int OpsetForDynamic(Graph* graph, const DynamicOptions& options, IgnoreList* ignored);

struct DynamicOutcome {
  int dynamic = 0;      // products on integers
  int weight_only = 0;  // weights behind a DequantizeLinear (embedding tables included)
  LeftList left;        // operators with constant float weights that stay float
};

// Rewrites the graph and its bodies; its opset must be at least OpsetForDynamic(). Per column: y[m,n] =
// (sum_k (qa[m,k] - za) qb[k,n]) * sa * sb[n], with qa, sa, za of DynamicQuantizeLinear(a) and sb from the
// column's largest magnitude. An activation read by several products is quantized once.
DynamicOutcome QuantizeDynamically(Graph* graph, const DynamicOptions& options, IgnoreList* ignored,
                                   ThreadPool& pool);

}  // namespace xslim

#endif  // XSLIM_QUANT_DYNAMIC_H_
