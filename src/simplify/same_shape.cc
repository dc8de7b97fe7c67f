#include "simplify/same_shape.h"

namespace xslim {

const std::set<std::string>& SameTypeAndShape() {
  static const std::set<std::string> types = {"Abs",
                                              "Acos",
                                              "Acosh",
                                              "Asin",
                                              "Asinh",
                                              "Atan",
                                              "Atanh",
                                              "Ceil",
                                              "Celu",
                                              "Clip",
                                              "Cos",
                                              "Cosh",
                                              "CumSum",
                                              "Elu",
                                              "Erf",
                                              "Exp",
                                              "Floor",
                                              "Gelu",
                                              "HardSigmoid",
                                              "HardSwish",
                                              "Hardmax",
                                              "LRN",
                                              "LeakyRelu",
                                              "Log",
                                              "LogSoftmax",
                                              "LpNormalization",
                                              "Mish",
                                              "Neg",
                                              "PRelu",
                                              "Reciprocal",
                                              "Relu",
                                              "Round",
                                              "ScatterElements",
                                              "ScatterND",
                                              "Selu",
                                              "Shrink",
                                              "Sigmoid",
                                              "Sign",
                                              "Sin",
                                              "Sinh",
                                              "Softmax",
                                              "Softplus",
                                              "Softsign",
                                              "Sqrt",
                                              "Swish",
                                              "Tan",
                                              "Tanh",
                                              "ThresholdedRelu",
                                              "Trilu"};
  return types;
}

bool IsUnary(const Node& node) {
  static const std::set<std::string> types = {
      "Abs",         "Ceil", "Celu", "Clip",      "Elu",      "Erf",       "Exp",  "Floor",      "Gelu",
      "HardSigmoid", "Cast", "Log",  "HardSwish", "Neg",      "LeakyRelu", "Mish", "Reciprocal", "Relu",
      "Round",       "Selu", "Sign", "Sigmoid",   "Softplus", "Softsign",  "Sqrt", "Swish",      "Tanh"};
  return node.domain.empty() && types.count(node.op_type) != 0;
}

}  // namespace xslim
