// Transposes that stay float32 beside 16-bit operators because of ONNX Runtime.
#ifndef XSLIM_PIPELINE_HALF_TRANSPOSES_H_
#define XSLIM_PIPELINE_HALF_TRANSPOSES_H_

#include <map>
#include <string>

#include "quant/bodies.h"

namespace xslim {

// Its CPU provider has no float16 MatMul and puts a Cast in front of it. The optimizer
// (MatmulTransposeFusion) then looks through that Cast for a Transpose that makes the first axis the last of
// the batch, moves the Cast before it, and gives up where the sides of the MatMul differ in rank or one rank
// is not known to it, with the graph half changed: NchwcTransformer crashes on it. Behind a float32 Transpose
// there is no such Cast.
std::map<NodeId, std::string> TransposesToKeep(const Scope& scope);

}  // namespace xslim

#endif  // XSLIM_PIPELINE_HALF_TRANSPOSES_H_
