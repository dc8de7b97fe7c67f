// Operators of models that are quantized already.
#ifndef XSLIM_QUANT_INTEGER_OPERATORS_H_
#define XSLIM_QUANT_INTEGER_OPERATORS_H_

#include "graph/graph.h"

namespace xslim {

// QuantizeLinear or DequantizeLinear. ONNX Runtime's quantizer writes those of com.microsoft where ai.onnx
// has no such type yet (16 and 4 bits).
bool IsPairHalf(const Node& node);

// Makes integer codes of floats, floats of codes, or computes on codes; of ai.onnx or com.microsoft.
bool IsOnCodes(const Node& node);

}  // namespace xslim

#endif  // XSLIM_QUANT_INTEGER_OPERATORS_H_
