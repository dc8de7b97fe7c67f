// Ranges of Softmax outputs that ONNX Runtime can deploy. Its CPU provider makes DequantizeLinear, Softmax
// and QuantizeLinear one int8 operator that does not saturate: a probability beyond the range comes out as a
// small one (QlinearSoftmaxCPU<int8_t>, contrib_ops/cpu/quantization/qlinear_softmax.cc, version 1.24).
#ifndef XSLIM_CALIBRATE_SOFTMAX_RANGES_H_
#define XSLIM_CALIBRATE_SOFTMAX_RANGES_H_

#include <map>

#include "calibrate/calibrate.h"
#include "quant/plan.h"

namespace xslim {

// Of the Softmax outputs with a pair whose input has one, too, the upper end of the range: half as much again
// as calibration saw, for what other data bring, and at most 1. The lower end is 0.
std::map<ValueId, float> SoftmaxEnds(const Graph& graph, const QuantPlan& plan,
                                     const StatisticsMap& statistics);

}  // namespace xslim

#endif  // XSLIM_CALIBRATE_SOFTMAX_RANGES_H_
