#include "quant/integer_operators.h"

#include <set>
#include <string_view>

namespace xslim {
namespace {

constexpr char kMicrosoft[] = "com.microsoft";

}  // namespace

bool IsPairHalf(const Node& node) {
  return (node.domain.empty() || node.domain == kMicrosoft) &&
         (node.op_type == "QuantizeLinear" || node.op_type == "DequantizeLinear");
}

bool IsOnCodes(const Node& node) {
  static const std::set<std::string_view> onnx = {"ConvInteger", "DynamicQuantizeLinear", "MatMulInteger",
                                                  "QLinearConv", "QLinearMatMul"};
  static const std::set<std::string_view> microsoft = {"DynamicQuantizeLSTM",  "DynamicQuantizeMatMul",
                                                       "MatMulIntegerToFloat", "MatMulNBits",
                                                       "QAttention",           "QGemm"};
  if (IsPairHalf(node)) return true;
  if (node.domain.empty()) return onnx.count(node.op_type) != 0;
  return node.domain == kMicrosoft &&
         (microsoft.count(node.op_type) != 0 || node.op_type.starts_with("QLinear"));
}

}  // namespace xslim
