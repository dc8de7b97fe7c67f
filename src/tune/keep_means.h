// Biases that make up for what rounding adds to an operator's output on average.
#ifndef XSLIM_TUNE_KEEP_MEANS_H_
#define XSLIM_TUNE_KEEP_MEANS_H_

#include <vector>

#include "data/samples.h"
#include "quant/channel_means.h"
#include "quant/plan.h"
#include "runtime/sample_lanes.h"

namespace xslim {

// What rounding to the plan's ranges adds to each channel of the inputs of computing operators, on average
// over the samples: one float forward of each.
ChannelMeans RoundingMeans(const Graph& graph, const QuantPlan& plan, const std::vector<Sample>& samples,
                           const SampleLanes& lanes);

// With codes q and scale s in the place of a weight w, an operator's output r moves on average by
//   sum over d of (s * q[r, d] - w[r, d]) * mean + s * q[r, d] * rounding
// (padding aside), of the input channel that d reads, and its bias takes that back. It needs no forward of
// the quantized graph. After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
// Correction" (2019), with measured means. Returns the number of biases moved; operators without means, or
// without a bias of their own, keep theirs (a MatMul's is the vector of the Add behind it, whose codes in the
// plan change with it); what `rounding` does not hold counts as 0.
int KeepMeans(Graph* graph, QuantPlan* plan, const ChannelMeans& means, const ChannelMeans& rounding);

}  // namespace xslim

#endif  // XSLIM_TUNE_KEEP_MEANS_H_
