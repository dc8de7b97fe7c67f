// Ranges of Softmax outputs that ONNX Runtime can deploy. Where its CPU provider keeps int8, it makes
// DequantizeLinear, Softmax and QuantizeLinear one operator that does not saturate: a probability beyond the
// range comes out as a small one, and all come out as chance has it where the step is below e^-5 of what
// each of the axis' elements has on average: its 32-bit products pass their end (QlinearSoftmaxCPU<int8_t>,
// contrib_ops/cpu/quantization/qlinear_softmax.cc, version 1.24).
#ifndef XSLIM_CALIBRATE_SOFTMAX_RANGES_H_
#define XSLIM_CALIBRATE_SOFTMAX_RANGES_H_

#include <map>

#include "calibrate/calibrate.h"
#include "quant/facts.h"
#include "quant/plan.h"

namespace xslim {

// Of the pairs of Softmax outputs, also behind data movement, where the Softmax's input has a pair, too: the
// upper end of the range, half as much again as calibration saw, for what other data bring, and at most 1,
// unless that makes the step too small. The lower end is 0.
std::map<ValueId, float> SoftmaxEnds(const Graph& graph, const ValueFacts& facts, const QuantPlan& plan,
                                     const StatisticsMap& statistics);

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_SOFTMAX_RANGES_H_
