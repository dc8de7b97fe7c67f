#include "quant/element_types.h"

#include <algorithm>
#include <string_view>

#include "quant/bodies.h"

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

char LetterAt(std::string_view letters, size_t slot) {
  size_t at = 0;
  for (size_t i = 0; i < letters.size(); ++i) {
    const bool repeats = i + 1 < letters.size() && letters[i + 1] == '*';
    if (at == slot || repeats) return letters[i];
    ++at;
  }
  return '?';
}

DType DTypeAttribute(const Node& node, const char* name, DType otherwise) {
  return node.Has(name) ? static_cast<DType>(node.Int(name, 0)) : otherwise;
}

DType TypeOfConstantNode(const Node& node) {
  if (const Tensor* tensor = node.TensorOf("value")) return tensor->dtype();
  if (node.Has("value_float") || node.Has("value_floats")) return DType::kFloat;
  if (node.Has("value_int") || node.Has("value_ints")) return DType::kInt64;
  if (node.Has("value_string") || node.Has("value_strings")) return DType::kString;
  return DType::kUndefined;
}

class Inference {
 public:
  explicit Inference(const Scope& scope) : scope_(scope), graph_(*scope.graph) {}

  void Run() {
    for (ValueId id = 0; id < static_cast<ValueId>(graph_.value_slots()); ++id) {
      Value& value = graph_.value(id);
      if (value.id == kNone || IsDefined(value)) continue;
      const Origin origin = OriginOf(scope_, id);
      if (origin.graph != nullptr) value.dtype = origin.graph->value(origin.id).dtype;
    }
    for (NodeId id : graph_.Order()) {
      RunBodies(id);
      const Node& node = graph_.node(id);
      for (size_t slot = 0; slot < node.outputs.size(); ++slot) {
        if (node.outputs[slot] == kNone) continue;
        const DType found = OutputType(node, slot);
        if (found != DType::kUndefined) graph_.value(node.outputs[slot]).dtype = found;
      }
    }
  }

 private:
  // Bodies first: their outputs give the node's. What enters them comes from the node's inputs.
  void RunBodies(NodeId id) {
    for (auto& [key, attribute] : graph_.node(id).attributes) {
      if (!attribute.graph) continue;
      Graph& body = *attribute.graph;
      const Node& node = graph_.node(id);
      for (size_t i = 0; i < body.inputs().size(); ++i) {
        Value& input = body.value(body.inputs()[i]);
        if (input.dtype != DType::kUndefined) continue;
        if (node.Is("Loop")) input.dtype = i == 0 ? DType::kInt64 : i == 1 ? DType::kBool : TypeOf(node, i);
        if (node.Is("Scan")) input.dtype = TypeOf(node, i);
      }
      Inference({attribute.graph.get(), &scope_}).Run();
    }
  }

  DType TypeOf(const Node& node, size_t slot) const {
    return node.input(slot) == kNone ? DType::kUndefined : graph_.value(node.input(slot)).dtype;
  }

  // Type of a body's output; bodies of an If agree.
  DType BodyOutput(const Node& node, size_t slot) const {
    for (const auto& [key, attribute] : node.attributes) {
      if (!attribute.graph || slot >= attribute.graph->outputs().size()) continue;
      const DType found = attribute.graph->value(attribute.graph->outputs()[slot]).dtype;
      if (found != DType::kUndefined) return found;
    }
    return DType::kUndefined;
  }

  DType OutputType(const Node& node, size_t slot) const {
    if (node.Is("Cast")) return static_cast<DType>(node.Int("to", 0));
    if (node.Is("Constant")) return TypeOfConstantNode(node);
    if (node.Is("ConstantOfShape")) {
      const Tensor* value = node.TensorOf("value");
      return value != nullptr ? value->dtype() : DType::kFloat;
    }
    if (node.Is("EyeLike") || node.Is("RandomNormalLike") || node.Is("RandomUniformLike") ||
        node.Is("Bernoulli")) {
      return DTypeAttribute(node, "dtype", TypeOf(node, 0));
    }
    if (node.Is("RandomNormal") || node.Is("RandomUniform"))
      return DTypeAttribute(node, "dtype", DType::kFloat);
    if (node.Is("Multinomial")) return DTypeAttribute(node, "dtype", DType::kInt32);
    if (node.Is("HannWindow") || node.Is("HammingWindow") || node.Is("BlackmanWindow") ||
        node.Is("MelWeightMatrix")) {
      return DTypeAttribute(node, "output_datatype", DType::kFloat);
    }
    if (node.Is("QuantizeLinear"))
      return node.input(2) != kNone ? TypeOf(node, 2) : DTypeAttribute(node, "output_dtype", DType::kUint8);
    if (node.Is("DequantizeLinear")) return DTypeAttribute(node, "output_dtype", TypeOf(node, 1));
    if (node.Is("If") || node.Is("Scan")) return BodyOutput(node, slot);
    if (node.Is("Loop")) return BodyOutput(node, slot + 1);
    const OperatorTypes* types = FindTypes(node, graph_.opset());
    if (types == nullptr) return DType::kUndefined;
    return FromLetter(node, *types, OutputLetter(*types, slot));
  }

  DType FromLetter(const Node& node, const OperatorTypes& types, char letter) const {
    switch (letter) {
      case 'f':
        return DType::kFloat;
      case 'i':
        return DType::kInt64;
      case 'b':
        return DType::kBool;
      case 'w':
        return DType::kInt32;
      case 'u':
        return DType::kUint8;
      case '?':
        return DType::kUndefined;
      default:
        break;
    }
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      if (InputLetter(types, slot) == letter && TypeOf(node, slot) != DType::kUndefined)
        return TypeOf(node, slot);
    }
    return DType::kUndefined;
  }

  const Scope scope_;
  Graph& graph_;
};

}  // namespace

const OperatorTypes* FindTypes(const Node& node, int opset) {
  if (!node.domain.empty()) return nullptr;
  for (const auto& older : kOlderTypes) {
    if (opset <= older.last && node.op_type == older.types.op_type) return &older.types;
  }
  const auto at = std::lower_bound(
      std::begin(kOperatorTypes), std::end(kOperatorTypes), node.op_type,
      [](const OperatorTypes& row, const std::string& type) { return std::string_view(row.op_type) < type; });
  return at != std::end(kOperatorTypes) && node.op_type == at->op_type ? at : nullptr;
}

char InputLetter(const OperatorTypes& types, size_t slot) {
  const std::string_view signature(types.signature);
  return LetterAt(signature.substr(0, signature.find('>')), slot);
}

char OutputLetter(const OperatorTypes& types, size_t slot) {
  const std::string_view signature(types.signature);
  return LetterAt(signature.substr(signature.find('>') + 1), slot);
}

void InferElementTypes(Graph* graph) {
  // Shared bodies become this model's own before they are changed.
  ForEachScope(graph, [](const Scope&) {});
  Inference({graph, nullptr}).Run();
}

}  // namespace xslim
