// Folding y = x * scale + shift (per output channel) into the weights of the computing operator that gives x.
#ifndef XSLIM_SIMPLIFY_AFFINE_H_
#define XSLIM_SIMPLIFY_AFFINE_H_

#include <vector>

#include "graph/graph.h"

namespace xslim {

// Output channels of a Conv, ConvTranspose or Gemm with constant weights that nobody else reads or that may
// be copied; 0 when nothing can be folded into the node.
int64_t FoldableChannels(const Graph& graph, const Node& node);

// The weights' columns (rows, filters: whatever makes an output channel) times `scale`; also of a MatMul with
// constant weights of rank 2.
void ScaleWeights(Graph* graph, NodeId id, const std::vector<float>& scale);

// weights *= scale, bias = bias * scale + shift; both of FoldableChannels() numbers.
void FoldIntoWeights(Graph* graph, NodeId id, const std::vector<float>& scale,
                     const std::vector<float>& shift);

// Lets the producer of `before` write `after` (output 0 of `removed`) and removes that node.
void Bypass(Graph* graph, NodeId removed, ValueId before, ValueId after);

}  // namespace xslim

#endif  // XSLIM_SIMPLIFY_AFFINE_H_
