// Where operators hold constant float weights, and which of them are worth integers.
#ifndef XSLIM_QUANT_WEIGHT_SITES_H_
#define XSLIM_QUANT_WEIGHT_SITES_H_

#include <string>
#include <vector>

#include "quant/bodies.h"
#include "quant/ignore_list.h"
#include "quant/left_list.h"

namespace xslim {

enum class WeightForm {
  kProduct,  // right side of a MatMul or Gemm, weight of com.microsoft Attention: may be a product on
             // integers
  kTable,    // table of a Gather
  kFixed,    // behind a DequantizeLinear only
};

struct WeightSite {
  NodeId node;
  size_t slot;
  int axis;  // that has one scale per index: output channels, rows of a table
  WeightForm form;
};

// Sites of one graph whose weight is to become integers, in the order of its nodes. Those with a constant
// float weight that do not qualify go to `left` with the reason: ignored, not float32, under 32 elements,
// fewer than 4 elements per scale, NaN or infinity, whole numbers, shared with a reader that stays float.
std::vector<WeightSite> FindWeightSites(const Scope& scope, IgnoreList* ignored, LeftList* left);

}  // namespace xslim

#endif  // XSLIM_QUANT_WEIGHT_SITES_H_
