#include "quant/emit.h"

namespace xslim {

ValueId Emitter::AddValue(const std::string& wanted, DType dtype) {
  return graph_.AddValue(names_.Fresh(wanted), dtype);
}

ValueId Emitter::AddConstant(const std::string& wanted, Tensor tensor) {
  return graph_.AddConstant(names_.Fresh(wanted), std::move(tensor));
}

NodeId Emitter::AddNode(const std::string& op_type, const std::string& wanted, std::vector<ValueId> inputs,
                        std::vector<ValueId> outputs, std::map<std::string, Attribute> attributes) {
  return graph_.AddNode(op_type, wanted, std::move(inputs), std::move(outputs), std::move(attributes));
}

NodeId Emitter::AddContribNode(const std::string& op_type, const std::string& wanted,
                               std::vector<ValueId> inputs, std::vector<ValueId> outputs,
                               std::map<std::string, Attribute> attributes) {
  graph_.opset_imports.emplace("com.microsoft", 1);
  return graph_.AddNode(op_type, wanted, std::move(inputs), std::move(outputs), std::move(attributes),
                        "com.microsoft");
}

ValueId Emitter::AddDequantized(std::string weight, Tensor codes, Tensor scale, ValueId zero_point, int axis,
                                int64_t block) {
  std::vector<ValueId> inputs{AddConstant(weight + "_quantized", std::move(codes)),
                              AddConstant(weight + "_scale", std::move(scale))};
  if (zero_point != kNone) inputs.push_back(zero_point);
  std::map<std::string, Attribute> attributes{{"axis", Attribute::Int(axis)}};
  if (block > 0) attributes["block_size"] = Attribute::Int(block);
  const ValueId output = AddValue(weight + "_dequantized", DType::kFloat);
  AddNode("DequantizeLinear", weight + "_DequantizeLinear", std::move(inputs), {output},
          std::move(attributes));
  return output;
}

}  // namespace xslim
