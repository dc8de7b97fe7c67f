// Ranges of averages that ONNX Runtime can compute in int8. Its CPU provider makes DequantizeLinear, a
// pooling over the whole image and QuantizeLinear one operator, which throws where
//   scale of the input / (scale of the output * elements of an image)
// is 256 or more: where averages are next to nothing beside what they are taken of, or all zero
// (MlasQLinearGlobalAveragePool, version 1.24).
#ifndef XSLIM_CALIBRATE_POOL_RANGES_H_
#define XSLIM_CALIBRATE_POOL_RANGES_H_

#include <map>

#include "quant/facts.h"
#include "quant/plan.h"

namespace xslim {

// Of the pairs of GlobalAveragePool and AveragePool outputs, also behind data movement, whose range asks for
// a scale that is too small beside the input's pair: the same range, widened (0 stays where it is). Its steps
// are still smaller than those of the input's codes in the average, so nothing is lost. All pairs have
// ranges.
std::map<ValueId, ChosenRange> PoolRanges(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan);

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_POOL_RANGES_H_
