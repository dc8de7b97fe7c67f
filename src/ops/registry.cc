// The list of families. An operator's own line is in its family's file.
#include <unordered_map>

#include "ops/contrib.h"
#include "ops/custom.h"
#include "ops/operator.h"
#include "xslim/error.h"

namespace xslim {
namespace {

struct Family {
  const char* file;
  std::vector<OperatorRow> (*make)();
};
constexpr Family kFamilies[] = {
    {"conv", ConvOperators},
    {"conv_transpose", ConvTransposeOperators},
    {"matmul", MatMulOperators},
    {"pool", PoolOperators},
    {"norm", NormOperators},
    {"softmax", SoftmaxOperators},
    {"quantize", QuantizeOperators},
    {"resize", ResizeOperators},
    {"unary", UnaryOperators},
    {"binary", BinaryOperators},
    {"power", PowerOperators},
    {"compare", CompareOperators},
    {"reduce", ReduceOperators},
    {"move", MoveOperators},
    {"pad", PadOperators},
    {"gather", GatherOperators},
    {"unique", UniqueOperators},
    {"shape", ShapeOperators},
    {"attention", AttentionOperators},
    {"vision", VisionOperators},
    {"recurrent", RecurrentOperators},
    {"einsum", EinsumOperators},
    {"control", ControlOperators},
    {"sequence", SequenceOperators},
    {"integer", IntegerOperators},
    {"unfold", UnfoldOperators},
    {"signal", SignalOperators},
    {"random", RandomOperators},
    {"text", TextOperators},
    {"contrib_attention", ContribAttentionOperators},
    {"contrib_quantized", ContribQuantizedOperators},
    {"contrib_weights", ContribWeightOperators},
};

struct Entry {
  OperatorRow row;
  const char* file;
};

const std::vector<Entry>& Rows() {
  static const std::vector<Entry> rows = [] {
    std::vector<Entry> all;
    for (const Family& family : kFamilies)
      for (const OperatorRow& row : family.make()) all.push_back({row, family.file});
    return all;
  }();
  return rows;
}

}  // namespace

// Operators of libraries come after those of the program.
const OperatorRow* FindOperator(const std::string& domain, const std::string& op_type, int opset) {
  static const std::unordered_multimap<std::string, const OperatorRow*> index = [] {
    std::unordered_multimap<std::string, const OperatorRow*> map;
    for (const auto& [row, file] : Rows()) map.emplace(std::string(row.domain) + "::" + row.op_type, &row);
    return map;
  }();
  const auto [begin, end] = index.equal_range(domain + "::" + op_type);
  for (auto it = begin; it != end; ++it) {
    if (opset >= it->second->first_opset && opset <= it->second->last_opset) return it->second;
  }
  return domain.empty() ? nullptr : FindCustomOperator(domain, op_type, opset);
}

std::vector<const OperatorRow*> AllOperators() {
  std::vector<const OperatorRow*> all;
  for (const Entry& entry : Rows()) all.push_back(&entry.row);
  return all;
}

const char* FamilyOf(const OperatorRow& row) {
  for (const Entry& entry : Rows())
    if (&entry.row == &row) return entry.file;
  throw Error(std::string("operator ") + row.op_type + " is not one of the program's");
}

bool IsRandom(const Node& node) {
  return node.op_type.starts_with("Random") || node.op_type == "Bernoulli" || node.op_type == "Multinomial" ||
         (node.op_type == "Dropout" && node.inputs.size() > 2);
}

const Tensor& EvalContext::any_in(size_t slot) const {
  if (!has(slot)) throw Error("input " + std::to_string(slot) + " is missing");
  return *inputs_[slot];
}

const Tensor& EvalContext::in(size_t slot) const {
  const Tensor& tensor = any_in(slot);
  if (tensor.is_tensor()) return tensor;
  throw Error("input " + std::to_string(slot) + " is of type " + NameOf(tensor.dtype()), "",
              "expected a tensor");
}

const Tensor& EvalContext::sequence(size_t slot) const {
  const Tensor& tensor = any_in(slot);
  if (tensor.dtype() == DType::kSequence) return tensor;
  throw Error("input " + std::to_string(slot) + " is of type " + NameOf(tensor.dtype()), "",
              "expected a sequence");
}

Tensor& EvalContext::out(size_t slot, DType dtype, Shape shape) {
  if (slot >= outputs.size()) outputs.resize(slot + 1);
  outputs[slot] = Tensor(dtype, std::move(shape), allocator_);
  return outputs[slot];
}

}  // namespace xslim
