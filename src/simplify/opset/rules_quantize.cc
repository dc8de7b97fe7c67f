// QuantizeLinear and DequantizeLinear: per tensor in 10, per axis since 13, in blocks and with chosen types
// since 21.
#include <cstring>

#include "simplify/opset/rules.h"

namespace xslim::opset {
namespace {

// One scale for the whole tensor, as a scalar; 10 has no other.
Obstacle PerTensor(Site& site) {
  const auto rank = site.rank(1);
  if (rank && *rank == 0) {
    site.Erase("axis");
    return std::nullopt;
  }
  const auto scale = site.constant(1), zero = site.constant(2);
  if (!scale || scale->size() != 1 || (site.has(2) && (!zero || zero->size() != 1)))
    return Refuse("it is quantized per axis");
  site.SetInput(1, site.Constant("scale", scale->Reshaped({})));
  if (zero) site.SetInput(2, site.Constant("zero_point", zero->Reshaped({})));
  site.Erase("axis");
  return std::nullopt;
}

// Before 21 the zero point alone told the output's type.
Obstacle QuantizeTo20(Site& site) {
  const auto wanted = static_cast<DType>(site.node().Int("output_dtype", 0));
  site.Erase("output_dtype");
  if (site.has(2) || wanted == DType::kUndefined || wanted == DType::kUint8) return std::nullopt;
  const auto shape = site.shape(1);
  if (!shape) return Refuse("the shape of its scale is not known");
  for (int64_t dim : *shape) {
    if (dim < 0) return Refuse("the shape of its scale is not known");
  }
  Tensor zero(wanted, *shape);
  std::memset(zero.raw(), 0, zero.bytes());
  site.SetInput(2, site.Constant("zero_point", zero));
  return std::nullopt;
}

// Since 23 the output's type may be another than the scale's.
Obstacle DequantizeTo22(Site& site) {
  const auto wanted = static_cast<DType>(site.node().Int("output_dtype", 0));
  if (wanted != DType::kUndefined && wanted != site.type(1)) return Refuse("output_dtype");
  site.Erase("output_dtype");
  return std::nullopt;
}

}  // namespace

std::vector<Rule> QuantizeRules() {
  return {
      {13, "QuantizeLinear", nullptr, PerTensor},
      {13, "DequantizeLinear", nullptr, PerTensor},
      {21, "QuantizeLinear", nullptr, QuantizeTo20},
      {23, "DequantizeLinear", nullptr, DequantizeTo22},
  };
}

}  // namespace xslim::opset
