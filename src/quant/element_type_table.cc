// The element types of operators, as their schemas have them.
#include <algorithm>
#include <span>
#include <string_view>

#include "quant/element_types.h"

namespace xslim {
namespace {

// From the operator schemas of ONNX 1.21, opsets 1 to 25.
constexpr OperatorTypes kOperatorTypes[] = {
    {"Abs", "T>T", 1, 13},
    {"Acos", "T>T", 7, 22},
    {"Acosh", "T>T", 9, 22},
    {"Add", "TT>T", 1, 13},
    {"AffineGrid", "Ti>T", 20, 20},
    {"And", "bb>b", 0, 0},
    {"ArgMax", "T>i", 1, 13},
    {"ArgMin", "T>i", 1, 13},
    {"Asin", "T>T", 7, 22},
    {"Asinh", "T>T", 9, 22},
    {"Atan", "T>T", 7, 22},
    {"Atanh", "T>T", 9, 22},
    {"Attention", "TTUVTUi>TTUT", 23, 23},
    {"AveragePool", "T>T", 1, 22},
    {"BatchNormalization", "TUUVV>TVVVV", 1, 14},
    {"Bernoulli", "T>U", 15, 22},
    {"BitShift", "II>I", 0, 0},
    {"BitwiseAnd", "II>I", 0, 0},
    {"BitwiseNot", "I>I", 0, 0},
    {"BitwiseOr", "II>I", 0, 0},
    {"BitwiseXor", "II>I", 0, 0},
    {"BlackmanWindow", "I>T", 17, 17},
    {"Cast", "T>U", 1, 13},
    {"CastLike", "TU>U", 15, 15},
    {"Ceil", "T>T", 1, 13},
    {"Celu", "f>f", 0, 0},
    {"CenterCropPad", "TI>T", 18, 18},
    {"Clip", "TTT>T", 1, 13},
    {"Col2Im", "Tii>T", 18, 18},
    {"Compress", "Tb>T", 9, 0},
    {"Concat", "T*>T", 1, 13},
    {"Constant", ">T", 1, 13},
    {"ConstantOfShape", "i>T", 9, 20},
    {"Conv", "TTT>T", 1, 22},
    {"ConvInteger", "IJIJ>w", 0, 0},
    {"ConvTranspose", "TTT>T", 1, 22},
    {"Cos", "T>T", 7, 22},
    {"Cosh", "T>T", 9, 22},
    {"CumSum", "TI>T", 14, 14},
    {"DFT", "TIi>T", 17, 17},
    {"DeformConv", "TTTTT>T", 19, 22},
    {"DepthToSpace", "T>T", 1, 13},
    {"DequantizeLinear", "ITI>U", 19, 19},
    {"Det", "T>T", 11, 22},
    {"Div", "TT>T", 1, 13},
    {"Dropout", "TUb>Tb", 1, 22},
    {"DynamicQuantizeLinear", "f>ufu", 0, 0},
    {"Einsum", "T*>T", 12, 0},
    {"Elu", "T>T", 1, 22},
    {"Equal", "TT>b", 11, 13},
    {"Erf", "T>T", 9, 13},
    {"Exp", "T>T", 1, 13},
    {"Expand", "Ti>T", 8, 13},
    {"EyeLike", "T>U", 9, 22},
    {"Flatten", "T>T", 1, 13},
    {"Floor", "T>T", 1, 13},
    {"GRU", "TTTT?T>TT", 1, 22},
    {"Gather", "TI>T", 1, 13},
    {"GatherElements", "TI>T", 11, 13},
    {"GatherND", "Ti>T", 11, 13},
    {"Gelu", "T>T", 20, 20},
    {"Gemm", "TTT>T", 1, 13},
    {"GlobalAveragePool", "T>T", 1, 22},
    {"GlobalLpPool", "T>T", 1, 22},
    {"GlobalMaxPool", "T>T", 1, 22},
    {"Greater", "TT>b", 1, 13},
    {"GreaterOrEqual", "TT>b", 12, 16},
    {"GridSample", "TU>T", 16, 22},
    {"GroupNormalization", "TTT>T", 18, 18},
    {"HammingWindow", "I>T", 17, 17},
    {"HannWindow", "I>T", 17, 17},
    {"HardSigmoid", "T>T", 1, 22},
    {"HardSwish", "T>T", 14, 22},
    {"Hardmax", "T>T", 1, 13},
    {"Identity", "T>T", 1, 13},
    {"InstanceNormalization", "TTT>T", 1, 22},
    {"IsInf", "T>b", 20, 20},
    {"IsNaN", "T>b", 9, 13},
    {"LRN", "T>T", 1, 13},
    {"LSTM", "TTTT?TTT>TTT", 1, 22},
    {"LayerNormalization", "TTT>Tff", 17, 17},
    {"LeakyRelu", "T>T", 1, 16},
    {"Less", "TT>b", 1, 13},
    {"LessOrEqual", "TT>b", 12, 16},
    {"Log", "T>T", 1, 13},
    {"LogSoftmax", "T>T", 1, 13},
    {"LpNormalization", "T>T", 1, 22},
    {"LpPool", "T>T", 1, 22},
    {"MatMul", "TT>T", 1, 13},
    {"MatMulInteger", "IJIJ>w", 0, 0},
    {"Max", "T*>T", 1, 13},
    {"MaxPool", "T>Ti", 1, 22},
    {"MaxRoiPool", "TT>T", 1, 22},
    {"MaxUnpool", "Tii>T", 9, 22},
    {"Mean", "T*>T", 1, 13},
    {"MeanVarianceNormalization", "T>T", 9, 13},
    {"MelWeightMatrix", "IIITT>U", 17, 17},
    {"Min", "T*>T", 1, 13},
    {"Mish", "T>T", 18, 22},
    {"Mod", "TT>T", 10, 13},
    {"Mul", "TT>T", 1, 13},
    {"Multinomial", "T>I", 7, 22},
    {"Neg", "T>T", 1, 13},
    {"NegativeLogLikelihoodLoss", "TIT>T", 12, 22},
    {"NonMaxSuppression", "ffiff>i", 0, 0},
    {"NonZero", "T>i", 9, 13},
    {"Not", "b>b", 0, 0},
    {"OneHot", "TUV>V", 9, 0},
    {"Or", "bb>b", 0, 0},
    {"PRelu", "TT>T", 1, 16},
    {"Pad", "TiTI>T", 1, 13},
    {"Pow", "TU>T", 1, 15},
    {"QLinearConv", "IfIJfJfK?>K", 0, 0},
    {"QLinearMatMul", "ITIJTJTK>K", 21, 21},
    {"QuantizeLinear", "TUI>I", 19, 19},
    {"RMSNormalization", "TU>U", 23, 23},
    {"RNN", "TTTT?T>TT", 1, 22},
    {"RandomNormal", ">T", 1, 22},
    {"RandomNormalLike", "T>U", 1, 22},
    {"RandomUniform", ">T", 1, 22},
    {"RandomUniformLike", "T>U", 1, 22},
    {"Range", "TTT>T", 0, 0},
    {"Reciprocal", "T>T", 1, 13},
    {"ReduceL1", "Ti>T", 1, 13},
    {"ReduceL2", "Ti>T", 1, 13},
    {"ReduceLogSum", "Ti>T", 1, 13},
    {"ReduceLogSumExp", "Ti>T", 1, 13},
    {"ReduceMax", "Ti>T", 1, 13},
    {"ReduceMean", "Ti>T", 1, 13},
    {"ReduceMin", "Ti>T", 1, 13},
    {"ReduceProd", "Ti>T", 1, 13},
    {"ReduceSum", "Ti>T", 1, 13},
    {"ReduceSumSquare", "Ti>T", 1, 13},
    {"Relu", "T>T", 1, 13},
    {"Reshape", "Ti>T", 1, 13},
    {"Resize", "TUfi>T", 10, 0},
    {"ReverseSequence", "Ti>T", 10, 0},
    {"RoiAlign", "TTi>T", 10, 22},
    {"RotaryEmbedding", "TTTi>T", 23, 23},
    {"Round", "T>T", 11, 22},
    {"STFT", "TITI>T", 17, 17},
    {"Scatter", "TIT>T", 9, 0},
    {"ScatterElements", "TIT>T", 11, 13},
    {"ScatterND", "TiT>T", 11, 13},
    {"Selu", "T>T", 1, 22},
    {"Shape", "T>i", 1, 13},
    {"Shrink", "T>T", 9, 0},
    {"Sigmoid", "T>T", 1, 13},
    {"Sign", "T>T", 9, 13},
    {"SimplifiedLayerNormalization", "TU>Uf", 1, 1},  // of ONNX Runtime, in this domain
    {"Sin", "T>T", 7, 22},
    {"Sinh", "T>T", 9, 22},
    {"Size", "T>i", 1, 13},
    {"Slice", "TIIII>T", 1, 13},
    {"Softmax", "T>T", 1, 13},
    {"SoftmaxCrossEntropyLoss", "TIT>TT", 12, 13},
    {"Softplus", "T>T", 1, 22},
    {"Softsign", "T>T", 1, 22},
    {"SpaceToDepth", "T>T", 1, 13},
    {"Split", "Ti>T*", 1, 13},
    {"Sqrt", "T>T", 1, 13},
    {"Squeeze", "Ti>T", 1, 13},
    {"Sub", "TT>T", 1, 13},
    {"Sum", "T*>T", 1, 13},
    {"Swish", "T>T", 24, 24},
    {"Tan", "T>T", 7, 22},
    {"Tanh", "T>T", 1, 13},
    {"TensorScatter", "TTi>T", 24, 24},
    {"TfIdfVectorizer", "I>f", 0, 0},
    {"ThresholdedRelu", "T>T", 10, 22},
    {"Tile", "Ti>T", 1, 13},
    {"TopK", "Ti>Ti", 1, 24},
    {"Transpose", "T>T", 1, 13},
    {"Trilu", "Ti>T", 14, 14},
    {"Unique", "T>Tiii", 11, 0},
    {"Unsqueeze", "Ti>T", 1, 13},
    {"Upsample", "Tf>T", 1, 0},
    {"Where", "bTT>T", 9, 16},
    {"Xor", "bb>b", 0, 0},
};

// Operators whose slots had other meanings up to an opset.
constexpr struct {
  int last;
  OperatorTypes types;
} kOlderTypes[] = {{9, {"Dropout", "T>TT", 1, 22}}, {10, {"Resize", "Tf>T", 10, 0}}};

// Of com.microsoft, from the schemas of ONNX Runtime 1.24: what its optimizer and its tools for transformers
// put into float models, and quantized operators with float outputs, which stay as they are.
constexpr OperatorTypes kContribTypes[] = {
    {"Attention", "TTTITTI>TT", 1, 1},
    {"BiasAdd", "TTT>T", 1, 0},
    {"BiasDropout", "TTTUb>Tb", 1, 1},
    {"BiasGelu", "TT>T", 1, 1},
    {"BiasSoftmax", "TT>T", 1, 0},
    {"BiasSplitGelu", "TT>T", 1, 0},
    {"DecoderMaskedMultiHeadAttention", "TTTITTTIIIT>TTTU", 1, 0},
    {"DequantizeLinear", "ITI>T", 0, 0},
    {"DynamicQuantizeLSTM", "TIITJTTTTITI>TTT", 0, 0},
    {"DynamicQuantizeMatMul", "TITIT>T", 0, 0},
    {"EmbedLayerNormalization", "IITTTTTII>TIT", 1, 0},
    {"FastGelu", "TT>T", 1, 1},
    {"FusedConv", "TTTT>T", 1, 0},
    {"FusedGemm", "TTT>T", 1, 0},
    {"FusedMatMul", "TT>T", 1, 1},
    {"FusedMatMulActivation", "TT>T", 1, 1},
    {"Gelu", "T>T", 1, 1},
    {"GemmFastGelu", "TTT>T", 1, 1},
    {"GroupNorm", "TUU>T", 1, 0},
    {"GroupQueryAttention", "TTTTTIITTITT>TTTT", 1, 1},
    {"MatMulIntegerToFloat", "IJTTIJT>T", 0, 0},
    {"MatMulNBits", "TITTJT>T", 1, 1},
    {"MoE", "TTTTTTTT>T", 1, 1},
    {"MultiHeadAttention", "TTTTITTTII>TTTU", 1, 1},
    {"NhwcConv", "TTT>T", 1, 0},
    {"PackedAttention", "TTTIIT>T", 1, 0},
    {"PackedMultiHeadAttention", "TTTTIIT>T", 1, 0},
    {"QAttention", "IJTTTKIJT>TT", 0, 0},
    {"QEmbedLayerNormalization", "IIJJJJJITTTTTJJJJJ>TI", 0, 0},
    {"QuantizeLinear", "TTI>I", 0, 0},
    {"QuickGelu", "T>T", 1, 1},
    {"RelativePositionBias", "Tii>T", 1, 0},
    {"RotaryEmbedding", "TITT>T", 1, 1},
    {"SkipGroupNorm", "TUUTT>TT", 1, 0},
    {"SkipLayerNormalization", "TTTTT>TffT", 1, 1},
    {"SkipSimplifiedLayerNormalization", "TTTT>TffT", 1, 1},
    {"TransposeMatMul", "TT>T", 1, 1},
};

const OperatorTypes* FindIn(std::span<const OperatorTypes> table, const std::string& op_type) {
  const auto at = std::lower_bound(
      table.begin(), table.end(), op_type,
      [](const OperatorTypes& row, const std::string& type) { return std::string_view(row.op_type) < type; });
  return at != table.end() && op_type == at->op_type ? &*at : nullptr;
}

char LetterAt(std::string_view letters, size_t slot) {
  size_t at = 0;
  for (size_t i = 0; i < letters.size(); ++i) {
    const bool repeats = i + 1 < letters.size() && letters[i + 1] == '*';
    if (at == slot || repeats) return letters[i];
    ++at;
  }
  return '?';
}

}  // namespace

const OperatorTypes* FindTypes(const Node& node, int opset) {
  if (node.domain == "com.microsoft") return FindIn(kContribTypes, node.op_type);
  if (!node.domain.empty()) return nullptr;
  for (const auto& older : kOlderTypes) {
    if (opset <= older.last && node.op_type == older.types.op_type) return &older.types;
  }
  return FindIn(kOperatorTypes, node.op_type);
}

char InputLetter(const OperatorTypes& types, size_t slot) {
  const std::string_view signature(types.signature);
  return LetterAt(signature.substr(0, signature.find('>')), slot);
}

char OutputLetter(const OperatorTypes& types, size_t slot) {
  const std::string_view signature(types.signature);
  return LetterAt(signature.substr(signature.find('>') + 1), slot);
}

}  // namespace xslim
