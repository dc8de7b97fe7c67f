#include "quant/half.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "quant/element_types.h"
#include "quant/emit.h"
#include "quant/half_rules.h"
#include "quant/mapped.h"

namespace xslim {
namespace {

constexpr float kPrecision = 0x1p-11f;  // of float16, relative

// What the 16-bit form of a constant has lost.
struct Lost {
  bool nan = false;      // an element is NaN
  int64_t vanished = 0;  // see Vanished
};

// Rounds to nearest even. Finite values past the range become its ends when `saturate`, else infinity.
Tensor Convert(const Tensor& x, DType type, bool saturate, Lost* lost) {
  Tensor y(type, x.shape());
  const float* in = x.data<float>();
  float largest = 0;
  for (int64_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::fabs(in[i]));
  for (int64_t i = 0; i < x.size(); ++i) {
    lost->nan |= in[i] != in[i];
    if (type == DType::kBFloat16) {
      y.data<BFloat16>()[i] = ToBFloat16(in[i]);
    } else {
      const bool finite = in[i] - in[i] == 0;
      y.data<Half>()[i] = ToHalf(saturate && finite ? std::clamp(in[i], -kLargestHalf, kLargestHalf) : in[i]);
      // What rounds to 0 is at most half the least number.
      lost->vanished += in[i] != 0 && std::fabs(in[i]) <= 0x1p-25f && std::fabs(in[i]) > kPrecision * largest;
    }
  }
  ForgetPages(x);
  return y;
}

// Where the two forms of a float32 value are; kNone: not there (yet).
struct Forms {
  ValueId full = kNone, half = kNone;
};

class Converter {
 public:
  Converter(Graph* graph, const HalfOptions& options, IgnoreList* ignored)
      : model_(*graph), options_(options), ignored_(*ignored), names_(*graph) {}

  HalfOutcome Run() {
    InferElementTypes(&model_);
    // All decisions and all homes come before any change: bodies read values of the graphs around them.
    ForEachScope(&model_, [&](const Scope& scope) {
      decisions_[scope.graph] = DecideHalf(scope, options_, &ignored_);
      MarkFixedNames(scope);
    });
    Visit({&model_, nullptr});
    ForEachScope(&model_, [](const Scope& scope) { RemoveIdleCasts(scope.graph); });
    model_.RemoveDead();
    RestoreConstantNames();
    return std::move(outcome_);
  }

 private:
  // Names that must go on meaning float32: what leaves a body, and the model's outputs unless `io`.
  void MarkFixedNames(const Scope& scope) {
    for (ValueId output : scope.graph->outputs()) {
      if (scope.outer == nullptr && options_.io) continue;
      const Origin origin = OriginOf(scope, output);
      if (origin.graph != nullptr) fixed_.insert({origin.graph, origin.id});
    }
  }

  // Bodies before later nodes of their graph, so that a body sees the forms that exist by then.
  void Visit(const Scope& scope) {
    Graph& graph = *scope.graph;
    if (scope.outer == nullptr && options_.io) ConvertInputs();
    for (NodeId id : graph.Order()) {
      const auto decision = decisions_[&graph].find(id);
      const bool touches = decision != decisions_[&graph].end();
      const bool half = touches && decision->second.empty();
      if (touches) {
        CountWeights(scope, graph.node(id), decision->second);
        if (half) {
          ++outcome_.converted;
          outcome_.types.insert(graph.node(id).op_type);
        } else {
          outcome_.left.push_back({graph.node(id).Title(), decision->second});
        }
        ConvertInputsOf(scope, id, half);
        if (half) ConvertOutputsOf(scope, id);
      }
      // A body may add Casts to this graph.
      for (Graph* body : BodiesOf(&graph.node(id))) Visit({body, &scope});
    }
    if (scope.outer == nullptr && options_.io) ConvertOutputs();
  }

  void ConvertInputs() {
    for (ValueId id : model_.FreeInputs()) {
      Value& input = model_.value(id);
      if (input.dtype != DType::kFloat || input.is_output) continue;
      input.dtype = options_.type;
      halves_.insert({&model_, id});
      forms_[{&model_, id}] = {kNone, id};
    }
  }

  // Outputs whose home is float32: their names move to a converted copy.
  void ConvertOutputs() {
    Emitter emit(&model_, &names_);
    const std::vector<ValueId> outputs = model_.outputs();
    for (ValueId id : outputs) {
      const Value value = model_.value(id);  // a copy: values are added below
      if (value.dtype != DType::kFloat || value.producer == kNone) continue;
      const NodeId producer = value.producer;
      const size_t slot = static_cast<size_t>(value.producer_slot);
      const ValueId full = emit.AddValue(value.name + "_fp32", DType::kFloat);
      model_.SetOutput(producer, slot, full);
      for (const Use& use : value.uses) model_.SetInput(use.node, static_cast<size_t>(use.slot), full);
      model_.value(id).dtype = options_.type;
      AddCast(&model_, full, id, options_.type);
    }
  }

  void AddCast(Graph* graph, ValueId from, ValueId to, DType type) {
    Emitter(graph, &names_)
        .AddNode("Cast", graph->value(to).name + "_Cast", {from}, {to},
                 {{"to", Attribute::Int(static_cast<int64_t>(type))}});
    ++outcome_.casts;
  }

  // The value's form in `type`'s width as seen from `scope`, made where it is missing.
  ValueId Form(const Scope& scope, ValueId id, bool half, bool bound) {
    const Origin origin = OriginOf(scope, id);
    if (origin.graph == nullptr) return id;
    Graph& home = *origin.graph;
    const auto [at, fresh] = forms_.try_emplace({&home, origin.id}, Forms{origin.id, kNone});
    Forms& forms = at->second;
    ValueId& wanted = half ? forms.half : forms.full;
    if (wanted == kNone) {
      const std::string name = home.value(origin.id).name;
      const Tensor* constant = home.Constant(origin.id);
      if (half && constant != nullptr) {
        Lost lost;
        Tensor converted = Convert(*constant, options_.type, bound, &lost);
        const int64_t elements = converted.size();  // `constant` is gone once the graph has one more
        wanted = home.AddConstant(names_.Fresh(name + Suffix()), std::move(converted));
        Note(lost, name, elements);
        renamed_.push_back({&home, wanted, name});
      } else {
        const ValueId from = half ? forms.full : forms.half;
        const DType type = half ? options_.type : DType::kFloat;
        wanted = home.AddValue(names_.Fresh(name + (half ? Suffix() : "_fp32")), type);
        AddCast(&home, from, wanted, type);
      }
    }
    if (&home == scope.graph) return wanted;
    // Read by name from the graph around.
    const std::string name = home.value(wanted).name;
    ValueId captured = scope.graph->Find(name);
    if (captured == kNone) captured = scope.graph->AddValue(name);
    scope.graph->value(captured).dtype = home.value(wanted).dtype;
    return captured;
  }

  void Note(const Lost& lost, const std::string& name, int64_t elements) {
    if (lost.nan) outcome_.nan.push_back(name);
    if (lost.vanished > 0) outcome_.vanished.push_back({name, lost.vanished, elements});
  }

  const char* Suffix() const { return options_.type == DType::kBFloat16 ? "_bf16" : "_fp16"; }

  // Operators that take whatever float type comes and give none.
  static bool TakesAny(const Node& node) {
    return node.Is("Shape") || node.Is("Size") || node.Is("Cast") || node.Is("IsNaN") || node.Is("NonZero");
  }

  void ConvertInputsOf(const Scope& scope, NodeId id, bool half) {
    Graph& graph = *scope.graph;
    const OperatorTypes* types = FindTypes(graph.node(id), graph.opset());
    for (size_t slot = 0; slot < graph.node(id).inputs.size(); ++slot) {
      const Node& node = graph.node(id);
      const ValueId input = node.inputs[slot];
      if (input == kNone || !IsFloat(scope, input)) continue;
      bool wants_half = half && types != nullptr && MayBeFloat(InputLetter(*types, slot));
      if (half && TakesAny(node)) wants_half = HasHalfHome(scope, input);
      graph.SetInput(id, slot, Form(scope, input, wants_half, IsBound(scope, node, slot)));
    }
  }

  // The type before the conversion.
  bool IsFloat(const Scope& scope, ValueId id) const {
    const Origin origin = OriginOf(scope, id);
    if (origin.graph == nullptr) return scope.graph->value(id).dtype == DType::kFloat;
    return origin.graph->value(origin.id).dtype == DType::kFloat || HasHalfHome(scope, id);
  }

  bool HasHalfHome(const Scope& scope, ValueId id) const {
    const Origin origin = OriginOf(scope, id);
    return halves_.count({origin.graph, origin.id}) != 0;
  }

  void ConvertOutputsOf(const Scope& scope, NodeId id) {
    Graph& graph = *scope.graph;
    const OperatorTypes& types = *FindTypes(graph.node(id), graph.opset());
    ConvertAttributes(&graph.node(id));
    for (size_t slot = 0; slot < graph.node(id).outputs.size(); ++slot) {
      const ValueId output = graph.node(id).outputs[slot];
      if (output == kNone || graph.value(output).dtype != DType::kFloat ||
          !MayBeFloat(OutputLetter(types, slot)))
        continue;
      halves_.insert({&graph, output});
      if (!fixed_.count({&graph, output})) {
        graph.value(output).dtype = options_.type;
        forms_[{&graph, output}] = {kNone, output};
        continue;
      }
      // The name stays with the float32 form.
      const ValueId made = graph.AddValue(names_.Fresh(graph.value(output).name + Suffix()), options_.type);
      graph.SetOutput(id, slot, made);
      AddCast(&graph, made, output, DType::kFloat);
      forms_[{&graph, output}] = {output, made};
    }
  }

  // Attributes that fix the type of an output.
  void ConvertAttributes(Node* node) {
    const auto retype = [&](const char* name) {
      node->attributes[name] = Attribute::Int(static_cast<int64_t>(options_.type));
    };
    if (node->Is("Cast") && node->Int("to", 0) == static_cast<int64_t>(DType::kFloat)) retype("to");
    if (node->Is("EyeLike") && node->Int("dtype", 0) == static_cast<int64_t>(DType::kFloat)) retype("dtype");
    if (!node->Is("Constant") && !node->Is("ConstantOfShape")) return;
    Tensor value;
    if (const Tensor* tensor = node->TensorOf("value")) {
      value = *tensor;
    } else if (node->Has("value_float")) {
      value = Tensor::Scalar<float>(node->Float("value_float", 0));
    } else if (node->Has("value_floats")) {
      const std::vector<float> values = node->Floats("value_floats");
      value = Tensor::Of<float>({static_cast<int64_t>(values.size())}, values);
    } else if (node->Is("ConstantOfShape")) {
      value = Tensor::Of<float>({1}, {0.0f});
    }
    if (!value.defined() || value.dtype() != DType::kFloat) return;
    node->attributes.erase("value_float");
    node->attributes.erase("value_floats");
    Lost lost;
    node->attributes["value"] = Attribute::OfTensor(Convert(value, options_.type, false, &lost));
    Note(lost, node->Title(), value.size());
  }

  // A Cast of the model to what its input is by now.
  static void RemoveIdleCasts(Graph* graph) {
    for (NodeId id : graph->Order()) {
      const Node& node = graph->node(id);
      if (!node.Is("Cast")) continue;
      const ValueId from = node.input(0), to = node.outputs[0];
      const bool idle = static_cast<int>(graph->value(from).dtype) == node.Int("to", 0);
      if (!idle || graph->value(to).is_output || graph->CapturedBySubgraph(graph->value(to).name)) continue;
      graph->ReplaceUses(to, from);
      graph->RemoveNode(id);
    }
    graph->RemoveDead();
  }

  // why: of an operator that stays float32.
  void CountWeights(const Scope& scope, const Node& node, const std::string& why) {
    for (ValueId input : node.inputs) {
      const Tensor* constant = ConstantIn(scope, input);
      if (constant == nullptr || constant->dtype() != DType::kFloat) continue;
      const Origin origin = OriginOf(scope, input);
      if (!counted_.insert({origin.graph, origin.id}).second) continue;
      outcome_.weights += constant->size();
      if (!why.empty() && !IgnoreList::IsReason(why)) outcome_.float_weights[why] += constant->size();
    }
  }

  // A constant of the model that only 16-bit readers are left of keeps its name.
  void RestoreConstantNames() {
    for (const auto& [graph, id, name] : renamed_) {
      if (graph == &model_ && model_.Find(name) == kNone) model_.Rename(id, name);
    }
  }

  struct Renamed {
    Graph* graph;
    ValueId id;
    std::string name;
  };

  Graph& model_;
  const HalfOptions& options_;
  IgnoreList& ignored_;
  TensorNames names_;
  HalfOutcome outcome_;
  std::map<const Graph*, std::map<NodeId, std::string>> decisions_;
  std::set<std::pair<const Graph*, ValueId>> fixed_, halves_, counted_;
  std::map<std::pair<const Graph*, ValueId>, Forms> forms_;
  std::vector<Renamed> renamed_;
};

}  // namespace

HalfOutcome ConvertToHalf(Graph* graph, const HalfOptions& options, IgnoreList* ignored) {
  return Converter(graph, options, ignored).Run();
}

}  // namespace xslim
