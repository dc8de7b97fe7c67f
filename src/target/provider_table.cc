#include "target/provider_table.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "simplify/match.h"

namespace xslim {
namespace {

constexpr size_t kMostConvAxes = 3, kMostTransposeAxes = 2, kMostPoolAxes = 2;

// Left out counts, too.
bool IsConstant(const Graph& graph, ValueId id) { return id == kNone || graph.Constant(id) != nullptr; }

const Node* Dequantizer(const Graph& graph, ValueId id) {
  return ProducerOfType(graph, id, "DequantizeLinear");
}

// A constant, or a DequantizeLinear of constants.
bool IsWeight(const Graph& graph, ValueId id) {
  if (IsConstant(graph, id)) return true;
  const Node* const node = Dequantizer(graph, id);
  return node != nullptr && std::all_of(node->inputs.begin(), node->inputs.end(),
                                        [&](ValueId in) { return IsConstant(graph, in); });
}

std::string FewAxes(size_t axes, size_t most) {
  return axes <= most ? "" : StrCat(axes, " spatial axes, at most ", most, " are taken");
}

std::string ConvOf(const Graph& graph, const Node& node, size_t most) {
  if (!IsWeight(graph, node.input(1))) return "its weight is computed";
  if (!node.Has("kernel_shape")) return "it has no kernel_shape";
  return FewAxes(node.Ints("kernel_shape").size(), most);
}
std::string Conv(const Graph& graph, const Node& node) { return ConvOf(graph, node, kMostConvAxes); }
std::string ConvTranspose(const Graph& graph, const Node& node) {
  return ConvOf(graph, node, kMostTransposeAxes);
}

bool IsPerTensor(const Graph& graph, const Node& dequantize) {
  const Tensor* const scale = graph.Constant(dequantize.input(1));
  return scale == nullptr || scale->size() == 1;
}

// In int8: the left side and a computed right side per tensor, a constant right side symmetric.
std::string MatMul(const Graph& graph, const Node& node) {
  const Node* const left = Dequantizer(graph, node.input(0));
  const Node* const right = Dequantizer(graph, node.input(1));
  if (left == nullptr || right == nullptr) return "";
  if (!IsPerTensor(graph, *left)) return "the scales of its left side are per channel";
  if (!IsWeight(graph, node.input(1)))
    return IsPerTensor(graph, *right) ? "" : "the scales of its computed right side are per channel";
  const Tensor* const zeros = graph.Constant(right->input(2));
  if (zeros == nullptr) return "";
  const bool codes = zeros->dtype() == DType::kInt8 || zeros->dtype() == DType::kUint8;
  const std::vector<int64_t> points = codes ? zeros->ToInts() : std::vector<int64_t>{1};
  const bool symmetric = std::all_of(points.begin(), points.end(), [](int64_t x) { return x == 0; });
  return symmetric ? "" : "its weight has zero points";
}

std::string Gemm(const Graph& graph, const Node& node) {
  if (node.Int("transA", 0) != 0) return "transA is set";
  if (node.IsScaledGemm()) return "alpha or beta is not 1";
  return MatMul(graph, node);
}

std::string Pool(const Graph&, const Node& node) {
  return FewAxes(node.Ints("kernel_shape").size(), kMostPoolAxes);
}

std::string AveragePool(const Graph& graph, const Node& node) {
  const std::vector<int64_t> pads = node.Ints("pads");
  const std::string automatic = node.String("auto_pad", "NOTSET");
  const bool pads_any = automatic.starts_with("SAME") ||
                        std::any_of(pads.begin(), pads.end(), [](int64_t pad) { return pad != 0; });
  if (pads_any && node.Int("count_include_pad", 0) == 0) return "it pads without count_include_pad";
  return Pool(graph, node);
}

// All inputs but the first: shapes, axes, pads, repeats, sizes of parts.
std::string LaterConstant(const Graph& graph, const Node& node) {
  for (size_t slot = 1; slot < node.inputs.size(); ++slot) {
    if (!IsConstant(graph, node.input(slot))) return StrCat("its input ", slot, " is computed");
  }
  return "";
}

std::string Resize(const Graph&, const Node& node) {
  const std::string mode = node.String("mode", "nearest");
  const std::string place = node.String("coordinate_transformation_mode", "half_pixel");
  if (mode != "nearest" && mode != "linear") return "mode " + mode;
  if (place != "asymmetric" && place != "half_pixel") return "coordinate_transformation_mode " + place;
  return "";
}

std::string GridSample(const Graph&, const Node& node) {
  const std::string mode = node.String("mode", "bilinear"), padding = node.String("padding_mode", "zeros");
  if (mode != "bilinear" && mode != "nearest") return "mode " + mode;
  if (padding != "zeros" && padding != "border") return "padding_mode " + padding;
  return "";
}

using enum ProviderTypes;

constexpr const char* kMicrosoft = "com.microsoft";

constexpr ProviderRow kRows[] = {
    {"Conv", 11, kAny, Conv},
    {"ConvTranspose", 11, kAny, ConvTranspose},
    {"Gemm", 13, kAny, Gemm},
    {"MatMul", 13, kAny, MatMul},
    {"QuantizeLinear", 19},
    {"DequantizeLinear", 19},
    {"DynamicQuantizeLinear", 11},
    {"MatMulInteger", 10},
    {"DynamicQuantizeMatMul", 1, kAny, nullptr, 0, kMicrosoft},
    {"AveragePool", 22, kAny, AveragePool},
    {"MaxPool", 12, kAny, Pool},
    {"GlobalAveragePool", 1},
    {"GlobalMaxPool", 1},
    {"ReduceMean", 18, kAny, LaterConstant},
    {"ReduceMax", 20, kAny, LaterConstant},
    {"ReduceSum", 13, kAny, LaterConstant},
    {"ArgMax", 13},
    {"ArgMin", 13},
    {"Add", 14, kFloats},
    {"Sub", 14, kFloats},
    {"Mul", 14, kFloats},
    {"Div", 14, kFloats},
    {"Pow", 14, kFloats},
    {"Sqrt", 14, kFloats},
    {"Abs", 14, kFloats},
    {"Reciprocal", 14, kFloats},
    {"Sum", 13, kFloats},
    {"Neg", 13, kFloats},
    {"Log", 13, kFloats},
    {"Sin", 7, kFloats},
    {"Cos", 7, kFloats},
    {"Tan", 7, kFloats},
    {"Sinh", 9, kFloats},
    {"Cosh", 9, kFloats},
    {"Floor", 6, kFloats},
    {"Ceil", 6, kFloats},
    {"Relu", 14, kFloats},
    {"Clip", 13, kFloats},
    {"Sigmoid", 13, kFloats},
    {"Tanh", 13, kFloats},
    {"Erf", 13, kFloats},
    {"Softmax", 13, kFloats},
    {"LogSoftmax", 13, kFloats},
    {"LeakyRelu", 16, kFloats},
    {"PRelu", 9, kFloats},
    {"HardSigmoid", 22, kFloats},
    {"HardSwish", 22, kFloats},
    {"Elu", 22, kFloats},
    {"Gelu", 20, kFloats},
    {"Swish", 24, kFloats},
    {"Celu", 12, kFloats},
    {"Selu", 6, kFloats},
    {"Softplus", 1, kFloats},
    {"Softsign", 1, kFloats},
    {"LayerNormalization", 17},
    {"InstanceNormalization", 6},
    {"BatchNormalization", 15},
    {"RMSNormalization", 23},
    {"GroupNormalization", 21},
    {"Concat", 13, kFloatsAndInt8},
    {"Gather", 13, kFloatsAndInt8},
    {"GatherND", 13, kFloatsAndInt8},
    {"Split", 18, kFloatsAndInt8, LaterConstant},
    {"Slice", 13, kFloatsAndInt8, LaterConstant},
    {"Transpose", 24, kFloatsAndInt8},
    {"Reshape", 24, kFloatsAndInt8, LaterConstant},
    {"Squeeze", 24, kFloatsAndInt8, LaterConstant},
    {"Unsqueeze", 24, kFloatsAndInt8, LaterConstant},
    {"Flatten", 24, kFloatsAndInt8},
    {"Cast", 24},
    {"Pad", 21, kFloatsAndInt8, LaterConstant},
    {"Tile", 6, kFloatsAndInt8, LaterConstant},
    {"Where", 9, kFloatsAndInt8, nullptr, 1},
    {"ScatterND", 16, kFloatsAndInt8},
    {"Resize", 19, kAny, Resize},
    {"GridSample", 16, kAny, GridSample},
    {"Equal", 11},
    {"Greater", 9},
    {"Less", 9},
    {"GreaterOrEqual", 12},
    {"LessOrEqual", 12},
    {"Attention", 23},
    {"RotaryEmbedding", 23},
    {"YoloDecode", 1, kAny, nullptr, 0, "spacemit_functions"},
};

}  // namespace

std::span<const ProviderRow> ProviderRows() { return kRows; }

const ProviderRow* FindProviderRow(const Node& node) {
  const auto found = std::find_if(std::begin(kRows), std::end(kRows), [&](const ProviderRow& row) {
    return node.op_type == row.op_type && node.domain == row.domain;
  });
  return found == std::end(kRows) ? nullptr : found;
}

}  // namespace xslim
