// The families of com.microsoft: operators that ONNX Runtime's optimizers and quantizer leave in files. One
// per file; registry.cc lists them. Those that only give an ai.onnx operator another name or domain are rows
// of its family.
#ifndef XSLIM_OPS_CONTRIB_H_
#define XSLIM_OPS_CONTRIB_H_

#include <map>
#include <string>
#include <vector>

#include "ops/operator.h"

namespace xslim {

std::vector<OperatorRow>
ContribAttentionOperators();  // contrib_attention.cc: Attention MultiHeadAttention ...
std::vector<OperatorRow> ContribQuantizedOperators();  // contrib_quantized.cc: QLinear* QGemm ...
std::vector<OperatorRow> ContribWeightOperators();     // contrib_weights.cc: MatMulNBits ...

// An input, or an undefined tensor where it is left out.
Tensor Maybe(const EvalContext& context, size_t slot);

// Evaluates an operator of the program on tensors at hand; an undefined one is an input left out.
std::vector<Tensor> RunOperator(const EvalContext& context, const std::string& op_type, int opset,
                                const std::vector<Tensor>& inputs,
                                std::map<std::string, Attribute> attributes = {}, size_t outputs = 1,
                                const char* domain = "");

// Outputs of RunOperator become those of the node, as far as they are wanted.
void SetOutputs(EvalContext& context, std::vector<Tensor> outputs);

// The float32 product of codes a and b [K, N] with exact sums: times the scale of a and that of b (one, or
// one per column), plus a bias per column. Zero points and bias may be undefined.
struct Codes {
  Tensor codes, scale, zero;
};
Tensor ProductOfCodes(const EvalContext& context, const Codes& a, const Codes& b, const Tensor& bias);

// In place: Relu, Tanh, Sigmoid, LeakyRelu (alpha), Clip (min, max), HardSigmoid (alpha, beta), HardSwish; ""
// does nothing. `parameters` in that order, missing ones have the operator's defaults. Throws Error for
// others.
void ApplyActivation(ThreadPool& pool, const std::string& name, const std::vector<float>& parameters,
                     float* data, int64_t count);

}  // namespace xslim

#endif  // XSLIM_OPS_CONTRIB_H_
