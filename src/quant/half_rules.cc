#include "quant/half_rules.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "quant/element_types.h"
#include "quant/integer_operators.h"
#include "quant/mapped.h"

namespace xslim {
namespace {

constexpr float kSmallestNormalHalf = 0x1p-14f;
constexpr float kCoarse = 0x1p-17f;  // what is smaller has fewer than 8 bits in float16

// Indices, sampling, random numbers and signals: 11 bits change which result comes out, not just its digits.
// Integer operators of ai.onnx work with float32 scales.
bool IsBlocked(const Node& node) {
  return node.IsOneOf({"NonMaxSuppression",
                       "TopK",
                       "RoiAlign",
                       "MaxRoiPool",
                       "Range",
                       "CumSum",
                       "Upsample",
                       "DFT",
                       "STFT",
                       "MelWeightMatrix",
                       "HannWindow",
                       "HammingWindow",
                       "BlackmanWindow",
                       "RandomNormal",
                       "RandomUniform",
                       "RandomNormalLike",
                       "RandomUniformLike",
                       "Bernoulli",
                       "Multinomial",
                       "AffineGrid"}) ||
         (node.domain.empty() && IsOnCodes(node));
}

// As many addends as indices say (the messages that reach a node of a graph); ONNX Runtime's CPU provider has
// no 16-bit kernels for these, least and largest included.
bool ReducesByScattering(const Node& node) {
  return node.IsOneOf({"ScatterElements", "ScatterND"}) && node.String("reduction", "none") != "none";
}

// Squares, exponentials and long sums: they overflow, or lose their addends, long before what follows does.
bool IsSensitive(const Node& node) {
  return node.IsOneOf({"Pow", "Exp", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSum",
                       "ReduceLogSumExp", "ReduceProd", "LpNormalization", "GlobalLpPool", "LpPool", "LRN",
                       "MeanVarianceNormalization", "Det"}) ||
         (node.Is("Mul") && node.input(0) == node.input(1)) || ReducesByScattering(node);
}

// What turns a sum of squares into a deviation: x / sqrt(mean(x^2) + epsilon).
bool FinishesDeviation(const Node& node) {
  return node.IsOneOf({"ReduceMean", "Add", "Sqrt", "Reciprocal", "Max", "Clip"});
}

// A step in computing positions: whole numbers past 2048 are not float16 ones.
bool IsPositionMath(const Node& node) {
  return node.IsOneOf({"Mul",       "Div",    "Add",    "Sub",    "Floor",  "Ceil",      "Round",   "Mod",
                       "Neg",       "Sin",    "Cos",    "MatMul", "Einsum", "Unsqueeze", "Squeeze", "Reshape",
                       "Transpose", "Expand", "Concat", "Slice",  "Gather", "Identity",  "Cast"});
}

bool IsWideInteger(DType type) {
  return type == DType::kInt64 || type == DType::kInt32 || type == DType::kUint32 || type == DType::kUint64 ||
         type == DType::kInt16 || type == DType::kUint16;
}

// Gives values as large as it reads.
bool KeepsMagnitude(const Node& node) {
  return node.IsOneOf({"Add",       "Sub",      "Mul",       "Where",  "Max",    "Min",   "Reshape",
                       "Transpose", "Squeeze",  "Unsqueeze", "Expand", "Concat", "Slice", "Split",
                       "Gather",    "Identity", "Flatten",   "Tile",   "Neg",    "Abs",   "Cast"});
}

// Gives values in proportion to each constant that it reads; a constant that is only added may be small.
bool IsProduct(const Node& node, size_t slot) {
  return slot < 2 && node.IsOneOf({"Conv", "ConvTranspose", "Gemm", "MatMul", "Mul", "Div", "Gather"});
}

// Gives small values where it reads nothing else.
bool KeepsSmall(const Node& node) {
  return (KeepsMagnitude(node) && !node.Is("Mul")) ||
         node.IsOneOf({"Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool",
                       "GlobalMaxPool", "ReduceMean", "ReduceMax", "Pad", "Resize", "BatchNormalization"});
}

float LargestFinite(const Tensor& tensor) {
  float most = 0;
  const float* x = tensor.data<float>();
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (std::isfinite(x[i])) most = std::max(most, std::fabs(x[i]));
  }
  ForgetPages(tensor);
  return most;
}

class Judge {
 public:
  Judge(const Scope& scope, const HalfOptions& options, IgnoreList* ignored)
      : scope_(scope), graph_(*scope.graph), options_(options), ignored_(*ignored) {}

  std::map<NodeId, std::string> Decide() {
    const std::vector<NodeId> order = graph_.Order();
    if (options_.keep) kept_ = options_.keep(scope_);
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!TouchesFloat(node)) continue;
      if (FillsScores(node)) filled_.insert(node.outputs[0]);
      const std::string& why = verdicts_[id] = Verdict(node);
      if (why.empty() || !FillsScores(node)) continue;
      filled_.erase(node.outputs[0]);  // with the fill as it is
      MarkWide(node);
    }
    return std::move(verdicts_);
  }

 private:
  DType TypeOf(ValueId id) const { return id == kNone ? DType::kUndefined : graph_.value(id).dtype; }

  bool TouchesFloat(const Node& node) const {
    const auto is_float = [this](ValueId id) { return TypeOf(id) == DType::kFloat; };
    return std::any_of(node.inputs.begin(), node.inputs.end(), is_float) ||
           std::any_of(node.outputs.begin(), node.outputs.end(), is_float);
  }

  std::string Verdict(const Node& node) {
    if (const char* list = ignored_.Reason(node)) {
      if (options_.type == DType::kFloat16) PassOn(node);
      return list;
    }
    if (node.Is("If") || node.Is("Loop") || node.Is("Scan"))
      return "what enters and leaves a body stays float32";
    const OperatorTypes* types = FindTypes(node, graph_.opset());
    if (types == nullptr) return "its types are not known to this program";
    const bool half = options_.type == DType::kFloat16;
    const int since = half ? types->float16_since : types->bfloat16_since;
    if (since == 0) return std::string("no ") + NameOf(options_.type) + " form of it";
    if (since > graph_.opset()) return NameOf(options_.type) + (kSinceOpset + std::to_string(since));
    if (node.Is("Range")) positions_.insert(node.id);
    if (IsBlocked(node)) return "kept float32 by kind";
    if (HasUnknownType(node, *types)) return "types of its inputs are not known";
    if (IsPosition(node)) {
      positions_.insert(node.id);
      return "positions are kept float32";
    }
    if (IsSensitive(node) || ContinuesDeviation(node)) {
      precise_.insert(node.id);
      return "kept float32 for accuracy";
    }
    if (!half) return "";
    const std::string wide = WideReason(node);
    if (!wide.empty()) return wide;
    const std::string tiny = TinyReason(node);
    if (!tiny.empty()) return tiny;
    const auto kept = kept_.find(node.id);
    return kept == kept_.end() ? "" : kept->second;
  }

  // What reads a wide or small value of an operator that stays float32 by name must do so, too.
  void PassOn(const Node& node) {
    WideReason(node);
    TinyReason(node);
  }

  bool HasUnknownType(const Node& node, const OperatorTypes& types) const {
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      if (node.inputs[slot] != kNone && MayBeFloat(InputLetter(types, slot)) &&
          TypeOf(node.inputs[slot]) == DType::kUndefined)
        return true;
    }
    for (size_t slot = 0; slot < node.outputs.size(); ++slot) {
      if (node.outputs[slot] != kNone && MayBeFloat(OutputLetter(types, slot)) &&
          TypeOf(node.outputs[slot]) == DType::kUndefined)
        return true;
    }
    return false;
  }

  bool MadePrecisely(ValueId id) const {
    const Node* producer = graph_.Producer(id);
    return producer != nullptr && precise_.count(producer->id) != 0;
  }

  bool ContinuesDeviation(const Node& node) const {
    if (!FinishesDeviation(node) || !MadePrecisely(node.input(0))) {
      // Epsilon may stand first.
      if (!node.Is("Add") || !MadePrecisely(node.input(1))) return false;
    }
    return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
      return input == kNone || MadePrecisely(input) || ConstantIn(scope_, input) != nullptr;
    });
  }

  // Computed from whole numbers and constants alone.
  bool IsPosition(const Node& node) const {
    if (node.Is("Cast") && IsWideInteger(TypeOf(node.input(0)))) return true;
    if (!IsPositionMath(node)) return false;
    bool any = false;
    for (ValueId input : node.inputs) {
      if (TypeOf(input) != DType::kFloat || ConstantIn(scope_, input) != nullptr) continue;
      const Node* producer = graph_.Producer(input);
      if (producer == nullptr || positions_.count(producer->id) == 0) return false;
      any = true;
    }
    return any;
  }

  // A Where whose output is wide by its fill, which may be narrowed.
  bool FillsScores(const Node& node) const {
    return node.Is("Where") && (IsBound(scope_, node, 1) || IsBound(scope_, node, 2));
  }

  bool IsWide(ValueId id) {
    if (TypeOf(id) != DType::kFloat) return false;
    if (wide_.count(id) || (scope_.outer == nullptr && options_.wide.count(id) && !filled_.count(id)))
      return true;
    const Tensor* constant = ConstantIn(scope_, id);
    return constant != nullptr && constant->dtype() == DType::kFloat && Largest(*constant) > kLargestHalf;
  }

  // A wide value makes its producer and its readers float32. Where nothing was measured, operators that keep
  // the magnitude of a wide input are taken to give wide values: x + mask stays float32 down to its Softmax.
  std::string WideReason(const Node& node) {
    std::string which;
    for (size_t slot = 0; slot < node.inputs.size() && which.empty(); ++slot) {
      if (node.inputs[slot] != kNone && !IsBound(scope_, node, slot) && IsWide(node.inputs[slot]))
        which = graph_.value(node.inputs[slot]).name;
    }
    for (ValueId output : node.outputs) {
      if (output != kNone && which.empty() && IsWide(output)) which = graph_.value(output).name;
    }
    for (const auto& [name, attribute] : node.attributes) {
      if (attribute.kind == Attribute::Kind::kTensor && attribute.tensor.dtype() == DType::kFloat &&
          LargestFinite(attribute.tensor) > kLargestHalf) {
        which = "attribute " + name;
        MarkWide(node);
      }
    }
    if (which.empty()) return "";
    if (!options_.measured && KeepsMagnitude(node)) MarkWide(node);
    return which + " leaves the range of float16";
  }

  void MarkWide(const Node& node) {
    for (ValueId output : node.outputs) {
      if (output != kNone) wide_.insert(output);
    }
  }

  // Numbers that float16 would round coarsely or to zero: a single one, like an epsilon, weights that all are
  // so small, and what comes of those.
  std::string TinyReason(const Node& node) {
    ValueId small = kNone;
    bool others = false;  // numbers of ordinary size beside it
    for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
      const ValueId input = node.inputs[slot];
      if (TypeOf(input) != DType::kFloat) continue;
      const Tensor* constant = ConstantIn(scope_, input);
      if (constant == nullptr) {
        if (small_.count(input))
          small = input;
        else
          others = true;
        continue;
      }
      const float largest = Largest(*constant);
      const bool single = constant->size() == 1;
      if (largest > 0 && largest < (single ? kSmallestNormalHalf : kCoarse) &&
          (single || IsProduct(node, slot))) {
        if (!single) MarkSmall(node);
        return graph_.value(input).name + " is too small for float16";
      }
      others |= largest >= kCoarse && node.IsOneOf({"Add", "Sub"});
    }
    if (small == kNone || (KeepsSmall(node) && others)) return "";
    if (KeepsSmall(node)) MarkSmall(node);
    return graph_.value(small).name + " may be too small for float16";
  }

  void MarkSmall(const Node& node) {
    for (ValueId output : node.outputs) {
      if (output != kNone) small_.insert(output);
    }
  }

  float Largest(const Tensor& constant) {
    const auto [at, fresh] = largest_.try_emplace(&constant, 0.0f);
    if (fresh) at->second = LargestFinite(constant);
    return at->second;
  }

  const Scope& scope_;
  Graph& graph_;
  const HalfOptions& options_;
  IgnoreList& ignored_;
  std::map<NodeId, std::string> verdicts_, kept_;
  std::set<NodeId> positions_;
  std::set<NodeId> precise_;  // sensitive operators and what finishes them
  std::set<ValueId> wide_, small_, filled_;
  std::map<const Tensor*, float> largest_;
};

}  // namespace

std::map<NodeId, std::string> DecideHalf(const Scope& scope, const HalfOptions& options,
                                         IgnoreList* ignored) {
  return Judge(scope, options, ignored).Decide();
}

bool IsBound(const Scope& scope, const Node& node, size_t slot) {
  if (node.Is("Clip")) return slot > 0;
  if (!node.Is("Where") || slot == 0) return false;
  const Tensor* fill = ConstantIn(scope, node.input(slot));
  if (fill == nullptr || fill->dtype() != DType::kFloat || fill->size() != 1 ||
      !(fill->data<float>()[0] < -kLargestHalf))
    return false;
  const Graph& graph = *scope.graph;
  const NodeId reader = graph.SoleUser(node.outputs[0]);
  return reader != kNone && graph.node(reader).Is("Softmax");
}

}  // namespace xslim
