// Biases that make up for what the rounding of weights adds to an operator's output on average.
#ifndef XSLIM_TUNE_KEEP_MEANS_H_
#define XSLIM_TUNE_KEEP_MEANS_H_

#include "quant/channel_means.h"
#include "quant/plan.h"

namespace xslim {

// With codes q and scale s in the place of a weight w, an operator's output r moves on average by
//   sum over d of (s * q[r, d] - w[r, d]) * mean of the input channel that d reads
// (padding aside), and its bias takes that back. It needs no forward of the quantized graph. After Nagel et
// al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019), with measured means.
// Returns the number of biases moved; operators without means, or without a bias of their own, keep theirs.
int KeepMeans(Graph* graph, const QuantPlan& plan, const ChannelMeans& means);

}  // namespace xslim

#endif  // XSLIM_TUNE_KEEP_MEANS_H_
